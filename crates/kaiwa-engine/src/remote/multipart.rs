//! A form with one file, as RFC 7578 has it.

use std::hash::{BuildHasher, RandomState};

use super::http::Payload;

/// A form. The boundary is drawn at random, so that no field can hold it on purpose.
pub(super) struct Form {
    boundary: String,
    bytes: Vec<u8>,
}

impl Form {
    pub(super) fn new() -> Self {
        let [a, b] = [0_u8, 1].map(|half| RandomState::new().hash_one(half));
        Self {
            boundary: format!("kaiwa-{a:016x}{b:016x}"),
            bytes: Vec::new(),
        }
    }

    /// Appends a field. `name` is one of ours.
    pub(super) fn field(&mut self, name: &str, value: &str) {
        self.part(&format!("name=\"{name}\""), None, value.as_bytes());
    }

    pub(super) fn file(&mut self, name: &str, file: &str, content_type: &str, bytes: &[u8]) {
        let disposition = format!("name=\"{name}\"; filename=\"{file}\"");
        self.part(&disposition, Some(content_type), bytes);
    }

    fn part(&mut self, disposition: &str, content_type: Option<&str>, bytes: &[u8]) {
        let mut head = format!(
            "--{}\r\nContent-Disposition: form-data; {disposition}\r\n",
            self.boundary
        );
        if let Some(content_type) = content_type {
            head.push_str(&format!("Content-Type: {content_type}\r\n"));
        }
        head.push_str("\r\n");
        self.bytes.extend_from_slice(head.as_bytes());
        self.bytes.extend_from_slice(bytes);
        self.bytes.extend_from_slice(b"\r\n");
    }

    pub(super) fn finish(mut self) -> Payload {
        let end = format!("--{}--\r\n", self.boundary);
        self.bytes.extend_from_slice(end.as_bytes());
        Payload {
            content_type: format!("multipart/form-data; boundary={}", self.boundary),
            bytes: self.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_between_boundaries() {
        let mut form = Form::new();
        form.field("model", "whisper-1");
        form.file("file", "turn.wav", "audio/wav", b"RIFF");
        let boundary = form.boundary.clone();
        let payload = form.finish();
        assert_eq!(
            payload.content_type,
            format!("multipart/form-data; boundary={boundary}")
        );
        assert_eq!(
            String::from_utf8(payload.bytes).expect("text"),
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n\
                 --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; \
                 filename=\"turn.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--{boundary}--\r\n"
            )
        );
    }

    #[test]
    fn boundaries_differ() {
        assert_ne!(Form::new().boundary, Form::new().boundary);
    }
}
