//! Rows as they are sent, in their one form.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::bytes;
use super::value::Value;
use crate::storage::fields::{self, Field, Fields, Untold};
use crate::storage::model::Insert;
use crate::words::Key;

/// Rows of one table, column by column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Table {
    /// The table.
    pub(crate) name: Cow<'static, str>,
    /// The columns of its model.
    pub(crate) columns: Vec<Cow<'static, str>>,
    /// The legacy row for whose sake each was written: the leader of its unit.
    pub(crate) keys: Vec<Key>,
    /// The values: by column, then by row.
    pub(crate) values: Vec<Vec<Value>>,
}

impl Table {
    /// No rows yet, and no columns: the first row tells them.
    pub(crate) fn empty(name: Cow<'static, str>) -> Self {
        Self { name, columns: Vec::new(), keys: Vec::new(), values: Vec::new() }
    }

    /// The place of a column.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// Leaves out the rows that were written for the sake of others than `keep` names.
    pub(crate) fn retain(&mut self, keep: impl Fn(Key) -> bool) {
        let kept: Vec<bool> = self.keys.iter().map(|key| keep(*key)).collect();
        let only = |values: &mut Vec<Value>| {
            let mut kept = kept.iter();
            values.retain(|_| kept.next() == Some(&true));
        };
        self.values.iter_mut().for_each(only);
        self.keys.retain(|key| keep(*key));
    }

    /// Adds the rows of another one; a column that one of them lacks is NULL.
    pub(crate) fn append(&mut self, other: &Self) {
        for column in &other.columns {
            if self.column(column).is_none() {
                self.columns.push(column.clone());
                self.values.push(vec![Value::Null; self.keys.len()]);
            }
        }
        self.keys.extend(&other.keys);
        for (column, values) in self.columns.iter().zip(&mut self.values) {
            match other.column(column) {
                Some(place) => values.extend_from_slice(&other.values[place]),
                None => values.resize(values.len() + other.keys.len(), Value::Null),
            }
        }
    }

    /// The values of a row.
    pub(crate) fn row(&self, row: usize) -> Vec<Value> {
        self.values.iter().map(|column| column[row].clone()).collect()
    }
}

/// What a chunk inserts, table by table.
#[derive(Debug, Default)]
pub struct Imprints {
    pub(crate) tables: Vec<Table>,
    /// The same as bytes, where no more than a hash of it is wanted.
    bytes: Option<Vec<u8>>,
    /// The table of a model that does not say what its columns hold: a defect.
    pub(crate) untold: Option<&'static str>,
}

impl Imprints {
    /// Takes rows as bytes: a hash of them is wanted, and no more.
    pub(crate) fn hashing() -> Self {
        Self { bytes: Some(Vec::new()), ..Self::default() }
    }

    /// The bytes of all rows.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }

    /// Adds rows of a model, each with the legacy row for whose sake it is written: of secret columns a hash.
    pub(crate) fn add<'a, T: Insert + 'a>(&mut self, rows: impl Iterator<Item = (Key, &'a T)>) {
        self.told(rows, T::SECRET);
    }

    /// Adds rows with all their values.
    pub(crate) fn raw<'a, T: Insert + 'a>(&mut self, rows: impl Iterator<Item = (Key, &'a T)>) {
        self.told(rows, &[]);
    }

    fn told<'a, T: Insert + 'a>(&mut self, rows: impl Iterator<Item = (Key, &'a T)>, secret: &[&str]) {
        let shape = T::shape();
        if let Some(bytes) = &mut self.bytes {
            bytes.extend_from_slice(shape.name.as_bytes());
            let mut names = Vec::new();
            for (nth, (key, row)) in rows.enumerate() {
                bytes.extend_from_slice(&key.to_le_bytes());
                if bytes::append(row, bytes, (nth == 0).then_some(&mut names)).is_err() {
                    self.untold = Some(shape.name);
                    return;
                }
            }
            if names.iter().any(|name| !shape.columns.iter().any(|known| known.name == *name)) {
                self.untold = Some(shape.name);
            }
            return;
        }
        let place = self.tables.iter().position(|table| table.name == shape.name).unwrap_or_else(|| {
            self.tables.push(Table::empty(Cow::Borrowed(shape.name)));
            self.tables.len() - 1
        });
        let table = &mut self.tables[place];
        let (least, most) = rows.size_hint();
        let many = most.unwrap_or(least);
        for (key, row) in rows {
            let told = fields::each(row, &mut RowInto::new(table, many));
            table.keys.push(key);
            for secret in secret {
                if let Some(value) = table.column(secret).and_then(|place| table.values[place].last_mut()) {
                    *value = value.hashed();
                }
            }
            let rows = table.keys.len();
            if told.is_err() || table.values.iter().any(|column| column.len() != rows) {
                self.untold = Some(shape.name);
                return;
            }
        }
        if table.columns.iter().any(|column| !shape.columns.iter().any(|known| known.name == column)) {
            self.untold = Some(shape.name);
        }
    }
}

/// A row on its way into a table. Rows of a model tell their fields in one order.
pub(super) struct RowInto<'a> {
    table: &'a mut Table,
    /// About how many rows there will be, where it is the first.
    first_of: Option<usize>,
    next: usize,
}

impl<'a> RowInto<'a> {
    /// One of about `rows`.
    pub(super) fn new(table: &'a mut Table, rows: usize) -> Self {
        Self { first_of: table.columns.is_empty().then_some(rows), table, next: 0 }
    }
}

impl Fields for RowInto<'_> {
    fn place(&mut self, name: &'static str) -> Option<usize> {
        if let Some(rows) = self.first_of {
            self.table.columns.push(Cow::Borrowed(name));
            let mut values = Vec::with_capacity(rows);
            values.resize(self.table.keys.len(), Value::Null);
            self.table.values.push(values);
        }
        let place = match self.table.columns.get(self.next) {
            Some(column) if column == name => self.next,
            _ => self.table.column(name)?,
        };
        self.next = place + 1;
        Some(place)
    }

    fn take(&mut self, place: usize, value: Field<'_>) -> Result<(), Untold> {
        self.table.values[place].push(value.into());
        Ok(())
    }
}
