//! `kaiwa bench relay`: what a relay adds to the way of an event.
//!
//! Two conversations with the same server on this machine, one direct, one through a relay with
//! limits in force. Events go there and back by turns, so that whatever else the machine does
//! falls upon both alike.

mod peer;
mod summary;

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use kaiwa_client::Endpoint;
use kaiwa_server::{Relay, RelayConfig, RelayKey};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use self::summary::{Kind, Summary};
use super::{machine::Machine, report};
use crate::{
    cli::RelayBenchArgs,
    exit::{Code, Exit},
};

/// The key of the relay.
const KEY: &str = "sk-of-the-bench";
/// Rounds before those that count.
const WARM_UP: usize = 200;
/// How long an event may take there and back, before it counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(30);
/// 20 ms of `audio/pcm`, in base64.
const AUDIO: usize = 1280;

pub(crate) async fn run(arguments: RelayBenchArgs) -> Result<(), Exit> {
    let rounds = arguments.rounds.get();
    let upstream = listener().await?;
    let upstream_at = address(&upstream)?;
    tokio::spawn(peer::serve(upstream));

    let relay = relay(&upstream_at)?;
    let listener = listener().await?;
    let relay_at = address(&listener)?;
    tokio::spawn({
        let relay = relay.clone();
        async move { relay.serve(listener, std::future::pending()).await }
    });

    let mut direct = Conversation::open(&upstream_at).await?;
    let mut relayed = Conversation::open(&relay_at).await?;
    let mut summary = Summary::new(Machine::new(None, vec!["scripted upstream".to_owned()]));
    'kinds: for (name, frame) in [
        ("small event", small as fn(usize) -> String),
        ("20 ms of sound up, and 20 ms down", sound),
    ] {
        let mut kind = Kind::new(name);
        for round in 0..WARM_UP + rounds {
            let frame = frame(round);
            let there_and_back = match round % 2 {
                0 => [direct.round(&frame).await, relayed.round(&frame).await],
                _ => {
                    let relayed = relayed.round(&frame).await;
                    [direct.round(&frame).await, relayed]
                }
            };
            let [Some(direct_took), Some(relayed_took)] = there_and_back else {
                // What comes later would answer something else.
                summary.lost += there_and_back.iter().filter(|took| took.is_none()).count();
                summary.kinds.push(kind.done());
                break 'kinds;
            };
            if round >= WARM_UP {
                kind.add([direct_took, relayed_took]);
            }
        }
        summary.kinds.push(kind.done());
    }
    summary.differing = direct.differing + relayed.differing;
    report::publish(&summary, &arguments.report)?;
    match (summary.differing, summary.lost) {
        (0, 0) => Ok(()),
        (differing, lost) => Err(Exit::new(
            Code::Failure,
            format!(
                "{differing} events came back other than they were sent, and {lost} not at all"
            ),
        )),
    }
}

fn relay(upstream_at: &str) -> Result<Relay, Exit> {
    let mut config = RelayConfig::new(Endpoint::new(format!("ws://{upstream_at}/v1")));
    // With a limit, the relay looks at what clients send, as it does for most keys.
    config.keys = vec![RelayKey {
        name: "bench".to_owned(),
        key: KEY.to_owned(),
        requests_per_minute: Some(usize::MAX),
        ..RelayKey::default()
    }];
    Relay::new(config).map_err(|error| Exit::new(Code::Failure, error))
}

/// A client's end.
struct Conversation {
    socket: WebSocketStream<TcpStream>,
    /// Events that came back other than they were sent.
    differing: usize,
}

impl Conversation {
    async fn open(at: &str) -> Result<Self, Exit> {
        let failed = |error: &dyn std::fmt::Display| Exit::new(Code::Connection, error);
        let stream = TcpStream::connect(at)
            .await
            .map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let mut request = format!("ws://{at}/v1/realtime?model=bench")
            .into_client_request()
            .map_err(|error| failed(&error))?;
        if let Ok(key) = format!("Bearer {KEY}").parse() {
            request.headers_mut().insert("authorization", key);
        }
        let opened = client_async(request, stream).await;
        let (socket, _) = opened.map_err(|error| failed(&error))?;
        Ok(Self {
            socket,
            differing: 0,
        })
    }

    /// There and back; nothing where the event is lost, or the conversation with it.
    async fn round(&mut self, frame: &str) -> Option<Duration> {
        let expected = peer::answer(frame);
        let message = Message::text(frame);
        let begun = Instant::now();
        let answered = tokio::time::timeout(LOST_AFTER, async {
            self.socket.send(message).await.ok()?;
            loop {
                match self.socket.next().await?.ok()? {
                    Message::Text(text) => return Some((text, begun.elapsed())),
                    Message::Ping(_) | Message::Pong(_) => {}
                    _ => return None,
                }
            }
        });
        let (text, took) = answered.await.ok()??;
        self.differing += usize::from(text.as_str() != expected);
        Some(took)
    }
}

/// With what is easily lost: spaces, escapes, an unknown member, a number's last digits.
fn small(round: usize) -> String {
    format!(
        "{{ \"type\" : \"conversation.item.create\",\t\"event_id\":\"event_{round}\", \
         \"unknown\": {{\"n\": {round}.50, \"s\": \"\\u00e9é\"}}, \"item\":{{\"type\":\"message\",\
         \"role\":\"user\",\"content\":[{{\"type\":\"input_text\",\"text\":\"How far is it?\"}}]}}}}"
    )
}

fn sound(round: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // Different in every round, and the same wherever it is run.
    let mut state = round as u32;
    let audio: String = (0..AUDIO)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(LETTERS[(state >> 26) as usize])
        })
        .collect();
    format!(r#"{{"type":"{}","audio":"{audio}"}}"#, peer::UP)
}

async fn listener() -> Result<TcpListener, Exit> {
    TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|error| Exit::new(Code::Connection, error))
}

fn address(listener: &TcpListener) -> Result<String, Exit> {
    let address = listener.local_addr();
    address
        .map(|address| address.to_string())
        .map_err(|error| Exit::new(Code::Connection, error))
}
