//! How values travel: the [`Wire`] trait, its implementations for plain types, and the macros that declare objects.
//!
//! Serde's derive has no way to keep unknown members without buffering (`flatten`), to choose a type by a member
//! without buffering (`tag`), or to say where a value was wrong. These modules do the three things directly:
//! [`object!`](object) keeps the rest of an object, [`union!`](union) peeks at `type` and reads the concrete type
//! from the same text, and [`trail`] remembers the path to a fault.

mod json;
mod macros;
mod maybe;
mod peek;
mod plain;
mod tolerance;
pub(crate) mod trail;

pub use json::{Extra, Number, RawJson, UnknownObject};
pub(crate) use macros::{either, object, string_enum, union};
pub use maybe::Maybe;
pub(crate) use peek::{Shape, Text, kind_of, nested, peek, plain_message, shape};
pub use plain::Wire;
pub(crate) use plain::{Key, Names, member};
pub(crate) use tolerance::{is_tolerant, tolerantly};

/// An object whose `type` member is fixed.
pub trait Tagged {
    /// The value of `type` on the wire.
    const KIND: &'static str;
}

impl<T: Tagged> Tagged for Box<T> {
    const KIND: &'static str = T::KIND;
}
