use std::{collections::HashMap, fs, path::Path};

use half::f16;

use crate::EngineError;

/// The variables of a CTranslate2 `model.bin`, as `f32`.
///
/// The format (little endian): `u32` format version, string spec name, `u32` revision,
/// `u32` count; per variable a string name, `u8` rank, `u32` per dimension, `u8` type,
/// `u32` byte count and the data; then aliases, which Whisper needs only for the output
/// projection and which are not read. A string is a `u16` length and bytes, the last
/// of which is NUL.
pub(super) struct Weights {
    file: String,
    bytes: Vec<u8>,
    variables: HashMap<String, Variable>,
}

struct Variable {
    shape: Vec<usize>,
    kind: u8,
    /// Where the data begins in `bytes`.
    start: usize,
    /// Bytes of data.
    length: usize,
}

/// The newest version of the format that is known.
const FORMAT_VERSION: u32 = 6;
const SPEC_NAME: &str = "WhisperSpec";

const KIND_F32: u8 = 0;
const KIND_F16: u8 = 4;

impl Weights {
    /// Reads the file's table of contents.
    ///
    /// # Errors
    ///
    /// The file cannot be read, ends too soon, or is no CTranslate2 Whisper model.
    pub(super) fn read(path: &Path) -> Result<Self, EngineError> {
        let file = path.display().to_string();
        let bytes = fs::read(path)
            .map_err(|error| EngineError::model(format!("cannot read {file}: {error}")))?;
        let mut reader = Reader {
            file: &file,
            bytes: &bytes,
            at: 0,
        };
        let variables = reader.variables()?;
        Ok(Self {
            file,
            bytes,
            variables,
        })
    }

    /// The shape of a variable, which must have `rank` dimensions.
    pub(super) fn shape(&self, name: &str, rank: usize) -> Result<&[usize], EngineError> {
        let variable = self.variable(name)?;
        if variable.shape.len() != rank {
            return Err(self.error(format_args!(
                "variable {name} has the shape {:?}, expected {rank} dimensions",
                variable.shape
            )));
        }
        Ok(&variable.shape)
    }

    /// The values of a variable in row-major order; it must have the given shape.
    pub(super) fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EngineError> {
        let variable = self.variable(name)?;
        if variable.shape != shape {
            return Err(self.error(format_args!(
                "variable {name} has the shape {:?}, expected {shape:?}",
                variable.shape
            )));
        }
        let data = &self.bytes[variable.start..variable.start + variable.length];
        let width = match variable.kind {
            KIND_F16 => 2,
            KIND_F32 => 4,
            other => {
                return Err(self.error(format_args!(
                    "variable {name} is of type {other}, expected {KIND_F32} (f32) or {KIND_F16} (f16)"
                )));
            }
        };
        let count = element_count(shape);
        if count.and_then(|count| count.checked_mul(width)) != Some(data.len()) {
            return Err(self.error(format_args!(
                "variable {name} of the shape {shape:?} has {} bytes",
                data.len()
            )));
        }
        let values: Vec<f32> = match variable.kind {
            KIND_F16 => data
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| f16::from_le_bytes(bytes).to_f32())
                .collect(),
            _ => data
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| f32::from_le_bytes(bytes))
                .collect(),
        };
        if values.iter().any(|value| !value.is_finite()) {
            return Err(self.error(format_args!(
                "variable {name} holds a value that is not finite"
            )));
        }
        Ok(values)
    }

    /// The value of a variable without dimensions that holds a small integer.
    pub(super) fn count(&self, name: &str) -> Result<usize, EngineError> {
        let variable = self.variable(name)?;
        let data = &self.bytes[variable.start..variable.start + variable.length];
        let value = match *data {
            [byte] => Some(usize::from(byte)),
            [low, high] => Some(usize::from(u16::from_le_bytes([low, high]))),
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]).try_into().ok(),
            _ => None,
        };
        value
            .filter(|_| variable.shape.is_empty())
            .ok_or_else(|| self.error(format_args!("variable {name} is no number")))
    }

    /// Whether a variable exists.
    pub(super) fn has(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    /// An error about this file.
    pub(super) fn error(&self, what: impl std::fmt::Display) -> EngineError {
        EngineError::model(format!("{}: {what}", self.file))
    }

    fn variable(&self, name: &str) -> Result<&Variable, EngineError> {
        self.variables
            .get(name)
            .ok_or_else(|| self.error(format_args!("variable {name} is missing")))
    }
}

/// Product of the dimensions, if it is a `usize`.
fn element_count(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |product, &size| product.checked_mul(size))
}

