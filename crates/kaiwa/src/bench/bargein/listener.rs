//! What the language model is told it said.

use std::sync::Arc;

use kaiwa_engine::{
    Cancel, EngineError, Flow, LanguageModel, LmDelta, LmUsage, Message, Prompt, Role,
};
use tokio::sync::watch;

/// Every prompt a language model was given.
#[derive(Clone, Default)]
pub(super) struct Prompts(watch::Sender<Vec<Vec<Message>>>);

impl Prompts {
    /// The same language model, read over its shoulder.
    pub(super) fn read_over(&self, model: Arc<dyn LanguageModel>) -> Arc<dyn LanguageModel> {
        Arc::new(Overheard {
            model,
            prompts: self.clone(),
        })
    }

    /// Forgets what was there.
    pub(super) fn clear(&self) {
        self.0.send_modify(Vec::clear);
    }

    /// Waits for the prompt that ends with this turn of the user, and gives the assistant's
    /// first message in it; empty where there is none.
    pub(super) async fn said_before(&self, turn: &str) -> String {
        let ends = |prompt: &&Vec<Message>| {
            let last = prompt.last();
            last.is_some_and(|last| last.role == Role::User && last.text == turn)
        };
        let mut prompts = self.0.subscribe();
        let Ok(prompts) = prompts
            .wait_for(|prompts| prompts.iter().any(|prompt| ends(&prompt)))
            .await
        else {
            return String::new();
        };
        let prompt = prompts.iter().find(ends);
        let mut said = prompt.into_iter().flatten();
        said.find(|message| message.role == Role::Assistant)
            .map_or_else(String::new, |message| message.text.clone())
    }
}

struct Overheard {
    model: Arc<dyn LanguageModel>,
    prompts: Prompts,
}

impl LanguageModel for Overheard {
    fn generate(
        &self,
        prompt: &Prompt,
        cancel: &Cancel,
        sink: &mut dyn FnMut(LmDelta<'_>) -> Flow,
    ) -> Result<LmUsage, EngineError> {
        self.prompts
            .0
            .send_modify(|prompts| prompts.push(prompt.messages.clone()));
        self.model.generate(prompt, cancel, sink)
    }

    fn forget(&self, conversation: u64) {
        self.model.forget(conversation);
    }

    fn context_tokens(&self) -> usize {
        self.model.context_tokens()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_answer_is_found_in_the_prompt_of_the_last_turn() {
        let prompts = Prompts::default();
        let dialog = [
            Message::text(Role::System, "Be brief."),
            Message::text(Role::User, "A story."),
            Message::text(Role::Assistant, "Once upon"),
            Message::text(Role::User, "Stop."),
            Message::text(Role::Assistant, "Of course"),
            Message::text(Role::User, "Thanks."),
        ];
        prompts.0.send_modify(|all| {
            all.extend([dialog[..2].to_vec(), dialog[..4].to_vec(), dialog.to_vec()]);
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let said = runtime.block_on(prompts.said_before("Thanks."));
        assert_eq!(said, "Once upon");
        assert_eq!(runtime.block_on(prompts.said_before("A story.")), "");
    }
}
