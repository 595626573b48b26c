//! Networks in ONNX files of their own.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use rten::{Model, ModelOptions, NodeId};

use crate::EngineError;

/// A network and the file it came from.
pub(crate) struct Loaded {
    pub(crate) model: Model,
    file: PathBuf,
    /// What the file holds, for errors, as in `end-of-turn model`.
    what: &'static str,
}

impl Loaded {
    /// Loads the network from `path`: the file, or the folder that holds `name`.
    pub(crate) fn new(path: &Path, name: &str, what: &'static str) -> Result<Self, EngineError> {
        let mut file = path.to_owned();
        if file.is_dir() {
            file.push(name);
        }
        let model = ModelOptions::with_all_ops()
            .prepack_weights(true)
            .load_file(&file)
            .map_err(|error| refused(what, &file, &error))?;
        Ok(Self { model, file, what })
    }

    /// The node of an input or output by its name in the file.
    pub(crate) fn node(&self, name: &str) -> Result<NodeId, EngineError> {
        let node = self.model.node_id(name);
        node.map_err(|error| self.refused(&error))
    }

    /// That the file is there and is not the network it should be.
    pub(crate) fn refused(&self, why: &dyn fmt::Display) -> EngineError {
        refused(self.what, &self.file, why)
    }
}

fn refused(what: &str, file: &Path, why: &dyn fmt::Display) -> EngineError {
    EngineError::model(format_args!(
        "the {what} {} cannot be loaded: {why}",
        file.display()
    ))
}
