//! Two sockets and what goes between them.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::{sync::watch, time::Instant};
use tokio_tungstenite::tungstenite::{
    self, error::ProtocolError, protocol::frame::coding::CloseCode,
};

use super::{Shared, keys::Refused, meter::Meter, upstream::Upstream};
use crate::{
    driver::{fault, fault_of},
    events::{Direction, FrameObserver},
    wire::{self, Wire},
};

/// How long a side may take for its half of the closing handshake.
const CLOSING: Duration = Duration::from_secs(3);

/// The same for an upstream that has not ended its responses in that time. Both together are less
/// than a relay takes to stop.
const CLOSING_LATE: Duration = Duration::from_secs(1);

type Far = tungstenite::Message;

/// A session that passes events on.
pub(super) struct Session {
    client: WebSocket,
    upstream: Upstream,
    client_side: Side,
    upstream_side: Side,
    meter: Meter,
    observer: Option<FrameObserver>,
    relay: Arc<Shared>,
    /// Whose turn it is to be asked first.
    upstream_next: bool,
}

/// What is known of one side.
struct Side {
    /// Something may wait to be sent.
    unflushed: bool,
    /// Nothing can be sent any more.
    broken: bool,
    /// It is left unread, since the other takes nothing.
    unread: bool,
    /// When it was last sent a ping.
    pinged: Instant,
    /// That ping waits behind what the side has not taken yet.
    ping_waits: bool,
    /// When it was last left unread, or the session began.
    excused: Instant,
    wire: Wire,
}

/// What comes out of a socket.
enum Happened {
    FromClient(Option<Result<Message, axum::Error>>),
    FromUpstream(Option<Result<Far, tungstenite::Error>>),
    /// One of them can be sent nothing.
    ClientBroken,
    UpstreamBroken,
}

/// Why a session is over, in terms of who is told what.
struct End {
    client: Farewell,
    upstream: Farewell,
}

enum Farewell {
    /// Is closed by us.
    Close(Option<CloseFrame>),
    /// Has closed by itself.
    Closed,
    /// Is no WebSocket any more; it may still be sending.
    Broken(CloseFrame),
    /// Is not there.
    Gone,
}

impl Session {
    pub(super) fn new(
        client: WebSocket,
        wire: Wire,
        upstream: Upstream,
        meter: Meter,
        observer: Option<FrameObserver>,
        relay: Arc<Shared>,
    ) -> Self {
        let upstream_wire = upstream.wire.clone();
        Self {
            client,
            client_side: Side::new(wire),
            upstream_side: Side::new(upstream_wire),
            upstream,
            meter,
            observer,
            relay,
            upstream_next: false,
        }
    }

    /// Passes on what either side says until one of them ends it. `first` is said to the upstream
    /// before anything else.
    pub(super) async fn run(mut self, first: Option<String>, mut stopping: watch::Receiver<bool>) {
        if let Some(event) = first {
            self.observe(Direction::FromClient, &event);
            self.send_upstream(Far::text(event));
        }
        let end = loop {
            if let Some(end) = self.step(&mut stopping).await {
                break end;
            }
        };
        self.finish(end).await;
    }

    async fn step(&mut self, stopping: &mut watch::Receiver<bool>) -> Option<End> {
        let check_at = self.check_at();
        tokio::select! {
            biased;
            () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => {
                Some(End::ours(close_code::AWAY, "The relay is shutting down."))
            }
            () = tokio::time::sleep_until(check_at) => self.check(),
            happened = std::future::poll_fn(|cx| self.poll(cx)) => self.act_upon(happened).await,
        }
    }

