//! A server that does what a test says, on a socket of its own.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use super::{Endpoint, Limits, Network};

/// Longer than anything takes that works; only a safety net.
const PATIENCE: Duration = Duration::from_secs(30);

/// Requests of which one at least finds a connection that an earlier one left.
pub(super) const MANY: usize = 50;

/// What is done about a request, step by step.
pub(super) enum Step {
    /// Writes bytes.
    Send(Vec<u8>),
    /// Writes the same until the client hangs up.
    Repeat(Vec<u8>),
    /// Says nothing until the client hangs up.
    Hang,
    /// Hangs up.
    Close,
}

/// A request as it came.
pub(super) struct Request {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

/// A server that plays a list of answers, one for each request.
pub(super) struct Peer {
    address: SocketAddr,
    requests: Receiver<Request>,
    hung_up: Receiver<()>,
    connections: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Play {
    answers: Arc<Mutex<VecDeque<Vec<Step>>>>,
    requests: Sender<Request>,
    hung_up: Sender<()>,
}

impl Peer {
    pub(super) fn start(answers: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (requests, received) = channel();
        let (hung_up, ended) = channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let play = Play {
            answers: Arc::new(Mutex::new(answers.into())),
            requests,
            hung_up,
        };
        let counted = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
                let play = play.clone();
                thread::spawn(move || play.serve(&stream));
            }
        });
        Self {
            address,
            requests: received,
            hung_up: ended,
            connections,
        }
    }

    pub(super) fn endpoint(&self, model: &str) -> Endpoint {
        Endpoint::new(&format!("http://{}/v1", self.address), model).expect("an address")
    }

    /// The next request.
    pub(super) fn request(&self) -> Request {
        self.requests.recv_timeout(PATIENCE).expect("a request")
    }

    /// How many requests came that nobody looked at.
    pub(super) fn more_requests(&self) -> usize {
        self.requests.try_iter().count()
    }

    /// Waits until the client has hung up on a [`Step::Hang`].
    pub(super) fn hung_up(&self) {
        self.hung_up
            .recv_timeout(PATIENCE)
            .expect("a client that hangs up");
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Makes requests until one comes over a connection of an earlier one. The first may
    /// not: an answer is whole a moment before its connection is free.
    pub(super) fn reuses_a_connection(&self, mut request: impl FnMut()) {
        let reused = (1..=MANY).any(|requests| {
            request();
            self.connections() < requests
        });
        assert!(
            reused,
            "each of {MANY} requests had a connection of its own"
        );
    }
}

impl Play {
    fn serve(&self, mut stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(request) = read(&mut reader) {
            let answer = self.answers.lock().expect("no panic").pop_front();
            // The test may have ended.
            let _ = self.requests.send(request);
            for step in answer.unwrap_or_default() {
                match step {
                    // A client that is gone is what some tests want.
                    Step::Send(bytes) => {
                        if stream.write_all(&bytes).is_err() {
                            let _ = self.hung_up.send(());
                            return;
                        }
                    }
                    Step::Repeat(bytes) => {
                        while stream.write_all(&bytes).is_ok() {}
                        let _ = self.hung_up.send(());
                        return;
                    }
                    Step::Hang => {
                        let _ = reader.read_to_end(&mut Vec::new());
                        let _ = self.hung_up.send(());
                        return;
                    }
                    Step::Close => {
                        let _ = stream.shutdown(Shutdown::Both);
                        return;
                    }
                }
            }
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().expect("a length"))
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Request { head, body })
}

/// A complete answer with success.
pub(super) fn ok(content_type: &str, body: impl AsRef<[u8]>) -> Vec<Step> {
    answer(200, &format!("Content-Type: {content_type}\r\n"), body)
}

/// A complete answer; each header ends with a line break.
pub(super) fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<Step> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status} Status\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    vec![Step::Send([head.as_bytes(), body].concat())]
}

/// An answer whose length is open, with these pieces, and then `last`.
pub(super) fn open(content_type: &str, pieces: &[&[u8]], last: Step) -> Vec<Step> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let pieces = pieces.iter().map(|piece| chunk(piece));
    std::iter::once(Step::Send(head.into_bytes()))
        .chain(pieces)
        .chain([last])
        .collect()
}

fn chunk(piece: &[u8]) -> Step {
    let length = format!("{:x}\r\n", piece.len());
    Step::Send([length.as_bytes(), piece, b"\r\n"].concat())
}

/// The end of an [`open`] answer.
pub(super) fn end() -> Step {
    Step::Send(b"0\r\n\r\n".to_vec())
}

/// Limits under which nothing is waited for.
pub(super) fn limits() -> Limits {
    Limits {
        silence: PATIENCE,
        pause: Duration::from_millis(1),
        ..Limits::default()
    }
}

pub(super) fn network() -> Network {
    Network::start().expect("a thread")
}
