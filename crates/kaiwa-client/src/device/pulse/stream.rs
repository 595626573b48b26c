//! Devices and streams, as the server's questions and answers have them.

use std::ffi::CString;
use std::time::SystemTime;

use kaiwa_audio::WIRE_RATE_HZ;
use pulseaudio::protocol::stream::{BufferAttr, StreamFlags};
use pulseaudio::protocol::{
    ChannelMap, Command, CorkStreamParams, CreatePlaybackStreamReply, CreateRecordStreamReply,
    LatencyParams, MoveStreamParams, PlaybackLatency, PlaybackStreamParams, Prop, Props,
    RecordStreamParams, SampleFormat, SampleSpec, ServerInfo, SetPlaybackStreamBufferAttrParams,
    SetPlaybackStreamBufferAttrReply, SinkInfo, SourceInfo,
};

use super::wire::{Connection, Trouble};
use crate::device::{Device, Devices, Side};

/// No channel: the server counts them from zero, and this one is its own.
pub(super) const NO_CHANNEL: u32 = u32::MAX;

/// Bytes of a ms at 24 kHz, mono, 16 bits.
pub(super) const BYTES_MS: u32 = 2 * WIRE_RATE_HZ / 1000;
/// What the server gives of the microphone at once, in ms. Half a tick: a whole one would
/// wait up to 20 ms in the server.
const FRAGMENT_MS: u32 = 10;
/// The least the speaker asks for, in ms. Half a tick, so that a tick's end is known 10 ms late
/// at most.
const REQUEST_MS: u32 = 10;

const SPEC: SampleSpec = SampleSpec {
    format: SampleFormat::S16Le,
    channels: 1,
    sample_rate: WIRE_RATE_HZ,
};

/// A stream at the server.
#[derive(Debug)]
pub(super) struct Stream {
    /// Its name in this connection.
    pub(super) channel: u32,
    /// The server's number of it.
    index: u32,
    /// The number of the device that it was meant for.
    pub(super) meant: u32,
    /// The number of the device that it is on.
    pub(super) device: u32,
    /// What the server keeps of the speaker's sound, in bytes.
    buffer: u32,
}

/// The devices there are.
pub(super) fn devices(connection: &mut Connection) -> Result<Devices, Trouble> {
    let server: ServerInfo = connection.ask(&Command::GetServerInfo)?;
    let sinks: Vec<SinkInfo> = connection.ask(&Command::GetSinkInfoList)?;
    let sources: Vec<SourceInfo> = connection.ask(&Command::GetSourceInfoList)?;
    let device =
        |number, name: CString, description: Option<CString>, default: &Option<CString>| {
            let text = |text: &CString| text.to_string_lossy().into_owned();
            Device {
                number,
                is_default: default.as_ref() == Some(&name),
                description: description.as_ref().map_or_else(|| text(&name), text),
                name: text(&name),
                is_monitor: false,
                is_muted: false,
                rate_hz: 0,
            }
        };
    let speakers = sinks.into_iter().map(|sink| Device {
        is_muted: sink.muted,
        rate_hz: sink.sample_spec.sample_rate,
        ..device(
            sink.index,
            sink.name,
            sink.description,
            &server.default_sink_name,
        )
    });
    let microphones = sources.into_iter().map(|source| Device {
        is_monitor: source.monitor_of_sink_index.is_some(),
        is_muted: source.muted,
        rate_hz: source.sample_spec.sample_rate,
        ..device(
            source.index,
            source.name,
            source.description,
            &server.default_source_name,
        )
    });
    Ok(Devices {
        microphones: microphones.collect(),
        speakers: speakers.collect(),
    })
}

impl Stream {
    /// Listens on a microphone.
    pub(super) fn record(connection: &mut Connection, device: u32) -> Result<Self, Trouble> {
        let reply: CreateRecordStreamReply =
            connection.ask(&Command::CreateRecordStream(RecordStreamParams {
                sample_spec: SPEC,
                channel_map: ChannelMap::mono(),
                source_index: Some(device),
                buffer_attr: BufferAttr {
                    fragment_size: FRAGMENT_MS * BYTES_MS,
                    ..BufferAttr::default()
                },
                flags: StreamFlags {
                    adjust_latency: true,
                    ..StreamFlags::default()
                },
                props: named(),
                ..RecordStreamParams::default()
            }))?;
        Ok(Self {
            channel: reply.channel,
            index: reply.stream_index,
            meant: device,
            device,
            buffer: 0,
        })
    }

