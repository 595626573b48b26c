//! The ways in which a connection ends, and what becomes of the conversation.

use std::time::Duration;

use kaiwa_protocol::Dialect;

use super::*;
use crate::link::LinkError;
use crate::testing::{script, unreachable};

/// What happens to the connection.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// The server closes with this code.
    Close(u16),
    /// The server closes and says no code.
    CloseWithout,
    /// The connection breaks off.
    Drop,
    /// Bytes come that are no frame.
    Garbage,
    /// The server says nothing more, and the connection stays.
    Stall,
    /// The server ends its sending side alone.
    HalfClose,
    /// It breaks off, and the next attempt fails so.
    Then(Refusal),
}

#[derive(Clone, Copy, Debug)]
enum Refusal {
    Http(u16),
    Unauthorized,
    RateLimited,
    NotFound,
    NotWebSocket,
    Timeout,
    Unreachable,
    Tls,
    Dialect,
}

impl Refusal {
    fn error(self) -> LinkError {
        let host = "kaiwa.test:80".to_owned();
        let message = String::new();
        match self {
            Self::Http(status) => LinkError::Http { status, message },
            Self::Unauthorized => LinkError::Unauthorized {
                status: 403,
                key_env: None,
                had_key: false,
                message,
            },
            Self::RateLimited => LinkError::RateLimited { message },
            Self::NotFound => LinkError::NotFound { uri: host, message },
            Self::NotWebSocket => LinkError::NotWebSocket {
                uri: host,
                detail: "it closed the connection".to_owned(),
            },
            Self::Timeout => LinkError::HandshakeTimeout { host, seconds: 20 },
            Self::Unreachable => unreachable(),
            Self::Tls => LinkError::Tls {
                host,
                source: std::io::Error::other("the certificate has expired"),
            },
            Self::Dialect => LinkError::NotInDialect {
                kind: "session.update".to_owned(),
                dialect: Dialect::Beta,
            },
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_way_to_lose_a_connection_is_recovered_from_or_told() {
    use Way::{Close, CloseWithout, Drop, Garbage, HalfClose, Stall, Then};
    for (way, recovers) in [
        (Close(1000), false),
        (Close(1001), true),
        (Close(1002), false),
        (Close(1003), false),
        (Close(1007), false),
        (Close(1008), false),
        (Close(1009), false),
        (Close(1011), true),
        (Close(1012), true),
        (Close(1013), true),
        (Close(3000), false),
        (Close(4000), false),
        (CloseWithout, true),
        (Drop, true),
        (Garbage, true),
        (HalfClose, true),
        (Stall, true),
        (Then(Refusal::Http(500)), true),
        (Then(Refusal::Http(503)), true),
        (Then(Refusal::Http(400)), false),
        (Then(Refusal::RateLimited), true),
        (Then(Refusal::Timeout), true),
        (Then(Refusal::NotWebSocket), true),
        (Then(Refusal::Unreachable), true),
        (Then(Refusal::Unauthorized), false),
        (Then(Refusal::NotFound), false),
        (Then(Refusal::Tls), false),
        (Then(Refusal::Dialect), false),
    ] {
        let moments = conversation_that_loses(way).await;
        let told = connections(&moments);
        let recovered = told.last().is_some_and(|last| last == "0 ms lost");
        assert_eq!(recovered, recovers, "{way:?}: {told:?}");
        let reason = reason(&moments);
        if recovers {
            assert_eq!(reason, &EndReason::NothingHeard, "{way:?}");
        } else {
            assert!(reason.is_error(), "{way:?}: {reason:?}");
            let sentence = reason.to_string();
            assert!(
                sentence.contains(' ') && !sentence.contains('\n'),
                "{sentence}"
            );
        }
    }
}

/// A conversation of a typed turn and its answer, whose connection then ends in this way.
async fn conversation_that_loses(way: Way) -> Vec<Moment> {
    let (conversation, handle, queue, mut server, switchboard) = connected_again().await;
    handle.say("Hello").expect("is taken");
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.answer("r", "a", "Hi.", 100).await;
        server.hear_for(3000).await;
        if let Way::Then(refusal) = way {
            switchboard.refuse(refusal.error());
        }
        let mut next = switchboard.answer().await;
        let mut kept = None;
        match way {
            Way::Close(code) => drop(script(server.close(code, ""))),
            Way::CloseWithout => drop(script(server.close_without_code())),
            Way::Drop | Way::Then(_) => drop(server),
            Way::Garbage => kept = Some(server.send_garbage().await),
            Way::HalfClose => kept = Some(server.half_close().await),
            Way::Stall => kept = Some(server.into_stream()),
        }
        // Nobody comes where nobody is expected.
        let opened = tokio::time::timeout(Duration::from_secs(30), next.open()).await;
        if opened.is_ok_and(|update| !update.is_null()) {
            let history = [turn("user", "Hello"), turn("assistant", "Hi.")];
            assert_eq!(next.told(2).await, history, "{way:?}");
            next.hear_for(1000).await;
            handle.finish().expect("is taken");
            queue.end();
            assert!(next.next().await.is_none());
        }
        drop(kept);
    });
    let moments = all(conversation).await;
    server.abort();
    moments
}
