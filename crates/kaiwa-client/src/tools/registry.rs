//! The tools of a conversation.

use std::time::Duration;

use super::{Tool, ToolError};

/// Most tools of a conversation, as OpenAI has it.
pub const MAX_TOOLS: usize = 128;

/// How long the assistant is silent over a call before it says something.
const FILLER: Duration = Duration::from_millis(1500);
/// Bytes of a result: about 4000 tokens.
const OUTPUT: usize = 16 << 10;

/// The tools of a conversation, and what holds for all of them.
#[derive(Clone, Debug)]
pub struct Tools {
    tools: Vec<Tool>,
    /// After how long the assistant says in a few words that it is at work, if it is to speak and
    /// has said nothing (default 1.5 s); `None` for never.
    pub filler_after: Option<Duration>,
    /// Most bytes of a result, 16 KiB by default. What is longer is cut, with a note.
    pub max_output: usize,
    /// What is done about calls that somebody has to agree to.
    pub confirmation: Confirmation,
}

/// What is done about calls that somebody has to agree to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Confirmation {
    /// They run.
    Approve,
    /// [`Event::ToolConfirmation`](crate::Event::ToolConfirmation) asks, and
    /// [`Handle::confirm`](crate::Handle::confirm) answers.
    Ask,
    /// They do not run: nobody is there who could be asked.
    #[default]
    Refuse,
}

impl Tools {
    /// Adds a tool.
    ///
    /// # Errors
    ///
    /// When there is one of this name, or there are [`MAX_TOOLS`].
    pub fn add(&mut self, tool: Tool) -> Result<(), ToolError> {
        if self.find(tool.name()).is_some() {
            let name = tool.name().to_owned();
            return Err(ToolError::Duplicate { name });
        }
        if self.tools.len() == MAX_TOOLS {
            return Err(ToolError::TooMany);
        }
        self.tools.push(tool);
        Ok(())
    }

    /// The tool of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name() == name)
    }

    /// All of them, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Tool> {
        self.tools.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }
}

impl Default for Tools {
    /// None.
    fn default() -> Self {
        Self {
            tools: Vec::new(),
            filler_after: Some(FILLER),
            max_output: OUTPUT,
            confirmation: Confirmation::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(name: &str) -> Tool {
        let schema = json!({"type": "object"});
        Tool::new(name, "", schema, |_| async { Ok(String::new()) }).expect("a tool")
    }

    #[test]
    fn a_name_is_taken_once_and_there_is_an_end() {
        let mut tools = Tools::default();
        tools.add(tool("a")).expect("the first");
        let error = tools.add(tool("a")).expect_err("the second");
        assert_eq!(
            error.to_string(),
            "there are two tools called a: give one of them another name"
        );
        for n in 1..MAX_TOOLS {
            tools.add(tool(&n.to_string())).expect("one more");
        }
        assert_eq!(tools.add(tool("b")), Err(ToolError::TooMany));
    }
}
