//! Conversations with a scripted server, in virtual time; with real devices, in real time.

mod budget;
#[cfg(all(feature = "devices", target_os = "linux"))]
mod devices;
mod ends;
mod interruptions;
mod spoken;
mod stalls;
mod typed;

use std::time::Duration;

use kaiwa_audio::Clip;
use tokio::time::Instant;

use super::*;
use crate::card::FileCard;
use crate::testing::{FakeServer, connected};

/// A recording of `ms` at half scale.
fn tone(ms: usize) -> Clip {
    Clip {
        samples: vec![0.5; ms * 24],
        rate_hz: 24_000,
        channels: 1,
    }
}

/// A conversation without sound.
async fn started() -> (Conversation, Handle, FakeServer) {
    let (link, server) = connected().await;
    let card = FileCard::builder().build().expect("a card");
    let (conversation, handle) = Conversation::start(link, card, ConversationConfig::default());
    (conversation, handle, server)
}

/// A conversation in which this is typed, and no more.
async fn having_typed(text: &str) -> (Conversation, FakeServer) {
    let (conversation, handle, server) = started().await;
    handle.say(text).expect("is taken");
    handle.finish().expect("is taken");
    (conversation, server)
}

/// Lets so much virtual time pass, in which everything else goes on. There is no real time to
/// pass here: without the virtual clock this panics.
async fn pass(time: Duration) {
    tokio::time::advance(Duration::ZERO).await;
    tokio::time::sleep_until(Instant::now() + time).await;
}

/// Everything to the end.
async fn all(mut conversation: Conversation) -> Vec<Moment> {
    let mut moments = Vec::new();
    while let Some(moment) = conversation.next().await {
        moments.push(moment);
    }
    moments
}

/// The events alone.
fn events(moments: &[Moment]) -> Vec<&Event> {
    moments.iter().map(|moment| &moment.event).collect()
}

/// Reads on to the first event that `wanted` takes.
async fn until<T>(
    conversation: &mut Conversation,
    mut wanted: impl FnMut(&Event) -> Option<T>,
) -> T {
    loop {
        let moment = conversation.next().await.expect("more events");
        if let Some(found) = wanted(&moment.event) {
            return found;
        }
    }
}

/// How long the first answer took.
fn latency(moments: &[Moment]) -> &TurnLatency {
    let latency = moments.iter().find_map(|moment| match &moment.event {
        Event::TurnLatency(latency) => Some(latency),
        _ => None,
    });
    latency.expect("a latency")
}

/// The reason at the end.
fn reason(moments: &[Moment]) -> &EndReason {
    match moments.last().map(|moment| &moment.event) {
        Some(Event::Ended { reason }) => reason,
        other => panic!("the last event is {other:?}"),
    }
}
