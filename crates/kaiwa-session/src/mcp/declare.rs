//! Declarations of MCP servers: what they must say, and what the client is shown of them.

use std::collections::BTreeSet;

use kaiwa_protocol::{ApprovalPolicy, Maybe, McpTool, RequireApproval, Tool};

use super::Servers;
use crate::{
    engine::McpServer,
    refusal::{self, Refusal},
};

/// Most servers that a session may declare in its life.
const MAX_SERVERS: usize = 32;

/// Longest label of a server, in characters.
const MAX_LABEL_CHARS: usize = 128;

/// Longest URL of a server, in characters.
const MAX_URL_CHARS: usize = 2048;

/// Most bytes of headers and authorization for a server.
const MAX_HEADER_BYTES: usize = 16 << 10;

/// Checks one declaration by itself; `param` is the path to it.
pub(crate) fn check(param: &str, tool: &McpTool) -> Result<(), Refusal> {
    let at = |name: &str| format!("{param}.{name}");
    let length = tool.server_label.chars().count();
    if length == 0 {
        return Err(refusal::missing_parameter(&at("server_label")));
    }
    if length > MAX_LABEL_CHARS {
        let param = at("server_label");
        return Err(refusal::too_long(&param, MAX_LABEL_CHARS, length));
    }
    for (name, value) in [
        ("connector_id", &tool.connector_id),
        ("tunnel_id", &tool.tunnel_id),
    ] {
        if value.is_value() {
            return Err(refusal::invalid(
                &at(name),
                "Connectors and tunnels belong to the platform that hosts them. Name the MCP \
                 server by its 'server_url'.",
            ));
        }
    }
    if let Some(url) = tool.server_url.as_deref() {
        let length = url.chars().count();
        if length > MAX_URL_CHARS {
            let param = at("server_url");
            return Err(refusal::too_long(&param, MAX_URL_CHARS, length));
        }
        if !url.starts_with("https://") && !url.starts_with("http://") {
            let reason = format!("Invalid URL: '{url}'. Expected an http or https URL.");
            return Err(refusal::invalid(&at("server_url"), reason));
        }
    }
    let headers = tool.headers.value();
    if tool.authorization.is_value()
        && headers
            .into_iter()
            .flatten()
            .any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
    {
        return Err(refusal::invalid(
            &at("authorization"),
            "Give either 'authorization' or an 'Authorization' header, not both.",
        ));
    }
    let bytes = headers
        .into_iter()
        .flatten()
        .map(|(name, value)| name.len() + value.len())
        .sum::<usize>()
        + tool.authorization.as_deref().map_or(0, str::len);
    if bytes > MAX_HEADER_BYTES {
        return Err(refusal::too_long(&at("headers"), MAX_HEADER_BYTES, bytes));
    }
    if let Some(RequireApproval::Policy(ApprovalPolicy::Other(text))) =
        tool.require_approval.value()
    {
        let param = at("require_approval");
        return Err(refusal::not_one_of(&param, text, ApprovalPolicy::KNOWN));
    }
    Ok(())
}

/// Completes declarations that name only the label of a server declared before, and refuses
/// those that name none. `parent` is the path to the object that has the tools.
pub(crate) fn resolve(parent: &str, tools: &mut [Tool], servers: &Servers) -> Result<(), Refusal> {
    let mut labels = BTreeSet::new();
    let mut new = 0;
    for (index, tool) in tools.iter_mut().enumerate() {
        let Tool::Mcp(tool) = tool else {
            continue;
        };
        let param = format!("{parent}.tools[{index}]");
        if !labels.insert(tool.server_label.clone()) {
            let label = &tool.server_label;
            return Err(refusal::invalid(
                &format!("{param}.server_label"),
                format!("Duplicate MCP server label: '{label}'."),
            ));
        }
        match servers.declared(&tool.server_label) {
            Some(declared) if !tool.server_url.is_value() => complete(tool, declared),
            None if !tool.server_url.is_value() => {
                let param = format!("{param}.server_url");
                return Err(refusal::missing_parameter(&param));
            }
            Some(_) => {}
            None => new += 1,
        }
    }
    if servers.len() + new > MAX_SERVERS {
        return Err(refusal::out_of_range(
            &format!("{parent}.tools"),
            &format!("{} MCP servers in this session", servers.len() + new),
            &format!("at most {MAX_SERVERS}"),
        ));
    }
    Ok(())
}

/// What an update leaves out of a known server stays as it was declared.
fn complete(tool: &mut McpTool, declared: &McpTool) {
    fn inherit<T: Clone>(value: &mut Maybe<T>, declared: &Maybe<T>) {
        if value.is_absent() {
            value.clone_from(declared);
        }
    }
    tool.server_url = declared.server_url.clone();
    // A new header beside an old token would contradict each other.
    if tool.authorization.is_absent() && tool.headers.is_absent() {
        inherit(&mut tool.authorization, &declared.authorization);
        inherit(&mut tool.headers, &declared.headers);
    }
    inherit(&mut tool.server_description, &declared.server_description);
    inherit(&mut tool.allowed_tools, &declared.allowed_tools);
    inherit(&mut tool.require_approval, &declared.require_approval);
    inherit(&mut tool.allowed_callers, &declared.allowed_callers);
    inherit(&mut tool.defer_loading, &declared.defer_loading);
}

