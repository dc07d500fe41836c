//! The rows of a chunk as the ledger says that the migration left them, beside those that the target holds.

use std::borrow::Cow;
use std::hash::Hash;

use rustc_hash::FxHashMap;

use crate::engine::registry::Registry;
use crate::engine::step::AnyStep;
use crate::storage::db::Db;
use crate::storage::fields::Field;
use crate::storage::imprint::{Columns, Lock, Reading, Table, Value, Values, primary_key};
use crate::storage::ledger::changes::{self, Known, RowName};
use crate::storage::ledger::plan::PlannedIds;
use crate::storage::ledger::{Attempt, LedgerError};
use crate::storage::model::Model;

/// How rows of a table are known to belong to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// They have ids, and the step has some of its own.
    ById,
    /// Their key begins with the id of a row of the step.
    AsParts,
    /// By what the ledger says alone.
    Otherwise,
}

/// A table into which a step writes.
#[derive(Debug, Clone)]
pub(crate) struct Sheet {
    pub(crate) model: Model,
    pub(crate) rows: Kept,
    key: Vec<String>,
    /// Whether later steps have changed rows of it that have no id.
    keyed_changes: bool,
}

impl Sheet {
    /// Those of a step.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn all(db: &mut Db, step: &dyn AnyStep) -> Result<Vec<Self>, LedgerError> {
        let mut sheets: Vec<Self> = Vec::new();
        for model in step.models() {
            let table = model.shape.name;
            if sheets.iter().any(|known| known.model.shape.name == table) {
                continue;
            }
            let key = primary_key(db, table).attempt("read")?;
            let is_part =
                |(part, column): &(&str, &str)| *part == table && key.first().is_some_and(|key| key == column);
            let rows = match step.target_table() == table || step.also().contains(&table) {
                true => Kept::ById,
                false if step.parts().iter().any(is_part) => Kept::AsParts,
                false => Kept::Otherwise,
            };
            sheets.push(Self { rows, key, keyed_changes: changes::has_keyed(db, table)?, model });
        }
        Ok(sheets)
    }

    /// A table of which steps have changed rows, as one of them or their models know it; none where none does.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn of(db: &mut Db, registry: &Registry, table: &str) -> Result<Option<Self>, LedgerError> {
        let models = registry.steps().flat_map(AnyStep::models).filter(|model| model.shape.name == table);
        let mut shapes = registry.steps().flat_map(AnyStep::writes).filter(|shape| shape.name == table);
        // A table that is only ever changed has no model of its own.
        let known = models.max_by_key(|model| model.fixed.len());
        let Some(mut model) = known.or_else(|| shapes.next().map(Model::plain)) else { return Ok(None) };
        for column in shapes.flat_map(|shape| shape.columns) {
            if !model.shape.columns.iter().any(|known| known.name == column.name) {
                model.shape.columns.push(column);
            }
        }
        let has_ids = registry.steps().any(|step| step.target_table() == table || step.also().contains(&table));
        let rows = if has_ids { Kept::ById } else { Kept::Otherwise };
        Ok(Some(Self { model, rows, key: primary_key(db, table).attempt("read")?, keyed_changes: true }))
    }

    /// A reading of all columns that are known.
    pub(crate) fn whole(&self) -> Reading {
        let columns: Vec<Cow<'static, str>> =
            self.model.shape.columns.iter().map(|column| Cow::Borrowed(column.name)).collect();
        self.reading(&columns)
    }

    /// The key of the row that a change names; none where that is no key of this table.
    pub(crate) fn key_of(&self, reading: &Reading, name: &RowName) -> Option<Vec<Value>> {
        match name {
            RowName::Id(id) => Some(vec![Value::Integer(*id)]),
            RowName::Key(json) => {
                let columns: Columns = serde_json::from_str(json).ok()?;
                reading.keyed().iter().map(|(name, kind)| Some(Value::from_json(columns.get(name)?, *kind))).collect()
            }
        }
    }

    /// The rows of it among some tables, which lose them; none where there are none.
    pub(crate) fn table(&self, tables: &mut Vec<Table>) -> Option<Table> {
        let mut own: Option<Table> = None;
        while let Some(place) = tables.iter().position(|table| table.name == self.model.shape.name) {
            let table = tables.swap_remove(place);
            match &mut own {
                None => own = Some(table),
                Some(own) => own.append(&table),
            }
        }
        own
    }

    /// No rows of it.
    pub(crate) fn nothing(&self) -> Table {
        let mut table = Table::empty(Cow::Borrowed(self.model.shape.name));
        table.columns = self.key.iter().map(|column| Cow::Owned(column.clone())).collect();
        table.values = vec![Values::default(); table.columns.len()];
        table
    }

    /// A reading of some of its columns.
    pub(crate) fn reading(&self, columns: &[Cow<'static, str>]) -> Reading {
        Reading::by(&self.model.shape, columns, &self.key)
    }

    /// The values of a row as the ledger keeps them: of secret columns a hash.
    pub(crate) fn hashed(&self, reading: &Reading, values: &[Value]) -> Vec<Value> {
        let named = values.iter().zip(reading.columns());
        named.map(|(value, (name, _))| value.kept(name, self.model.secret)).collect()
    }
}

