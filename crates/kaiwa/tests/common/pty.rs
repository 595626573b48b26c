//! A program on a terminal, and the person at it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by test files, none of which needs all of it; in tests a failed unwrap is the message"
)]

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::{
        fd::OwnedFd,
        unix::{fs::OpenOptionsExt, process::CommandExt},
    },
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread::{self, JoinHandle},
};

use rustix::{
    fs::OFlags,
    process::{Pid, Signal, WaitOptions, kill_process, waitpid},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Termios, Winsize, tcgetattr, tcsetwinsize},
};

/// To the other screen, and back.
pub const ENTER: &str = "\u{1b}[?1049h";
pub const LEAVE: &str = "\u{1b}[?1049l";

/// A program on a terminal of 80 columns and 24 rows. It ends with the test, however that ends.
pub struct Pty {
    child: Child,
    /// The end at which a person sits.
    keyboard: File,
    before: Termios,
    page: Arc<(Mutex<Page>, Condvar)>,
    reading: Option<JoinHandle<()>>,
    /// Bytes of the page that were waited for.
    seen: usize,
}

#[derive(Default)]
struct Page {
    bytes: Vec<u8>,
    /// Nobody writes any more.
    ended: bool,
}

impl Pty {
    pub fn spawn(mut command: Command) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&ours, size).unwrap();
        let before = tcgetattr(&ours).unwrap();
        let path = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let theirs = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true);
            options.custom_flags(OFlags::NOCTTY.bits().cast_signed());
            Stdio::from(OwnedFd::from(options.open(&path).unwrap()))
        };
        command
            .env("TERM", "xterm-256color")
            .stdin(theirs())
            .stdout(theirs())
            .stderr(theirs())
            // A job of its own, as a shell would make it: a pause is not to stop the tests.
            .process_group(0);
        let child = command.spawn().unwrap();
        // The command has the terminal open, too; without it the program's end is the page's.
        drop(command);
        let keyboard = File::from(ours);
        let page = Arc::<(Mutex<Page>, Condvar)>::default();
        let (mut screen, shared) = (keyboard.try_clone().unwrap(), Arc::clone(&page));
        let reading = thread::spawn(move || {
            let mut bytes = [0; 4096];
            // That nobody writes any more is an error on Linux.
            while let Ok(read @ 1..) = screen.read(&mut bytes) {
                shared.0.lock().unwrap().bytes.extend(&bytes[..read]);
                shared.1.notify_all();
            }
            shared.0.lock().unwrap().ended = true;
            shared.1.notify_all();
        });
        Self {
            child,
            keyboard,
            before,
            page,
            reading: Some(reading),
            seen: 0,
        }
    }

    /// Waits until this has been written, after what was waited for last.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let mut page = self.page.0.lock().unwrap();
        loop {
            let mut rest = page.bytes[self.seen..].windows(text.len());
            if let Some(at) = rest.position(|bytes| bytes == text.as_bytes()) {
                self.seen += at + text.len();
                return;
            }
            let written = String::from_utf8_lossy(&page.bytes);
            assert!(!page.ended, "{text:?} did not come: {written:?}");
            page = self.page.1.wait(page).unwrap();
        }
    }

    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    pub fn tell(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits until the program has been stopped.
    #[track_caller]
    pub fn wait_until_stopped(&self) {
        let changed = waitpid(Some(self.pid()), WaitOptions::UNTRACED).unwrap();
        let (_, status) = changed.unwrap();
        assert!(status.stopped(), "{status:?}");
    }

    /// Whether the terminal treats keys and lines as it did before the program.
    pub fn is_as_before(&self) -> bool {
        let now = tcgetattr(&self.keyboard).unwrap();
        let [now, before] = [&now, &self.before].map(|termios| {
            (
                termios.input_modes,
                termios.output_modes,
                termios.control_modes,
                termios.local_modes,
            )
        });
        now == before
    }

    /// Waits for the program's end, and asserts its code and that the terminal is as it was. Gives
    /// what the program wrote then.
    #[track_caller]
    pub fn given_back(mut self, code: i32) -> String {
        let status = self.child.wait().unwrap();
        assert!(self.is_as_before());
        self.reading.take().unwrap().join().unwrap();
        let page = self.page.0.lock().unwrap();
        let all = String::from_utf8_lossy(&page.bytes);
        assert_eq!(status.code(), Some(code), "{all:?}");
        // The other screen, pasted text in brackets, the cursor: `h` is on, `l` is off.
        for (mode, last) in [("?1049", 'l'), ("?2004", 'l'), ("?25", 'h')] {
            let (_, after) = all.rsplit_once(&["\u{1b}[", mode].concat()).unwrap();
            assert!(after.starts_with(last), "{mode}: {all:?}");
        }
        let (_, after) = all.rsplit_once(LEAVE).unwrap();
        after.to_owned()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
