//! Persons who have asked to be forgotten: what is read in the place of their cells from now on, and which rows of the target are theirs.
//! Keys, and no values.

use std::sync::{Mutex, PoisonError};

use diesel::prelude::*;
use jiff::Timestamp;
use rustc_hash::FxHashMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{Attempt, LedgerError};
use super::tables::{replant_changes as ch, replant_erased as e, replant_erased_rows as r};
use crate::storage::db::Db;
use crate::storage::imprint::Columns;
use crate::storage::types::Instant;
use crate::words::Key;

/// What stands in the ledger where a value was erased.
pub(crate) const ERASED: &str = "erased";

/// What is read in the place of the cells of a legacy row.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Erasure {
    /// By column.
    pub(crate) cells: Columns,
    /// Of a row that is the person's, the columns that are read as they stand: all others are NULL. None: all others are.
    pub(crate) kept: Option<Vec<String>>,
}

impl Erasure {
    /// Whether the whole row is the person's.
    pub(crate) fn is_whole(&self) -> bool {
        self.kept.is_some()
    }

    /// Whether a column is read as it stands.
    pub(crate) fn keeps(&self, column: &str) -> bool {
        let kept = || self.kept.as_ref().is_none_or(|kept| kept.iter().any(|kept| kept == column));
        !self.cells.contains_key(column) && kept()
    }

    /// Puts what is read in the place of cells into a row, or some of its columns.
    pub(crate) fn apply(&self, row: &mut Value) {
        for (column, value) in row.as_object_mut().into_iter().flatten() {
            if !self.keeps(column) {
                *value = self.cells.get(column).cloned().unwrap_or_default();
            }
        }
    }

    /// A row without the values; none where nothing that is left makes a row of its table.
    pub(crate) fn of<L: Serialize + DeserializeOwned>(&self, row: &L) -> Option<L> {
        // By way of its text: a float has its own digits there.
        let mut json = serde_json::from_str(&serde_json::to_string(row).ok()?).ok()?;
        self.apply(&mut json);
        L::deserialize(json).ok()
    }

    /// Takes in another one of the same row.
    fn take_in(&mut self, other: Self) {
        self.cells.extend(other.cells);
        self.kept = match (self.kept.take(), other.kept) {
            (Some(mut kept), Some(other)) => {
                kept.retain(|column| other.contains(column));
                Some(kept)
            }
            (one, other) => one.or(other),
        };
    }
}

/// What is read in the place of cells, by legacy table and key.
#[derive(Debug, Clone, Default)]
pub struct Erasures(FxHashMap<String, FxHashMap<Key, Erasure>>);

impl Erasures {
    /// Of a row.
    pub(crate) fn of(&self, table: &str, key: Key) -> Option<&Erasure> {
        self.0.get(table)?.get(&key)
    }

    /// Of the rows of a table.
    pub(crate) fn of_table(&self, table: &str) -> Option<&FxHashMap<Key, Erasure>> {
        self.0.get(table).filter(|rows| !rows.is_empty())
    }

    /// Adds that of a row, to what is known of it.
    pub(crate) fn add(&mut self, table: &str, key: Key, erasure: Erasure) {
        self.0.entry(table.to_owned()).or_default().entry(key).or_default().take_in(erasure);
    }