    /// Prepares to play on a speaker, with so many ms between here and the ear, and gives the
    /// samples of silence to begin with. It stands still until [`run`](Self::run).
    pub(super) fn play(
        connection: &mut Connection,
        device: u32,
        latency_ms: u32,
    ) -> Result<(Self, u64), Trouble> {
        let reply: CreatePlaybackStreamReply =
            connection.ask(&Command::CreatePlaybackStream(PlaybackStreamParams {
                sample_spec: SPEC,
                channel_map: ChannelMap::mono(),
                sink_index: Some(device),
                buffer_attr: buffer(latency_ms),
                flags: StreamFlags {
                    adjust_latency: true,
                    start_corked: true,
                    ..StreamFlags::default()
                },
                props: named(),
                ..PlaybackStreamParams::default()
            }))?;
        let stream = Self {
            channel: reply.channel,
            index: reply.stream_index,
            meant: device,
            device,
            buffer: reply.buffer_attr.target_length,
        };
        Ok((stream, u64::from(reply.requested_bytes / 2)))
    }

    /// Lets a speaker's stream run.
    pub(super) fn run(&self, connection: &mut Connection) -> Result<(), Trouble> {
        connection.tell(&Command::CorkPlaybackStream(CorkStreamParams {
            channel: self.channel,
            cork: false,
        }))
    }

    /// Puts it on another device.
    pub(super) fn move_to(
        &mut self,
        connection: &mut Connection,
        side: Side,
        device: u32,
    ) -> Result<(), Trouble> {
        let to = MoveStreamParams {
            index: Some(self.index),
            device_index: Some(device),
            device_name: None,
        };
        connection.tell(&match side {
            Side::Microphone => Command::MoveSourceOutput(to),
            Side::Speaker => Command::MoveSinkInput(to),
        })?;
        self.device = device;
        Ok(())
    }

    /// Ends it.
    pub(super) fn delete(self, connection: &mut Connection, side: Side) -> Result<(), Trouble> {
        let gone = connection.tell(&match side {
            Side::Microphone => Command::DeleteRecordStream(self.channel),
            Side::Speaker => Command::DeletePlaybackStream(self.channel),
        });
        match gone {
            // It was gone already.
            Err(Trouble::Refused(_)) => Ok(()),
            gone => gone,
        }
    }

    /// Asks for another latency, and gives the samples by which the server's buffer has grown.
    pub(super) fn set_latency(
        &mut self,
        connection: &mut Connection,
        latency_ms: u32,
    ) -> Result<u64, Trouble> {
        let reply: SetPlaybackStreamBufferAttrReply = connection.ask(
            &Command::SetPlaybackStreamBufferAttr(SetPlaybackStreamBufferAttrParams {
                index: self.channel,
                buffer_attr: buffer(latency_ms),
                adjust_latency: true,
                early_requests: false,
            }),
        )?;
        let before = std::mem::replace(&mut self.buffer, reply.buffer_attr.target_length);
        Ok(u64::from(self.buffer.saturating_sub(before) / 2))
    }

    /// Samples between what the server was given and what is audible.
    pub(super) fn latency(&self, connection: &mut Connection) -> Result<u64, Trouble> {
        let timing: PlaybackLatency =
            connection.ask(&Command::GetPlaybackLatency(LatencyParams {
                channel: self.channel,
                now: SystemTime::now(),
            }))?;
        let buffered = (timing.write_offset - timing.read_offset).max(0) as u64 / 2;
        Ok(buffered + timing.sink_usec * u64::from(WIRE_RATE_HZ) / 1_000_000)
    }
}

/// The server's buffer of a speaker with so many ms between here and the ear. Without
/// prebuffering: a speaker that runs out goes on with silence, so that its clock never stops,
/// and what comes late is not heard late.
fn buffer(latency_ms: u32) -> BufferAttr {
    BufferAttr {
        target_length: latency_ms * BYTES_MS,
        pre_buffering: 0,
        minimum_request_length: REQUEST_MS * BYTES_MS,
        ..BufferAttr::default()
    }
}

fn named() -> Props {
    let mut props = Props::new();
    props.set(Prop::MediaName, c"conversation");
    props
}
