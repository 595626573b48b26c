//! Which device a side is meant to use, and what people know of it.

use super::line::Line;
use super::{Choice, Device, DeviceChange, DeviceError, DeviceNotice, Devices, Side};

/// One side of a card, as whoever follows the devices knows it.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) side: Side,
    /// A named device is named in full.
    pub(super) choice: Choice,
    /// The device that people were told of last.
    device: Option<Device>,
}

impl Told {
    pub(super) fn new(side: Side, choice: &Choice) -> Self {
        Self {
            side,
            choice: choice.clone(),
            device: None,
        }
    }

    /// Finds the devices to begin with, and says which default is missing.
    ///
    /// # Errors
    ///
    /// When a named device is not there or not clear, or there is no device at all.
    pub(super) fn begin(
        sides: [&mut Self; 2],
        devices: &Devices,
        line: &Line,
    ) -> Result<(), DeviceError> {
        let mut missing = Vec::new();
        for told in sides {
            let device = devices.find(told.side, &told.choice)?;
            told.device = device.cloned();
            match (&told.choice, device) {
                (Choice::Named(_), Some(device)) => {
                    told.choice = Choice::Named(device.name.clone());
                }
                (Choice::Default, None) => missing.push(told.side),
                _ => {}
            }
        }
        if missing.len() == 2 {
            return Err(DeviceError::NoDevices);
        }
        for side in missing {
            line.notice(DeviceNotice {
                side,
                change: DeviceChange::Gone,
                device: None,
            });
        }
        Ok(())
    }

    /// The device that is meant now. While a named one is gone, the default stands in.
    pub(super) fn meant<'a>(&self, devices: &'a Devices) -> Option<&'a Device> {
        let named = match &self.choice {
            Choice::None => return None,
            Choice::Default => None,
            Choice::Named(name) => devices
                .of(self.side)
                .iter()
                .find(|device| device.name == *name),
        };
        named.or_else(|| devices.usual(self.side))
    }

    /// Tells people when another device is used than they know of.
    pub(super) fn tell(&mut self, line: &Line, device: Option<&Device>, devices: &Devices) {
        let name = |device: Option<&Device>| device.map(|device| device.name.clone());
        if name(device) == name(self.device.as_ref()) {
            return;
        }
        let is_there = |told: &Device| {
            let mut all = devices.of(self.side).iter();
            all.any(|device| device.name == told.name)
        };
        let change = match (&self.device, device) {
            (None, Some(_)) => DeviceChange::Back,
            (Some(_), Some(new)) if self.choice == Choice::Named(new.name.clone()) => {
                DeviceChange::Back
            }
            (Some(told), Some(_)) if is_there(told) => DeviceChange::Moved,
            _ => DeviceChange::Gone,
        };
        line.notice(DeviceNotice {
            side: self.side,
            change,
            device: device.map(|device| device.description.clone()),
        });
        self.device = device.cloned();
    }
}
