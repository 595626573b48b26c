use std::{path::Path, sync::Arc};

use rten::{Model, NodeId, RunOptions, ThreadPool, Value, ValueOrView};

use crate::{ComputeBudget, EngineError};

/// An ONNX network together with the pool it runs on.
pub(super) struct Network {
    model: Model,
    pool: Arc<ThreadPool>,
    file: String,
}

impl Network {
    /// Loads the file `name` of a model's directory.
    pub(super) fn load(
        dir: &Path,
        name: &str,
        budget: &ComputeBudget,
    ) -> Result<Self, EngineError> {
        let path = dir.join(name);
        let model = Model::load_file(&path)
            .map_err(|e| EngineError::model(format!("cannot load {}: {e}", path.display())))?;
        Ok(Self {
            model,
            pool: budget.pool(),
            file: name.to_owned(),
        })
    }

    /// The node of a value by its name in the file; inputs, outputs and values between them.
    pub(super) fn node(&self, name: &str) -> Result<NodeId, EngineError> {
        self.model
            .find_node(name)
            .ok_or_else(|| EngineError::model(format!("{} has no value named {name}", self.file)))
    }

    /// Computes `outputs` from `inputs`. The caller holds a slot of the budget.
    pub(super) fn run<const N: usize>(
        &self,
        inputs: Vec<(NodeId, ValueOrView)>,
        outputs: [NodeId; N],
    ) -> Result<[Value; N], EngineError> {
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
        self.model
            .run_n(inputs, outputs, Some(options))
            .map_err(|e| EngineError::failed(format!("{} failed: {e}", self.file)))
    }

    /// The elements of an output in row-major order.
    pub(super) fn floats(&self, value: Value) -> Result<Vec<f32>, EngineError> {
        value.into_tensor::<f32>().map_or_else(
            || {
                Err(EngineError::model(format!(
                    "{} gives an output that is not f32",
                    self.file
                )))
            },
            |tensor| Ok(tensor.into_data()),
        )
    }

    /// The elements of an integer output in row-major order.
    pub(super) fn integers(&self, value: Value) -> Result<Vec<i32>, EngineError> {
        value.into_tensor::<i32>().map_or_else(
            || {
                Err(EngineError::model(format!(
                    "{} gives an output that is not an integer",
                    self.file
                )))
            },
            |tensor| Ok(tensor.into_data()),
        )
    }
}
