//! A tool's result as one text for a language model.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

use crate::Error;

/// Most bytes of a result's text; what is longer is cut, and a note says so.
pub const MAX_OUTPUT: usize = 64 << 10;

/// What the tool says.
///
/// # Errors
///
/// [`Error::Tool`] if it says that it failed.
pub(crate) fn text(result: &CallToolResult) -> Result<String, Error> {
    let text = cut(whole(result));
    if result.is_error != Some(true) {
        return Ok(text);
    }
    let message = if text.is_empty() {
        "The tool failed and does not say why.".to_owned()
    } else {
        text
    };
    Err(Error::Tool { message })
}

fn whole(result: &CallToolResult) -> String {
    let has_text = result.content.iter().any(|block| as_text(block).is_some());
    let structured = result
        .structured_content
        .as_ref()
        .filter(|_| !has_text)
        .map(ToString::to_string);
    result
        .content
        .iter()
        .map(|block| as_text(block).map_or_else(|| named(block), str::to_owned))
        .chain(structured)
        .collect::<Vec<_>>()
        .join("\n")
}

fn as_text(block: &ContentBlock) -> Option<&str> {
    match block {
        ContentBlock::Text(content) => Some(&content.text),
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { text, .. } => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// What stands for content that is no text.
fn named(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Image(content) => format!("[image, {}]", content.mime_type),
        ContentBlock::Audio(content) => format!("[audio, {}]", content.mime_type),
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::BlobResourceContents { uri, .. } => format!("[resource {uri}]"),
            _ => "[resource]".to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("[link to {}]", link.uri),
        _ => "[content of an unknown kind]".to_owned(),
    }
}

fn cut(mut text: String) -> String {
    if text.len() <= MAX_OUTPUT {
        return text;
    }
    let note = format!("\n[cut: {} bytes in all]", text.len());
    text.truncate(text.floor_char_boundary(MAX_OUTPUT - note.len()));
    text + &note
}

#[cfg(test)]
mod tests {
    use rmcp::model::Resource;
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_joined_and_other_content_is_named() {
        let result = CallToolResult::success(vec![
            ContentBlock::text("It is sunny."),
            ContentBlock::image("aGk=", "image/png"),
            ContentBlock::audio("aGk=", "audio/wav"),
            ContentBlock::ResourceLink(Resource::new("file:///map.txt", "map")),
            ContentBlock::text("Take a hat."),
        ]);
        assert_eq!(
            text(&result).as_deref(),
            Ok(
                "It is sunny.\n[image, image/png]\n[audio, audio/wav]\n[link to file:///map.txt]\n\
                Take a hat."
            )
        );
    }

    #[test]
    fn structured_content_counts_where_there_is_no_text() {
        let mut result = CallToolResult::success(vec![ContentBlock::image("aGk=", "image/png")]);
        result.structured_content = Some(json!({ "celsius": 21 }));
        assert_eq!(
            text(&result).as_deref(),
            Ok("[image, image/png]\n{\"celsius\":21}")
        );
        result.content = vec![ContentBlock::text("21 degrees")];
        assert_eq!(text(&result).as_deref(), Ok("21 degrees"));
        result.content.clear();
        result.structured_content = None;
        assert_eq!(text(&result).as_deref(), Ok(""));
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        let long = "é".repeat(MAX_OUTPUT);
        let result = CallToolResult::success(vec![ContentBlock::text(long)]);
        let text = text(&result).expect("the tool succeeded");
        assert!(
            text.len() <= MAX_OUTPUT && text.len() > MAX_OUTPUT - 4,
            "{}",
            text.len()
        );
        assert!(text.ends_with("é\n[cut: 131072 bytes in all]"));
        let whole = "x".repeat(MAX_OUTPUT);
        assert_eq!(cut(whole.clone()), whole);
    }

    #[test]
    fn a_tool_that_fails_without_a_word_gets_one() {
        let mut result = CallToolResult::error(vec![ContentBlock::text("No such city.")]);
        let failed = |message: &str| {
            Err(Error::Tool {
                message: message.to_owned(),
            })
        };
        assert_eq!(text(&result), failed("No such city."));
        result.content.clear();
        assert_eq!(
            text(&result),
            failed("The tool failed and does not say why.")
        );
    }
}
