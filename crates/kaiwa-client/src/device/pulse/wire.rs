//! The connection: one thread reads, one writes, and the supervisor asks.

use std::ffi::CString;
use std::io::{BufReader, Cursor, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use kaiwa_audio::pcm;
use pulseaudio::protocol::{
    self, AuthParams, AuthReply, Command, CommandReply, DESCRIPTOR_SIZE, Descriptor,
    DescriptorFlags, MAX_VERSION, Prop, Props, ProtocolError, PulseError, SetClientNameReply,
    TagStructReader,
};

use crate::card::{Frame, TICK};
use crate::device::DeviceError;
use crate::device::backend::spawn;

/// Bytes of the secret by which a server knows its user's programs (`PA_NATIVE_COOKIE_LENGTH`).
const COOKIE: usize = 256;
/// How long the server may take to answer. A healthy one takes less than a ms.
const ANSWER: Duration = Duration::from_secs(3);
/// What may wait to be written: 64 ticks are more than any server's buffer here.
const WAITING: usize = 64;
/// Bytes of a message beyond which the server is broken: its own bound on blocks of sound.
const LONGEST: usize = protocol::MAX_MEMBLOCKQ_LENGTH;
/// The channel of everything that is not sound.
const CONTROL: u32 = u32::MAX;

/// What the server says by itself.
pub(super) enum Said<'a> {
    /// Something about streams or devices.
    Command(&'a Command),
    /// Nothing any more.
    Lost,
    /// What the microphone of a channel heard.
    Sound { channel: u32, bytes: &'a [u8] },
}

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection is of no use any more.
    Lost(String),
    /// The server refuses what was asked for.
    Refused(PulseError),
}

impl From<Trouble> for DeviceError {
    fn from(trouble: Trouble) -> Self {
        Self::Broken(match trouble {
            Trouble::Lost(why) => why,
            Trouble::Refused(error) => error.to_string(),
        })
    }
}

/// What is to be written.
#[expect(
    clippy::large_enum_variant,
    reason = "the queue has its memory from the beginning, and a tick allocates nothing"
)]
enum Out {
    Command(Vec<u8>),
    Frame { channel: u32, frame: Frame },
    Silence { channel: u32, samples: usize },
}

/// Gives sound to the server without ever waiting.
#[derive(Clone, Debug)]
pub(super) struct Player(SyncSender<Out>);

impl Player {
    pub(super) fn play(&self, channel: u32, frame: &Frame) {
        self.send(Out::Frame {
            channel,
            frame: *frame,
        });
    }

    pub(super) fn silence(&self, channel: u32, samples: u64) {
        // No stretch of silence is longer than what is forgiven, but no memory depends on it.
        let samples = usize::try_from(samples)
            .unwrap_or(usize::MAX)
            .min(LONGEST / 4);
        self.send(Out::Silence { channel, samples });
    }

    fn send(&self, out: Out) {
        if let Err(TrySendError::Full(_)) = self.0.try_send(out) {
            tracing::debug!("the sound server does not take what is played");
        }
    }
}

/// A connection to the server.
pub(super) struct Connection {
    out: SyncSender<Out>,
    replies: Receiver<(u32, Result<Vec<u8>, PulseError>)>,
    socket: UnixStream,
    version: u16,
    next: u32,
}