    /// Adds others.
    pub(crate) fn extend(&mut self, others: &Self) {
        for (table, rows) in &others.0 {
            rows.iter().for_each(|(key, erasure)| self.add(table, *key, erasure.clone()));
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts what is read in the place of cells into rows of a legacy table.
    ///
    /// # Errors
    /// What is left makes no row of the table.
    pub(crate) fn apply<L: Serialize + DeserializeOwned>(
        &self,
        table: &str,
        rows: &mut [L],
        key: impl Fn(&L) -> Key,
    ) -> Result<(), LedgerError> {
        let Some(erased) = self.of_table(table) else { return Ok(()) };
        for row in rows {
            if let Some(erasure) = erased.get(&key(row)) {
                *row = erasure.of(row).ok_or_else(|| unreadable(table))?;
            }
        }
        Ok(())
    }
}

fn unreadable(table: &str) -> LedgerError {
    LedgerError::Unreadable { what: "row of a person who was erased", of: table.to_owned() }
}

/// A row of the target that is an erased person's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ErasedRow {
    /// What stands for the address of the person.
    pub(crate) mark: String,
    /// The columns that hold values of the person.
    pub(crate) held: Vec<String>,
}

/// Rows of the target that are erased persons', by table and id.
pub(crate) type ErasedRows = FxHashMap<(String, i64), ErasedRow>;

/// How an address is written in the one form in which addresses are compared.
type Normal = fn(&str) -> Option<String>;

/// What stands for persons who were erased, in what steps read of the target.
#[derive(Debug, Default)]
pub struct Marks {
    rows: ErasedRows,
    /// The addresses that are being erased, in their one form, each with its mark.
    addresses: Vec<(String, String)>,
    normal: Option<Normal>,
    /// Readings without them, by their names.
    anew: Mutex<FxHashMap<&'static str, ToldAnew>>,
}

/// A reading that was told anew.
#[derive(Debug)]
pub(crate) struct ToldAnew {
    pub(crate) packed: Vec<u8>,
    /// Whether an address stands in it still. None: it has no form that can be looked through.
    pub(crate) holds: Option<bool>,
}

impl Marks {
    /// Those of rows that were erased before.
    pub(crate) fn of(rows: ErasedRows) -> Self {
        Self { rows, ..Self::default() }
    }

    /// With addresses that are being erased, in the form that `normal` gives them.
    pub(crate) fn erasing(rows: ErasedRows, addresses: Vec<(String, String)>, normal: Normal) -> Self {
        Self { rows, addresses, normal: Some(normal), anew: Mutex::default() }
    }

    /// The mark of the person whose a row of the target is; none where it is nobody's who was erased.
    pub fn row(&self, table: &str, id: i64) -> Option<&str> {
        if self.rows.is_empty() {
            return None;
        }
        self.rows.get(&(table.to_owned(), id)).map(|row| &*row.mark)
    }

    /// What stands in the place of an address; none where it stays.
    pub fn address(&self, text: &str) -> Option<&str> {
        let address = self.normal?(text)?;
        self.addresses.iter().find(|(erased, _)| *erased == address).map(|(_, mark)| &**mark)
    }

    /// Whether addresses are being erased: readings that are there already are told anew.
    pub(crate) fn is_erasing(&self) -> bool {
        self.normal.is_some()
    }

    /// Keeps a reading in which no person is to be left.
    pub(crate) fn tell_anew<T: Serialize>(&self, name: &'static str, reading: &T, packed: Vec<u8>) {
        let holds = serde_json::to_value(reading).ok().map(|reading| self.holds(&reading));
        self.anew.lock().unwrap_or_else(PoisonError::into_inner).insert(name, ToldAnew { packed, holds });
    }

