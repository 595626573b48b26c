//! What the microphone heard and the lost session did not.

use std::time::Duration;

use super::*;
use crate::testing::script;

#[tokio::test(start_paused = true)]
async fn speech_that_was_under_way_is_heard_from_its_beginning_without_a_gap() {
    let (mut conversation, _handle, queue, mut server, switchboard) = connected_again().await;
    // Each tick has a level of its own.
    for tick in 0..400_i16 {
        queue.push(&[f32::from(tick + 1) / 1000.0; 480]);
    }
    let server = script(async move {
        server.open().await;
        server.hear(1500).await;
        server.hears_speech("u", 1000).await;
        server.hear(2000).await;
        drop(server);
        pass(Duration::from_millis(1500)).await;
        let mut next = switchboard.answer().await;
        next.open().await;
        next.hear(5000).await;
        next.hears_speech("v", 200).await;
        next
    });
    let mut starts = Vec::new();
    let reconnected = until(&mut conversation, |event| match event {
        Event::UserSpeechStarted { ms, .. } => {
            starts.push(*ms);
            (starts.len() == 2).then_some(())
        }
        Event::Reconnected { lost_ms, .. } => {
            assert_eq!(*lost_ms, 0);
            None
        }
        _ => None,
    });
    reconnected.await;
    let next = server.await.expect("the script");
    assert_eq!(starts, [1000, 1000], "the same place on the clock");
    for (index, tick) in next.heard.chunks_exact(960).enumerate() {
        let sample = i16::from_le_bytes([tick[0], tick[1]]);
        let level = (f32::from(sample) / 32.768).round();
        assert_eq!(level as usize, 41 + index, "tick {index}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_again_is_waited_for_until_it_is_read() {
    let (conversation, handle, queue, mut server, switchboard) = connected_again().await;
    queue.push(&[0.5; 24_000]);
    queue.end();
    handle.finish().expect("is taken");
    let server = script(async move {
        server.open().await;
        server.hear(900).await;
        server.hears_speech("u", 0).await;
        server.hear(940).await;
        let mut next = switchboard.answer().await;
        drop(server);
        // All of the silence after the turn passes meanwhile.
        pass(Duration::from_secs(5)).await;
        next.open().await;
        // It is slow to read.
        pass(Duration::from_secs(5)).await;
        next.hear(1500).await;
        next.hears_speech("v", 0).await;
        next.ends_turn("v", 1000).await;
        next.answer("r", "a", "Yes.", 100).await;
        assert!(next.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::InputEnded);
    let answered = events(&moments)
        .into_iter()
        .any(|event| matches!(event, Event::AssistantDone { .. }));
    assert!(answered);
}

#[tokio::test(start_paused = true)]
async fn a_turn_without_words_is_told_as_sound_and_answered() {
    let (conversation, handle, queue, mut server, switchboard) = connected_again().await;
    queue.push(&[0.5; 24_000]);
    let server = script(async move {
        server.open().await;
        server.hear(1000).await;
        server.hears_speech("u", 0).await;
        server.hear(1400).await;
        server.ends_turn("u", 1200).await;
        server.hear(1440).await;
        let mut next = switchboard.answer().await;
        drop(server);
        next.open().await;
        let told = next.told(1).await;
        next.expect("response.create").await;
        next.answer("r", "a", "Yes.", 100).await;
        handle.finish().expect("is taken");
        queue.end();
        assert!(next.next().await.is_none());
        (told, next.heard)
    });
    let moments = all(conversation).await;
    let (told, heard) = server.await.expect("the script");
    assert_eq!(told, [turn("user", "1200 ms")]);
    // What was after the turn is heard again, and nothing of the turn.
    assert!(!heard.is_empty() && heard.iter().all(|&byte| byte == 0));
    assert_eq!(reason(&moments), &EndReason::InputEnded);
}

#[tokio::test(start_paused = true)]
async fn thirty_seconds_are_kept_and_what_is_older_is_told_as_lost() {
    let (mut conversation, _handle, queue, mut server, switchboard) = connected_again().await;
    queue.push(&vec![0.5; 90 * 24_000]);
    let server = script(async move {
        server.open().await;
        server.hear(5000).await;
        drop(server);
        pass(Duration::from_secs(40)).await;
        let mut next = switchboard.answer().await;
        next.open().await;
        let begun = Instant::now();
        next.hear(30_000).await;
        assert!(begun.elapsed() < Duration::from_millis(500), "it was there");
        next.hear(35_000).await;
    });
    let (lost_ms, away_ms) = until(&mut conversation, |event| match event {
        Event::Reconnected { lost_ms, away_ms } => Some((*lost_ms, *away_ms)),
        _ => None,
    })
    .await;
    let reading = script(async move { while conversation.next().await.is_some() {} });
    server.await.expect("the script");
    reading.abort();
    assert!((40_000..50_000).contains(&away_ms), "{away_ms}");
    // Up to three seconds before the loss may not have been read.
    let lost_before = (away_ms - 30_000)..=(away_ms - 30_000 + 3100);
    assert!(lost_before.contains(&lost_ms), "{lost_ms} of {away_ms} ms");
}

#[tokio::test(start_paused = true)]
async fn without_turn_detection_what_was_not_committed_is_sent_again() {
    let (link, mut server) = connected().await;
    let (queue, mic) = Mic::queue();
    let card = FileCard::builder().mic(mic).build().expect("a card");
    let (switchboard, reconnect) = Switchboard::new();
    let config = ConversationConfig {
        turn: Turn::None,
        reconnect: Some(reconnect),
        ..ConversationConfig::default()
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    queue.push(&[0.5; 12 * 24_000]);
    let server = script(async move {
        server.open().await;
        server.hear(4000).await;
        drop(server);
        pass(Duration::from_secs(2)).await;
        // A turn is ended while nobody hears it.
        handle.commit().expect("is taken");
        pass(Duration::from_secs(1)).await;
        let mut next = switchboard.answer().await;
        next.open().await;
        let told = next.told(1).await;
        next.expect("response.create").await;
        next.answer("r", "a", "Yes.", 100).await;
        handle.finish().expect("is taken");
        handle.commit().expect("is taken");
        queue.end();
        next.expect("input_audio_buffer.commit").await;
        (told, next.heard.len() / 48)
    });
    let reading = script(all(conversation));
    let (told, heard) = server.await.expect("the script");
    reading.abort();
    let ms: usize = told[0].1.trim_end_matches(" ms").parse().expect("ms");
    assert!((5900..=6300).contains(&ms), "{ms} ms to the commit");
    assert!(
        (900..3000).contains(&heard),
        "{heard} ms after it, and not the turn again"
    );
}

#[tokio::test(start_paused = true)]
async fn silence_that_was_not_kept_is_no_loss() {
    let (mut conversation, _handle, _queue, mut server, switchboard) = connected_again().await;
    let server = script(async move {
        server.open().await;
        server.hear(3000).await;
        drop(server);
        pass(Duration::from_secs(45)).await;
        let mut next = switchboard.answer().await;
        next.open().await;
        next
    });
    let lost_ms = until(&mut conversation, |event| match event {
        Event::Reconnected { lost_ms, .. } => Some(*lost_ms),
        _ => None,
    })
    .await;
    assert_eq!(lost_ms, 0);
    server.await.expect("the script");
}
