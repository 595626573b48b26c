//! The macros that declare the protocol's objects.

/// Declares an object: a struct with public fields, an `extra` field for members unknown to this crate, and its
/// reading and writing.
///
/// `pub struct Name = "kind" { .. }` gives the object a fixed `type` member, written first.
/// A field is `pub name: Type`, with `as "wire_name"` after the name when the two differ, and `= default` after the
/// type for a required-looking member whose absence means the default and which is left out when it equals that.
/// Fields of type `Maybe` and `Option` are optional, all others are required when reading. Fields are written in
/// the order of their declaration.
macro_rules! object {
    (
        $(#[$meta:meta])*
        pub struct $name:ident $(= $kind:literal)? {
            $( $(#[$field_meta:meta])* pub $field:ident $(as $wire:literal)? : $ty:ty $(= $default:expr)? ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $ty, )*
            /// Members unknown to this crate.
            pub extra: $crate::wire::Extra,
        }

        $(
            impl $crate::wire::Tagged for $name {
                const KIND: &'static str = $kind;
            }
        )?

        impl $crate::wire::Wire for $name {
            fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                const NAMES: &[&str] = &[
                    $( $crate::wire::object!(@tag $kind), )?
                    $( $crate::wire::object!(@wire $field $(as $wire)?), )*
                ];

                struct ObjectVisitor;

                impl<'de> serde::de::Visitor<'de> for ObjectVisitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        $( let mut $field: Option<$ty> = None; )*
                        let mut extra = $crate::wire::Extra::default();
                        while let Some(key) = map.next_key_seed($crate::wire::Names(NAMES))? {
                            let known = match key {
                                $crate::wire::Key::Known(known) => known,
                                $crate::wire::Key::Unknown(name) => {
                                    extra.insert(name, map.next_value::<$crate::wire::RawJson>()?);
                                    continue;
                                }
                            };
                            $(
                                if known == $crate::wire::object!(@wire $field $(as $wire)?) {
                                    let value = $crate::wire::member::<$ty, A>(&mut map);
                                    $field = value.inspect_err(|_| $crate::wire::trail::member(known))?;
                                    continue;
                                }
                            )*
                            // Only the fixed `type` is among the names without being a field.
                            debug_assert_eq!(known, "type");
                            map.next_value::<serde::de::IgnoredAny>()?;
                        }
                        Ok($name {
                            $( $field: match $field {
                                Some(value) => value,
                                None => match $crate::wire::object!(@absent $ty $(= $default)?) {
                                    Some(value) => value,
                                    None if $crate::wire::is_tolerant() => <$ty>::default(),
                                    None => {
                                        let name = $crate::wire::object!(@wire $field $(as $wire)?);
                                        return Err($crate::wire::trail::missing(name));
                                    }
                                },
                            }, )*
                            extra,
                        })
                    }
                }

                deserializer.deserialize_map(ObjectVisitor)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                $( serde::ser::SerializeMap::serialize_entry(&mut map, "type", $kind)?; )?
                $(
                    if !$crate::wire::object!(@omit self.$field, $ty $(= $default)?) {
                        let name = $crate::wire::object!(@wire $field $(as $wire)?);
                        serde::ser::SerializeMap::serialize_entry(&mut map, name, &self.$field)?;
                    }
                )*
                for (name, value) in self.extra.iter() {
                    serde::ser::SerializeMap::serialize_entry(&mut map, name, value)?;
                }
                serde::ser::SerializeMap::end(map)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::wire::Wire::read(deserializer)
            }
        }
    };
    (@tag $kind:literal) => { "type" };
    (@wire $field:ident) => { stringify!($field) };
    (@wire $field:ident as $wire:literal) => { $wire };
    (@absent $ty:ty) => { <$ty as $crate::wire::Wire>::absent() };
    (@absent $ty:ty = $default:expr) => { Some::<$ty>($default) };
    (@omit $value:expr, $ty:ty) => { <$ty as $crate::wire::Wire>::is_absent(&$value) };
    (@omit $value:expr, $ty:ty = $default:expr) => { $value == $default };
}

