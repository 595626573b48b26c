//! What a response offers the language model: functions of the client and tools of servers.

use std::collections::BTreeMap;

use kaiwa_protocol::{
    AllowedTools, ApprovalPolicy, Item, McpTool, McpToolInfo, RequireApproval, Tool, ToolChoice,
    ToolFilter,
};

use super::Servers;
use crate::{
    conversation::Entry,
    engine::{McpServer, PromptTool, PromptToolChoice},
    prompt,
};

/// Longest name of a function that every language model takes, in characters.
const MAX_NAME_CHARS: usize = 64;

/// The tools of one answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Offer {
    /// As the language model is told of them.
    pub(crate) tools: Vec<PromptTool>,
    /// Whether it may, must or must not use them.
    pub(crate) choice: PromptToolChoice,
    /// Those of MCP servers, by the names they have in `tools`.
    pub(crate) remote: BTreeMap<String, Remote>,
}

/// A tool of an MCP server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Remote {
    /// Label of the server.
    pub(crate) label: String,
    pub(crate) server: McpServer,
    /// The tool's name, as the server knows it.
    pub(crate) name: String,
    /// Its name, as the language model knows it.
    offered: String,
    /// Whether the client is to be asked before it is called.
    pub(crate) needs_approval: bool,
}

impl Remote {
    /// An item about this tool: the language model is told of it by the name it knows.
    pub(crate) fn entry(&self, item: Item) -> Entry {
        Entry {
            offered: Some(self.offered.clone()),
            ..Entry::plain(item)
        }
    }
}

impl Offer {
    /// What a response with these settings may use. Servers whose tools are not known are left
    /// out, and so are tools that need approval where nobody can be asked.
    pub(crate) fn new(
        tools: &[Tool],
        choice: Option<&ToolChoice>,
        servers: &Servers,
        can_ask: bool,
    ) -> Self {
        let mut offer = Self {
            tools: prompt::functions(tools),
            ..Self::default()
        };
        for tool in tools {
            if let Tool::Mcp(declared) = tool {
                offer.add_server(declared, servers, can_ask);
            }
        }
        offer.choose(choice);
        offer
    }

    fn add_server(&mut self, declared: &McpTool, servers: &Servers, can_ask: bool) {
        let label = &declared.server_label;
        let Some((server, listed)) = servers.listed(label) else {
            return;
        };
        for info in listed.iter().filter(|info| is_allowed(declared, info)) {
            let needs_approval = needs_approval(declared, info);
            if needs_approval && !can_ask {
                continue;
            }
            let name = self.free_name(label, &info.name);
            self.tools.push(PromptTool {
                name: name.clone(),
                description: info.description.cloned().unwrap_or_default(),
                parameters: info
                    .input_schema
                    .parse()
                    .unwrap_or_else(|_| prompt::no_parameters()),
            });
            let remote = Remote {
                label: label.clone(),
                server: server.clone(),
                name: info.name.clone(),
                offered: name.clone(),
                needs_approval,
            };
            self.remote.insert(name, remote);
        }
    }

    /// A name for the language model: the tool's own if models take it and no other tool has
    /// it, else one with the server's label.
    fn free_name(&self, label: &str, name: &str) -> String {
        let is_free = |name: &str| self.tools.iter().all(|tool| tool.name != name);
        let plain = plain_name(name);
        if is_free(&plain) {
            return plain;
        }
        let qualified = plain_name(&format!("{label}_{name}"));
        let numbered = (2..).map(|number| {
            let most = MAX_NAME_CHARS - 4;
            let stem: String = qualified.chars().take(most).collect();
            format!("{stem}_{number}")
        });
        std::iter::once(qualified.clone())
            .chain(numbered)
            .find(|name| is_free(name))
            .unwrap_or(qualified)
    }

