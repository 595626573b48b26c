//! The [`Wire`] trait and its implementations for plain types.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use super::{Maybe, is_tolerant, trail};

/// A value that can be a member of a protocol object.
///
/// It is serde's `Deserialize` plus two things that serde does not offer: knowing what it means for the key to be
/// absent, and leaving a trail to a faulty value.
pub trait Wire: Serialize + Sized {
    /// Reads the value.
    ///
    /// # Errors
    ///
    /// When the JSON has another shape.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;

    /// The value that stands for an absent key; `None` when the member is required.
    fn absent() -> Option<Self> {
        None
    }

    /// Whether to leave the key out when writing.
    fn is_absent(&self) -> bool {
        false
    }
}

impl Wire for String {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StringVisitor;

        impl Visitor<'_> for StringVisitor {
            type Value = String;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
                Ok(text.to_owned())
            }

            fn visit_string<E: Error>(self, text: String) -> Result<String, E> {
                Ok(text)
            }
        }

        deserializer.deserialize_string(StringVisitor)
    }
}

impl Wire for bool {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }
}

impl Wire for u64 {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(Integer {
            expected: "an integer of 0 or more",
            of: PhantomData,
        })
    }
}

impl Wire for u32 {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u32(Integer {
            expected: "an integer from 0 to 4294967295",
            of: PhantomData,
        })
    }
}

impl Wire for i64 {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_i64(Integer {
            expected: "an integer",
            of: PhantomData,
        })
    }
}

/// Null means absent, and is written as absent: for members where the difference carries nothing.
impl<T: Wire> Wire for Option<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Maybe::read(deserializer).map(Maybe::into_value)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: Wire> Wire for Box<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Self::new)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);

        impl<'de, T: Wire> Visitor<'de> for ListVisitor<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(value) = seq
                    .next_element_seed(Slot(PhantomData))
                    .inspect_err(|_| trail::index(list.len()))?
                {
                    list.push(value);
                }
                Ok(list)
            }
        }

        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

impl<T: Wire> Wire for BTreeMap<String, T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor<T>(PhantomData<T>);

        impl<'de, T: Wire> Visitor<'de> for MapVisitor<T> {
            type Value = BTreeMap<String, T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    match map.next_value_seed(Slot(PhantomData)) {
                        Ok(value) => entries.insert(key, value),
                        Err(error) => {
                            trail::key(key);
                            return Err(error);
                        }
                    };
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_map(MapVisitor(PhantomData))
    }
}

/// Reads a `T` where serde wants a seed.
pub(crate) struct Slot<T>(pub(crate) PhantomData<T>);

impl<'de, T: Wire> DeserializeSeed<'de> for Slot<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::read(deserializer)
    }
}

/// Reads a member's value; `None` when it is null where only a tolerant reader takes that.
pub(crate) fn member<'de, T: Wire, A: MapAccess<'de>>(map: &mut A) -> Result<Option<T>, A::Error> {
    if is_tolerant() {
        return map
            .next_value_seed(Slot(PhantomData::<Maybe<T>>))
            .map(Maybe::into_value);
    }
    map.next_value_seed(Slot(PhantomData)).map(Some)
}

/// Reads a key as one of the known names, or as itself.
pub(crate) struct Names(pub(crate) &'static [&'static str]);

/// A key of an object.
pub(crate) enum Key {
    /// One of the [`Names`].
    Known(&'static str),
    Unknown(String),
}

impl<'de> DeserializeSeed<'de> for Names {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Names {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
        Ok(match self.0.iter().find(|name| **name == key) {
            Some(name) => Key::Known(name),
            None => Key::Unknown(key.to_owned()),
        })
    }
}

/// Reads integers, also those written as `1500.0`, as programs without an integer type may do.
struct Integer<T> {
    expected: &'static str,
    of: PhantomData<T>,
}

impl<T: TryFrom<i128>> Visitor<'_> for Integer<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        T::try_from(value.into()).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        T::try_from(value.into()).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        // A float cast to i128 saturates, and what saturates fits no type used here.
        let integer = (value.fract() == 0.0).then_some(value as i128);
        integer
            .and_then(|integer| T::try_from(integer).ok())
            .ok_or_else(|| E::invalid_value(Unexpected::Float(value), &self))
    }
}
