//! Questions about tools to somebody who types lines.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use kaiwa_client::Event;

/// How long a question has to stand before a line answers it: what is being typed when it comes
/// is no answer.
const LEAST_SEEN: Duration = Duration::from_millis(700);

/// The calls that somebody has to agree to, the one asked about first. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Questions(Arc<Mutex<VecDeque<Asked>>>);

/// The item of a call, and since when it is the first one.
type Asked = (String, Option<Instant>);

impl Questions {
    /// Something happened in the conversation.
    pub(super) fn note(&self, event: &Event, now: Instant) {
        let mut open = self.open();
        match event {
            Event::ToolConfirmation { item, .. } => open.push_back((item.clone(), None)),
            Event::ToolCallStarted { item, .. } | Event::ToolCallDone { item, .. } => {
                open.retain(|(open, _)| open != item);
            }
            _ => {}
        }
        if let Some((_, since)) = open.front_mut() {
            since.get_or_insert(now);
        }
    }

    /// The call that a line is the answer about, and the answer.
    pub(super) fn answer(&self, line: &str, now: Instant) -> Option<(String, bool)> {
        let agreed = match line.trim().to_lowercase().as_str() {
            "y" | "yes" => true,
            "n" | "no" => false,
            _ => return None,
        };
        let mut open = self.open();
        let since = open.front()?.1?;
        if now < since + LEAST_SEEN {
            return None;
        }
        let (item, _) = open.pop_front()?;
        if let Some((_, since)) = open.front_mut() {
            *since = Some(now);
        }
        Some((item, agreed))
    }

    fn open(&self) -> MutexGuard<'_, VecDeque<Asked>> {
        // A list that somebody panicked over is a list all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(questions: &Questions, item: &str, now: Instant) {
        let event = Event::ToolConfirmation {
            item: item.to_owned(),
            name: "rm".to_owned(),
            arguments: "{}".to_owned(),
        };
        questions.note(&event, now);
    }

    #[test]
    fn a_yes_is_an_answer_only_to_a_question_that_was_seen() {
        let questions = Questions::default();
        let begun = Instant::now();
        let after = |count: u32| begun + LEAST_SEEN * count;
        assert_eq!(questions.answer("yes", begun), None);
        asked(&questions, "a", begun);
        asked(&questions, "b", begun);
        assert_eq!(questions.answer("yes", begun), None, "it was typed before");
        assert_eq!(questions.answer("yes, please", after(1)), None);
        assert_eq!(
            questions.answer(" Y \n", after(1)),
            Some(("a".to_owned(), true))
        );
        // The next one is asked now.
        assert_eq!(questions.answer("y", after(1)), None);
        assert_eq!(
            questions.answer("no", after(2)),
            Some(("b".to_owned(), false))
        );
        assert_eq!(questions.answer("no", after(3)), None);
    }

    #[test]
    fn a_question_whose_time_is_over_is_none_and_the_next_one_is_asked() {
        let questions = Questions::default();
        let begun = Instant::now();
        asked(&questions, "a", begun);
        asked(&questions, "b", begun);
        let over = Event::ToolCallDone {
            item: "a".to_owned(),
            name: "rm".to_owned(),
            failed: true,
            why: None,
        };
        questions.note(&over, begun + LEAST_SEEN);
        assert_eq!(questions.answer("y", begun + LEAST_SEEN), None);
        let answer = questions.answer("y", begun + 2 * LEAST_SEEN);
        assert_eq!(answer, Some(("b".to_owned(), true)));
    }
}
