//! Taking out again what was written for a unit.

use diesel::prelude::*;

use super::ends::static_name;
use super::error::ChunkError;
use super::judged::Judged;
use crate::contract::legacy::LegacyRow;
use crate::contract::step::Step;
use crate::storage::bulk::{UnitIndex, whole_row};
use crate::storage::db::Db;
use crate::storage::failure::{Failure, Told, caught};
use crate::storage::ledger::changes::Change;
use crate::storage::ledger::plan::Ours;
use crate::storage::ledger::recorded::{ByKey, Recorded};
use crate::storage::sql::quoted;
use crate::words::{Key, Outcome};

/// Whether a row was in the target, of itself or in another one's row.
pub(crate) fn is_in(recorded: &Recorded) -> bool {
    matches!(recorded.outcome, Outcome::Migrated | Outcome::Merged)
}

/// Takes units out, for as long as that helps: what a row points to can be taken out once the row is. Returns those that stay.
///
/// # Errors
/// Those of `take_out`.
pub(crate) fn take_out_all(
    mut units: Vec<UnitIndex>,
    mut take_out: impl FnMut(UnitIndex) -> Result<bool, ChunkError>,
) -> Result<Vec<UnitIndex>, ChunkError> {
    loop {
        let before = units.len();
        let mut still = Vec::new();
        for unit in units {
            if !take_out(unit)? {
                still.push(unit);
            }
        }
        units = still;
        if units.len() == before || units.is_empty() {
            return Ok(units);
        }
    }
}

/// Deletes what was written for a unit. The changes; none where something points to it, or it was there before the migration:
/// then it stays.
///
/// # Errors
/// The database fails.
pub(crate) fn deleted<S: Step>(
    judged: &Judged<S>,
    db: &mut Db,
    unit: UnitIndex,
    recorded: &ByKey,
    ours: &Ours,
) -> Result<Option<Vec<Change>>, ChunkError> {
    let mut targets: Vec<(String, i64, Key)> = Vec::new();
    for key in judged.unit(unit).iter().map(LegacyRow::key) {
        let Some(was) = recorded.get(&key).filter(|was| was.outcome == Outcome::Migrated) else { continue };
        let own = was.table.clone().unwrap_or_else(|| S::TARGET.to_owned());
        let all = was.also.iter().cloned().chain(was.target.map(|id| (own, id)));
        targets.extend(all.map(|(table, id)| (table, id, key)));
    }
    if targets.is_empty() || targets.iter().any(|(table, id, _)| !ours.made(table, *id)) {
        return Ok(None);
    }
    let mut changes = Vec::new();
    let deleted = db.write(|db| {
        for (table, id, key) in &targets {
            let change = taken_out::<S>(db, table, *id, *key)?;
            for (part, column) in S::PARTS.iter().filter(|_| table == S::TARGET) {
                delete(db, part, column, *id)?;
            }
            delete_row(db, &change, *id)?;
            changes.push(change);
        }
        Ok::<_, diesel::result::Error>(())
    });
    match deleted {
        Ok(()) => Ok(Some(changes)),
        Err(error) if Failure::of(&error).blames_a_row() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The line of the ledger about a row that is taken out, with all that it holds.
pub(crate) fn taken_out<S: Step>(db: &mut Db, table: &str, id: i64, key: Key) -> QueryResult<Change> {
    Ok(Change {
        table: static_name::<S>(table),
        id,
        legacy_key: Some(key),
        what: "taken out",
        before: whole_row(db, table, id)?,
        after: None,
    })
}

/// The rows of a table that only the ledger, or a constant of the step, names.
fn delete(db: &mut Db, table: &str, column: &str, id: i64) -> QueryResult<usize> {
    let sql = format!("DELETE FROM {} WHERE {} = {id}", quoted(table), quoted(column));
    match db {
        Db::Pg(pg) => caught::execute(pg, &sql),
        db => diesel::sql_query(sql).execute(db),
    }
}

/// Deletes a row of the target by its id. What was there, and is there still although nothing refused to let it go, is kept by
/// something of the site's own.
pub(crate) fn delete_row(db: &mut Db, change: &Change, id: i64) -> QueryResult<()> {
    let gone = delete(db, change.table, "id", id)?;
    if gone == 0 && change.before.is_some() { Err(Told::not_taken(change.table)) } else { Ok(()) }
}
