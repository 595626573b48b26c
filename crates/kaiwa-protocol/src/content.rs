//! Parts of a message: text, audio, images.

use crate::audio::Audio;
use crate::wire::{Maybe, object, string_enum, union};

union! {
    /// One part of a message's `content`, or the `part` of `response.content_part.*`.
    ///
    /// Items use the `input_*` and `output_*` kinds. The `part` events use plain `text` and `audio` instead, as do
    /// items of the beta dialect.
    pub enum ContentPart {
        /// Text from a user or system.
        InputText(InputText),
        /// Speech of a user.
        InputAudio(InputAudio),
        /// A picture from a user.
        InputImage(InputImage),
        /// Text of the assistant.
        OutputText(OutputText),
        /// Speech of the assistant.
        OutputAudio(OutputAudio),
        /// Text in `response.content_part.*`.
        Text(TextPart),
        /// Speech in `response.content_part.*`.
        Audio(AudioPart),
    }
}

impl ContentPart {
    /// Text from a user or system.
    pub fn input_text(text: impl Into<String>) -> Self {
        Self::InputText(InputText {
            text: text.into(),
            ..InputText::default()
        })
    }

    /// Speech of a user without its bytes; `None` is written as a null transcript, which some clients insist on.
    pub fn input_audio(transcript: Option<String>) -> Self {
        Self::InputAudio(InputAudio {
            transcript: Maybe::nullable(transcript),
            ..InputAudio::default()
        })
    }

    /// Text of the assistant.
    pub fn output_text(text: impl Into<String>) -> Self {
        Self::OutputText(OutputText {
            text: text.into(),
            ..OutputText::default()
        })
    }

    /// Speech of the assistant without its bytes.
    pub fn output_audio(transcript: impl Into<String>) -> Self {
        Self::OutputAudio(OutputAudio {
            transcript: Maybe::Value(transcript.into()),
            ..OutputAudio::default()
        })
    }

    /// Text for `response.content_part.*`.
    pub fn text_part(text: impl Into<String>) -> Self {
        Self::Text(TextPart {
            text: Maybe::Value(text.into()),
            ..TextPart::default()
        })
    }

    /// Speech for `response.content_part.*`, without its bytes.
    pub fn audio_part(transcript: impl Into<String>) -> Self {
        Self::Audio(AudioPart {
            transcript: Maybe::Value(transcript.into()),
            ..AudioPart::default()
        })
    }

    /// The text, or the transcript of speech.
    pub fn words(&self) -> Option<&str> {
        match self {
            Self::InputText(part) => Some(&part.text),
            Self::OutputText(part) => Some(&part.text),
            Self::InputAudio(part) => part.transcript.as_deref(),
            Self::OutputAudio(part) => part.transcript.as_deref(),
            Self::Text(part) => part.text.as_deref(),
            Self::Audio(part) => part.transcript.as_deref(),
            Self::InputImage(_) | Self::Unknown(_) => None,
        }
    }
}

impl Default for ContentPart {
    /// An empty [`TextPart`].
    fn default() -> Self {
        Self::Text(TextPart::default())
    }
}

object! {
    /// Text from a user or system.
    pub struct InputText = "input_text" {
        /// The text.
        pub text: String,
    }
}

object! {
    /// Speech of a user.
    pub struct InputAudio = "input_audio" {
        /// What was said; null until it has been transcribed. In an item created by a client it is for reference only
        /// and never reaches the model.
        pub transcript: Maybe<String>,
        /// The sound, in the session's input format. Events leave it out, except for `conversation.item.retrieved`.
        pub audio: Maybe<Audio>,
    }
}

object! {
    /// A picture from a user.
    pub struct InputImage = "input_image" {
        /// A `data:` URI holding a PNG or JPEG.
        pub image_url: Maybe<String>,
        /// How closely to look at it.
        pub detail: Maybe<ImageDetail>,
    }
}

object! {
    /// Text of the assistant.
    pub struct OutputText = "output_text" {
        /// The text.
        pub text: String,
    }
}

object! {
    /// Speech of the assistant.
    pub struct OutputAudio = "output_audio" {
        /// What is said.
        pub transcript: Maybe<String>,
        /// The sound, in the session's output format. Events leave it out, except for `conversation.item.retrieved`.
        pub audio: Maybe<Audio>,
    }
}

object! {
    /// Text in `response.content_part.*`.
    pub struct TextPart = "text" {
        /// The text; empty when the part is added.
        pub text: Maybe<String>,
    }
}

object! {
    /// Speech in `response.content_part.*`.
    pub struct AudioPart = "audio" {
        /// What is said; empty when the part is added.
        pub transcript: Maybe<String>,
        /// The sound, in the response's output format. Servers leave it out.
        pub audio: Maybe<Audio>,
    }
}

string_enum! {
    /// How closely the model looks at a picture.
    pub enum ImageDetail {
        /// The model's choice; the same as high.
        Auto = "auto",
        /// Coarsely, for few tokens.
        Low = "low",
        /// Closely.
        High = "high",
        /// At its full size. Only for pictures of a stored prompt.
        Original = "original",
    }
}
