//! llama.cpp's process-wide state, and its model files.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
    sync::OnceLock,
};

use llama_cpp_2::{
    LogOptions, llama_backend::LlamaBackend, model::LlamaModel, model::params::LlamaModelParams,
    send_logs_to_tracing,
};

use crate::EngineError;

/// Magic, version, number of tensors, number of metadata entries.
const GGUF_HEADER_BYTES: usize = 24;

/// Starts llama.cpp once in the process. What it logs goes to `tracing`, with the target
/// `llama-cpp-2`.
pub(super) fn backend() -> Result<&'static LlamaBackend, EngineError> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    BACKEND
        .get_or_init(|| {
            send_logs_to_tracing(LogOptions::default());
            LlamaBackend::init().map_err(|error| error.to_string())
        })
        .as_ref()
        .map_err(EngineError::failed)
}

/// Loads a model's file (memory-mapped: pages are read when they are first needed).
pub(super) fn load(backend: &LlamaBackend, path: &Path) -> Result<LlamaModel, EngineError> {
    let refused = |why: &dyn fmt::Display| {
        EngineError::model(format_args!(
            "the language model {} cannot be loaded: {why}",
            path.display()
        ))
    };
    check_header(path).map_err(|error| refused(&error))?;
    LlamaModel::load_from_file(backend, path, &LlamaModelParams::default())
        .map_err(|_| refused(&"the file is cut short, or of a kind llama.cpp does not know"))
}

/// Tells a file that is no model from one that llama.cpp may look at.
fn check_header(path: &Path) -> io::Result<()> {
    let mut header = [0; GGUF_HEADER_BYTES];
    let read = File::open(path)?.read_exact(&mut header);
    if let Err(error) = read {
        return Err(match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                io::Error::other(format!("it has less than {GGUF_HEADER_BYTES} bytes"))
            }
            _ => error,
        });
    }
    if header.starts_with(b"GGUF") {
        Ok(())
    } else {
        Err(io::Error::other("it is no GGUF file"))
    }
}
