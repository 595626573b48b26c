//! Conversations with a scripted server, in virtual time; with real devices, in real time.

mod attempts;
mod budget;
#[cfg(all(feature = "devices", target_os = "linux"))]
mod devices;
mod ends;
mod interruptions;
mod reconnects;
mod reseats;
mod server_tools;
mod spoken;
mod stalls;
mod tool_filler;
mod tool_races;
mod tool_reconnects;
mod tools;
mod typed;
mod unheard;
mod ways;

use std::time::Duration;

use kaiwa_audio::Clip;
use tokio::time::Instant;

use super::*;
use crate::card::{FileCard, Mic, MicQueue};
use crate::testing::{FakeServer, Switchboard, connected};

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

/// A conversation with a microphone that hears what is put into the queue, and a place where
/// it may find other servers.
async fn connected_again() -> (Conversation, Handle, MicQueue, FakeServer, Switchboard) {
    let (link, server) = connected().await;
    let (queue, mic) = Mic::queue();
    let card = FileCard::builder().mic(mic).build().expect("a card");
    let (switchboard, reconnect) = Switchboard::new();
    let config = ConversationConfig {
        reconnect: Some(reconnect),
        ..ConversationConfig::default()
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    (conversation, handle, queue, server, switchboard)
}

/// What was told of connections, in a word each.
fn connections(moments: &[Moment]) -> Vec<String> {
    let told = moments.iter().filter_map(|moment| match &moment.event {
        Event::Connected { .. } => Some("connected".to_owned()),
        Event::Reconnecting { attempt, .. } => Some(format!("attempt {attempt}")),
        Event::Reconnected { lost_ms, .. } => Some(format!("{lost_ms} ms lost")),
        _ => None,
    });
    told.collect()
}

/// A turn of the history.
fn turn(role: &str, text: &str) -> (String, String) {
    (role.to_owned(), text.to_owned())
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
