//! A row of a model from its values, in their one form.

use std::fmt;

use serde::de::value::{MapDeserializer, StrDeserializer};
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::storage::fields::Field;

/// Why values are not those of a row.
#[derive(Debug)]
pub(crate) struct NoRow(String);

impl fmt::Display for NoRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoRow {}

impl de::Error for NoRow {
    /// Without the value, which may be a customer's.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self("a row of the target is none of its model".to_owned())
    }
}

/// The row that has these values, by the names of its columns.
///
/// # Errors
/// A column holds what its field cannot.
pub(crate) fn row<'a, T: DeserializeOwned>(columns: impl Iterator<Item = (&'a str, Field<'a>)>) -> Result<T, NoRow> {
    T::deserialize(MapDeserializer::new(columns.map(|(name, value)| (Name(name), One(value)))))
}

struct Name<'a>(&'a str);

impl<'a, 'de> IntoDeserializer<'de, NoRow> for Name<'a> {
    type Deserializer = StrDeserializer<'a, NoRow>;

    fn into_deserializer(self) -> Self::Deserializer {
        self.0.into_deserializer()
    }
}

struct One<'a>(Field<'a>);

impl<'de> IntoDeserializer<'de, NoRow> for One<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> de::Deserializer<'de> for One<'_> {
    type Error = NoRow;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NoRow> {
        match self.0 {
            Field::Null => visitor.visit_none(),
            Field::Integer(value) => visitor.visit_i64(value),
            Field::Bool(value) => visitor.visit_bool(value),
            Field::Real(value) => visitor.visit_f64(value),
            Field::Text(text) => visitor.visit_str(text),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NoRow> {
        match self.0 {
            Field::Integer(value) => visitor.visit_bool(value != 0),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NoRow> {
        match self.0 {
            Field::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, NoRow> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}