    /// Asks both sockets. A side is left unread while the other takes nothing.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Happened> {
        self.flush(cx);
        self.upstream_next = !self.upstream_next;
        for upstream in [self.upstream_next, !self.upstream_next] {
            let happened = match upstream {
                true => self.poll_upstream(cx),
                false => self.poll_client(cx),
            };
            if happened.is_ready() {
                return happened;
            }
        }
        Poll::Pending
    }

    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Happened> {
        let takes = self.upstream_side.broken
            || Pin::new(&mut self.upstream.socket)
                .poll_ready(cx)
                .is_ready();
        // What it asks for may be answered by us.
        let is_answered = !self.meter.has_limits()
            || self.client_side.broken
            || Pin::new(&mut self.client).poll_ready(cx).is_ready();
        if !self.client_side.reads(takes && is_answered) {
            return Poll::Pending;
        }
        match Pin::new(&mut self.client).poll_next(cx) {
            Poll::Ready(item) => Poll::Ready(Happened::FromClient(item)),
            // Its last words are heard before it is given up.
            Poll::Pending if self.client_side.broken => Poll::Ready(Happened::ClientBroken),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Happened> {
        let takes = self.client_side.broken || Pin::new(&mut self.client).poll_ready(cx).is_ready();
        if !self.upstream_side.reads(takes) {
            return Poll::Pending;
        }
        match Pin::new(&mut self.upstream.socket).poll_next(cx) {
            Poll::Ready(item) => Poll::Ready(Happened::FromUpstream(item)),
            Poll::Pending if self.upstream_side.broken => Poll::Ready(Happened::UpstreamBroken),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Hands over to the operating system as much as it takes.
    fn flush(&mut self, cx: &mut Context<'_>) {
        if self.client_side.unflushed {
            let flushed = Pin::new(&mut self.client).poll_flush(cx);
            self.client_side
                .flushed(flushed.map(|flushed| flushed.is_ok()));
        }
        if self.upstream_side.unflushed {
            let flushed = Pin::new(&mut self.upstream.socket).poll_flush(cx);
            self.upstream_side
                .flushed(flushed.map(|flushed| flushed.is_ok()));
        }
    }

    async fn flush_now(&mut self) {
        std::future::poll_fn(|cx| {
            self.flush(cx);
            Poll::Ready(())
        })
        .await;
    }

    async fn act_upon(&mut self, happened: Happened) -> Option<End> {
        match happened {
            Happened::FromClient(Some(Ok(message))) => match message {
                Message::Text(text) => self.pass_up(text).await,
                Message::Binary(bytes) => {
                    match self.meter.hear_binary() {
                        Ok(()) => {
                            self.send_upstream(Far::Binary(bytes));
                            self.flush_now().await;
                            self.relay.metrics.passed(Direction::FromClient);
                        }
                        Err(answer) => self.answer(answer),
                    }
                    None
                }
                // Answered by the WebSocket itself.
                Message::Ping(_) | Message::Pong(_) => None,
                Message::Close(frame) => Some(End {
                    client: Farewell::Closed,
                    upstream: Farewell::Close(frame.filter(is_sendable)),
                }),
            },
            Happened::FromUpstream(Some(Ok(message))) => match message {
                Far::Text(text) => self.pass_down(text).await,
                Far::Binary(bytes) => {
                    self.send_client(Message::Binary(bytes));
                    self.flush_now().await;
                    self.relay.metrics.passed(Direction::ToClient);
                    None
                }
                Far::Ping(_) | Far::Pong(_) | Far::Frame(_) => None,
                Far::Close(frame) => Some(End {
                    client: Farewell::Close(frame.map(near).filter(is_sendable)),
                    upstream: Farewell::Closed,
                }),
            },
            Happened::FromClient(Some(Err(error))) => Some(match fault(error) {
                Some(frame) => End::of_faulty_client(frame),
                None => End::of_lost_client(),
            }),
            Happened::FromClient(None) | Happened::ClientBroken => Some(End::of_lost_client()),
            Happened::FromUpstream(Some(Err(error))) => {
                tracing::warn!(%error, "the connection to the upstream is lost");
                Some(match error {
                    // It has gone, and did not even say so.
                    tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                        End::of_lost_upstream()
                    }
                    error => match fault_of(&error) {
                        Some(frame) => End::of_faulty_upstream(frame),
                        None => End::of_lost_upstream(),
                    },
                })
            }
            Happened::FromUpstream(None) | Happened::UpstreamBroken => {
                tracing::warn!("the upstream went away without a word");
                Some(End::of_lost_upstream())
            }
        }
    }

    async fn pass_up(&mut self, text: Utf8Bytes) -> Option<End> {
        match self.meter.hear_client(&text) {
            Ok(()) => {
                let frame = tungstenite::Utf8Bytes::try_from(Bytes::from(text.clone()))
                    .expect("a text frame was UTF-8 when it came");
                self.send_upstream(Far::Text(frame));
                self.flush_now().await;
                self.relay.metrics.passed(Direction::FromClient);
                self.observe(Direction::FromClient, &text);
            }
            Err(answer) => {
                self.observe(Direction::FromClient, &text);
                self.answer(answer);
            }
        }
        None
    }

    /// Passes on first and counts then.
    async fn pass_down(&mut self, text: tungstenite::Utf8Bytes) -> Option<End> {
        let frame = Utf8Bytes::try_from(Bytes::from(text.clone()))
            .expect("a text frame was UTF-8 when it came");
        self.send_client(Message::Text(frame));
        self.flush_now().await;
        self.relay.metrics.passed(Direction::ToClient);
        self.observe(Direction::ToClient, &text);
        match self.meter.hear_upstream(&text) {
            Ok(()) => None,
            Err(refused) => Some(self.forbid(&refused)),
        }
    }

    /// Tells the client something that is not the upstream's.
    fn answer(&mut self, event: String) {
        self.observe(Direction::ToClient, &event);
        self.send_client(Message::text(event));
    }

    /// Ends the session for want of money or right.
    fn forbid(&mut self, refused: &Refused) -> End {
        let notice = self.meter.notice(refused);
        self.answer(notice);
        End::ours(close_code::POLICY, &refused.message())
    }

    fn send_client(&mut self, message: Message) {
        let sent = Pin::new(&mut self.client).start_send(message);
        self.client_side.broken |= sent.is_err();
        self.client_side.unflushed = true;
    }

    fn send_upstream(&mut self, message: Far) {
        let sent = Pin::new(&mut self.upstream.socket).start_send(message);
        self.upstream_side.broken |= sent.is_err();
        self.upstream_side.unflushed = true;
    }

    fn observe(&mut self, direction: Direction, frame: &str) {
        if let Some(observer) = &mut self.observer {
            observer(direction, frame);
        }
    }

    /// When to look whether both sides are alive.
    fn check_at(&self) -> Instant {
        let config = &self.relay.config;
        let at = |side: &Side| side.deadline(config.ping_interval, config.patience);
        at(&self.client_side).min(at(&self.upstream_side))
    }

    /// Pings who is silent, and gives up who does not answer.
    fn check(&mut self) -> Option<End> {
        let (interval, patience) = (self.relay.config.ping_interval, self.relay.config.patience);
        let now = Instant::now();
        for side in [&mut self.upstream_side, &mut self.client_side] {
            side.excuse(now);
        }
        if self.upstream_side.deadline(interval, patience) <= now {
            if self.upstream_side.is_pinged() {
                tracing::warn!("the upstream does not answer a ping");
                return Some(End::of_lost_upstream());
            }
            self.upstream_side.ping(now);
            self.send_upstream(Far::Ping(Bytes::new()));
        }
        if self.client_side.deadline(interval, patience) <= now {
            if self.client_side.is_pinged() {
                return Some(End::of_lost_client());
            }
            self.client_side.ping(now);
            self.send_client(Message::Ping(Bytes::new()));
        }
        None
    }

    /// Ends both connections. What the upstream still says is counted, and passed to nobody.
    async fn finish(self, end: End) {
        let Self {
            client,
            upstream,
            client_side,
            mut meter,
            observer,
            relay,
            ..
        } = self;
        let patience = relay.config.patience;
        tokio::join!(
            close_upstream(upstream, &mut meter, end.upstream, patience),
            close_client(client, client_side.wire, end.client, patience)
        );
        // What is under way is billed when the last word was said, and before the place is free.
        drop((observer, meter));
    }
}

async fn close_upstream(
    mut upstream: Upstream,
    meter: &mut Meter,
    farewell: Farewell,
    patience: Duration,
) {
    let mut closing = CLOSING;
    match farewell {
        Farewell::Close(frame) => {
            if meter.pending() > 0 {
                let cancelled = cancel(&mut upstream, meter);
                if tokio::time::timeout(CLOSING, cancelled).await.is_err() {
                    closing = CLOSING_LATE;
                }
            }
            let close = upstream.socket.send(Far::Close(frame.map(far)));
            // A side that takes nothing ends by itself.
            let _ = tokio::time::timeout(patience, close).await;
        }
        Farewell::Closed => {
            let _ = tokio::time::timeout(CLOSING, upstream.socket.flush()).await;
        }
        Farewell::Broken(frame) => {
            let connection = upstream.wire.inherit();
            let close = upstream.socket.send(Far::Close(Some(far(frame))));
            let _ = tokio::time::timeout(CLOSING, close).await;
            // The last of the WebSocket.
            drop(upstream);
            if let Ok(connection) = connection.await {
                let _ = tokio::time::timeout(CLOSING, wire::read_past(connection)).await;
            }
            return;
        }
        Farewell::Gone => return,
    }
    let rest = async { while hear_rest(&mut upstream, meter).await {} };
    let _ = tokio::time::timeout(closing, rest).await;
}

/// Has every response ended, since nobody is there to hear it, so that its cost is known.
async fn cancel(upstream: &mut Upstream, meter: &mut Meter) {
    let mut under_way = 0;
    while meter.pending() > 0 {
        // One that was asked for is cancelled when it begins.
        if meter.under_way() > under_way {
            let cancel = Far::text(r#"{"type":"response.cancel"}"#);
            if upstream.socket.send(cancel).await.is_err() {
                return;
            }
        }
        under_way = meter.under_way();
        if !hear_rest(upstream, meter).await {
            return;
        }
    }
}

/// Counts what the upstream says; `false` when that was the last.
async fn hear_rest(upstream: &mut Upstream, meter: &mut Meter) -> bool {
    match upstream.socket.next().await {
        Some(Ok(Far::Text(text))) => {
            if let Err(refused) = meter.hear_upstream(&text) {
                // The session is over already.
                tracing::debug!(reason = refused.code(), "a session ended in time");
            }
            true
        }
        Some(Ok(_)) => true,
        Some(Err(_)) | None => false,
    }
}

async fn close_client(mut client: WebSocket, wire: Wire, farewell: Farewell, patience: Duration) {
    match farewell {
        Farewell::Close(frame) => {
            let close = client.send(Message::Close(frame));
            // A side that takes nothing ends by itself.
            let _ = tokio::time::timeout(patience, close).await;
        }
        Farewell::Closed => {
            let _ = tokio::time::timeout(CLOSING, client.flush()).await;
        }
        Farewell::Broken(frame) => {
            let connection = wire.inherit();
            let close = client.send(Message::Close(Some(frame)));
            let _ = tokio::time::timeout(CLOSING, close).await;
            // The last of the WebSocket.
            drop(client);
            if let Ok(connection) = connection.await {
                // Whoever still sends after that does not hear why.
                let _ = tokio::time::timeout(CLOSING, wire::read_past(connection)).await;
            }
            return;
        }
        Farewell::Gone => return,
    }
    let rest = async { while let Some(Ok(_)) = client.next().await {} };
    let _ = tokio::time::timeout(CLOSING, rest).await;
}

impl Side {
    fn new(wire: Wire) -> Self {
        let now = Instant::now();
        Self {
            unflushed: true,
            broken: false,
            unread: false,
            pinged: now,
            ping_waits: false,
            excused: now,
            wire,
        }
    }

    /// Notes what a flush has come to: `false` where nothing can be sent any more.
    fn flushed(&mut self, flushed: Poll<bool>) {
        if let Poll::Ready(works) = flushed {
            // It has the ping only now, unless it has answered meanwhile.
            if std::mem::take(&mut self.ping_waits) && self.is_pinged() {
                self.pinged = Instant::now();
            }
            self.unflushed = false;
            self.broken |= !works;
        }
    }

    /// Notes that it is sent a ping.
    fn ping(&mut self, now: Instant) {
        self.pinged = now;
        self.ping_waits = true;
    }

    /// Nobody is blamed for what is not read.
    fn excuse(&mut self, now: Instant) {
        if self.unread {
            self.excused = now;
        }
    }

    /// Notes whether it is read now.
    fn reads(&mut self, reads: bool) -> bool {
        self.unread |= !reads;
        self.excuse(Instant::now());
        self.unread = !reads;
        reads
    }

    /// When it last gave a sign of life, or could not.
    fn alive(&self) -> Instant {
        self.wire.given().max(self.excused)
    }

    /// Whether it was sent a ping since then.
    fn is_pinged(&self) -> bool {
        self.pinged > self.alive()
    }

    /// When something has to be done if it stays silent.
    fn deadline(&self, interval: Duration, patience: Duration) -> Instant {
        match self.is_pinged() {
            // Who still takes what waits before the ping is alive.
            true if self.ping_waits => self.pinged.max(self.wire.taken()) + patience,
            true => self.pinged + patience,
            false => self.alive() + interval,
        }
    }
}

impl End {
    fn ours(code: u16, reason: &str) -> Self {
        Self {
            client: Farewell::Close(Some(CloseFrame {
                code,
                reason: reason.into(),
            })),
            upstream: Farewell::normal(),
        }
    }

    fn of_faulty_client(frame: CloseFrame) -> Self {
        Self {
            upstream: match frame.code {
                close_code::SIZE => Farewell::Close(Some(frame.clone())),
                _ => Farewell::normal(),
            },
            client: Farewell::Broken(frame),
        }
    }

    fn of_faulty_upstream(frame: CloseFrame) -> Self {
        Self {
            client: match frame.code {
                close_code::SIZE => Farewell::Close(Some(frame.clone())),
                _ => Self::of_lost_upstream().client,
            },
            upstream: Farewell::Broken(frame),
        }
    }

    fn of_lost_client() -> Self {
        Self {
            client: Farewell::Gone,
            upstream: Farewell::normal(),
        }
    }

    fn of_lost_upstream() -> Self {
        Self {
            upstream: Farewell::Gone,
            ..Self::ours(
                close_code::ERROR,
                "The connection to the server behind the relay was lost.",
            )
        }
    }
}

impl Farewell {
    fn normal() -> Self {
        Self::Close(Some(CloseFrame {
            code: close_code::NORMAL,
            reason: Utf8Bytes::from_static(""),
        }))
    }
}

/// Whether a close code may be sent; some only say what was not.
fn is_sendable(frame: &CloseFrame) -> bool {
    CloseCode::from(frame.code).is_allowed()
}

fn near(frame: tungstenite::protocol::CloseFrame) -> CloseFrame {
    CloseFrame {
        code: frame.code.into(),
        reason: frame.reason.as_str().into(),
    }
}

fn far(frame: CloseFrame) -> tungstenite::protocol::CloseFrame {
    tungstenite::protocol::CloseFrame {
        code: frame.code.into(),
        reason: frame.reason.as_str().into(),
    }
}
