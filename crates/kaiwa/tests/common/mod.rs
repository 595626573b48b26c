//! Runs the binary the way a person would, on scripted engines.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by test files, none of which needs all of it; in tests a failed unwrap is the message"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use kaiwa_audio::{Clip, WavWriter};
use serde_json::Value;
use tempfile::TempDir;

/// A folder of its own, and the binary in it.
pub struct Bench {
    pub folder: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A command that knows no key, no endpoint and no models of whoever runs the tests.
    pub fn kaiwa(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kaiwa"));
        command
            .current_dir(self.folder.path())
            .env_remove("OPENAI_API_KEY")
            .env_remove("KAIWA_CONFIG")
            .env_remove("KAIWA_URL")
            .env("XDG_CONFIG_HOME", self.path("configuration"))
            .env_remove("KAIWA_MODELS")
            .env_remove("RUST_LOG")
            .env("KAIWA_MODELS_DIR", self.path("models"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// `kaiwa talk` on scripted engines, words as JSON.
    pub fn talk(&self) -> Command {
        let mut command = self.kaiwa();
        command.args(["talk", "--engine", "scripted", "--json"]);
        command
    }

    /// Starts what the configuration relays, with the upstream's key in `REAL_KEY`.
    pub fn relay(&self, arguments: &[&str], key: &str) -> Serving {
        let mut serve = self.kaiwa();
        serve
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("REAL_KEY", key);
        Serving::start(serve)
    }

    /// Speech to the scripted engines' ears: a tone between half seconds of silence.
    pub fn tone(&self, name: &str, rate: u32, channels: u16, seconds: f64) -> PathBuf {
        self.tone_then_silence(name, rate, channels, seconds, 0.5)
    }

    /// The same, with a silence of another length after it.
    pub fn tone_then_silence(
        &self,
        name: &str,
        rate: u32,
        channels: u16,
        seconds: f64,
        after: f64,
    ) -> PathBuf {
        let path = self.path(name);
        let mut writer = WavWriter::create(&path, rate, channels).unwrap();
        let frames = |seconds: f64| (seconds * f64::from(rate)) as usize;
        let quiet = vec![0.0; frames(0.5)];
        let tone: Vec<f32> = (0..frames(seconds))
            .map(|n| 0.3 * (n as f32 * 440.0 * std::f32::consts::TAU / rate as f32).sin())
            .collect();
        for samples in [&quiet, &tone, &vec![0.0; frames(after)]] {
            if channels == 2 {
                writer.write_stereo(samples, samples).unwrap();
            } else {
                writer.write(samples).unwrap();
            }
        }
        writer.finalize().unwrap();
        path
    }
}

/// What a finished command printed, and its exit code.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    /// Asserts the exit code, with everything said where it is another.
    #[track_caller]
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// The JSON lines of stdout.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let lines = self.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }

    /// The texts of all events of a type.
    #[track_caller]
    pub fn texts(&self, kind: &str) -> Vec<String> {
        self.events()
            .iter()
            .filter(|event| event["type"] == kind)
            .map(|event| event["text"].as_str().unwrap_or_default().trim().to_owned())
            .collect()
    }
}

pub fn run(command: &mut Command) -> Ended {
    command.output().unwrap().into()
}

/// Runs a command that reads `input` from stdin.
pub fn run_with(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeding = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap().ok();
    output
}

/// A server that is stopped when the test ends, however it ends.
pub struct Serving {
    child: Child,
    pub address: String,
}

impl Serving {
    /// Starts a server and waits until it says where it listens.
    fn start(mut serve: Command) -> Self {
        let mut serving = Self {
            child: serve.stdout(Stdio::null()).spawn().unwrap(),
            address: String::new(),
        };
        let stderr = BufReader::new(serving.child.stderr.take().unwrap());
        for line in stderr.lines() {
            let line = line.unwrap();
            if let Some((_, rest)) = line.split_once("ws://") {
                rest.split('/')
                    .next()
                    .unwrap()
                    .clone_into(&mut serving.address);
                return serving;
            }
        }
        panic!("the server did not say where it listens");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Starts a scripted server on a free port.
pub fn serve(bench: &Bench, arguments: &[&str]) -> Serving {
    serve_at(bench, "127.0.0.1:0", arguments)
}

/// Starts a scripted server on an address.
pub fn serve_at(bench: &Bench, address: &str, arguments: &[&str]) -> Serving {
    let mut serve = bench.kaiwa();
    serve
        .args(["serve", "--engine", "scripted", "--listen", address])
        .args(arguments)
        .env("GOOD_KEYS", "other, sesame");
    Serving::start(serve)
}

/// Seconds of a recording that are louder than -50 dBFS.
pub fn audible_seconds(path: &Path) -> f64 {
    let clip = Clip::open(path).unwrap();
    let loud = clip
        .samples
        .iter()
        .filter(|sample| sample.abs() > 0.003)
        .count();
    loud as f64 / f64::from(clip.rate_hz)
}
