//! From a prompt to the text a model was trained on.

use llama_cpp_2::{
    model::{LlamaChatMessage, LlamaChatTemplate, LlamaModel},
    token::LlamaToken,
};

use super::tools;
use crate::{EngineError, EngineErrorKind, Prompt, Role};

/// The chat template of a model and the control tokens it is made of.
#[derive(Debug)]
pub(super) struct Chat {
    template: LlamaChatTemplate,
    /// Texts of the control tokens, such as `<|im_end|>`.
    markers: Vec<String>,
}

impl Chat {
    /// Reads the template from the model's file.
    ///
    /// # Errors
    ///
    /// The model has no template (it is not made for conversations), or one of a family
    /// that llama.cpp does not know.
    pub(super) fn of(model: &LlamaModel) -> Result<Self, EngineError> {
        let template = model
            .chat_template(None)
            .map_err(|error| EngineError::model(format_args!("it cannot converse: {error}")))?;
        let vocab = model.vocab();
        let markers = vocab
            .tokens()
            .filter(|token| vocab.is_control(*token) || vocab.is_eog(*token))
            .filter_map(|token| String::from_utf8(vocab.token_to_piece(token, true, None)).ok())
            .filter(|text| text.len() > 1 && !tools::TAGS.contains(&text.as_str()))
            .collect();
        let chat = Self { template, markers };
        chat.apply(
            model,
            &[("system", "a".to_owned()), ("user", "b".to_owned())],
        )
        .map_err(|_| {
            EngineError::new(
                EngineErrorKind::Unsupported,
                "its chat template is of an unknown kind",
            )
        })?;
        Ok(chat)
    }

    /// Texts that never stand in a message or an answer.
    pub(super) fn markers(&self) -> &[String] {
        &self.markers
    }

    /// Whether a token ends an answer.
    pub(super) fn ends(&self, model: &LlamaModel, token: LlamaToken) -> bool {
        let vocab = model.vocab();
        vocab.is_eog(token)
            || vocab.is_control(token) && {
                let text = vocab.token_to_piece(token, true, None);
                tools::TAGS.iter().all(|tag| tag.as_bytes() != text)
            }
    }

    /// The text of a prompt, up to where the assistant's answer begins.
    pub(super) fn render(
        &self,
        model: &LlamaModel,
        prompt: &Prompt,
    ) -> Result<String, EngineError> {
        let mut messages: Vec<(&str, String)> = Vec::new();
        let offered = tools::offered(prompt)?;
        let mut functions = (!offered.is_empty()).then(|| tools::instructions(offered));
        for message in &prompt.messages {
            if !message.images.is_empty() {
                return Err(EngineError::new(
                    EngineErrorKind::Unsupported,
                    "this language model cannot see images",
                ));
            }
            let mut text = self.harmless(&message.text);
            let role = match message.role {
                Role::System => {
                    if let Some(functions) = functions.take() {
                        text += "\n\n";
                        text += &self.harmless(&functions);
                    }
                    "system"
                }
                Role::User => "user",
                Role::Assistant => {
                    for call in &message.tool_calls {
                        text += &self.harmless(&tools::call(call));
                    }
                    "assistant"
                }
                // The format the small models know has results in the user's turn.
                Role::Tool => {
                    text = tools::result(&text);
                    "user"
                }
            };
            messages.push((role, text));
        }
        if let Some(functions) = functions {
            messages.insert(0, ("system", self.harmless(&functions)));
        }
        self.apply(model, &messages)
    }

    fn apply(
        &self,
        model: &LlamaModel,
        messages: &[(&str, String)],
    ) -> Result<String, EngineError> {
        let messages: Result<Vec<_>, _> = messages
            .iter()
            .map(|(role, text)| LlamaChatMessage::new((*role).to_owned(), text.clone()))
            .collect();
        model
            .apply_chat_template(
                &self.template,
                &messages.map_err(EngineError::failed)?,
                true,
            )
            .map_err(EngineError::failed)
    }

    /// A text in which no control token stands: what a user says or pastes is never an
    /// instruction to the template. A space breaks such a token up.
    fn harmless(&self, text: &str) -> String {
        let mut text = text.replace('\0', " ");
        for marker in &self.markers {
            if text.contains(marker.as_str()) {
                let mut broken = marker.clone();
                let first = marker.chars().next().map_or(0, char::len_utf8);
                broken.insert(first, ' ');
                text = text.replace(marker.as_str(), &broken);
            }
        }
        text
    }
}