struct Reader<'a> {
    file: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn variables(&mut self) -> Result<HashMap<String, Variable>, EngineError> {
        let version = self.u32()?;
        if version != FORMAT_VERSION {
            return Err(self.error(format_args!(
                "is no CTranslate2 model: format version {version}, expected {FORMAT_VERSION}"
            )));
        }
        let spec = self.string()?;
        if spec != SPEC_NAME {
            return Err(self.error(format_args!(
                "holds a model of the kind {spec:?}, expected {SPEC_NAME:?}"
            )));
        }
        let _revision = self.u32()?;
        let count = self.u32()?;
        let mut variables = HashMap::new();
        for _ in 0..count {
            let name = self.string()?;
            let rank = self.array::<1>()?[0];
            let mut shape = Vec::with_capacity(usize::from(rank));
            for _ in 0..rank {
                shape.push(self.size()?);
            }
            let kind = self.array::<1>()?[0];
            let length = self.size()?;
            let start = self.at;
            self.take(length)?;
            variables.insert(
                name,
                Variable {
                    shape,
                    kind,
                    start,
                    length,
                },
            );
        }
        Ok(variables)
    }

    fn string(&mut self) -> Result<String, EngineError> {
        let length = u16::from_le_bytes(self.array()?);
        let bytes = self.take(usize::from(length))?;
        let text = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        String::from_utf8(text.to_vec())
            .map_err(|_| self.error("is no CTranslate2 model: a name is not UTF-8"))
    }

    fn size(&mut self) -> Result<usize, EngineError> {
        let value = self.u32()?;
        usize::try_from(value).map_err(|_| self.error(format_args!("a size of {value}")))
    }

    fn u32(&mut self) -> Result<u32, EngineError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], EngineError> {
        let bytes = self.take(N)?;
        // `take` gave exactly N bytes.
        Ok(bytes.try_into().unwrap_or([0; N]))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], EngineError> {
        let end = self.at.checked_add(length);
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(bytes) => {
                self.at += length;
                Ok(bytes)
            }
            None => Err(self.error(format_args!(
                "is cut short: {length} bytes expected at {}, the file has {}",
                self.at,
                self.bytes.len()
            ))),
        }
    }

    fn error(&self, what: impl std::fmt::Display) -> EngineError {
        EngineError::model(format!("{} {what}", self.file))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file with one f16 variable `x` of the shape 2×2.
    pub(in crate::whisper) fn tiny_file() -> Vec<u8> {
        let mut bytes = Vec::new();
        let string = |bytes: &mut Vec<u8>, text: &str| {
            bytes.extend(u16::try_from(text.len() + 1).unwrap().to_le_bytes());
            bytes.extend(text.as_bytes());
            bytes.push(0);
        };
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        string(&mut bytes, SPEC_NAME);
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        string(&mut bytes, "x");
        bytes.push(2);
        bytes.extend(2_u32.to_le_bytes());
        bytes.extend(2_u32.to_le_bytes());
        bytes.push(KIND_F16);
        bytes.extend(8_u32.to_le_bytes());
        for value in [1.0, -2.0, 0.5, 0.0] {
            bytes.extend(f16::from_f32(value).to_le_bytes());
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Weights, EngineError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.bin");
        fs::write(&path, bytes).unwrap();
        Weights::read(&path)
    }

    #[test]
    fn values_are_read_in_order() {
        let weights = read(&tiny_file()).unwrap();
        assert_eq!(weights.shape("x", 2).unwrap(), [2, 2]);
        assert_eq!(weights.values("x", &[2, 2]).unwrap(), [1.0, -2.0, 0.5, 0.0]);
        let error = weights.values("x", &[4]).err().unwrap().to_string();
        assert!(error.contains("[2, 2]") && error.contains("[4]"), "{error}");
        assert!(weights.values("y", &[4]).is_err());
    }

    #[test]
    fn a_file_cut_anywhere_is_refused_by_name() {
        let whole = tiny_file();
        for length in 0..whole.len() {
            let error = read(&whole[..length]).err().unwrap();
            assert_eq!(error.kind(), crate::EngineErrorKind::Model);
            let text = error.to_string();
            assert!(
                text.contains("model.bin") && text.contains("cut short"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_foreign_file_is_refused() {
        let error = read(b"GGUF\x03\0\0\0and so on").err().unwrap().to_string();
        assert!(error.contains("format version"), "{error}");
        let mut other = tiny_file();
        other[6] = b'V';
        let error = read(&other).err().unwrap().to_string();
        assert!(error.contains("VhisperSpec"), "{error}");
    }
}
