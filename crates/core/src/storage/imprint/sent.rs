//! Rows as they are sent, in their one form.

use std::borrow::Cow;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::value::Value;
use super::values::Values;
use crate::storage::fields::{self, Field, Fields, Untold};
use crate::storage::model::Insert;
use crate::words::Key;

/// Rows of one table, column by column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The table.
    pub(crate) name: Cow<'static, str>,
    /// The columns of its model.
    pub(crate) columns: Vec<Cow<'static, str>>,
    /// The legacy row for whose sake each was written: the leader of its unit.
    pub(crate) keys: Vec<Key>,
    /// The values: by column, then by row.
    pub(crate) values: Vec<Values>,
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
        if !kept.contains(&false) {
            return;
        }
        for values in &mut self.values {
            *values = values.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(value, _)| value).collect();
        }
        self.keys.retain(|key| keep(*key));
    }

    /// Some of its rows, by their places.
    pub(crate) fn picked(&self, keep: impl Fn(usize) -> bool) -> Self {
        self.at(&(0..self.keys.len()).filter(|place| keep(*place)).collect::<Vec<_>>())
    }

    fn at(&self, places: &[usize]) -> Self {
        let values = self.values.iter().map(|values| places.iter().map(|place| values.get(*place)).collect());
        Self {
            name: self.name.clone(),
            columns: self.columns.clone(),
            keys: places.iter().map(|place| self.keys[*place]).collect(),
            values: values.collect(),
        }
    }

    /// The place of the row with an `id`.
    pub(crate) fn place_of(&self, id: i64) -> Option<usize> {
        let ids = &self.values[self.column("id")?];
        ids.iter().position(|value| matches!(value, Field::Integer(of) if of == id))
    }

    /// Adds the rows of another one; a column that one of them lacks is NULL.
    pub(crate) fn append(&mut self, other: &Self) {
        for column in &other.columns {
            if self.column(column).is_none() {
                self.columns.push(column.clone());
                self.values.push(Values::nulls(self.keys.len(), self.keys.len() + other.keys.len()));
            }
        }
        self.keys.extend(&other.keys);
        for (column, values) in self.columns.iter().zip(&mut self.values) {
            match other.column(column) {
                Some(place) => other.values[place].iter().for_each(|value| values.push(value)),
                None => values.fill(self.keys.len()),
            }
        }
    }

    /// The values of a row.
    pub(crate) fn row(&self, row: usize) -> Vec<Value> {
        self.values.iter().map(|column| column.get(row).into()).collect()
    }

    /// Puts other values in a column, in the rows for which there is one.
    pub(crate) fn replace(&mut self, column: usize, with: impl Fn(usize) -> Option<Value>) {
        let mut anew = Values::default();
        for (row, value) in self.values[column].iter().enumerate() {
            match with(row) {
                Some(other) => anew.push(other.field()),
                None => anew.push(value),
            }
        }
        self.values[column] = anew;
    }

    /// Adds what it holds to a hash.
    pub(crate) fn hash(&self, hash: &mut Xxh3) {
        let names = std::iter::once(&self.name).chain(&self.columns);
        names.for_each(|name| {
            hash.update(&(name.len() as u64).to_le_bytes());
            hash.update(name.as_bytes());
        });
        hash.update(bytemuck::cast_slice(&self.keys));
        self.values.iter().for_each(|values| values.hash(hash));
    }
}

/// What was written for the sake of each of some legacy rows, table by table.
pub(crate) fn by_key<'a>(
    tables: impl IntoIterator<Item = &'a Table>,
    keys: &FxHashSet<Key>,
) -> FxHashMap<Key, Vec<Table>> {
    let mut by_key: FxHashMap<Key, Vec<Table>> = FxHashMap::default();
    for table in tables {
        let mut places: FxHashMap<Key, Vec<usize>> = FxHashMap::default();
        for (place, key) in table.keys.iter().enumerate().filter(|(_, key)| keys.contains(key)) {
            places.entry(*key).or_default().push(place);
        }
        for (key, places) in places {
            by_key.entry(key).or_default().push(table.at(&places));
        }
    }
    by_key
}

/// What a chunk inserts, table by table.
#[derive(Debug, Default)]
pub struct Imprints {
    pub(crate) tables: Vec<Table>,
    /// The table of a model that does not say what its columns hold: a defect.
    pub(crate) untold: Option<&'static str>,
}

impl Imprints {
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
        let place = self.tables.iter().position(|table| table.name == shape.name).unwrap_or_else(|| {
            self.tables.push(Table::empty(Cow::Borrowed(shape.name)));
            self.tables.len() - 1
        });
        let table = &mut self.tables[place];
        let (least, most) = rows.size_hint();
        let room = most.unwrap_or(least);
        table.keys.reserve(room);
        for (key, row) in rows {
            let told = fields::each(row, &mut RowInto::new(table, secret, room));
            table.keys.push(key);
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
    /// Columns of which a hash is kept.
    secret: &'a [&'a str],
    /// About how many rows there will be, where it is the first.
    first_of: Option<usize>,
    next: usize,
}

impl<'a> RowInto<'a> {
    /// The next one of about `rows`; of `secret` columns a hash.
    pub(super) fn new(table: &'a mut Table, secret: &'a [&'a str], rows: usize) -> Self {
        Self { first_of: table.columns.is_empty().then_some(rows), table, secret, next: 0 }
    }
}

impl Fields for RowInto<'_> {
    fn place(&mut self, name: &'static str) -> Option<usize> {
        if let Some(rows) = self.first_of {
            self.table.columns.push(Cow::Borrowed(name));
            self.table.values.push(Values::nulls(self.table.keys.len(), rows));
        }
        let place = match self.table.columns.get(self.next) {
            // Most often it is the very name of the first row.
            Some(column) if std::ptr::eq(&**column, name) || column == name => self.next,
            _ => self.table.column(name)?,
        };
        self.next = place + 1;
        Some(place)
    }

    fn take(&mut self, place: usize, value: Field<'_>) -> Result<(), Untold> {
        let Table { columns, values, .. } = &mut *self.table;
        match self.secret.contains(&&*columns[place]) {
            true => values[place].push(Value::from(value).hashed().field()),
            false => values[place].push(value),
        }
        Ok(())
    }
}
