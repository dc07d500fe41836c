//! Taking out again what was written for a unit.

use diesel::prelude::*;
use rustc_hash::FxHashSet;

use super::error::ChunkError;
use crate::storage::bulk::{Before, Known, UnitIndex, Was, whole_row};
use crate::storage::db::Db;
use crate::storage::failure::{Failure, Told};
use crate::storage::imprint::{Lock, Value};
use crate::storage::ledger::LedgerError;
use crate::storage::ledger::changes::{self, Change};
use crate::storage::ledger::plan::Ours;
use crate::storage::ledger::row::Recorded;
use crate::storage::pointing::{PointedBy, pointed_by};
use crate::storage::sql::quoted;
use crate::words::{Key, Outcome};

/// Whether a row was in the target, of itself or in another one's row.
pub(crate) fn is_in(recorded: &Recorded) -> bool {
    matches!(recorded.outcome, Outcome::Migrated | Outcome::Merged)
}

/// Whether what was written for a unit could be taken out.
#[derive(Debug)]
pub(crate) enum TakenOut {
    /// It is gone: the changes.
    Gone(Vec<Change>),
    /// It stays until rows of ours that point to it are gone.
    Waits,
    /// It stays: somebody has changed it since, or points to it.
    Stays,
}

/// Takes units out, for as long as that helps: what a row points to can be taken out once the row is. Returns those that stay, and
/// whether they do until rows of ours are gone.
///
/// # Errors
/// Those of `take_out`.
pub(crate) fn take_out_all(
    mut units: Vec<UnitIndex>,
    mut take_out: impl FnMut(UnitIndex) -> Result<TakenOut, ChunkError>,
) -> Result<Vec<(UnitIndex, bool)>, ChunkError> {
    loop {
        let before = units.len();
        let mut still = Vec::new();
        for unit in units {
            match take_out(unit)? {
                TakenOut::Gone(_) => {}
                TakenOut::Waits => still.push((unit, true)),
                TakenOut::Stays => still.push((unit, false)),
            }
        }
        if still.len() == before || still.is_empty() {
            return Ok(still);
        }
        units = still.into_iter().map(|(unit, _)| unit).collect();
    }
}

/// A row that was written for a unit.
pub(crate) type Written<'a> = (&'a Known, &'a Vec<Value>, &'a Was);

/// The rows that were written for the sake of some legacy rows, those that point to others first.
pub(crate) fn written<'a>(before: &'a Before, keys: &FxHashSet<Key>) -> Vec<Written<'a>> {
    let mut written = Vec::new();
    for known in before.tables.iter().rev() {
        let first = written.len();
        let rows = known.rows.iter().filter(|(_, was)| keys.contains(&was.key));
        written.extend(rows.map(|(key, was)| (known, key, was)));
        written[first..].sort_by_key(|(_, _, was)| was.key);
    }
    written
}

/// Deletes rows that were written before, each by its recorded key: all of them, or none.
///
/// # Errors
/// The database fails.
pub(crate) fn deleted(db: &mut Db, rows: &[Written<'_>], ours: &Ours) -> Result<TakenOut, ChunkError> {
    let (mut changes, mut waits) = (Vec::new(), false);
    let deleted = db.write(|db| {
        for (known, key, was) in rows {
            // Whoever would point to it waits until it is gone, or finds it there.
            let standing = known.reading.rows(db, std::slice::from_ref(key), Lock::Key)?;
            let Some(stands) = standing.get(*key) else { continue };
            let table = known.model.shape.name;
            let condition = known.reading.among("t", std::iter::once(*key), db.backend());
            if known.hashed(stands) != was.left {
                return Err(Told::not_taken(table));
            }
            match pointed_by(db, table, &condition, ours)? {
                PointedBy::Nobody => changes.push(delete(db, known, key, was, stands)?),
                by => {
                    waits = by == PointedBy::Ours;
                    return Err(Told::not_taken(table));
                }
            }
        }
        Ok::<_, diesel::result::Error>(())
    });
    match deleted {
        Ok(()) => Ok(TakenOut::Gone(changes)),
        Err(error) if Failure::of(&error).blames_a_row() => Ok(if waits { TakenOut::Waits } else { TakenOut::Stays }),
        Err(error) => Err(error.into()),
    }
}

/// Deletes a row. What is there still although nothing refused to let it go is kept by something of the site's own.
fn delete(db: &mut Db, known: &Known, key: &Vec<Value>, was: &Was, stands: &[Value]) -> QueryResult<Change> {
    let table = known.model.shape.name;
    let condition = known.reading.among("t", std::iter::once(key), db.backend());
    let whole = whole_row(db, table, &condition)?;
    // In the form of all other changes, with the columns that the model does not have.
    let mut before: serde_json::Map<_, _> =
        whole.and_then(|whole| serde_json::from_str(&whole).ok()).unwrap_or_default();
    before.extend(known.reading.some_columns(&known.hashed(stands), 0..stands.len()));
    let sql = format!("DELETE FROM {} AS t WHERE {condition}", quoted(table));
    if db.execute_caught(&sql)? == 0 {
        return Err(Told::not_taken(table));
    }
    changes::forget_row(db, table, &known.name(key)).map_err(LedgerError::into_diesel)?;
    Ok(Change {
        table: table.into(),
        row: known.name(key),
        legacy_key: Some(was.key),
        what: "taken out".into(),
        before: Some(before),
        after: None,
    })
}
