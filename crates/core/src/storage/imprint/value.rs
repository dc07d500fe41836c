//! Values of columns in their one form.

use std::hash::{Hash, Hasher};

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::storage::db::Backend;
use crate::storage::fields::Field;
use crate::storage::shape::Kind;
use crate::storage::sql::literal;
use crate::storage::types::Instant;

/// The value of a column: an instant in microseconds since 1970, a boolean as 0 or 1, a day and a wall time as their text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Value {
    /// NULL.
    Null,
    /// An integer, a boolean, an instant.
    Integer(i64),
    /// A float. Two are the same if all their bits are.
    Real(f64),
    /// All else.
    Text(CompactString),
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Real(a), Self::Real(b)) => a.to_bits() == b.to_bits(),
            (Self::Text(a), Self::Text(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Null => {}
            Self::Integer(value) => value.hash(state),
            Self::Real(value) => value.to_bits().hash(state),
            Self::Text(text) => text.hash(state),
        }
    }
}

impl From<Field<'_>> for Value {
    fn from(field: Field<'_>) -> Self {
        match field {
            Field::Null => Self::Null,
            Field::Integer(value) => Self::Integer(value),
            Field::Real(value) => Self::Real(value),
            Field::Bool(value) => Self::Integer(value.into()),
            Field::Text(text) => Self::Text(text.into()),
        }
    }
}

impl Value {
    /// As a field of a row.
    pub(crate) fn field(&self) -> Field<'_> {
        match self {
            Self::Null => Field::Null,
            Self::Integer(value) => Field::Integer(*value),
            Self::Real(value) => Field::Real(*value),
            Self::Text(text) => Field::Text(text),
        }
    }

    /// The integer, if it is one.
    pub(crate) fn integer(&self) -> Option<i64> {
        if let Self::Integer(value) = self { Some(*value) } else { None }
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&CompactString> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        self.text().map(CompactString::as_str)
    }

    /// What stands for a text that the ledger is not to keep.
    pub(crate) fn hashed(&self) -> Self {
        match self {
            Self::Text(text) => Self::Text(format!("{:032x}", xxh3_128(text.as_bytes())).into()),
            other => other.clone(),
        }
    }

    /// As the ledger keeps it in a column: of `secret` ones a hash.
    pub(crate) fn kept(&self, column: &str, secret: &[&str]) -> Self {
        if secret.contains(&column) { self.hashed() } else { self.clone() }
    }

    /// As SQL that a column of a kind takes.
    pub(crate) fn sql(&self, kind: Kind, backend: Backend) -> String {
        let cast = |sql: String, to: &str| match backend {
            Backend::Postgres => format!("{sql}::{to}"),
            Backend::Sqlite | Backend::MariaDb => sql,
        };
        match (self, kind) {
            (Self::Null, Kind::SmallInt | Kind::Integer | Kind::BigInt) => cast("NULL".to_owned(), "bigint"),
            (Self::Null, Kind::Float | Kind::Double) => cast("NULL".to_owned(), "double precision"),
            (Self::Null, Kind::Bool) => cast("NULL".to_owned(), "boolean"),
            (Self::Null, Kind::Instant) => cast("NULL".to_owned(), "timestamptz"),
            (Self::Null, Kind::Wall) => cast("NULL".to_owned(), "timestamp"),
            (Self::Null, Kind::Date) => cast("NULL".to_owned(), "date"),
            (Self::Null, Kind::Text) => cast("NULL".to_owned(), "text"),
            (Self::Integer(value), Kind::Bool) => cast(value.to_string(), "integer::boolean"),
            (Self::Integer(micros), Kind::Instant) => {
                cast(literal(&Instant::from_micros(*micros).as_literal()), "timestamptz")
            }
            (Self::Integer(value), _) => cast(format!("({value})"), "bigint"),
            (Self::Real(value), _) => cast(literal(&format!("{value:?}")), "double precision"),
            (Self::Text(text), Kind::Date) => cast(literal(text), "date"),
            (Self::Text(text), Kind::Wall) => cast(literal(text), "timestamp"),
            (Self::Text(text), _) => cast(literal(text), "text"),
        }
    }
}
