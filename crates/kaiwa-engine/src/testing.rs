//! What tests on real speech need.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The folder of recordings; says so when there is none.
pub(crate) fn speech_dir() -> Option<PathBuf> {
    let folder = env::var_os("KAIWA_SPEECH_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/speech"),
        PathBuf::from,
    );
    let found = folder.is_dir();
    if !found {
        println!("skipped: no speech data");
    }
    found.then_some(folder)
}
