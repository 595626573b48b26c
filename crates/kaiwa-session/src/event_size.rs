//! No event to a client is larger than every client takes: 1 MiB.

use std::{borrow::Cow, io};

use kaiwa_protocol::{ContentPart, ErrorDetail, Item, Maybe, Session};

/// Most bytes of JSON of an item or a configuration in an event. The rest of a MiB is for
/// the event around it: ids, metadata, a transcript that comes later.
pub(crate) const MAX_SHOWN_BYTES: usize = (1 << 20) - (128 << 10);

/// Longest message of an error, in bytes; what a client wrote is quoted in some.
const MAX_MESSAGE_BYTES: usize = 2_000;

/// Longest path or id in an error, in bytes.
const MAX_NAME_BYTES: usize = 4_000;

/// An item as events show it: without images and audio where it would be too large.
pub(crate) fn fitted(mut item: Item) -> Item {
    if let Item::Message(message) = &mut item
        && message.content.iter().any(is_large)
        && item_bytes(&item) > MAX_SHOWN_BYTES
    {
        strip(&mut item, false);
        if item_bytes(&item) > MAX_SHOWN_BYTES {
            strip(&mut item, true);
        }
    }
    item
}

/// An item without its images; most items have none and are only lent.
pub(crate) fn without_images(item: &Item) -> Cow<'_, Item> {
    let is_image = |part: &ContentPart| matches!(part, ContentPart::InputImage(_));
    match item {
        Item::Message(message) if message.content.iter().any(is_image) => {
            let mut item = item.clone();
            strip(&mut item, true);
            Cow::Owned(item)
        }
        item => Cow::Borrowed(item),
    }
}

/// Bytes of an item as JSON.
pub(crate) fn item_bytes(item: &Item) -> usize {
    let mut count = Count(0);
    // Counting cannot fail, and what is here was JSON.
    let _ = serde_json::to_writer(&mut count, item);
    count.0
}

/// Bytes of a configuration as JSON.
pub(crate) fn session_bytes(session: &Session) -> usize {
    let mut count = Count(0);
    // Counting cannot fail, and what is here was JSON.
    let _ = serde_json::to_writer(&mut count, session);
    count.0
}

/// An error that quotes no more than the beginning of what a client wrote.
pub(crate) fn clipped(mut detail: ErrorDetail) -> ErrorDetail {
    clip(&mut detail.message, MAX_MESSAGE_BYTES);
    for text in [&mut detail.code, &mut detail.param, &mut detail.event_id] {
        if let Maybe::Value(text) = text {
            clip(text, MAX_NAME_BYTES);
        }
    }
    detail
}

fn clip(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
}

/// Whether a part may be large: audio or an image.
fn is_large(part: &ContentPart) -> bool {
    match part {
        ContentPart::InputAudio(part) => part.audio.is_value(),
        ContentPart::OutputAudio(part) => part.audio.is_value(),
        ContentPart::InputImage(part) => part.image_url.is_value(),
        _ => false,
    }
}

/// Takes the audio out, and the images too if asked for.
fn strip(item: &mut Item, images: bool) {
    let Item::Message(message) = item else {
        return;
    };
    for part in &mut message.content {
        match part {
            ContentPart::InputAudio(part) => part.audio = Maybe::Absent,
            ContentPart::OutputAudio(part) => part.audio = Maybe::Absent,
            ContentPart::InputImage(part) if images => part.image_url = Maybe::Absent,
            _ => {}
        }
    }
}

/// Counts what is written.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kaiwa_protocol::{Audio, InputAudio, InputImage, Message, Role};

    use super::*;

    fn item(audio: usize, image: usize) -> Item {
        let content = vec![
            ContentPart::InputAudio(InputAudio {
                audio: Audio(vec![0; audio]).into(),
                ..InputAudio::default()
            }),
            ContentPart::InputImage(InputImage {
                image_url: "x".repeat(image).into(),
                ..InputImage::default()
            }),
        ];
        Message::new(Role::User, content).into()
    }

    #[test]
    fn audio_goes_first_and_images_only_when_that_is_not_enough() {
        for (audio, image, has) in [
            (1_000, 1_000, [true, true]),
            (1 << 20, 1_000, [false, true]),
            (500_000, 500_000, [false, true]),
            (1_000, 1 << 20, [false, false]),
        ] {
            let shown = fitted(item(audio, image));
            assert!(item_bytes(&shown) <= MAX_SHOWN_BYTES);
            let Item::Message(message) = shown else {
                panic!("it was a message");
            };
            let found: Vec<_> = message.content.iter().map(is_large).collect();
            assert_eq!(found, has, "{audio} {image}");
        }
    }

    #[test]
    fn an_error_quotes_only_a_beginning() {
        let long = "ä".repeat(5_000);
        let detail = clipped(
            ErrorDetail::invalid_request("code", long.clone())
                .with_param(long.clone())
                .with_event_id(Some(long)),
        );
        assert_eq!(detail.message.len(), MAX_MESSAGE_BYTES + '…'.len_utf8());
        for text in [&detail.param, &detail.event_id] {
            let text = text.as_deref().expect("a text");
            assert_eq!(text.len(), MAX_NAME_BYTES + '…'.len_utf8());
        }
    }
}