    /// Whether an address that is being erased stands in a value.
    fn holds(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.address(text).is_some(),
            Value::Array(all) => all.iter().any(|one| self.holds(one)),
            Value::Object(all) => all.iter().any(|(name, one)| self.address(name).is_some() || self.holds(one)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// The readings that were told anew.
    pub(crate) fn told_anew(&self) -> FxHashMap<&'static str, ToldAnew> {
        std::mem::take(&mut self.anew.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is read in the place of cells.
///
/// # Errors
/// The database fails, or it cannot be read back.
pub(crate) fn load(db: &mut Db) -> Result<Erasures, LedgerError> {
    let found: Vec<(String, Key, String, Option<String>)> =
        e::table.select((e::legacy_table, e::legacy_key, e::cells, e::kept)).load(db).attempt("read")?;
    let mut erasures = Erasures::default();
    for (table, key, cells, kept) in found {
        let cells = serde_json::from_str(&cells).map_err(|_| unreadable(&table))?;
        let kept = kept.map(|kept| serde_json::from_str(&kept)).transpose().map_err(|_| unreadable(&table))?;
        erasures.add(&table, key, Erasure { cells, kept });
    }
    Ok(erasures)
}

/// The rows of the target that are erased persons'.
///
/// # Errors
/// The database fails, or it cannot be read back.
pub(crate) fn rows(db: &mut Db) -> Result<ErasedRows, LedgerError> {
    let found: Vec<(String, i64, String, String)> =
        r::table.select((r::target_table, r::target_id, r::mark, r::held)).load(db).attempt("read")?;
    let row = |(table, id, mark, held): (String, i64, String, String)| {
        let held = serde_json::from_str(&held).map_err(|_| unreadable(&table))?;
        Ok(((table, id), ErasedRow { mark, held }))
    };
    found.into_iter().map(row).collect()
}

/// Whether somebody was erased since a moment.
///
/// # Errors
/// The database fails.
pub(crate) fn any_since(db: &mut Db, since: Timestamp) -> Result<bool, LedgerError> {
    let later = e::table.filter(e::erased_at.ge(Instant(since))).select(e::legacy_key).first::<Key>(db);
    Ok(later.optional().attempt("read")?.is_some())
}

/// The rows of a table that a step has changed for the sake of a legacy row.
///
/// # Errors
/// The database fails.
pub(crate) fn touched(db: &mut Db, step: &str, key: Key, table: &str) -> Result<Vec<i64>, LedgerError> {
    let of_key = ch::table.filter(ch::step.eq(step.to_owned())).filter(ch::legacy_key.eq(key));
    let of_key = of_key.filter(ch::target_table.eq(table.to_owned())).filter(ch::target_id.is_not_null());
    of_key.select(ch::target_id.assume_not_null()).distinct().load(db).attempt("read")
}

/// Remembers erasures in the place of what was known of the same rows, and rows of the target.
///
/// # Errors
/// The database fails.
pub(crate) fn save(db: &mut Db, erasures: &Erasures, rows: &ErasedRows) -> Result<(), LedgerError> {
    let (now, json) = (Instant::now(), |value: &Value| value.to_string());
    for (table, of_table) in &erasures.0 {
        for (key, Erasure { cells, kept }) in of_table {
            diesel::delete(e::table.find((table.clone(), *key))).execute(db).attempt("written")?;
            let row = (
                e::legacy_table.eq(table),
                e::legacy_key.eq(*key),
                e::cells.eq(json(&Value::Object(cells.clone()))),
                e::kept.eq(kept.as_ref().map(|kept| json(&kept.as_slice().into()))),
                e::erased_at.eq(now),
            );
            diesel::insert_into(e::table).values(row).execute(db).attempt("written")?;
        }
    }
    for ((table, id), ErasedRow { mark, held }) in rows {
        diesel::delete(r::table.find((table.clone(), *id))).execute(db).attempt("written")?;
        let held = json(&held.as_slice().into());
        let row = (r::target_table.eq(table), r::target_id.eq(*id), r::mark.eq(mark), r::held.eq(held));
        diesel::insert_into(r::table).values(row).execute(db).attempt("written")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::storage::cell::Cell;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Thing {
        id: Key,
        name: Cell<String>,
        weight: Cell<f32>,
        kind: Cell<String>,
    }

    #[test]
    fn a_row_of_a_person_tells_what_is_kept_and_nothing_else() {
        let cells = json!({"name": "mark"}).as_object().unwrap().clone();
        let whole = Erasure { cells: cells.clone(), kept: Some(vec!["id".into(), "weight".into()]) };
        let thing = |name: Cell<String>, kind: Cell<String>| Thing { id: 7, name, weight: Cell::Good(0.1), kind };
        let text = |text: &str| Cell::Good(text.to_owned());
        let row = thing(text("Ann"), text("vip"));
        assert_eq!(whole.of(&row), Some(thing(text("mark"), Cell::Null)));
        let some = Erasure { cells, kept: None };
        assert_eq!(some.of(&row), Some(thing(text("mark"), text("vip"))));
        let mut both = some.clone();
        both.take_in(whole.clone());
        assert_eq!(both, whole);
    }
}