/// Declares a closed set of strings that keeps what it does not know in `Other`.
macro_rules! string_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $text:literal ),* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Eq, Hash, PartialEq)]
        pub enum $name {
            $( $(#[$variant_meta])* $variant, )*
            /// A value unknown to this crate, as it came.
            Other(String),
        }

        impl $name {
            /// The values known to this crate, as they are written.
            pub const KNOWN: &'static [&'static str] = &[$($text),*];

            /// The value as it is written.
            pub fn as_str(&self) -> &str {
                match self {
                    $( Self::$variant => $text, )*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $( $text => Self::$variant, )*
                    _ => Self::Other(text.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::wire::Wire for $name {
            fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <$crate::wire::Text<'_> as serde::Deserialize>::deserialize(deserializer)?;
                Ok(Self::from(text.0.as_ref()))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::wire::Wire::read(deserializer)
            }
        }
    };
}

/// Declares a choice between objects told apart by `type` (the kinds their structs declare) and, after `or`, bare
/// strings. What is neither is kept in `Unknown`.
macro_rules! union {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident($ty:ty) ),* $(,)? }
        $( or { $( $(#[$string_meta:meta])* $string:ident = $text:literal ),* $(,)? } )?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $($( $(#[$string_meta])* $string, )*)?
            $( $(#[$variant_meta])* $variant($ty), )*
            /// Of a kind unknown to this crate, as it came.
            Unknown($crate::wire::UnknownObject),
        }

        impl $name {
            /// The kinds known to this crate: the values of `type`, and the bare strings.
            pub const KNOWN: &'static [&'static str] = &[
                $($( $text, )*)? $( <$ty as $crate::wire::Tagged>::KIND, )*
            ];

            /// The value of `type`, or the bare string.
            pub fn kind(&self) -> &str {
                match self {
                    $($( Self::$string => $text, )*)?
                    $( Self::$variant(_) => <$ty as $crate::wire::Tagged>::KIND, )*
                    Self::Unknown(unknown) => &unknown.kind,
                }
            }
        }

        $(
            impl From<$ty> for $name {
                fn from(value: $ty) -> Self {
                    Self::$variant(value)
                }
            }
        )*

        impl $crate::wire::Wire for $name {
            fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let raw = <$crate::wire::RawJson as $crate::wire::Wire>::read(deserializer)?;
                let kind = $crate::wire::kind_of(&raw)?;
                $($( if kind == $text && $crate::wire::shape(raw.get()) == $crate::wire::Shape::Text {
                    return Ok(Self::$string);
                } )*)?
                $( if kind == <$ty as $crate::wire::Tagged>::KIND
                    && $crate::wire::shape(raw.get()) == $crate::wire::Shape::Object
                {
                    return $crate::wire::nested(&raw).map(Self::$variant);
                } )*
                let kind = kind.into_owned();
                Ok(Self::Unknown($crate::wire::UnknownObject { kind, raw }))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $($( Self::$string => serializer.serialize_str($text), )*)?
                    $( Self::$variant(value) => value.serialize(serializer), )*
                    Self::Unknown(unknown) => unknown.serialize(serializer),
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::wire::Wire::read(deserializer)
            }
        }
    };
}

/// Declares a choice between values told apart by their JSON type.
macro_rules! either {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$variant_meta:meta])* $shape:ident => $variant:ident($ty:ty) ),* $(,)? }
        expected $expected:literal
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $( $(#[$variant_meta])* $variant($ty), )*
        }

        $(
            impl From<$ty> for $name {
                fn from(value: $ty) -> Self {
                    Self::$variant(value)
                }
            }
        )*

        impl $crate::wire::Wire for $name {
            fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let raw = <$crate::wire::RawJson as $crate::wire::Wire>::read(deserializer)?;
                match $crate::wire::shape(raw.get()) {
                    $( $crate::wire::Shape::$shape => $crate::wire::nested(&raw).map(Self::$variant), )*
                    _ => Err(serde::de::Error::custom(format_args!("expected {}, got {raw:?}", $expected))),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $( Self::$variant(value) => value.serialize(serializer), )*
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::wire::Wire::read(deserializer)
            }
        }
    };
}

pub(crate) use {either, object, string_enum, union};