    fn choose(&mut self, choice: Option<&ToolChoice>) {
        self.choice = match choice {
            Some(ToolChoice::None) => PromptToolChoice::None,
            Some(ToolChoice::Required) => PromptToolChoice::Required,
            Some(ToolChoice::Function(function)) => {
                PromptToolChoice::Function(function.name.clone())
            }
            Some(ToolChoice::Mcp(wanted)) => {
                let of_server = |remote: &Remote| remote.label == wanted.server_label;
                match wanted.name.as_deref() {
                    Some(name) => self
                        .remote
                        .iter()
                        .find(|(_, remote)| of_server(remote) && remote.name == name)
                        .map_or(PromptToolChoice::Auto, |(name, _)| {
                            PromptToolChoice::Function(name.clone())
                        }),
                    None if self.remote.values().any(of_server) => {
                        self.remote.retain(|_, remote| of_server(remote));
                        let remote = &self.remote;
                        self.tools.retain(|tool| remote.contains_key(&tool.name));
                        PromptToolChoice::Required
                    }
                    None => PromptToolChoice::Auto,
                }
            }
            None | Some(ToolChoice::Auto | ToolChoice::Unknown(_)) => PromptToolChoice::Auto,
        };
    }
}

fn plain_name(name: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() || matches!(c, '_' | '-') {
        true => c,
        false => '_',
    };
    name.chars().map(plain).take(MAX_NAME_CHARS).collect()
}

fn is_allowed(declared: &McpTool, info: &McpToolInfo) -> bool {
    match declared.allowed_tools.value() {
        None => true,
        Some(AllowedTools::Names(names)) => names.contains(&info.name),
        Some(AllowedTools::Filter(filter)) => matches(filter, info),
    }
}

/// All tools need approval but those that are said not to.
fn needs_approval(declared: &McpTool, info: &McpToolInfo) -> bool {
    match declared.require_approval.value() {
        None => true,
        Some(RequireApproval::Policy(policy)) => *policy != ApprovalPolicy::Never,
        Some(RequireApproval::Filter(filter)) => {
            // One that says nothing allows nothing.
            let says = |f: &&ToolFilter| f.tool_names.is_value() || f.read_only.is_value();
            let never = filter.never.value().filter(says);
            let always = filter.always.value().filter(says);
            always.is_some_and(|f| matches(f, info)) || !never.is_some_and(|f| matches(f, info))
        }
    }
}

/// Whether a tool is meant. A filter that says nothing means all.
fn matches(filter: &ToolFilter, info: &McpToolInfo) -> bool {
    let names = filter.tool_names.value();
    let read_only = filter.read_only.copied();
    names.is_none_or(|names| names.contains(&info.name))
        && read_only.is_none_or(|wanted| wanted == is_read_only(info))
}

