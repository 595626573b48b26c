//! Which devices there are, and which one is meant.

use std::convert::Infallible;
use std::str::FromStr;

use serde::Serialize;

use super::{DeviceError, Side};

/// A sound device.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Device {
    /// The sound system's number of it, the same for as long as it is plugged in.
    pub number: u32,
    /// The sound system's name of it, the same whenever it is plugged in.
    pub name: String,
    /// Its name for people.
    pub description: String,
    /// Whether it is used where none is named.
    #[serde(rename = "default")]
    pub is_default: bool,
    /// Whether this microphone hears what a speaker plays instead of the room.
    #[serde(rename = "monitor")]
    pub is_monitor: bool,
    /// Whether the system silences it.
    #[serde(rename = "muted")]
    pub is_muted: bool,
    /// The rate it runs at, in Hz, and 0 where the system does not say. It is converted from and to
    /// 24 kHz.
    pub rate_hz: u32,
}

/// The devices of this machine.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Devices {
    /// Where the user can be heard.
    pub microphones: Vec<Device>,
    /// Where the assistant can be heard.
    pub speakers: Vec<Device>,
}

/// Which device to use.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Choice {
    /// The system's default, whichever that is at any time.
    #[default]
    Default,
    /// No device.
    None,
    /// The one with this number, this name, or these words in its name or description.
    Named(String),
}

impl FromStr for Choice {
    type Err = Infallible;

    /// `default`, `none`, or a device.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "default" => Self::Default,
            "none" => Self::None,
            name => Self::Named(name.to_owned()),
        })
    }
}

impl Devices {
    /// The devices of one side.
    #[must_use]
    pub fn of(&self, side: Side) -> &[Device] {
        match side {
            Side::Microphone => &self.microphones,
            Side::Speaker => &self.speakers,
        }
    }

    /// The device that `choice` means now; `None` where it means none, or there is no default.
    ///
    /// A monitor is never the default microphone: the assistant would hear itself.
    ///
    /// # Errors
    ///
    /// When a named device is not there, or several are meant.
    pub fn find(&self, side: Side, choice: &Choice) -> Result<Option<&Device>, DeviceError> {
        match choice {
            Choice::None => Ok(None),
            Choice::Default => Ok(self.usual(side)),
            Choice::Named(wanted) => self.named(side, wanted).map(Some),
        }
    }

    pub(super) fn usual(&self, side: Side) -> Option<&Device> {
        let devices = || self.of(side).iter().filter(|device| !device.is_monitor);
        devices()
            .find(|device| device.is_default)
            .or_else(|| devices().next())
    }

    fn named(&self, side: Side, wanted: &str) -> Result<&Device, DeviceError> {
        let devices = self.of(side);
        let number = wanted.parse().ok();
        let exact = devices
            .iter()
            .find(|device| device.name == wanted)
            .or_else(|| devices.iter().find(|device| Some(device.number) == number));
        if let Some(device) = exact {
            return Ok(device);
        }
        let words = wanted.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&words);
        let mut found: Vec<&Device> = devices
            .iter()
            .filter(|device| !words.is_empty() && (has(&device.name) || has(&device.description)))
            .collect();
        // A speaker's monitor has the speaker's words in its name.
        if found.iter().any(|device| !device.is_monitor) {
            found.retain(|device| !device.is_monitor);
        }
        match found[..] {
            [device] => Ok(device),
            [] => Err(DeviceError::Unknown {
                side,
                wanted: wanted.to_owned(),
            }),
            _ => Err(DeviceError::Ambiguous {
                side,
                wanted: wanted.to_owned(),
                found: found.iter().map(|device| device.name.clone()).collect(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: u32, name: &str, description: &str) -> Device {
        Device {
            number,
            name: name.to_owned(),
            description: description.to_owned(),
            is_default: false,
            is_monitor: name.ends_with(".monitor"),
            is_muted: false,
            rate_hz: 48_000,
        }
    }

    fn devices() -> Devices {
        Devices {
            microphones: vec![
                device(0, "card.monitor", "Monitor of Card"),
                device(3, "card.input", "Card's microphone"),
                device(7, "headset.input", "Headset's microphone"),
            ],
            speakers: Vec::new(),
        }
    }

    fn found(wanted: &str) -> Result<u32, String> {
        let choice = wanted.parse().expect("a choice");
        match devices().find(Side::Microphone, &choice) {
            Ok(device) => Ok(device.expect("a device").number),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_device_is_found_by_number_name_or_words() {
        assert_eq!(found("7"), Ok(7));
        assert_eq!(found("card.monitor"), Ok(0));
        assert_eq!(found("HEADSET"), Ok(7));
        assert_eq!(found("card"), Ok(3), "not its monitor");
        assert_eq!(found("monitor of"), Ok(0));
    }

    #[test]
    fn what_is_not_there_or_not_clear_is_said() {
        let unknown = found("9").expect_err("no such number");
        assert!(
            unknown.starts_with("there is no microphone \"9\""),
            "{unknown}"
        );
        let unclear = found("microphone").expect_err("two match");
        assert!(unclear.contains("card.input, headset.input"), "{unclear}");
        assert!(found("").is_err());
    }

    #[test]
    fn the_default_microphone_is_never_a_monitor() {
        let mut devices = devices();
        devices.microphones[0].is_default = true;
        let find = |devices: &Devices| {
            let device = devices.find(Side::Microphone, &Choice::Default);
            device.expect("no error").map(|device| device.number)
        };
        assert_eq!(find(&devices), Some(3));
        devices.microphones[2].is_default = true;
        assert_eq!(find(&devices), Some(7));
        devices.microphones.truncate(1);
        assert_eq!(find(&devices), None);
    }
}
