//! What kind of event a frame is, without reading the rest of it.
//!
//! A frame of sound is one long string in a small object: the walk over it looks for the ends of
//! strings and of nested values alone, with the widest instructions there are. What is written
//! with escapes where it matters is left to serde.

use std::{collections::HashSet, fmt};

use memchr::{memchr2, memchr3};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// The first `type` of an event, to `judge`; nothing of what is no event.
pub(super) fn first_kind(frame: &str, mut judge: impl FnMut(&str)) {
    kinds(frame, |kind| {
        judge(kind);
        false
    });
}

/// What a relay has to know of a client's event to keep it within limits.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Outline {
    /// Nothing where the type is no string.
    pub(super) kind: Option<String>,
    pub(super) event_id: Option<String>,
}

/// Reads a whole frame; `None` of what no two readers need understand alike: what is no JSON
/// object, and one that has a member twice.
pub(super) fn outline(frame: &str) -> Option<Outline> {
    serde_json::from_str(frame).ok()
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Outline;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
                let mut outline = Outline::default();
                let mut names = HashSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "type" => outline.kind = text(map.next_value()?),
                        "event_id" => outline.event_id = text(map.next_value()?),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                    if !names.insert(name) {
                        return Err(A::Error::custom("a member is there twice"));
                    }
                }
                Ok(outline)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// Every top-level `type` of an event, as long as `judge` wants more. What is no JSON at some
/// place is not looked at further.
fn kinds(frame: &str, mut judge: impl FnMut(&str) -> bool) {
    let mut seen = 0;
    let walked = walk(frame, |kind| {
        seen += 1;
        judge(kind)
    });
    if walked.is_none() {
        slowly(frame, &mut seen, &mut judge);
    }
}

/// `None` where serde has to look.
fn walk(frame: &str, mut judge: impl FnMut(&str) -> bool) -> Option<()> {
    let mut rest = Rest(frame);
    rest.expect(b'{')?;
    loop {
        match rest.next()? {
            b'}' => return Some(()),
            b',' => rest.step(),
            _ => {
                let name = rest.plain_string()?;
                rest.expect(b':')?;
                let is_string = rest.next()? == b'"';
                if name == "type" && is_string {
                    if !judge(rest.plain_string()?) {
                        return Some(());
                    }
                } else {
                    rest.skip_value()?;
                }
            }
        }
    }
}

struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// The next byte that is no space.
    fn next(&mut self) -> Option<u8> {
        self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r']);
        self.0.as_bytes().first().copied()
    }

    /// Goes past the next byte, which is ASCII.
    fn step(&mut self) {
        self.0 = self.0.get(1..).unwrap_or_default();
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.step())
    }

    /// A string without escapes.
    fn plain_string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let end = memchr2(b'"', b'\\', self.0.as_bytes())?;
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.strip_prefix('"')?;
        Some(text)
    }

    fn skip_value(&mut self) -> Option<()> {
        match self.next()? {
            b'"' => self.skip_string(),
            b'{' | b'[' => self.skip_nested(),
            _ => {
                let end = memchr3(b',', b'}', b']', self.0.as_bytes())?;
                self.0 = self.0.get(end..)?;
                Some(())
            }
        }
    }

    fn skip_string(&mut self) -> Option<()> {
        self.expect(b'"')?;
        loop {
            let bytes = self.0.as_bytes();
            let at = memchr2(b'"', b'\\', bytes)?;
            if bytes.get(at) == Some(&b'"') {
                self.0 = self.0.get(at + 1..)?;
                return Some(());
            }
            // What is escaped may be the first byte of a longer character only where this is
            // no JSON, and then there is no such place.
            self.0 = self.0.get(at + 2..)?;
        }
    }

    fn skip_nested(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            let bytes = self.0.as_bytes();
            let at = bytes
                .iter()
                .position(|byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']'))?;
            let byte = *bytes.get(at)?;
            self.0 = self.0.get(at..)?;
            match byte {
                b'"' => self.skip_string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.step();
                }
                _ => {
                    depth = depth.checked_sub(1)?;
                    self.step();
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

/// The same through serde, without those that were judged already.
fn slowly(frame: &str, seen: &mut usize, judge: &mut dyn FnMut(&str) -> bool) {
    struct Kinds<'a> {
        seen: &'a mut usize,
        judge: &'a mut dyn FnMut(&str) -> bool,
    }

    impl<'de> Visitor<'de> for Kinds<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an event")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(name) = map.next_key::<String>()? {
                if name != "type" {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                let Value::String(kind) = map.next_value()? else {
                    continue;
                };
                match self.seen.checked_sub(1) {
                    Some(left) => *self.seen = left,
                    None if (self.judge)(&kind) => {}
                    None => break,
                }
            }
            Ok(())
        }
    }

    let mut reader = serde_json::Deserializer::from_str(frame);
    // What is no JSON is passed on and for its reader to refuse; what was found counts.
    let _ = reader.deserialize_map(Kinds { seen, judge });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(frame: &str) -> Vec<String> {
        let mut found = Vec::new();
        kinds(frame, |kind| {
            found.push(kind.to_owned());
            true
        });
        found
    }

    #[test]
    fn kinds_are_found_wherever_they_stand_at_the_top() {
        for (frame, expected) in [
            (r#"{"type":"a"}"#, &["a"][..]),
            (" {\r\n\t\"type\" : \"a\" }\n", &["a"]),
            (r#"{"audio":"AAAA","type":"a"}"#, &["a"]),
            (r#"{"x":"\"type\":\"no\"","type":"a"}"#, &["a"]),
            (
                r#"{"x":{"type":"no","y":["}",{"type":"no"}]},"type":"a"}"#,
                &["a"],
            ),
            (r#"{"x":[],"y":{},"z":-1.5e3,"n":null,"type":"a"}"#, &["a"]),
            (r#"{"type":"a","type":"b"}"#, &["a", "b"]),
            (r#"{"type":"a","t\u0079pe":"b"}"#, &["a", "b"]),
            (r#"{"t\u0079pe":"a"}"#, &["a"]),
            (r#"{"type":"\u0061"}"#, &["a"]),
            (r#"{"type":"a","x":"\\","type":"b"}"#, &["a", "b"]),
            (r#"{"type":"é","日":"本"}"#, &["é"]),
            (r#"{"type":5,"type":"a"}"#, &["a"]),
            (r#"{"type":"a","x":"#, &["a"]),
            (r#"{"type":"a" "type":"b"}"#, &["a", "b"]),
            (r#"["type","a"]"#, &[]),
            (r#"{"x":"\"#, &[]),
            (r#"{"x":"\é"#, &[]),
            (r#"{"x":}}]"#, &[]),
            (r#""type""#, &[]),
            ("", &[]),
            ("{}", &[]),
        ] {
            assert_eq!(all(frame), expected, "{frame}");
        }
    }

    #[test]
    fn an_outline_is_that_of_a_whole_event_and_of_nothing_else() {
        for (frame, kind, event_id) in [
            (r#"{"type":"a","event_id":"e"}"#, Some("a"), Some("e")),
            (
                " {\"x\":[{\"type\":\"no\"}],\"t\\u0079pe\":\"a\"} ",
                Some("a"),
                None,
            ),
            (r#"{"type":5,"event_id":null}"#, None, None),
            ("{}", None, None),
        ] {
            let outline = outline(frame).unwrap();
            assert_eq!(outline.kind.as_deref(), kind, "{frame}");
            assert_eq!(outline.event_id.as_deref(), event_id, "{frame}");
        }
        for frame in [
            r#"{"type":"a","type":"b"}"#,
            r#"{"type":"a","t\u0079pe":"a"}"#,
            r#"{"type":"a","session":{},"session":{}}"#,
            r#"{"type":"a","x":"#,
            r#"{"type":"a"} {}"#,
            r#"["type","a"]"#,
            r#""type""#,
            "",
        ] {
            assert_eq!(outline(frame), None, "{frame}");
        }
    }

    #[test]
    fn the_first_kind_is_enough_where_it_is_asked_for() {
        for frame in [
            r#"{"type":"a","type":"b"}"#,
            r#"{"t\u0079pe":"a","type":"b"}"#,
            r#"{"type":"a","x":"unfinished"#,
        ] {
            let mut found = Vec::new();
            first_kind(frame, |kind| found.push(kind.to_owned()));
            assert_eq!(found, ["a"], "{frame}");
        }
    }
}
