//! From an address to a WebSocket.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use kaiwa_client::{Endpoint, Link, LinkError, LinkErrorKind};
use tokio::{net::lookup_host, time::timeout};

use super::{
    GOODBYE, no_session,
    report::{Finding, Report},
    wire::Limits,
};
use crate::exit::{Code, Exit};

/// Headers that say who answers and how.
const OF_INTEREST: [&str; 7] = [
    "openai-processing-ms",
    "openai-version",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
    "server",
    "via",
    "x-request-id",
];

/// The most of them that are kept: a server may send any number.
const MOST_HEADERS: usize = 32;

/// The subprotocol that browsers offer, since they cannot set headers.
const SUBPROTOCOL: &str = "realtime";
const SUBPROTOCOL_HEADER: &str = "sec-websocket-protocol";

/// Connects as `kaiwa talk` does, and tells each step.
pub(super) async fn open(
    endpoint: &Endpoint,
    limits: Limits,
    report: &mut Report,
) -> Result<Link, Exit> {
    let address = endpoint.address()?;
    let host = address.host.clone();
    let found = within(
        limits.connection,
        lookup_host((host.as_str(), address.port)),
    )
    .await;
    match found.map(|found| found.map(Iterator::count)) {
        Some(Ok(count)) if count > 0 => {
            let plural = if count == 1 { "" } else { "es" };
            report.tell(Finding::ok(
                "name",
                format_args!("{host} has {count} address{plural}"),
            ))?;
        }
        outcome => {
            let why = match outcome {
                Some(Err(error)) => error.to_string(),
                Some(Ok(_)) => "there is none".to_owned(),
                None => "the name server does not answer".to_owned(),
            };
            let message = format!("no address of {host} is known: {why}");
            report.tell(Finding::missing("name", &message))?;
            return Err(Exit::new(Code::Connection, message)
                .with_hint("check its spelling, the network, and the name server"));
        }
    }
    let begun = Instant::now();
    let link = match within(limits.connection, Link::connect(endpoint)).await {
        Some(Ok(link)) => link,
        Some(Err(error)) => {
            report.tell(failed(&error))?;
            return Err(error.into());
        }
        None => {
            let message = format!("no answer within {} s", limits.connection.as_secs());
            report.tell(Finding::missing("handshake", &message))?;
            return Err(no_session(message));
        }
    };
    let how = match address.tls {
        true => "encrypted, with a valid certificate",
        false => "not encrypted",
    };
    report.tell(Finding::ok(
        "handshake",
        format_args!(
            "HTTP 101 after {} ms, {how}{}",
            begun.elapsed().as_millis(),
            match &endpoint.key {
                Some(_) => ", with the key",
                None => ", without a key",
            }
        ),
    ))?;
    let told: Vec<_> = of_interest(link.headers()).collect();
    if !told.is_empty() {
        for (name, value) in &told {
            report.header(name, value);
        }
        let told: Vec<String> = told
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        report.tell(Finding::ok("headers", told.join(", ")))?;
    }
    Ok(link)
}

/// Whether a browser could connect: it offers subprotocols, and one has to be chosen.
pub(super) async fn browsers(
    endpoint: &Endpoint,
    limits: Limits,
    report: &mut Report,
) -> Result<(), Exit> {
    let mut endpoint = endpoint.clone();
    endpoint
        .headers
        .push((SUBPROTOCOL_HEADER.to_owned(), SUBPROTOCOL.to_owned()));
    let finding = match within(limits.connection, Link::connect(&endpoint)).await {
        Some(Ok(link)) => {
            link.close(GOODBYE).await;
            Finding::ok("subprotocol", "realtime is chosen, as browsers need it")
        }
        // The handshake was understood, but what is chosen is not what was offered.
        Some(Err(LinkError::NotWebSocket { detail, .. }))
            if detail.to_lowercase().contains("subprotocol") =>
        {
            Finding::missing(
                "subprotocol",
                "realtime is offered and not chosen: browsers break off",
            )
        }
        Some(Err(error)) => Finding::refused(
            "subprotocol",
            format_args!("with realtime offered there is no connection: {error}"),
        ),
        None => Finding::missing("subprotocol", "no answer where realtime is offered"),
    };
    report.tell(finding)
}

/// Why there is no WebSocket.
fn failed(error: &LinkError) -> Finding {
    match error.kind() {
        LinkErrorKind::Key | LinkErrorKind::Refused => Finding::refused("handshake", error),
        LinkErrorKind::Unreachable if matches!(error, LinkError::NotWebSocket { .. }) => {
            Finding::differs("handshake", error)
        }
        _ => Finding::missing("handshake", error),
    }
}

fn of_interest(headers: &[(String, String)]) -> impl Iterator<Item = &(String, String)> {
    let told = headers.iter().filter(|(name, _)| {
        OF_INTEREST.contains(&name.as_str()) || name.starts_with("x-ratelimit-")
    });
    told.take(MOST_HEADERS)
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    timeout(limit, work).await.ok()
}
