use std::fmt;

use serde::Serialize;

/// A direction of sound.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// What the user is heard with.
    Microphone,
    /// What the assistant is heard from.
    Speaker,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Microphone => "microphone",
            Self::Speaker => "speaker",
        })
    }
}

/// A change of the devices during a conversation, which goes on. Its text is a sentence for
/// people.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DeviceNotice {
    /// The microphone or the speaker.
    pub side: Side,
    /// What happened.
    pub change: DeviceChange,
    /// The description of the device that is used from now on.
    pub device: Option<String>,
}

/// What happened to a microphone or a speaker.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeviceChange {
    /// There is one again.
    Back,
    /// The one in use is gone; another has taken its place, or there is silence.
    Gone,
    /// Another is used because the default or the user's choice says so.
    Moved,
}

impl fmt::Display for DeviceNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = self.side;
        let doing = match side {
            Side::Microphone => "listening on",
            Side::Speaker => "speaking through",
        };
        match (self.change, &self.device) {
            (DeviceChange::Back, Some(device)) => {
                write!(f, "The {side} is back; {doing} {device}.")
            }
            (DeviceChange::Moved, Some(device)) => {
                write!(f, "The {side} has changed; {doing} {device}.")
            }
            (_, Some(device)) => write!(f, "The {side} is gone; {doing} {device}."),
            (_, None) => write!(
                f,
                "The {side} is gone; the conversation goes on as soon as one is plugged in."
            ),
        }
    }
}