/// Rows of a table that a chunk has written, and what later steps have made of them.
pub(crate) struct Written<'a> {
    pub(crate) sheet: &'a Sheet,
    pub(crate) reading: Reading,
    pub(crate) table: Table,
    /// What was done to a row since, by its place.
    since: FxHashMap<usize, Vec<Known>>,
}

impl<'a> Written<'a> {
    /// What an imprint of the table tells, and the changes since.
    ///
    /// # Errors
    /// The database fails, or a change cannot be read back.
    pub(crate) fn new(db: &mut Db, sheet: &'a Sheet, table: Table) -> Result<Self, LedgerError> {
        let reading = sheet.reading(&table.columns);
        let mut written = Self { sheet, reading, table, since: FxHashMap::default() };
        let name = sheet.model.shape.name;
        let since = match written.ids() {
            Some(ids) if !ids.is_empty() => {
                let (lo, hi) = (*ids.iter().min().expect("some"), *ids.iter().max().expect("some"));
                let since = changes::between(db, name, (lo, hi))?;
                let places = ids.iter().enumerate().map(|(place, id)| (place, RowName::Id(*id)));
                places.filter_map(|(place, id)| Some((place, since.get(&id)?.clone()))).collect()
            }
            None if sheet.keyed_changes => {
                let names: Vec<RowName> = (0..written.table.keys.len()).map(|row| written.name(row)).collect();
                let since = changes::of_rows(db, name, &names)?;
                let since = names.into_iter().enumerate().filter_map(|(place, name)| {
                    let mut done = since.get(&name)?.clone();
                    done.retain(|done| !done.in_imprint);
                    (!done.is_empty()).then_some((place, done))
                });
                since.collect()
            }
            _ => FxHashMap::default(),
        };
        written.since = since;
        Ok(written)
    }

    /// The ids of the rows, where rows are known by an integer alone.
    fn ids(&self) -> Option<Vec<i64>> {
        let [(_, _)] = self.reading.keyed() else { return None };
        if !self.reading.has_ranges() {
            return None;
        }
        let ids = &self.table.values[self.reading.first_of_key()];
        Some(ids.iter().map(|id| integer(id).unwrap_or_default()).collect())
    }

    /// The lowest and the highest number in the first column of the key; none where that holds none, or they lie so far apart that
    /// rows are better asked for one by one.
    pub(crate) fn range(&self) -> Option<(i64, i64)> {
        if !self.reading.has_ranges() {
            return None;
        }
        let numbers = || self.table.values[self.reading.first_of_key()].iter().filter_map(integer);
        let bounds = numbers().min().zip(numbers().max())?;
        is_dense(bounds, self.table.keys.len() as u64).then_some(bounds)
    }

    /// The keys of rows of which the first column does not lie between two numbers: of all of them, where there are none.
    pub(crate) fn outside(&self, range: Option<(i64, i64)>) -> Vec<Vec<Value>> {
        let first = &self.table.values[self.reading.first_of_key()];
        let is_outside = |row: &usize| {
            let within =
                range.zip(integer(first.get(*row))).is_some_and(|((lo, hi), number)| (lo..=hi).contains(&number));
            !within
        };
        (0..self.table.keys.len()).filter(is_outside).map(|row| self.reading.key(&self.table.row(row))).collect()
    }

