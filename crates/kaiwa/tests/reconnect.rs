//! `kaiwa talk` through a network that breaks: what was said stays said.

#![allow(
    clippy::unwrap_used,
    reason = "in a test and what it is made of a failed unwrap is the message"
)]

mod common;

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use common::{Bench, Ended, serve, serve_at};
use serde_json::Value;

/// What becomes of the connections to a [`Proxy`] from now on.
#[derive(Clone, Copy, Debug)]
enum Net {
    /// They reach the server.
    Up,
    /// They are taken and closed; the second that comes gets through.
    Flapping,
    /// The next is answered with these bytes; those after it reach the server.
    Answering(&'static str),
}

/// Stands between a client and a server, and breaks their connections.
struct Proxy {
    address: String,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    server: String,
    net: Net,
    /// The client's end and the server's end of the latest connection.
    latest: Option<(TcpStream, TcpStream)>,
}

impl Proxy {
    fn new(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Mutex::new(Shared {
            server: server.to_owned(),
            net: Net::Up,
            latest: None,
        }));
        let proxy = Self {
            address,
            shared: Arc::clone(&shared),
        };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                shared.lock().unwrap().take(client).ok();
            }
        });
        proxy
    }

    fn set(&self, net: Net) {
        self.shared.lock().unwrap().net = net;
    }

    /// Does something to the client's end of the latest connection, and ends the server's.
    fn break_with(&self, act: impl FnOnce(&mut TcpStream) -> io::Result<()>) {
        let (mut client, server) = self.shared.lock().unwrap().latest.take().unwrap();
        act(&mut client).unwrap();
        server.shutdown(Shutdown::Both).ok();
    }
}

impl Shared {
    fn take(&mut self, mut client: TcpStream) -> io::Result<()> {
        match std::mem::replace(&mut self.net, Net::Up) {
            Net::Up => {}
            Net::Flapping => return Ok(()),
            Net::Answering(answer) => {
                // The whole request is read, or closing would be a reset.
                let mut lines = BufReader::new(client.try_clone()?).lines();
                while lines
                    .next()
                    .transpose()?
                    .is_some_and(|line| !line.is_empty())
                {}
                return client.write_all(answer.as_bytes());
            }
        }
        let server = TcpStream::connect(&self.server)?;
        for (mut from, mut to) in [
            (client.try_clone()?, server.try_clone()?),
            (server.try_clone()?, client.try_clone()?),
        ] {
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = from.read(&mut buffer) {
                    if to.write_all(&buffer[..read]).is_err() {
                        break;
                    }
                }
                to.shutdown(Shutdown::Write).ok();
            });
        }
        self.latest = Some((client, server));
        Ok(())
    }
}

/// A conversation whose user types.
struct Talk {
    child: Child,
    keyboard: Option<ChildStdin>,
    events: io::Lines<BufReader<ChildStdout>>,
}

