//! What a file is, from its first bytes.

/// The two formats that are read, and everything else by name.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Flac,
    Other(String),
    Wav,
}

/// Leading bytes and the thing they begin.
const SIGNATURES: &[(&[u8], &str)] = &[
    (b"ID3", "an MP3 file"),
    (b"\xff\xfb", "an MP3 file"),
    (b"\xff\xf3", "an MP3 file"),
    (b"\xff\xf2", "an MP3 file"),
    (b"\xff\xf1", "an AAC file"),
    (b"OggS", "an Ogg file"),
    (b"FORM", "an AIFF file"),
    (b"RF64", "an RF64 file (a WAV larger than 4 GiB)"),
    (b"RIFX", "a big-endian WAV file"),
    (b"RIFF", "a RIFF file that is not WAV"),
    (b"caff", "a Core Audio file"),
    (b".snd", "a Sun audio file"),
    (b"\x1aE\xdf\xa3", "a WebM or Matroska file"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x7fELF", "a program"),
    (b"GGUF", "a language model (GGUF)"),
];

/// Names the file that starts with `head`.
pub(super) fn sniff(head: &[u8]) -> Kind {
    if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WAVE") {
        return Kind::Wav;
    }
    if head.starts_with(b"fLaC") {
        return Kind::Flac;
    }
    let named = SIGNATURES
        .iter()
        .find(|(signature, _)| head.starts_with(signature))
        .map(|(_, name)| (*name).to_owned());
    Kind::Other(named.unwrap_or_else(|| {
        if head.get(4..8) == Some(b"ftyp") {
            "an MP4 or M4A file".to_owned()
        } else if is_text(head) {
            "text".to_owned()
        } else {
            let bytes: Vec<String> = head.iter().take(4).map(|b| format!("{b:02x}")).collect();
            format!("unknown data (first bytes {})", bytes.join(" "))
        }
    }))
}

/// Whether `head` is UTF-8 without control characters, its last character perhaps cut.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            // Valid up to here, by the error's definition.
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty()
        && !text
            .chars()
            .any(|c| c.is_control() && !"\n\r\t".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_their_first_bytes() {
        for (head, expected) in [
            (&b"RIFF\x00\x00\x00\x00WAVEfmt "[..], Kind::Wav),
            (b"fLaC\x00\x00", Kind::Flac),
            (
                b"RIFF\x00\x00\x00\x00AVI ",
                other("a RIFF file that is not WAV"),
            ),
            (b"ID3\x04", other("an MP3 file")),
            (b"OggS\x00", other("an Ogg file")),
            (b"\x00\x00\x00\x20ftypM4A ", other("an MP4 or M4A file")),
            ("a letter in \u{fc}".as_bytes(), other("text")),
            (&"\u{65e5}\u{672c}".as_bytes()[..5], other("text")),
            (
                b"\x00\x01\x02\x03\x04",
                other("unknown data (first bytes 00 01 02 03)"),
            ),
        ] {
            assert_eq!(sniff(head), expected, "{head:?}");
        }
    }

    fn other(name: &str) -> Kind {
        Kind::Other(name.to_owned())
    }
}
