//! A sound server of its own for a test: no sound card, nothing of the user's.

use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long the daemon may take to start on a busy machine.
const START: Duration = Duration::from_secs(30);

/// A running PulseAudio with no devices but those that are loaded.
pub(crate) struct Daemon {
    child: Child,
    folder: tempfile::TempDir,
}

impl Daemon {
    /// Starts one; `None`, and a line that says so, where there is no PulseAudio.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    pub(crate) fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        match Self::launch(&folder) {
            Ok(child) => Some(Self { child, folder }),
            Err(error) => {
                eprintln!("skipped: no PulseAudio ({error})");
                None
            }
        }
    }

    /// Kills it; it is gone until [`restart`](Self::restart).
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts it again after [`kill`](Self::kill), at the same place and without devices.
    pub(crate) fn restart(&mut self) {
        self.child = Self::launch(&self.folder).expect("it starts as before");
    }

    fn launch(folder: &tempfile::TempDir) -> io::Result<Child> {
        let mut daemon = Self::command("pulseaudio", folder);
        daemon
            .args([
                "-n",
                "--daemonize=no",
                "--use-pid-file=no",
                "--disable-shm=yes",
            ])
            .args(["--exit-idle-time=-1", "--high-priority=no", "--realtime=no"])
            .args(["--log-target=stderr", "--log-level=info", "-L"])
            .arg(format!(
                "module-native-protocol-unix auth-anonymous=1 socket={}",
                folder.path().join("native").display()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = daemon.spawn()?;
        let log = BufReader::new(child.stderr.take().expect("a log"));
        let (started, wait) = mpsc::channel();
        thread::spawn(move || {
            // Reads to the end, so that the daemon never waits for its log to be read.
            for line in log.lines().map_while(Result::ok) {
                if line.contains("Daemon startup complete") {
                    let _ = started.send(());
                }
            }
        });
        wait.recv_timeout(START).expect("the daemon starts");
        Ok(child)
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("native")
    }

    /// Runs `pactl`.
    pub(crate) fn control(&self, arguments: &[&str]) -> String {
        let output = Self::command("pactl", &self.folder)
            .arg(format!("--server=unix:{}", self.socket().display()))
            .args(arguments)
            .output()
            .expect("pactl of the package pulseaudio-utils");
        assert!(output.status.success(), "pactl {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Plugs in a speaker; gives what [`unplug`](Self::unplug) takes.
    pub(crate) fn speaker(&self, name: &str) -> String {
        self.control(&[
            "load-module",
            "module-null-sink",
            &format!("sink_name={name}"),
            "rate=24000",
            "channels=1",
            &format!("sink_properties=device.description={name}"),
        ])
    }

    /// Plugs in a microphone that hears what is played on a speaker.
    pub(crate) fn microphone(&self, name: &str, speaker: &str) -> String {
        self.control(&[
            "load-module",
            "module-remap-source",
            &format!("source_name={name}"),
            &format!("master={speaker}.monitor"),
            &format!("source_properties=device.description={name}"),
        ])
    }

    /// Unplugs a device.
    pub(crate) fn unplug(&self, module: &str) {
        self.control(&["unload-module", module]);
    }

    /// A player or a recorder of raw s16le mono sound at 24 kHz on a device.
    pub(crate) fn pipe(&self, program: &str, device: &str) -> Command {
        let mut command = Self::command(program, &self.folder);
        command
            .arg(format!("--server=unix:{}", self.socket().display()))
            .arg(format!("--device={device}"))
            .args(["--raw", "--rate=24000", "--channels=1", "--format=s16le"])
            .arg("--latency-msec=20")
            .stderr(Stdio::null());
        command
    }

    fn command(program: &str, folder: &tempfile::TempDir) -> Command {
        let mut command = Command::new(program);
        for variable in ["HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH"] {
            command.env(variable, folder.path());
        }
        command.env_remove("PULSE_SERVER");
        command
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
