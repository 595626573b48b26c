use super::*;

fn shown(transcript: &Transcript) -> Vec<String> {
    let rows = transcript.rows(200, 0, usize::MAX);
    rows.iter()
        .map(|row| row.0.iter().map(|(_, text)| text.as_str()).collect())
        .collect()
}

#[test]
fn speech_stands_where_it_began_although_its_words_come_later() {
    let mut transcript = Transcript::default();
    transcript.user_begins(Some("u"));
    transcript.assistant_delta("a", " Paris");
    assert_eq!(shown(&transcript), ["you: …", "assistant: Paris"]);
    transcript.user_delta("u", "The capital");
    transcript.user_done("u", "The capital of France?");
    transcript.assistant_done("a", " Paris. ");
    assert_eq!(
        shown(&transcript),
        ["you: The capital of France?", "assistant: Paris."]
    );
    assert_eq!(
        transcript.plain(),
        "you: The capital of France?\nassistant: Paris.\n"
    );
}

#[test]
fn a_turn_that_has_no_name_takes_the_first_that_comes() {
    let mut transcript = Transcript::default();
    transcript.user_begins(None);
    transcript.assistant_delta("a", "Paris.");
    // What is typed has its name from the beginning.
    transcript.user_typed("t", "Why?");
    transcript.user_done("u", "France?");
    let all = ["you: France?", "assistant: Paris.", "you: Why?"];
    assert_eq!(shown(&transcript), all);
    transcript.user_begins(None);
    transcript.user_begins(Some("u"));
    transcript.forget_unnamed();
    assert_eq!(shown(&transcript), all);
}

#[test]
fn of_a_turn_without_words_nothing_stays() {
    let mut transcript = Transcript::default();
    transcript.user_begins(Some("u"));
    transcript.user_done("u", " ");
    transcript.assistant_done("a", "");
    assert!(shown(&transcript).is_empty());
    assert_eq!(transcript.plain(), "");
}

#[test]
fn what_was_not_heard_is_marked_in_words() {
    let mut transcript = Transcript::default();
    transcript.assistant_delta("a", " It lies on the Seine");
    transcript.cut("a", 400, " It lies");
    // The rest of the text may come after the interruption.
    transcript.assistant_done("a", " It lies on the Seine.");
    assert_eq!(
        shown(&transcript),
        ["assistant: It lies [not heard: on the Seine.]"]
    );
    transcript.assistant_delta("b", "Well");
    transcript.never_heard("b");
    transcript.never_heard("a");
    assert_eq!(shown(&transcript)[1], "assistant: [not heard: Well]");
    transcript.cut("c", 0, "");
    assert_eq!(shown(&transcript)[2], "assistant: [not heard]");
    assert!(
        transcript.plain().starts_with(
            "assistant: It lies on the Seine.\n  [you cut in after 0.4 s; heard: \"It lies\"]\n"
        ),
        "{}",
        transcript.plain()
    );
}

#[test]
fn an_item_that_was_heard_whole_has_no_mark() {
    let mut transcript = Transcript::default();
    transcript.assistant_delta("a", "Yes.");
    transcript.played("a");
    assert!(!transcript.is_unplayed_after("a"));
    transcript.never_heard("a");
    transcript.played("unknown");
    assert_eq!(shown(&transcript), ["assistant: Yes."]);
}

#[test]
fn nothing_from_outside_steers_the_terminal() {
    let mut transcript = Transcript::default();
    transcript.assistant_delta("a", "one\u{1b}[2Jtwo\u{9b}31m");
    transcript.user_done("u", "three\u{7}");
    transcript.note("four\r\tfive");
    for shown in [shown(&transcript).concat(), transcript.plain()] {
        assert!(
            !shown.replace('\n', "").contains(char::is_control),
            "{shown:?}"
        );
    }
}

#[test]
fn the_assistant_goes_on_with_its_next_item() {
    let mut transcript = Transcript::default();
    // It was written, and is never played.
    transcript.assistant_delta("text", "1.");
    transcript.assistant_delta("a", "Two.");
    transcript.assistant_delta("b", "Three.");
    transcript.played("a");
    assert!(transcript.is_unplayed_after("a"));
    transcript.played("b");
    assert!(!transcript.is_unplayed_after("b"));
}

#[test]
fn a_note_is_not_repeated() {
    let mut transcript = Transcript::default();
    transcript.note("The microphone is gone.");
    transcript.note("The microphone is gone.");
    assert_eq!(shown(&transcript), ["* The microphone is gone."]);
}

#[test]
fn rows_are_made_anew_only_where_something_has_changed() {
    let mut transcript = Transcript::default();
    transcript.assistant_delta("a", "One two");
    transcript.assistant_delta("b", "three");
    let marked = |transcript: &Transcript| {
        for said in &transcript.entries {
            let mut wrapped = said.wrapped.borrow_mut();
            wrapped.as_mut().expect("it was shown").rows[0].0[0].1 = "kept ".to_owned();
        }
    };
    assert_eq!(
        shown(&transcript),
        ["assistant: One two", "assistant: three"]
    );
    marked(&transcript);
    assert_eq!(shown(&transcript), ["kept One two", "kept three"]);
    transcript.assistant_delta("b", " four");
    assert_eq!(
        shown(&transcript),
        ["kept One two", "assistant: three four"]
    );
    let changes: [fn(&mut Transcript); 3] = [
        |transcript| transcript.assistant_done("b", "Five."),
        |transcript| transcript.cut("b", 0, "Five"),
        |transcript| transcript.cut("b", 0, ""),
    ];
    for change in changes {
        shown(&transcript);
        marked(&transcript);
        change(&mut transcript);
        let rows = shown(&transcript);
        assert_eq!(rows[0], "kept One two");
        assert!(rows[1].starts_with("assistant: "), "{rows:?}");
    }
    // In another width all are.
    marked(&transcript);
    assert_eq!(transcript.rows(11, 0, 1)[0].0[0].1, "assistant:");
}

#[test]
fn of_a_long_conversation_the_latest_is_kept_and_notes_push_nothing_out() {
    let mut transcript = Transcript::default();
    transcript.user_typed("first", "Hello");
    for number in 0..10 * MOST_NOTES {
        transcript.note(&format!("{number}"));
    }
    let rows = shown(&transcript);
    assert_eq!(rows.len(), 1 + MOST_NOTES);
    assert_eq!(rows[..2], ["you: Hello", "* 1800"]);
    for number in 0..2 * MOST {
        transcript.user_typed(&format!("{number}"), "More");
    }
    let rows = shown(&transcript);
    assert_eq!(rows.len(), MOST);
    assert!(rows.iter().all(|row| row == "you: More"));
}

#[test]
fn of_a_lost_session_no_words_are_waited_for() {
    let mut transcript = Transcript::default();
    transcript.user_begins(Some("said"));
    transcript.user_begins(None);
    transcript.assistant_delta("a", "Yes?");
    transcript.user_begins(Some("saying"));
    transcript.abandon(true);
    let lost = [
        "you: [not transcribed]",
        "you: [not transcribed]",
        "assistant: Yes?",
    ];
    assert_eq!(shown(&transcript), lost);
    // What is said later has an entry of its own.
    transcript.user_begins(None);
    transcript.user_done("later", "Hello?");
    assert_eq!(shown(&transcript)[..3], lost);
    assert_eq!(shown(&transcript)[3..], ["you: Hello?"]);
    transcript.forget_unnamed();
    transcript.abandon(false);
    assert_eq!(shown(&transcript).len(), 4);
}
