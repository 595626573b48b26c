//! Server-sent events, as far as answers use them, with bounded lines.
//!
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>

use std::time::Duration;

use super::http::Answer;
use crate::EngineError;

/// Bytes of an event's data, and of a line that is not yet complete.
const MAX_EVENT: usize = 1 << 20;

/// How long the end of a body may be waited for after the end of the answer in it.
const END_LIMIT: Duration = Duration::from_secs(2);

/// The data of an answer's events.
pub(super) struct Events<'a> {
    answer: Answer<'a>,
    parser: Parser,
    ended: bool,
}

impl<'a> Events<'a> {
    pub(super) fn new(answer: Answer<'a>) -> Self {
        Self {
            answer,
            parser: Parser::default(),
            ended: false,
        }
    }

    /// The data of the next event; `None` at the end. Comments do not count as something
    /// said: a server that sends nothing else is given up like a silent one.
    pub(super) async fn next(&mut self) -> Result<Option<String>, EngineError> {
        let until = self.answer.patience();
        loop {
            if let Some(data) = self.parser.next(self.ended) {
                return match data {
                    Ok(data) => Ok(Some(data)),
                    Err(what) => Err(self.answer.subject().failed(what)),
                };
            }
            if self.ended {
                return Ok(None);
            }
            match self.answer.next_until(until).await? {
                Some(piece) => self.parser.bytes.extend_from_slice(&piece),
                None => self.ended = true,
            }
        }
    }
}

impl Events<'_> {
    /// Reads past what follows the last event that matters, so that the connection can be used
    /// again. A server that keeps it open has it closed.
    pub(super) async fn finish(mut self) {
        let rest = async { while let Ok(Some(_)) = self.answer.next().await {} };
        // The answer is whole either way.
        let _ = tokio::time::timeout(END_LIMIT, rest).await;
    }
}

#[derive(Default)]
struct Parser {
    /// What is not parsed yet.
    bytes: Vec<u8>,
    /// How far `bytes` is known to hold no end of a line.
    searched: usize,
    /// The event's data so far.
    data: Option<String>,
}

impl Parser {
    /// The next event's data, or what is wrong. After the `end` the last event needs no empty
    /// line: some servers forget it.
    fn next(&mut self, end: bool) -> Option<Result<String, &'static str>> {
        loop {
            let found = self.bytes[self.searched..]
                .iter()
                .position(|byte| *byte == b'\n');
            let Some(found) = found else {
                self.searched = self.bytes.len();
                if self.bytes.len() > MAX_EVENT {
                    self.bytes.clear();
                    self.searched = 0;
                    return Some(Err("sends a line that does not end"));
                }
                if end && !self.bytes.is_empty() {
                    self.bytes.push(b'\n');
                    continue;
                }
                return self.data.take_if(|_| end).map(Ok);
            };
            let line: Vec<u8> = self.bytes.drain(..=self.searched + found).collect();
            self.searched = 0;
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            match self.line(line) {
                Ok(None) => {}
                Ok(Some(data)) => return Some(Ok(data)),
                Err(what) => return Some(Err(what)),
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<String>, &'static str> {
        if line.is_empty() {
            return Ok(self.data.take());
        }
        // Comments and other fields say nothing to us.
        let Some(value) = line.strip_prefix(b"data:") else {
            return Ok(None);
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let value = std::str::from_utf8(value).map_err(|_| "sends what is not UTF-8")?;
        match &mut self.data {
            Some(data) if data.len() + value.len() > MAX_EVENT => {
                return Err("sends an event that does not end");
            }
            Some(data) => {
                data.push('\n');
                data.push_str(value);
            }
            None => self.data = Some(value.to_owned()),
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pieces: &[&[u8]]) -> Vec<Result<String, &'static str>> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for piece in pieces {
            parser.bytes.extend_from_slice(piece);
            events.extend(std::iter::from_fn(|| parser.next(false)));
        }
        events.extend(std::iter::from_fn(|| parser.next(true)));
        events
    }

    fn texts(pieces: &[&[u8]]) -> Vec<String> {
        let events = parse(pieces).into_iter();
        events.map(|event| event.expect("an event")).collect()
    }

    #[test]
    fn events_are_cut_at_empty_lines_wherever_the_pieces_end() {
        let stream =
            "data: {\"a\": 1}\r\n\r\n: a comment\n\nevent: x\ndata:b\ndata: é\n\ndata: c\n\n";
        let expected = ["{\"a\": 1}", "b\né", "c"];
        assert_eq!(texts(&[stream.as_bytes()]), expected);
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(texts(&bytes), expected);
    }

    #[test]
    fn the_last_event_may_lack_its_empty_line() {
        assert_eq!(texts(&[b"data: a\n\ndata: b\n"]), ["a", "b"]);
        assert_eq!(texts(&[b"data: a\n\ndata: b"]), ["a", "b"]);
        assert_eq!(texts(&[b""]), Vec::<String>::new());
    }

    #[test]
    fn what_does_not_end_is_an_error() {
        let endless = vec![b'x'; MAX_EVENT + 1];
        assert_eq!(
            parse(&[&endless]).first(),
            Some(&Err("sends a line that does not end"))
        );
        let line = format!("data: {}\n", "x".repeat(MAX_EVENT / 2 + 1));
        let events = parse(&[line.as_bytes(), line.as_bytes()]);
        assert_eq!(
            events.first(),
            Some(&Err("sends an event that does not end"))
        );
        assert_eq!(
            parse(&[b"data: \xff\n\n"]),
            [Err("sends what is not UTF-8")]
        );
    }
}
