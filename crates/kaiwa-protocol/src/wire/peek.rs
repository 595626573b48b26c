//! Looking into JSON text without reading it all.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::{RawJson, Wire, is_tolerant, trail};

/// What sort of JSON value a text holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    Text,
    Object,
    List,
    Other,
}

/// The sort of value by its first character.
pub(crate) fn shape(json: &str) -> Shape {
    match json.trim_start().as_bytes().first() {
        Some(b'"') => Shape::Text,
        Some(b'{') => Shape::Object,
        Some(b'[') => Shape::List,
        _ => Shape::Other,
    }
}

/// Finds the string member `name` of the object `json`, stopping as soon as it is found: what follows it is not
/// even checked for being JSON. `Ok(None)` means that the object is complete and has no such member.
pub(crate) fn peek<'a>(
    json: &'a str,
    name: &str,
) -> Result<Option<Cow<'a, str>>, serde_json::Error> {
    let mut found = None;
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let outcome = deserializer
        .deserialize_map(Peek {
            name,
            found: &mut found,
        })
        .and_then(|()| deserializer.end());
    match (found, outcome) {
        (Some(text), _) => Ok(Some(text)),
        (None, Ok(())) => Ok(None),
        (None, Err(error)) => Err(error),
    }
}

/// The `type` of an object, or a bare string itself. To a tolerant reader, an object without one is of the kind "".
pub(crate) fn kind_of<E: Error>(raw: &RawJson) -> Result<Cow<'_, str>, E> {
    match shape(raw.get()) {
        Shape::Text => serde_json::from_str(raw.get())
            .map(|Text(text)| text)
            .map_err(foreign),
        Shape::Object => match peek(raw.get(), "type") {
            Ok(Some(kind)) => Ok(kind),
            Ok(None) if is_tolerant() => Ok(Cow::Borrowed("")),
            Ok(None) => Err(trail::missing("type")),
            Err(error) => {
                trail::member("type");
                Err(foreign(error))
            }
        },
        Shape::List | Shape::Other => {
            Err(E::custom(format_args!("expected an object, got {raw:?}")))
        }
    }
}

/// Reads a `T` from text that an outer deserializer handed over.
pub(crate) fn nested<T: Wire, E: Error>(raw: &RawJson) -> Result<T, E> {
    T::read(&mut serde_json::Deserializer::from_str(raw.get())).map_err(foreign)
}

/// The message of an error without serde_json's position, which counts from the start of a nested text.
pub(crate) fn plain_message(error: &serde_json::Error) -> String {
    let mut message = error.to_string();
    if let Some(position) = message.rfind(" at line ") {
        message.truncate(position);
    }
    message
}

fn foreign<E: Error>(error: serde_json::Error) -> E {
    E::custom(plain_message(&error))
}

/// A string, borrowed from the frame when it has no escapes.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

struct Peek<'n, 'f, 'a> {
    name: &'n str,
    found: &'f mut Option<Cow<'a, str>>,
}

impl<'de> Visitor<'de> for Peek<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(wanted) = map.next_key_seed(Named(self.name))? {
            if wanted {
                *self.found = Some(map.next_value::<Text<'de>>()?.0);
                return Ok(());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Reads a key as "is it this name?".
struct Named<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Named<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Named<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}
