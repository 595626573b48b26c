//! What an observer of events hears.

mod common;

use std::sync::{Arc, Mutex};

use futures_util::SinkExt;
use kaiwa_server::{
    Direction, ServerConfig,
    journal::{Line, Replay},
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use common::{Running, base64, engines::Fakes, text_of};

/// What was heard, by session; `None` is the end.
type Heard = Arc<Mutex<Vec<(u64, Option<(Direction, String)>)>>>;

struct Ear(u64, Heard);

impl Drop for Ear {
    fn drop(&mut self) {
        self.1.lock().expect("no panics").push((self.0, None));
    }
}

fn listening() -> (ServerConfig, Heard) {
    let heard = Heard::default();
    let mut config = ServerConfig::default();
    let all = Arc::clone(&heard);
    config.on_event = Some(Arc::new(move |session| {
        let ear = Ear(session.number, Arc::clone(&all));
        Box::new(move |direction, frame| {
            let mut heard = ear.1.lock().expect("no panics");
            heard.push((ear.0, Some((direction, frame.to_owned()))));
        })
    }));
    (config, heard)
}

#[tokio::test]
async fn every_frame_of_a_session_is_heard_in_order_and_the_end() {
    let (config, heard) = listening();
    let running = Running::start(Fakes::new().engines(), config).await;
    let mut client = running.open().await;
    let audio = base64(&[1, 0, 2, 0]);
    let sent = [
        json!({ "type": "input_audio_buffer.append", "audio": audio }).to_string(),
        "{ no event".to_owned(),
    ];
    for frame in &sent {
        let frame = Message::text(frame.clone());
        client.socket.send(frame).await.unwrap();
    }
    client.wait_for("error").await;
    client.ask("Good day").await;
    let events = client.until("response.done").await;
    drop(client);
    running.idle().await;

    let heard = heard.lock().unwrap();
    let (last, frames) = heard.split_last().unwrap();
    assert_eq!(last.1, None, "the observer is dropped with the session");
    assert!(heard.iter().all(|(session, _)| *session == last.0));
    let of = |direction| {
        frames
            .iter()
            .filter_map(move |(_, frame)| match frame {
                Some((way, text)) if *way == direction => Some(text.clone()),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let from_client = of(Direction::FromClient);
    assert_eq!(from_client[..2], sent);
    assert_eq!(from_client.len(), 4);
    let to_client: Vec<Value> = of(Direction::ToClient)
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    assert_eq!(to_client[0]["type"], "session.created");
    assert_eq!(to_client[1]["type"], "error");
    assert_eq!(to_client[2..], events);
    assert!(!text_of(&to_client, "response.output_audio.delta").is_empty());
}

#[tokio::test]
async fn sessions_are_told_apart() {
    let (config, heard) = listening();
    let running = Running::start(Fakes::new().engines(), config).await;
    let (one, other) = (running.open().await, running.open().await);
    drop((one, other));
    running.idle().await;
    let heard = heard.lock().unwrap();
    let mut ended: Vec<_> = heard
        .iter()
        .filter(|(_, frame)| frame.is_none())
        .map(|(session, _)| *session)
        .collect();
    ended.sort_unstable();
    ended.dedup();
    assert_eq!(ended.len(), 2, "{heard:?}");
}

#[tokio::test]
async fn the_journal_of_a_session_is_gone_through_again() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&heard);
    let mut config = ServerConfig::default();
    config.journal = Some(Arc::new(move |_| {
        let lines = Arc::clone(&lines);
        Box::new(move |line| {
            let line = serde_json::to_string(line).expect("a line is JSON");
            lines.lock().expect("no panics").push(line);
        })
    }));
    let running = Running::start(Fakes::new().engines(), config).await;
    let mut client = running.open().await;
    let audio = base64(&[0; 4800]);
    let append = json!({ "type": "input_audio_buffer.append", "audio": audio });
    for frame in [append.to_string(), "{ no event".to_owned()] {
        client.socket.send(Message::text(frame)).await.unwrap();
    }
    client.wait_for("error").await;
    client.ask("Good day").await;
    client.until("response.done").await;
    drop(client);
    running.idle().await;

    let lines = heard.lock().unwrap();
    let mut lines = lines
        .iter()
        .map(|line| serde_json::from_str(line).expect(line));
    let Some(Line::Head(head)) = lines.next() else {
        panic!("a journal begins with its head");
    };
    let mut replay = Replay::new(*head).unwrap();
    lines.try_for_each(|line| replay.take(line)).unwrap();
    let replayed = replay.finish();
    assert!(replayed.complete && replayed.events > 5, "{replayed:?}");
}
