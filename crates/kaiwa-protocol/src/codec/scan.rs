//! Reading objects of plain strings at the speed of memory.
//!
//! A frame of sound is one long string in a small object. Serde reads it eight bytes at a time at best; here the end of
//! a string is found with the widest instructions there are. What is not an object of plain strings is left to serde.

use memchr::memchr2;

/// The members of an object all of whose values are strings without escapes, in order.
///
/// Strings are not looked into: a control character, which JSON does not allow, is for their reader to refuse.
pub(super) struct PlainMembers<'a> {
    rest: &'a str,
    first: bool,
}

/// That a text is not an object of plain strings; it may be another object, or not be JSON.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct NotPlain;

impl<'a> PlainMembers<'a> {
    /// The members of the object `json`.
    pub(super) fn of(json: &'a str) -> Result<Self, NotPlain> {
        let mut members = Self {
            rest: json,
            first: true,
        };
        members.expect('{')?;
        Ok(members)
    }

    /// The next member's name and value; `None` when the text has ended with the object.
    pub(super) fn next(&mut self) -> Result<Option<(&'a str, &'a str)>, NotPlain> {
        if self.expect('}').is_ok() {
            self.skip_space();
            return if self.rest.is_empty() {
                Ok(None)
            } else {
                Err(NotPlain)
            };
        }
        if !std::mem::take(&mut self.first) {
            self.expect(',')?;
        }
        let name = self.string()?;
        self.expect(':')?;
        let value = self.string()?;
        Ok(Some((name, value)))
    }

    fn string(&mut self) -> Result<&'a str, NotPlain> {
        self.expect('"')?;
        let end = memchr2(b'"', b'\\', self.rest.as_bytes()).ok_or(NotPlain)?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest.strip_prefix('"').ok_or(NotPlain)?;
        Ok(text)
    }

    fn expect(&mut self, wanted: char) -> Result<(), NotPlain> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(wanted).ok_or(NotPlain)?;
        Ok(())
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(json: &str) -> Result<Vec<(&str, &str)>, NotPlain> {
        let mut members = PlainMembers::of(json)?;
        let mut list = Vec::new();
        while let Some(member) = members.next()? {
            list.push(member);
        }
        Ok(list)
    }

    #[test]
    fn plain_objects_are_read() {
        assert_eq!(members("{}"), Ok(vec![]));
        assert_eq!(
            members(" { \"a\" : \"1\" ,\t\"\u{e9}\":\"\"}\r\n"),
            Ok(vec![("a", "1"), ("\u{e9}", "")])
        );
    }

    #[test]
    fn everything_else_is_left_to_serde() {
        for json in [
            "",
            "[]",
            "{",
            "{} x",
            "{,}",
            r#"{"a":"1",}"#,
            r#"{"a":"1" "b":"2"}"#,
            r#"{"a":1}"#,
            r#"{"a":null}"#,
            r#"{"a":"\u0041"}"#,
            r#"{"\u0041":"a"}"#,
            r#"{"a":"1"#,
            r#"{"a":"1""#,
            r#"{"a":"1"}}"#,
        ] {
            assert_eq!(members(json), Err(NotPlain), "{json}");
        }
    }
}
