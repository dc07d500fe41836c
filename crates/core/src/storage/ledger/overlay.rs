//! Legacy rows that are not read from the legacy database: those that a person has mended, and those that are gone and count as
//! they were read last. And cells that are not read at all, because somebody has asked to be forgotten.

use std::collections::BTreeMap;
use std::ops::Bound;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::erased::{self, Erasures, Marks};
use super::error::LedgerError;
use super::mends::{self, Mends};
use super::{plan, seen};
use crate::storage::db::Db;
use crate::storage::imprint::Table;
use crate::words::{Key, KeySet};

/// Legacy rows that stand in the place of what the legacy database has, or has not.
#[derive(Debug, Default)]
pub struct Overlay {
    mends: Mends,
    gone: FxHashMap<String, Gone>,
    erasures: Erasures,
    marks: Marks,
}

/// The rows of a legacy table that are gone.
#[derive(Debug, Default)]
struct Gone {
    tables: Vec<Table>,
    /// Each in one of these, at a place.
    places: BTreeMap<Key, (usize, usize)>,
}

impl Overlay {
    /// Mended rows, and what is read in the place of cells, and of rows of the target, of persons who were erased.
    pub(crate) fn of(mends: Mends, erasures: Erasures, marks: Marks) -> Self {
        Self { mends, gone: FxHashMap::default(), erasures, marks }
    }

    /// With more cells that are not read, and what stands for persons in what is read of the target.
    pub(crate) fn erasing(mut self, erasures: &Erasures, marks: Marks) -> Self {
        self.erasures.extend(erasures);
        Self { marks, ..self }
    }

    /// What is read in the place of erased cells.
    pub(crate) fn erasures(&self) -> &Erasures {
        &self.erasures
    }

    /// What stands for erased persons in what is read of the target.
    pub(crate) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Mended rows, and those that were gone in the last state of the legacy database.
    ///
    /// # Errors
    /// The ledger fails.
    pub(crate) fn load(db: &mut Db) -> Result<Self, LedgerError> {
        let mut overlay = Self::of(mends::load(db)?, erased::load(db)?, Marks::of(erased::rows(db)?));
        for (step, table, keys) in plan::gone(db)? {
            overlay.revive(db, (&step, &table), &keys)?;
        }
        Ok(overlay)
    }

    /// Has rows of the legacy table of a step count that are gone.
    ///
    /// # Errors
    /// The ledger fails.
    pub(crate) fn revive(&mut self, db: &mut Db, step: (&str, &str), keys: &KeySet) -> Result<(), LedgerError> {
        if keys.is_empty() {
            return Ok(());
        }
        let gone = self.gone.entry(step.1.to_owned()).or_default();
        for table in seen::of_keys(db, step, keys)? {
            let places = table.keys.iter().enumerate().map(|(place, key)| (*key, (gone.tables.len(), place)));
            gone.places.extend(places);
            gone.tables.push(table);
        }
        Ok(())
    }

    /// Completes rows of a legacy table, ascending, that were read with all keys above `after` and up to `upto`: with those that are
    /// gone, mended rows in the place of others, and without erased cells.
    ///
    /// # Errors
    /// A row that the ledger keeps is no row of its table.
    pub(crate) fn between<L: Serialize + DeserializeOwned>(
        &self,
        table: &str,
        rows: &mut Vec<L>,
        (after, upto): (Option<Key>, Option<Key>),
        key: impl Fn(&L) -> Key,
    ) -> Result<(), LedgerError> {
        if let Some(gone) = self.gone.get(table) {
            let after = after.map_or(Bound::Unbounded, Bound::Excluded);
            let upto = upto.map_or(Bound::Unbounded, Bound::Included);
            self.join(table, rows, gone.places.range((after, upto)).map(|(key, _)| *key), &key)?;
        }
        self.mends.apply(table, rows, &key)?;
        self.erasures.apply(table, rows, key)
    }

    /// Completes rows of a legacy table, ascending, that were read by `keys`, likewise.
    ///
    /// # Errors
    /// A row that the ledger keeps is no row of its table.
    pub(crate) fn with_keys<L: Serialize + DeserializeOwned>(
        &self,
        table: &str,
        rows: &mut Vec<L>,
        keys: &[Key],
        key: impl Fn(&L) -> Key,
    ) -> Result<(), LedgerError> {
        self.join(table, rows, keys.iter().copied(), &key)?;
        self.mends.apply(table, rows, &key)?;
        self.erasures.apply(table, rows, key)
    }

    fn join<L: DeserializeOwned>(
        &self,
        table: &str,
        rows: &mut Vec<L>,
        keys: impl Iterator<Item = Key>,
        key_of: &impl Fn(&L) -> Key,
    ) -> Result<(), LedgerError> {
        let Some(gone) = self.gone.get(table) else { return Ok(()) };
        let missing: Vec<(Key, (usize, usize))> = keys.filter_map(|key| Some((key, *gone.places.get(&key)?))).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let there: FxHashSet<Key> = rows.iter().map(key_of).collect();
        for (_, (of, place)) in missing.into_iter().filter(|(key, _)| !there.contains(key)) {
            let row = gone.tables[of].legacy(place);
            rows.push(row.ok_or_else(|| LedgerError::Unreadable { what: "row that is gone", of: table.to_owned() })?);
        }
        rows.sort_by_key(key_of);
        Ok(())
    }
}