impl Talk {
    fn start(bench: &Bench, address: &str) -> Self {
        let mut talk = bench.kaiwa();
        talk.args(["talk", "--json", "--trace", "trace.jsonl", "--url"])
            .arg(format!("ws://{address}/v1"))
            .stdin(Stdio::piped());
        let mut child = talk.spawn().unwrap();
        Self {
            keyboard: child.stdin.take(),
            events: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    fn say(&mut self, text: &str) {
        writeln!(self.keyboard.as_mut().unwrap(), "{text}").unwrap();
    }

    /// The next event of a type; the conversation must not end before.
    #[track_caller]
    fn wait_for(&mut self, kind: &str) -> Value {
        let mut seen = Vec::new();
        for line in self.events.by_ref() {
            let line = line.unwrap();
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["type"] == kind {
                return event;
            }
            seen.push(line);
        }
        panic!("no {kind}: {seen:#?}");
    }

    /// Asks for something and hears the answer.
    #[track_caller]
    fn ask(&mut self, text: &str) {
        self.say(text);
        let answer = self.wait_for("assistant_done");
        assert_eq!(answer["text"], format!("You said: {text}"));
        assert_eq!(self.wait_for("response_done")["status"], "completed");
    }

    /// Nothing more is typed: how it ends.
    fn end(mut self) -> Ended {
        drop(self.keyboard.take());
        let mut stdout = String::new();
        for line in self.events.by_ref() {
            stdout.push_str(&line.unwrap());
            stdout.push('\n');
        }
        let mut ended = Ended::from(self.child.wait_with_output().unwrap());
        ended.stdout = stdout;
        ended
    }
}

/// Texts of the items that the client told the server of in its latest session.
fn told(bench: &Bench) -> Vec<(String, String)> {
    let trace = fs::read_to_string(bench.path("trace.jsonl")).unwrap();
    let created = |line: &str| {
        let entry: Value = serde_json::from_str(line).unwrap();
        let event = &entry["json"];
        (event["type"] == "conversation.item.create").then(|| event["item"].clone())
    };
    trace
        .lines()
        .filter_map(created)
        .filter(|item| {
            item["id"]
                .as_str()
                .is_some_and(|id| id.starts_with("kept_"))
        })
        .map(|item| {
            let text = item["content"][0]["text"].as_str().unwrap_or_default();
            (item["role"].as_str().unwrap().to_owned(), text.to_owned())
        })
        .collect()
}

/// What a new session has to be told after one turn.
fn one_turn() -> Vec<(String, String)> {
    [("user", "one"), ("assistant", "You said: one")]
        .map(|(role, text)| (role.to_owned(), text.to_owned()))
        .to_vec()
}

/// Holds a turn, breaks the connection, and holds another one.
fn survives(net: Net, break_it: impl FnOnce(&mut TcpStream) -> io::Result<()>) {
    let bench = Bench::new();
    let serving = serve(&bench, &[]);
    let proxy = Proxy::new(&serving.address);
    let mut talk = Talk::start(&bench, &proxy.address);
    talk.ask("one");
    proxy.set(net);
    proxy.break_with(break_it);
    talk.wait_for("reconnecting");
    // Typed into the gap, it is said when there is somebody to say it to.
    talk.say("two");
    let back = talk.wait_for("reconnected");
    assert_eq!(back["lost_ms"], 0);
    let answer = talk.wait_for("assistant_done");
    assert_eq!(answer["text"], "You said: two");
    talk.ask("three");
    talk.end().with_code(0);
    assert_eq!(told(&bench), one_turn(), "{net:?}");
}

fn drops(client: &mut TcpStream) -> io::Result<()> {
    client.shutdown(Shutdown::Both)
}

#[test]
fn a_connection_that_breaks_off_is_made_again() {
    survives(Net::Up, drops);
}

#[test]
fn a_connection_that_breaks_off_in_a_frame_is_made_again() {
    // A text frame of 256 bytes, of which three come.
    survives(Net::Up, |client| {
        client.write_all(&[0x81, 126, 1, 0, b'{', b'"', b't'])?;
        drops(client)
    });
}

#[test]
fn a_connection_that_is_closed_on_one_side_is_made_again() {
    survives(Net::Up, |client| client.shutdown(Shutdown::Write));
}

#[test]
fn a_network_that_comes_back_late_is_waited_for() {
    survives(Net::Flapping, drops);
}

#[test]
fn a_gateway_without_a_server_behind_it_is_asked_again() {
    let answer =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    survives(Net::Answering(answer), drops);
}

#[test]
fn a_page_instead_of_a_websocket_is_no_end() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>";
    survives(Net::Answering(answer), drops);
}

#[test]
fn a_server_that_is_started_again_knows_what_was_said() {
    let bench = Bench::new();
    let first = serve(&bench, &[]);
    let address = first.address.clone();
    let mut talk = Talk::start(&bench, &address);
    talk.ask("one");
    // Killed, not ended.
    drop(first);
    talk.wait_for("reconnecting");
    let _second = serve_at(&bench, &address, &[]);
    talk.wait_for("reconnected");
    talk.ask("two");
    talk.end().with_code(0);
    assert_eq!(told(&bench), one_turn());
}

#[test]
fn a_key_that_is_refused_meanwhile_ends_it_with_a_sentence() {
    let bench = Bench::new();
    let serving = serve(&bench, &[]);
    let proxy = Proxy::new(&serving.address);
    let mut talk = Talk::start(&bench, &proxy.address);
    talk.ask("one");
    proxy.set(Net::Answering(
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ));
    proxy.break_with(drops);
    talk.wait_for("ended");
    let ended = talk.end().with_code(4);
    assert!(ended.stderr.contains("key"), "{}", ended.stderr);
}

#[test]
fn who_wants_no_other_connection_is_told_that_it_was_lost() {
    let bench = Bench::new();
    let serving = serve(&bench, &[]);
    let proxy = Proxy::new(&serving.address);
    let mut talk = bench.kaiwa();
    talk.args(["talk", "--json", "--no-reconnect", "--url"])
        .arg(format!("ws://{}/v1", proxy.address))
        .stdin(Stdio::piped());
    let mut child = talk.spawn().unwrap();
    let mut talk = Talk {
        keyboard: child.stdin.take(),
        events: BufReader::new(child.stdout.take().unwrap()).lines(),
        child,
    };
    talk.ask("one");
    proxy.break_with(drops);
    let ended = talk.wait_for("ended");
    assert_eq!(ended["reason"], "connection_lost");
    let ended = talk.end().with_code(3);
    assert!(ended.stderr.contains("lost"), "{}", ended.stderr);
}
