//! Rows as bytes of which a hash is taken: the same for the same rows, and no others.

use serde::Serialize;

use crate::storage::fields::{self, Field, Fields, Untold};

/// Appends a row.
///
/// # Errors
/// A field is not a value of a column. What was appended of it stays.
pub(super) fn append<T: Serialize>(
    row: &T,
    to: &mut Vec<u8>,
    names: Option<&mut Vec<&'static str>>,
) -> Result<(), Untold> {
    fields::each(row, &mut RowBytes { to, names })
}

/// Appends a legacy row: as JSON where one of its cells holds what no column does.
pub(crate) fn append_legacy<L: Serialize>(row: &L, to: &mut Vec<u8>) {
    if append(row, to, None).is_err() {
        serde_json::to_writer(to, row).expect("a legacy row has a JSON form");
    }
}

struct RowBytes<'a> {
    to: &'a mut Vec<u8>,
    names: Option<&'a mut Vec<&'static str>>,
}

impl RowBytes<'_> {
    fn put(&mut self, tag: u8, bytes: &[u8]) {
        self.to.push(tag);
        self.to.extend_from_slice(bytes);
    }
}

impl Fields for RowBytes<'_> {
    fn place(&mut self, name: &'static str) -> Option<usize> {
        if let Some(names) = &mut self.names {
            names.push(name);
        }
        Some(0)
    }

    fn take(&mut self, _: usize, value: Field<'_>) -> Result<(), Untold> {
        match value {
            Field::Null => self.put(0, &[]),
            Field::Integer(value) => self.put(1, &value.to_le_bytes()),
            Field::Bool(value) => self.put(1, &i64::from(value).to_le_bytes()),
            Field::Real(value) => self.put(2, &value.to_bits().to_le_bytes()),
            Field::Text(text) => {
                self.put(3, &(text.len() as u64).to_le_bytes());
                self.to.extend_from_slice(text.as_bytes());
            }
        }
        Ok(())
    }
}