    /// The rows of the target that may be these, and no fewer: all of a range where they lie near each other. `planned`: the ids that they
    /// may have.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn held(&self, db: &mut Db, planned: Option<PlannedIds<'_>>) -> Result<Table, LedgerError> {
        let bounds = planned.and_then(|planned| planned.bounds().filter(|bounds| is_dense(*bounds, planned.keys())));
        let range = if planned.is_some() { bounds } else { self.range() };
        let mut keys = self.outside(range);
        let mut held = match range {
            Some(range) => self.reading.between(db, range).attempt("compared")?,
            None => self.reading.rows_of(std::iter::empty()),
        };
        if range.is_none() && self.sheet.rows == Kept::ById {
            keys.extend(planned.iter().flat_map(|planned| planned.iter()).map(|id| vec![Value::Integer(id)]));
        }
        let more = self.reading.rows(db, &keys, Lock::No).attempt("compared")?;
        held.append(&self.reading.rows_of(more.values().map(|row| (0, &row[..]))));
        Ok(held)
    }

    /// How a change names a row.
    pub(crate) fn name(&self, row: usize) -> RowName {
        self.name_of(&self.reading.key(&self.table.row(row)))
    }

    /// How a change names the row with a key.
    pub(crate) fn name_of(&self, key: &[Value]) -> RowName {
        RowName::of_key(&self.reading.key_columns(key))
    }

    /// A row as the migration left it; none where it was taken out later.
    pub(crate) fn left(&self, row: usize) -> Option<Vec<Value>> {
        let mut left = self.table.row(row);
        for done in self.since.get(&row).into_iter().flatten() {
            let after = done.after.as_ref()?;
            for (place, (name, kind)) in self.reading.columns().iter().enumerate() {
                if let Some(json) = after.get(name) {
                    left[place] = Value::from_json(json, *kind);
                }
            }
        }
        Some(left)
    }

    /// The rows of which no row of `held` is as they were left, by their places; and the rows of `held` that are none of them.
    pub(crate) fn differing(&self, held: &Table) -> (Vec<bool>, Vec<usize>) {
        match self.ids() {
            Some(ids) => {
                let first = &held.values[self.reading.first_of_key()];
                let of_held = first.iter().map(|id| integer(id).unwrap_or_default());
                self.paired(held, ids.into_iter(), of_held)
            }
            None => {
                let key = |table: &Table, row: usize| self.reading.key(&table.row(row));
                let own: Vec<_> = (0..self.table.keys.len()).map(|row| key(&self.table, row)).collect();
                self.paired(held, own.into_iter(), (0..held.keys.len()).map(|row| key(held, row)))
            }
        }
    }

    fn paired<K: Hash + Eq>(
        &self,
        held: &Table,
        own: impl Iterator<Item = K>,
        of_held: impl Iterator<Item = K>,
    ) -> (Vec<bool>, Vec<usize>) {
        let mut places: FxHashMap<K, usize> = of_held.enumerate().map(|(place, key)| (key, place)).collect();
        let mut differs = vec![false; self.table.keys.len()];
        let mut pairs: Vec<(usize, usize)> = Vec::with_capacity(differs.len());
        for (row, key) in own.enumerate() {
            match places.remove(&key) {
                Some(place) if self.since.contains_key(&row) => differs[row] = !self.stands(row, held, place),
                Some(place) => pairs.push((row, place)),
                None => differs[row] = self.left(row).is_some(),
            }
        }
        for (place, (name, _)) in self.reading.columns().iter().enumerate() {
            let (left, stands) = (&self.table.values[place], &held.values[place]);
            let is_secret = self.sheet.model.secret.contains(&name.as_str());
            for (row, at) in &pairs {
                let same = match is_secret {
                    true => Value::from(left.get(*row)) == Value::from(stands.get(*at)).hashed(),
                    false => left.get(*row).is(stands.get(*at)),
                };
                differs[*row] |= !same;
            }
        }
        let mut others: Vec<usize> = places.into_values().collect();
        others.sort_unstable();
        (differs, others)
    }

    /// Whether a row that later steps have changed stands as they left it.
    fn stands(&self, row: usize, held: &Table, place: usize) -> bool {
        self.left(row).is_some_and(|left| left == self.sheet.hashed(&self.reading, &held.row(place)))
    }
}

/// Whether numbers lie so near to each other that rows with them are best read by their range.
pub(crate) fn is_dense((lo, hi): (i64, i64), rows: u64) -> bool {
    hi.abs_diff(lo) < rows.saturating_mul(4).saturating_add(1_000)
}

fn integer(field: Field<'_>) -> Option<i64> {
    if let Field::Integer(integer) = field { Some(integer) } else { None }
}
