//! Columns as the ledger notes them where people read them: JSON.

use serde_json::{Map, Number, Value as Json};

use super::value::Value;
use crate::storage::shape::Kind;
use crate::storage::types::Instant;

/// Columns of a row, by their names.
pub type Columns = Map<String, Json>;

impl Value {
    /// As JSON: an instant as its text, a boolean as one.
    pub(crate) fn to_json(&self, kind: Kind) -> Json {
        match (self, kind) {
            (Self::Null, _) => Json::Null,
            (Self::Integer(value), Kind::Bool) => Json::Bool(*value != 0),
            (Self::Integer(micros), Kind::Instant) => Json::String(Instant::from_micros(*micros).to_string()),
            (Self::Integer(value), _) => Json::from(*value),
            // An infinite float has no form in JSON.
            (Self::Real(value), _) => Number::from_f64(*value).map_or_else(|| value.to_string().into(), Json::Number),
            (Self::Text(text), _) => Json::String(text.to_string()),
        }
    }

    /// What JSON says that a column of a kind holds.
    pub(crate) fn from_json(json: &Json, kind: Kind) -> Self {
        match (json, kind) {
            (Json::Null, _) => Self::Null,
            (Json::Bool(value), _) => Self::Integer((*value).into()),
            (Json::Number(number), Kind::Float | Kind::Double) => Self::Real(number.as_f64().unwrap_or_default()),
            (Json::Number(number), _) => number.as_i64().map_or(Self::Null, Self::Integer),
            (Json::String(text), Kind::Instant) => {
                text.parse().map_or(Self::Null, |at| Self::Integer(Instant(at).micros()))
            }
            (Json::String(text), Kind::Float | Kind::Double) => text.parse().map_or(Self::Null, Self::Real),
            (Json::String(text), _) => Self::Text(text.into()),
            (Json::Array(_) | Json::Object(_), _) => Self::Text(json.to_string().into()),
        }
    }
}

/// What stands in the place of a secret; NULL is none.
pub(crate) fn hashed(secret: &Json) -> Json {
    let text = match secret {
        Json::Null => return Json::Null,
        Json::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    };
    Value::Text(text).hashed().to_json(Kind::Text)
}

/// Whether a value reads like what stands in the place of a secret.
pub(crate) fn is_hash(value: &Json) -> bool {
    let is_hex = |text: &str| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    value.as_str().is_some_and(is_hex)
}

/// Columns of a row with their values: `columns!(email, status = "closed")`.
#[macro_export]
macro_rules! columns {
    ($($column:ident $(= $value:expr)?),+ $(,)?) => {
        [$((stringify!($column).to_owned(), $crate::serde_json::json!($crate::either!($($value)?; $column)))),+]
            .into_iter()
            .collect::<$crate::Columns>()
    };
}
