//! `kaiwa devices`: where one can be heard.

use kaiwa_client::{
    DeviceConfig, DeviceError, Side,
    device::{Device, devices},
};

use crate::{
    cli::DevicesArgs,
    exit::{Code, Exit},
    output::{json_line, line},
};

pub(crate) fn run(arguments: &DevicesArgs) -> Result<(), Exit> {
    let devices = devices(&DeviceConfig::default())?;
    if arguments.json {
        return json_line(&devices);
    }
    for (title, side) in [
        ("Microphones (--mic)", Side::Microphone),
        ("Speakers (--speaker)", Side::Speaker),
    ] {
        line(title)?;
        let devices = devices.of(side);
        if devices.is_empty() {
            line("  none")?;
        }
        for device in devices {
            list(device)?;
        }
    }
    Ok(())
}

fn list(device: &Device) -> Result<(), Exit> {
    let remark = match (device.is_default, device.is_monitor) {
        (true, false) => "  (default)",
        // Never the default for us: see `docs/devices.md`.
        (_, true) => "  (hears what a speaker plays)",
        (false, false) => "",
    };
    line(format_args!(
        "  {:>4}  {}{remark}\n        {}",
        device.number, device.description, device.name
    ))
}

impl From<DeviceError> for Exit {
    fn from(error: DeviceError) -> Self {
        Self::new(Code::Device, error)
    }
}
