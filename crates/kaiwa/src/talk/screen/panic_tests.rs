use std::{
    env,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    thread,
};

use clap::Parser;

use super::pty::{ENTER, LEAVE, Pty};
use crate::{
    block_on,
    cli::{self, Cli},
    exit::Code,
    output, talk,
};

/// Where the one waits that is to panic.
const FUSE: &str = "KAIWA_TEST_FUSE";

#[test]
fn a_panic_anywhere_is_read_and_ends_the_conversation() {
    let fuse = TcpListener::bind("127.0.0.1:0").expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let mut half = Command::new(env::current_exe().expect("this test"));
    half.args(["--ignored", "--nocapture", "--exact"])
        .arg("talk::screen::panic_tests::the_half_on_a_terminal")
        .env(FUSE, fuse.local_addr().expect("an address").to_string())
        .env_remove("KAIWA_CONFIG")
        .env_remove("KAIWA_URL")
        .env_remove("RUST_LOG")
        .current_dir(folder.path());
    let mut terminal = Pty::spawn(half);
    let (mut fuse, _) = fuse.accept().expect("who is to panic");
    terminal.wait_for(ENTER);
    terminal.wait_for("ready; type");
    fuse.write_all(&[0]).expect("the other half waits");
    terminal.wait_for(LEAVE);
    let left = terminal.given_back(0);
    let (panic, end) = (
        left.find("panicked at"),
        left.find("a part of kaiwa broke down"),
    );
    assert!(panic.is_some() && panic < end, "{left:?}");
}

#[test]
#[ignore = "the other half runs it on a terminal"]
fn the_half_on_a_terminal() {
    let fuse = env::var(FUSE).expect("the other half says where to wait");
    let mut fuse = TcpStream::connect(fuse).expect("the other half listens");
    thread::spawn(move || {
        fuse.read_exact(&mut [0]).expect("the other half lives");
        panic!("as it was asked to");
    });
    let words = ["kaiwa", "talk", "--engine", "scripted"];
    let words = words
        .into_iter()
        .chain(["--mic", "none", "--speaker", "none"]);
    let cli::Command::Talk(arguments) = Cli::parse_from(words).command else {
        unreachable!("it was asked for");
    };
    let exit = block_on(talk::run(*arguments)).expect_err("it does not go on");
    assert_eq!(exit.code, Code::Failure);
    output::note(&exit);
}
