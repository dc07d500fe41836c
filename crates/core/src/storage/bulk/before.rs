//! What was written before for rows that are judged again.

use rustc_hash::FxHashMap;

use crate::storage::db::Db;
use crate::storage::imprint::{Columns, Reading, Table, Value};
use crate::storage::ledger::LedgerError;
use crate::storage::ledger::changes::{self, RowName};
use crate::storage::model::Model;
use crate::words::Key;

/// A row as it was written last.
#[derive(Debug, Clone)]
pub(crate) struct Was {
    /// The legacy row for whose sake: the leader of its unit.
    pub(crate) key: Key,
    /// Its values as the step wrote them, in the order of the reading's columns.
    pub(crate) values: Vec<Value>,
    /// Its values as the migration left them: what later steps made of it.
    pub(crate) left: Vec<Value>,
    /// Whether later steps made something of it.
    pub(crate) layered: bool,
}

/// Rows of a table that were written before, by their keys.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) model: Model,
    pub(crate) reading: Reading,
    pub(crate) rows: FxHashMap<Vec<Value>, Was>,
}

/// All that was written before for the rows of a chunk.
#[derive(Debug, Default)]
pub(crate) struct Before {
    /// In the order in which the tables are written.
    pub(crate) tables: Vec<Known>,
}

impl Before {
    /// What `imprint` tells, and what was done to these rows since.
    ///
    /// # Errors
    /// The database fails, or a change cannot be read back.
    pub(crate) fn new(db: &mut Db, models: &[Model], imprint: Vec<Table>) -> Result<Self, LedgerError> {
        let mut before = Self::default();
        for model in models {
            let mut known: Option<Known> = None;
            for table in imprint.iter().filter(|table| table.name == model.shape.name) {
                let known = match &mut known {
                    Some(known) => known,
                    None => {
                        let reading = Reading::new(db, &model.shape, &table.columns)?;
                        known.insert(Known { model: model.clone(), reading, rows: FxHashMap::default() })
                    }
                };
                for place in 0..table.keys.len() {
                    let values = known.reading.arranged(table, place);
                    let was = Was { key: table.keys[place], left: values.clone(), values, layered: false };
                    known.rows.insert(known.reading.key(&was.values), was);
                }
            }
            if let Some(mut known) = known {
                known.overlay(db)?;
                before.tables.push(known);
            }
        }
        Ok(before)
    }

    /// The rows of a table.
    pub(crate) fn table(&self, name: &str) -> Option<&Known> {
        self.tables.iter().find(|known| known.model.shape.name == name)
    }
}

impl Known {
    /// Some of these rows, by their keys.
    pub(crate) fn only(&self, keep: impl Fn(&Vec<Value>) -> bool) -> Self {
        let rows = self.rows.iter().filter(|(key, _)| keep(key)).map(|(key, was)| (key.clone(), was.clone())).collect();
        Self { model: self.model.clone(), reading: self.reading.clone(), rows }
    }

    /// The row with a key as a change names it.
    pub(crate) fn name(&self, key: &[Value]) -> RowName {
        RowName::of_key(&self.reading.key_columns(key))
    }

    /// Takes in what was done to the rows since.
    ///
    /// # Errors
    /// The database fails, or a change cannot be read back.
    pub(crate) fn overlay(&mut self, db: &mut Db) -> Result<(), LedgerError> {
        let names: FxHashMap<RowName, Vec<Value>> = self.rows.keys().map(|key| (self.name(key), key.clone())).collect();
        let wanted: Vec<RowName> = names.keys().cloned().collect();
        for (name, done) in changes::of_rows(db, self.model.shape.name, &wanted)? {
            for change in done.into_iter().filter(|change| !change.in_imprint) {
                let key = &names[&name];
                match change.after {
                    Some(after) => self.set(key, &after),
                    None => {
                        self.rows.remove(key);
                    }
                }
            }
        }
        Ok(())
    }

    /// Values as the ledger keeps them: of secret columns a hash.
    pub(crate) fn hashed(&self, values: &[Value]) -> Vec<Value> {
        let named = values.iter().zip(self.reading.columns());
        named.map(|(value, (name, _))| value.kept(name, self.model.secret)).collect()
    }

    fn set(&mut self, key: &[Value], columns: &Columns) {
        let Some(was) = self.rows.get_mut(key) else { return };
        for (place, (name, kind)) in self.reading.columns().iter().enumerate() {
            if let Some(json) = columns.get(name) {
                was.left[place] = Value::from_json(json, *kind);
                was.layered = true;
            }
        }
    }
}