/// Whether the server says that the tool changes nothing (`readOnlyHint` of the MCP
/// specification, false where it is missing).
fn is_read_only(info: &McpToolInfo) -> bool {
    let annotations = info.annotations.value();
    annotations
        .and_then(|json| json.parse::<serde_json::Value>().ok())
        .and_then(|value| value.get("readOnlyHint")?.as_bool())
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::JobId, mcp::Listing};

    fn tools(json: &str) -> Vec<Tool> {
        serde_json::from_str(json).expect("tools")
    }

    fn info(name: &str, read_only: bool) -> McpToolInfo {
        serde_json::from_value(serde_json::json!({
            "name": name, "description": "Does it.",
            "input_schema": {"type": "object", "properties": {}},
            "annotations": {"readOnlyHint": read_only},
        }))
        .expect("a tool")
    }

    fn servers(tools: &[Tool]) -> Servers {
        let mut servers = Servers::default();
        for tool in tools {
            if let Tool::Mcp(tool) = tool {
                servers.declare(tool);
                let listed = vec![info("look.up", true), info("delete", false)];
                servers.set_listing(&tool.server_label, Listing::Listed(listed));
            }
        }
        servers
    }

    fn offer(json: &str, choice: &str) -> Offer {
        let tools = tools(json);
        let choice = serde_json::from_str(choice).expect("a choice");
        Offer::new(&tools, Some(&choice), &servers(&tools), true)
    }

    fn approvals(json: &str) -> Vec<(String, bool)> {
        let offer = offer(json, r#""auto""#);
        let remote = offer.remote.into_iter();
        remote.map(|(name, r)| (name, r.needs_approval)).collect()
    }

    fn server(more: &str) -> String {
        format!(r#"[{{"type":"mcp","server_label":"a","server_url":"https://a.test"{more}}}]"#)
    }

    #[test]
    fn tools_need_approval_unless_it_is_said_that_they_do_not() {
        for (more, delete, look_up) in [
            ("", true, true),
            (r#","require_approval":"always""#, true, true),
            (r#","require_approval":"never""#, false, false),
            (
                r#","require_approval":{"never":{"read_only":true}}"#,
                true,
                false,
            ),
            (
                r#","require_approval":{"never":{"tool_names":["delete"]}}"#,
                false,
                true,
            ),
            (
                r#","require_approval":{"always":{"tool_names":["delete"]},"never":{}}"#,
                true,
                true,
            ),
            (
                r#","require_approval":{"always":{"tool_names":["delete"]},
                    "never":{"tool_names":["delete","look.up"]}}"#,
                true,
                false,
            ),
        ] {
            assert_eq!(
                approvals(&server(more)),
                [
                    ("delete".to_owned(), delete),
                    ("look_up".to_owned(), look_up)
                ],
                "{more}"
            );
        }
    }

    #[test]
    fn only_allowed_tools_are_offered() {
        for (more, names) in [
            (r#","allowed_tools":["delete"]"#, vec!["delete"]),
            (r#","allowed_tools":{"read_only":true}"#, vec!["look_up"]),
            (r#","allowed_tools":[]"#, vec![]),
        ] {
            let offered = approvals(&server(more));
            let offered: Vec<_> = offered.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(offered, names, "{more}");
        }
    }

    #[test]
    fn names_that_clash_get_the_label_of_their_server() {
        let json = r#"[{"type":"function","name":"delete"},
            {"type":"mcp","server_label":"a","server_url":"https://a.test"},
            {"type":"mcp","server_label":"b","server_url":"https://b.test"}]"#;
        let offer = offer(json, r#""auto""#);
        let names: Vec<_> = offer.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(
            names,
            ["delete", "look_up", "a_delete", "b_look_up", "b_delete"]
        );
        assert_eq!(offer.remote["b_look_up"].name, "look.up");
        assert_eq!(offer.remote["b_look_up"].label, "b");
        assert!(!offer.remote.contains_key("delete"), "that is the client's");
    }

    #[test]
    fn a_choice_of_a_server_or_its_tool_is_told_to_the_model() {
        let json = r#"[{"type":"function","name":"f"},
            {"type":"mcp","server_label":"a","server_url":"https://a.test"}]"#;
        let one = offer(
            json,
            r#"{"type":"mcp","server_label":"a","name":"look.up"}"#,
        );
        assert_eq!(one.choice, PromptToolChoice::Function("look_up".to_owned()));
        let any = offer(json, r#"{"type":"mcp","server_label":"a"}"#);
        assert_eq!(any.choice, PromptToolChoice::Required);
        assert_eq!(any.tools.len(), 2, "the function is none of the server's");
        let unknown = offer(json, r#"{"type":"mcp","server_label":"z"}"#);
        assert_eq!(unknown.choice, PromptToolChoice::Auto);
        assert_eq!(unknown.tools.len(), 3);
    }

    #[test]
    fn servers_that_have_not_answered_and_tools_nobody_can_approve_are_left_out() {
        let tools = tools(&server(""));
        let mut servers = servers(&tools);
        assert!(Offer::new(&tools, None, &servers, false).tools.is_empty());
        for listing in [Listing::Asked(JobId(1)), Listing::Failed] {
            servers.set_listing("a", listing);
            assert!(Offer::new(&tools, None, &servers, true).tools.is_empty());
        }
    }
}