impl Connection {
    /// Connects; `hear` is called from the reading thread until it has heard [`Said::Lost`].
    pub(super) fn open(
        server: Option<&Path>,
        hear: impl FnMut(&Player, Said<'_>) + Send + 'static,
    ) -> Result<Self, DeviceError> {
        let path = match server {
            Some(path) => path.to_owned(),
            None => socket_path()?,
        };
        let no_server = |reason: String| DeviceError::NoServer {
            reason: Some(format!("{}: {reason}", path.display())),
        };
        let socket = UnixStream::connect(&path).map_err(|error| no_server(error.to_string()))?;
        let version = greet(&socket).map_err(|error| match error {
            ProtocolError::ServerError(PulseError::AccessDenied) => {
                no_server("it belongs to another user".to_owned())
            }
            error => DeviceError::Broken(error.to_string()),
        })?;
        let clone = || socket.try_clone().map_err(DeviceError::Thread);
        let (out, orders) = sync_channel(WAITING);
        let (answers, replies) = sync_channel(WAITING);
        let (reading, writing) = (clone()?, clone()?);
        let player = Player(out.clone());
        let reader = Reader {
            socket: BufReader::new(reading),
            version,
            answers,
            player,
        };
        spawn("kaiwa-sound-in", move || reader.run(hear))?;
        spawn("kaiwa-sound-out", move || write(writing, &orders))?;
        Ok(Self {
            out,
            replies,
            socket,
            version,
            next: 2,
        })
    }

    pub(super) fn player(&self) -> Player {
        Player(self.out.clone())
    }

    /// Asks for something and waits for the answer.
    pub(super) fn ask<R: CommandReply>(&mut self, command: &Command) -> Result<R, Trouble> {
        let bytes = self.roundtrip(command)?;
        let mut cursor = Cursor::new(bytes.as_slice());
        TagStructReader::new(&mut cursor, self.version)
            .read()
            .map_err(|error| Trouble::Lost(error.to_string()))
    }

    /// Asks for something to be done and waits until it is.
    pub(super) fn tell(&mut self, command: &Command) -> Result<(), Trouble> {
        self.roundtrip(command).map(drop)
    }

    fn roundtrip(&mut self, command: &Command) -> Result<Vec<u8>, Trouble> {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        let mut bytes = Vec::new();
        protocol::write_command_message(&mut bytes, id, command, self.version)
            .map_err(|error| Trouble::Lost(error.to_string()))?;
        let lost = || Trouble::Lost("the connection broke".to_owned());
        self.out.try_send(Out::Command(bytes)).map_err(|_| lost())?;
        let deadline = Instant::now() + ANSWER;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.replies.recv_timeout(left) {
                Ok((of, reply)) if of == id => return reply.map_err(Trouble::Refused),
                // The answer to a question that was given up.
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(lost()),
                Err(RecvTimeoutError::Timeout) => {
                    let why = format!("no answer within {} s", ANSWER.as_secs());
                    return Err(Trouble::Lost(why));
                }
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Ends both threads, and with them the server's side of every stream.
        if let Err(error) = self.socket.shutdown(Shutdown::Both) {
            tracing::trace!(%error, "the sound server had closed");
        }
    }
}

/// Where the server listens, by the same rules as its own clients.
fn socket_path() -> Result<PathBuf, DeviceError> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(server) = set("PULSE_SERVER") {
        // May begin with the machine it is meant for, as in `{id}unix:/path`.
        let address = server.split_once('}').map_or(&*server, |(_, rest)| rest);
        let path = address.strip_prefix("unix:").unwrap_or(address);
        return match path.starts_with('/') {
            true => Ok(path.into()),
            false => Err(DeviceError::NoServer {
                reason: Some(format!(
                    "PULSE_SERVER is {server:?}, and only sockets of this machine can be used"
                )),
            }),
        };
    }
    let candidates = [
        set("PULSE_RUNTIME_PATH").map(|path| Path::new(&path).join("native")),
        set("XDG_RUNTIME_DIR").map(|path| Path::new(&path).join("pulse/native")),
        Some("/run/pulse/native".into()),
    ];
    let found = candidates.into_iter().flatten().find(|path| path.exists());
    found.ok_or(DeviceError::NoServer { reason: None })
}

/// Says who we are; gives the version of the protocol.
fn greet(socket: &UnixStream) -> Result<u16, ProtocolError> {
    socket.set_read_timeout(Some(ANSWER))?;
    socket.set_write_timeout(Some(ANSWER))?;
    let cookie = pulseaudio::cookie_path_from_env().and_then(|path| std::fs::read(path).ok());
    // Servers that let us in without one still want one of its length.
    let mut cookie = cookie.unwrap_or_default();
    cookie.resize(COOKIE, 0);
    let mut reader = BufReader::new(socket);
    let mut writer = socket;
    let auth = Command::Auth(AuthParams {
        version: MAX_VERSION,
        supports_shm: false,
        supports_memfd: false,
        cookie,
    });
    protocol::write_command_message(&mut writer, 0, &auth, MAX_VERSION)?;
    let (_, reply) = protocol::read_reply_message::<AuthReply>(&mut reader, MAX_VERSION)?;
    let version = reply.version.min(MAX_VERSION);
    let mut props = Props::new();
    props.set(Prop::ApplicationName, c"kaiwa");
    if let Ok(id) = CString::new(std::process::id().to_string()) {
        props.set(Prop::ApplicationProcessId, id);
    }
    let name = Command::SetClientName(props);
    protocol::write_command_message(&mut writer, 1, &name, version)?;
    protocol::read_reply_message::<SetClientNameReply>(&mut reader, version)?;
    // From now on silence is no fault. A server that stops reading is found by its silence.
    socket.set_read_timeout(None)?;
    socket.set_write_timeout(None)?;
    Ok(version)
}

struct Reader {
    socket: BufReader<UnixStream>,
    version: u16,
    answers: SyncSender<(u32, Result<Vec<u8>, PulseError>)>,
    player: Player,
}

impl Reader {
    fn run(mut self, mut hear: impl FnMut(&Player, Said<'_>)) {
        if let Err(error) = self.read(&mut hear) {
            tracing::debug!(%error, "the sound server is gone");
        }
        let Self {
            answers, player, ..
        } = self;
        // Whoever waits for an answer is told before whoever waits for news.
        drop(answers);
        hear(&player, Said::Lost);
    }

    fn read(&mut self, hear: &mut impl FnMut(&Player, Said<'_>)) -> Result<(), ProtocolError> {
        let mut message = Vec::new();
        loop {
            let Descriptor {
                length, channel, ..
            } = protocol::read_descriptor(&mut self.socket)?;
            let length = length as usize;
            if length > LONGEST {
                return Err(ProtocolError::Invalid(format!(
                    "a message of {length} bytes"
                )));
            }
            message.resize(length, 0);
            self.socket.read_exact(&mut message)?;
            if channel != CONTROL {
                let bytes = &message;
                hear(&self.player, Said::Sound { channel, bytes });
                continue;
            }
            let mut cursor = Cursor::new(message.as_slice());
            let answer = match Command::read_tag_prefixed(&mut cursor, self.version) {
                Ok((id, Command::Reply)) => {
                    let at = cursor.position() as usize;
                    (id, Ok(message.get(at..).unwrap_or_default().to_vec()))
                }
                Ok((id, Command::Error(error))) => (id, Err(error)),
                Ok((_, command)) => {
                    hear(&self.player, Said::Command(&command));
                    continue;
                }
                // News of a kind that is unknown here does not concern us.
                Err(error) => {
                    tracing::debug!(%error, "the sound server says something unknown");
                    continue;
                }
            };
            // Every question waits for its answer, so there is room, or nobody waits.
            if self.answers.try_send(answer).is_err() {
                tracing::debug!("an answer of the sound server came too late");
            }
        }
    }
}

/// Writes until the connection or the last of its users is gone.
fn write(mut socket: UnixStream, orders: &Receiver<Out>) {
    let mut bytes = Vec::with_capacity(DESCRIPTOR_SIZE + 2 * TICK);
    for order in orders {
        bytes.clear();
        bytes.resize(DESCRIPTOR_SIZE, 0);
        let channel = match order {
            Out::Command(command) => {
                bytes = command;
                None
            }
            Out::Frame { channel, frame } => {
                pcm::encode(&frame, &mut bytes);
                Some(channel)
            }
            Out::Silence { channel, samples } => {
                bytes.resize(DESCRIPTOR_SIZE + 2 * samples, 0);
                Some(channel)
            }
        };
        if let Some(channel) = channel {
            let descriptor = Descriptor {
                length: (bytes.len() - DESCRIPTOR_SIZE) as u32,
                channel,
                offset: 0,
                flags: DescriptorFlags::empty(),
            };
            if let Some(header) = bytes.first_chunk_mut() {
                protocol::encode_descriptor(header, &descriptor);
            }
        }
        if let Err(error) = socket.write_all(&bytes) {
            tracing::debug!(%error, "the sound server does not listen");
            return;
        }
    }
}
