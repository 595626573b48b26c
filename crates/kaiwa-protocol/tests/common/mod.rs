//! Where the tests find the protocol's examples and schemas.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests speak and panic"
)]

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Reads a file of the protocol folder: `KAIWA_PROTOCOL_DIR`, by default `shared/protocol` beside the workspace.
/// `None`, with a word about it, when there is no such folder.
pub(crate) fn protocol_file(name: &str) -> Option<Value> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/protocol");
    let folder = std::env::var_os("KAIWA_PROTOCOL_DIR").map_or_else(beside, PathBuf::from);
    if !folder.is_dir() {
        println!("skipped: no protocol data");
        return None;
    }
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}
