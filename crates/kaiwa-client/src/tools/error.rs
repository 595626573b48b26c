//! What is wrong with a tool, before anybody calls it.

use super::registry::MAX_TOOLS;

/// A tool that cannot be offered to a model.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// Two tools have one name.
    #[error("there are two tools called {name}: give one of them another name")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// The name is none that servers take.
    #[error(
        "{name:?} is no name for a tool: use up to 64 letters, digits, underscores and hyphens"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The schema of the parameters is none, or does not describe an object.
    #[error("the parameters of the tool {name} are no JSON Schema of an object: {reason}")]
    Parameters {
        /// The tool.
        name: String,
        /// What is wrong with them.
        reason: String,
    },
    /// More tools than servers take.
    #[error("there are more than {MAX_TOOLS} tools: leave some out")]
    TooMany,
}
