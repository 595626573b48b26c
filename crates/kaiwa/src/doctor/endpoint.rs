//! The server that is talked to: found, reached, and asked for a session.

use std::time::{Duration, Instant};

use kaiwa_client::{Address, Endpoint, Incoming, Link, LinkError, LinkErrorKind};
use kaiwa_protocol::{ErrorDetail, ServerEvent, Session};
use tokio::net::{TcpStream, lookup_host};

use super::{Finding, Report, within};
use crate::{exit::Exit, talk, talk::Target};

/// How long each step may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    name: Duration,
    connection: Duration,
    handshake: Duration,
    session: Duration,
}

const LIMITS: Limits = Limits {
    name: Duration::from_secs(5),
    connection: Duration::from_secs(5),
    // More than the link's own, which says more.
    handshake: Duration::from_secs(25),
    session: Duration::from_secs(10),
};

/// How long the end of the session is waited for.
const GOODBYE: Duration = Duration::from_secs(2);

pub(super) async fn examine(target: &Target, report: &mut Report) -> Result<(), Exit> {
    match target {
        Target::Embedded => report.tell(&Finding::ok(
            "endpoint",
            "the embedded server is used: no key and no network are needed",
        )),
        Target::Remote(endpoint) => reach(endpoint, LIMITS, |finding| report.tell(&finding)).await,
    }
}

/// Goes step by step until one fails, and tells each.
async fn reach(
    endpoint: &Endpoint,
    limits: Limits,
    mut tell: impl FnMut(Finding) -> Result<(), Exit>,
) -> Result<(), Exit> {
    let mut step = |found: Result<Finding, Finding>| match found {
        Ok(finding) => tell(finding).map(|()| true),
        Err(finding) => tell(finding).map(|()| false),
    };
    let address = match endpoint.address() {
        Ok(address) => address,
        Err(error) => {
            let advice = "give one as in --url wss://api.openai.com/v1 or ws://127.0.0.1:8080/v1";
            return step(Err(Finding::problem("address", error, advice))).map(drop);
        }
    };
    if !step(resolved(&address, limits.name).await)?
        || !step(reached(&address, limits.connection).await)?
    {
        return Ok(());
    }
    let begun = Instant::now();
    let link = match within(limits.handshake, "handshake", Link::connect(endpoint)).await {
        Ok(Ok(link)) => link,
        Ok(Err(error)) => return step(Err(refused(&error))).map(drop),
        Err(late) => return step(Err(late)).map(drop),
    };
    let how = if address.tls {
        "encrypted, with a valid certificate"
    } else {
        "not encrypted"
    };
    let ms = begun.elapsed().as_millis();
    step(Ok(Finding::ok(
        "handshake",
        format_args!("a WebSocket after {ms} ms, {how}"),
    )))?;
    let created = within(limits.session, "session", session(link)).await;
    if step(created.and_then(|created| created))? {
        let key = match (&endpoint.key, &endpoint.key_env) {
            (Some(_), Some(name)) => format!("that of {name} is taken"),
            (Some(_), None) => "it is taken".to_owned(),
            (None, _) => "none is needed".to_owned(),
        };
        step(Ok(Finding::ok("key", key)))?;
    }
    Ok(())
}

async fn resolved(address: &Address, limit: Duration) -> Result<Finding, Finding> {
    let Address { host, port, .. } = address;
    let addresses = within(limit, "name", lookup_host((host.as_str(), *port))).await?;
    let found = addresses.map(Iterator::count);
    match found {
        Ok(count) if count > 0 => {
            let plural = if count == 1 { "" } else { "es" };
            Ok(Finding::ok(
                "name",
                format_args!("{host} has {count} address{plural}"),
            ))
        }
        Ok(_) => Err(unknown(host, "there is none")),
        Err(error) => Err(unknown(host, &error.to_string())),
    }
}

fn unknown(host: &str, why: &str) -> Finding {
    Finding::problem(
        "name",
        format_args!("no address of {host} is known: {why}"),
        "check its spelling, the network, and the name server",
    )
}

async fn reached(address: &Address, limit: Duration) -> Result<Finding, Finding> {
    let Address { host, port, .. } = address;
    let begun = Instant::now();
    match within(
        limit,
        "connection",
        TcpStream::connect((host.as_str(), *port)),
    )
    .await?
    {
        Ok(_) => Ok(Finding::ok(
            "connection",
            format_args!(
                "{host}, port {port}, answers after {} ms",
                begun.elapsed().as_millis()
            ),
        )),
        Err(error) => Err(Finding::problem(
            "connection",
            format_args!("{host}, port {port}, cannot be reached: {error}"),
            "check the port, a firewall on the way, and whether the server is running",
        )),
    }
}

/// Why there is no WebSocket.
fn refused(error: &LinkError) -> Finding {
    let about = match error.kind() {
        LinkErrorKind::Key => "key",
        _ => "handshake",
    };
    Finding::failure(
        about,
        error,
        "look into the server's log, or try again later",
    )
}

/// Waits for a session, and ends it.
async fn session(mut link: Link) -> Result<Finding, Finding> {
    let problem = |message: String, advice: &str| Finding::problem("session", message, advice);
    let finding = loop {
        match link.recv().await {
            Ok(Incoming::Event(event)) => match *event {
                ServerEvent::SessionCreated(event) => {
                    let model = match &event.session {
                        Session::Realtime(session) => session.model.value().cloned(),
                        _ => None,
                    };
                    let model = model.unwrap_or_else(|| "a model without a name".to_owned());
                    break Ok(Finding::ok(
                        "session",
                        format_args!("with {model}, in the {} dialect", link.dialect()),
                    ));
                }
                ServerEvent::Error(event) => break Err(fault(&event.error)),
                _ => {}
            },
            Ok(Incoming::Unreadable(why)) => {
                break Err(problem(
                    format!("the server sent what is no event: {why}"),
                    "check the address: something else than a Realtime server may answer there",
                ));
            }
            Ok(Incoming::Closed(closed)) => {
                break Err(problem(
                    format!("{closed} before there was a session"),
                    "look into the server's log, and whether the model's name is right",
                ));
            }
            Err(error) => break Err(Finding::failure("session", error, "try again")),
        }
    };
    link.close(GOODBYE).await;
    finding
}

/// An error in the place of a session.
fn fault(error: &ErrorDetail) -> Finding {
    match error.code.as_deref() {
        Some(code) if talk::is_of_the_key(code) => Finding::problem(
            "key",
            &error.message,
            "set the variable that --key-env names to a valid key of this server",
        ),
        _ => Finding::problem(
            "session",
            format_args!("the server reports: {}", error.message),
            "check the model's name, and what the key may be used for",
        ),
    }
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
