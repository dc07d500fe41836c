//! What the migration wrote, row by row, in a form that the target can be held against: an imprint.
//!
//! A row is known by the columns of its model, each a [`Value`]: the same form for what is sent ([`sent`]) and for what the target
//! holds ([`found`]), in PostgreSQL and in SQLite. The imprint of a chunk keeps the values themselves, by columns and compressed
//! ([`packed`]): so it tells which columns somebody has changed since, and what stood there.

mod found;
mod json;
mod packed;
mod row;
mod seen;
mod sent;
mod value;
mod values;

pub use found::Lock;
pub(crate) use found::{PRIMARY_KEY, Reading, has_row_triggers, primary_key};
pub use json::Columns;
pub(crate) use json::{hashed, is_hash};
pub(crate) use packed::Packed;
pub(crate) use row::row;
pub use sent::Imprints;
pub(crate) use sent::{Table, by_key};
pub(crate) use value::Value;
pub(crate) use values::Values;
