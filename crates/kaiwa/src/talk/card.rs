//! The conversation's sound card: files and pipes, or a microphone and a speaker.

use kaiwa_audio::echo::{NoiseReduction, VoiceOptions};
use kaiwa_client::{
    CardError, Choice, DeviceCard, DeviceConfig, DeviceNotice, FileCard, MicState, Pace, Side,
    SoundCard,
    card::{CleanCard, Frame},
    device,
};

use crate::{
    cli::{Noise, TalkArgs},
    exit::Exit,
};

/// Either kind of card.
pub(super) enum Card {
    Devices(CleanCard<DeviceCard>),
    File(FileCard),
}

/// Opened devices, and what the flags say of them.
pub(super) struct Devices {
    pub(super) card: DeviceCard,
    pub(super) microphone: Choice,
    pub(super) speaker: Choice,
}

impl Devices {
    /// The names of the microphone and the speaker for people, as far as there are such.
    pub(super) fn names(&self) -> (Option<String>, Option<String>) {
        let all = device::devices(&DeviceConfig::default()).unwrap_or_default();
        let name = |side, choice: &Choice| {
            if *choice == Choice::None {
                return None;
            }
            let found = all.find(side, choice).ok().flatten();
            Some(match (found, choice) {
                (Some(device), _) => device.description.clone(),
                (None, Choice::Named(name)) => name.clone(),
                (None, _) => format!("the default {side}"),
            })
        };
        (
            name(Side::Microphone, &self.microphone),
            name(Side::Speaker, &self.speaker),
        )
    }
}

/// Opens the devices that the flags ask for. A person at a terminal who asks for nothing gets
/// the default ones; who names none, goes on typing where there are none, and is told why.
pub(super) fn devices(
    arguments: &TalkArgs,
    at_terminal: bool,
) -> Result<(Option<Devices>, Option<String>), Exit> {
    let asked = arguments.mic.is_some() || arguments.speaker.is_some();
    if !asked && !at_terminal {
        return Ok((None, None));
    }
    let config = device_config(arguments);
    if (&config.microphone, &config.speaker) == (&Choice::None, &Choice::None) {
        return Ok((None, None));
    }
    match DeviceCard::open(&config) {
        Ok(card) => {
            let devices = Devices {
                card,
                microphone: config.microphone,
                speaker: config.speaker,
            };
            Ok((Some(devices), None))
        }
        Err(error) if !at_terminal || config.names_a_device() => Err(error.into()),
        Err(error) => Ok((None, Some(format!("Nothing can be heard: {error}.")))),
    }
}

/// The devices that the flags ask for.
pub(crate) fn device_config(arguments: &TalkArgs) -> DeviceConfig {
    let mut config = DeviceConfig::default();
    // What is typed beforehand is all that is said.
    let unless_asked = match arguments.text.is_empty() {
        true => Choice::Default,
        false => Choice::None,
    };
    config.microphone = arguments.mic.clone().unwrap_or(unless_asked);
    config.speaker = arguments.speaker.clone().unwrap_or_default();
    config
}

/// What is done to what the microphone hears.
pub(crate) fn voice(arguments: &TalkArgs) -> VoiceOptions {
    VoiceOptions {
        echo_cancellation: !arguments.no_aec,
        noise_reduction: match arguments.noise {
            Noise::Near => NoiseReduction::Near,
            Noise::Far => NoiseReduction::Far,
            Noise::Off => NoiseReduction::Off,
        },
        ..VoiceOptions::default()
    }
}

impl SoundCard for Card {
    fn play(&mut self, frame: Option<&Frame>) -> Result<(), CardError> {
        match self {
            Self::Devices(card) => card.play(frame),
            Self::File(card) => card.play(frame),
        }
    }

    async fn capture(&mut self, frame: &mut Frame) -> Result<(), CardError> {
        match self {
            Self::Devices(card) => card.capture(frame).await,
            Self::File(card) => card.capture(frame).await,
        }
    }

    fn mic(&self) -> MicState {
        match self {
            Self::Devices(card) => card.mic(),
            Self::File(card) => card.mic(),
        }
    }

    fn pace(&self) -> Pace {
        match self {
            Self::Devices(card) => card.pace(),
            Self::File(card) => card.pace(),
        }
    }

    fn position(&self) -> u64 {
        match self {
            Self::Devices(card) => card.position(),
            Self::File(card) => card.position(),
        }
    }

    fn output_latency(&self) -> u64 {
        match self {
            Self::Devices(card) => card.output_latency(),
            Self::File(card) => card.output_latency(),
        }
    }

    fn notice(&mut self) -> Option<DeviceNotice> {
        match self {
            Self::Devices(card) => card.notice(),
            Self::File(card) => card.notice(),
        }
    }

    async fn finish(&mut self) -> Result<(), CardError> {
        match self {
            Self::Devices(card) => card.finish().await,
            Self::File(card) => card.finish().await,
        }
    }
}
