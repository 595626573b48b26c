//! Beginning and end: in-process connections, shutdown, sessions that run out.

mod common;

use std::time::Duration;

use kaiwa_server::{Server, ServerConfig};
use serde_json::json;
use tokio_tungstenite::client_async;

use common::{Client, Running, engines::Fakes, text_of, within};

async fn connect(server: &Server) -> Client<tokio::io::DuplexStream> {
    let pipe = server.connect_in_process();
    let (socket, _) = within(client_async("ws://in-process/v1/realtime", pipe))
        .await
        .expect("a session");
    Client { socket }.created().await
}

#[tokio::test]
async fn an_in_process_connection_is_a_connection_like_any_other() {
    let server = Server::new(Fakes::new().engines(), ServerConfig::default());
    let mut client = connect(&server).await;
    assert_eq!(server.sessions(), 1);
    client
        .update(json!({ "output_modalities": ["text"] }))
        .await;
    client.ask("hello").await;
    let events = client.until("response.done").await;
    assert_eq!(
        text_of(&events, "response.output_text.delta"),
        "You said: hello."
    );
    // The connection keeps what it needs of the server.
    drop(server);
    let done = client.answer("again").await;
    assert_eq!(done["response"]["status"], "completed");
}

#[tokio::test]
async fn shutting_down_closes_sessions_and_waits_for_them() {
    let fakes = Fakes::new();
    let mut running = Running::start(fakes.engines(), ServerConfig::default()).await;
    let mut idle = running.open().await;
    let mut busy = running.open().await;
    busy.update(json!({ "output_modalities": ["text"] })).await;
    busy.ask("talk forever").await;
    busy.wait_for("response.output_text.delta").await;
    running.shut_down();
    for client in [&mut idle, &mut busy] {
        let closed = client.closed().await.expect("a close frame");
        assert_eq!(u16::from(closed.code), 1001);
        assert!(closed.reason.contains("shutting down"), "{}", closed.reason);
        // The client's half of the handshake.
        client.closed().await;
    }
    let (server, address) = (running.server.clone(), running.address);
    running.ended().await;
    assert_eq!(server.sessions(), 0);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    let late = client_async("ws://in-process/v1/realtime", server.connect_in_process()).await;
    assert!(late.is_err(), "a stopped server takes no session");
}

#[tokio::test]
async fn a_session_that_ran_out_says_so_and_closes() {
    let mut config = ServerConfig::default();
    config.session.max_session_ms = 50;
    let running = Running::start(Fakes::new().engines(), config).await;
    let mut client = running.open().await;
    let error = client.wait_for("error").await;
    assert_eq!(error["error"]["code"], "session_expired");
    let closed = client.closed().await.expect("a close frame");
    assert_eq!(u16::from(closed.code), 1001);
    running.idle().await;
}

#[tokio::test]
async fn a_client_that_closes_gets_its_answer() {
    let running = Running::start(Fakes::new().engines(), ServerConfig::default()).await;
    let mut client = running.open().await;
    within(client.socket.close(None)).await.unwrap();
    client.closed().await;
    running.idle().await;
}

#[tokio::test]
async fn a_client_that_ignores_the_shutdown_does_not_hold_it_up() {
    let mut config = ServerConfig::default();
    config.shutdown_grace = Duration::from_millis(100);
    let mut running = Running::start(Fakes::new().engines(), config).await;
    let client = running.open().await;
    running.shut_down();
    running.ended().await;
    drop(client);
}