/// Where a resolved declaration says the server is.
pub(super) fn server(tool: &McpTool) -> McpServer {
    let headers = tool.headers.value().into_iter().flatten();
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(token) = tool.authorization.as_deref() {
        headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
    }
    McpServer {
        url: tool.server_url.cloned().unwrap_or_default(),
        headers,
    }
}

/// Tools as the client is shown them: a session's configuration is logged and passed on by
/// many hands, and nobody needs its secrets there.
pub(crate) fn without_secrets(tools: &mut [Tool]) {
    for tool in tools {
        if let Tool::Mcp(tool) = tool {
            tool.authorization = Maybe::Absent;
            tool.headers = Maybe::Absent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(json: &str) -> Tool {
        serde_json::from_str(json).expect("a tool")
    }

    fn mcp(json: &str) -> McpTool {
        match tool(json) {
            Tool::Mcp(tool) => *tool,
            other => panic!("{other:?}"),
        }
    }

    const WEATHER: &str = r#"{"type":"mcp","server_label":"weather",
        "server_url":"https://tools.test/mcp","authorization":"secret",
        "require_approval":"never"}"#;

    #[test]
    fn faults_are_named() {
        for (json, param) in [
            (
                r#"{"type":"mcp","server_label":""}"#,
                "tools[0].server_label",
            ),
            (
                r#"{"type":"mcp","server_label":"x","connector_id":"connector_mail"}"#,
                "tools[0].connector_id",
            ),
            (
                r#"{"type":"mcp","server_label":"x","server_url":"file:///etc/passwd"}"#,
                "tools[0].server_url",
            ),
            (
                r#"{"type":"mcp","server_label":"x","server_url":"https://a.test",
                    "authorization":"t","headers":{"authorization":"Bearer t"}}"#,
                "tools[0].authorization",
            ),
            (
                r#"{"type":"mcp","server_label":"x","server_url":"https://a.test",
                    "require_approval":"sometimes"}"#,
                "tools[0].require_approval",
            ),
        ] {
            let error = check("tools[0]", &mcp(json)).expect_err(json);
            assert_eq!(error.param.as_deref(), Some(param), "{json}");
        }
        assert_eq!(check("tools[0]", &mcp(WEATHER)), Ok(()));
    }

    #[test]
    fn a_label_is_enough_for_a_server_that_was_declared() {
        let mut servers = Servers::default();
        let mut label_only = [tool(
            r#"{"type":"mcp","server_label":"weather","allowed_tools":["today"]}"#,
        )];
        let error = resolve("session", &mut label_only, &servers).expect_err("not declared");
        assert_eq!(error.param.as_deref(), Some("session.tools[0].server_url"));

        assert!(servers.declare(&mcp(WEATHER)), "a new server is asked");
        assert_eq!(resolve("session", &mut label_only, &servers), Ok(()));
        let [Tool::Mcp(whole)] = &label_only else {
            panic!("{label_only:?}");
        };
        let declared = mcp(WEATHER);
        assert_eq!(whole.server_url, declared.server_url);
        assert_eq!(whole.authorization, declared.authorization);
        assert_eq!(whole.require_approval, declared.require_approval);
        assert!(whole.allowed_tools.is_value());
    }

    #[test]
    fn a_label_is_given_once_and_servers_are_counted() {
        let twice = &mut [tool(WEATHER), tool(WEATHER)];
        let error = resolve("session", twice, &Servers::default()).expect_err("twice");
        assert_eq!(
            error.param.as_deref(),
            Some("session.tools[1].server_label")
        );
        let mut many: Vec<_> = (0..=MAX_SERVERS)
            .map(|n| {
                tool(&format!(
                    r#"{{"type":"mcp","server_label":"{n}","server_url":"https://a.test"}}"#
                ))
            })
            .collect();
        let error = resolve("session", &mut many, &Servers::default()).expect_err("too many");
        assert_eq!(error.param.as_deref(), Some("session.tools"));
        assert_eq!(
            resolve("session", &mut many[1..], &Servers::default()),
            Ok(())
        );
    }

    #[test]
    fn a_token_becomes_a_header_and_is_not_shown() {
        let server = server(&mcp(WEATHER));
        assert_eq!(
            server.headers,
            [("Authorization".to_owned(), "Bearer secret".to_owned())]
        );
        assert!(!format!("{server:?}").contains("secret"));
        let mut shown = [tool(WEATHER)];
        without_secrets(&mut shown);
        let json = serde_json::to_string(&shown).expect("serialises");
        assert!(!json.contains("secret") && json.contains("tools.test"));
    }
}
