use std::time::Duration;

use super::*;
use crate::card::DeviceChange;
use crate::device::{Choice, DeviceCard, DeviceConfig};
use crate::sound::Daemon;
use crate::testing::{connected, script};

/// Nothing that is waited for takes so long, on a busy machine either.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a change of both sides.
async fn both(conversation: &mut Conversation, wanted: DeviceChange) {
    for _ in 0..2 {
        let (change, message) = until(conversation, |event| match event {
            Event::Device {
                change, message, ..
            } => Some((*change, message.clone())),
            Event::Ended { reason } => panic!("ended: {reason}"),
            _ => None,
        })
        .await;
        assert_eq!(change, wanted, "{message}");
    }
}

#[tokio::test]
async fn devices_may_go_come_back_and_change_in_mid_sentence() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    let speaker = daemon.speaker("front");
    let microphone = daemon.microphone("desk", "front");
    let config = DeviceConfig {
        microphone: Choice::Default,
        speaker: Choice::Default,
        server: Some(daemon.socket()),
    };
    let card = DeviceCard::open(&config).expect("a card");
    let (link, mut server) = connected().await;
    let (mut conversation, handle) = Conversation::start(link, card, ConversationConfig::default());
    let server = script(async move {
        server.open().await;
        server.hear(300).await;
        server.begin_response("resp_1").await;
        let text = "A long answer.";
        server.speak("resp_1", "item_1", text, 8_000).await;
        server.spoken("resp_1", "item_1", text).await;
        server.end_response("resp_1", "completed").await;
        // The microphone is sent to the end.
        server.hear(8_000).await;
        server
    });
    let story = async {
        until(&mut conversation, |event| {
            matches!(event, Event::AssistantSpeechStarted { .. }).then_some(())
        })
        .await;
        daemon.unplug(&microphone);
        daemon.unplug(&speaker);
        both(&mut conversation, DeviceChange::Gone).await;
        daemon.speaker("front");
        daemon.microphone("desk", "front");
        both(&mut conversation, DeviceChange::Back).await;
        daemon.speaker("back");
        daemon.microphone("headset", "back");
        daemon.control(&["set-default-sink", "back"]);
        daemon.control(&["set-default-source", "headset"]);
        both(&mut conversation, DeviceChange::Moved).await;
        let played = until(&mut conversation, |event| match event {
            Event::AssistantSpeechStopped { played_ms, .. } => Some(*played_ms),
            _ => None,
        })
        .await;
        assert_eq!(played, 8_000);
        server.await.expect("the script");
    };
    tokio::time::timeout(PATIENCE, story)
        .await
        .expect("what is waited for happens");
    handle.stop();
}
