//! What was done to rows, by their names, first things first.

use diesel::prelude::*;
use rustc_hash::FxHashMap;
use serde_json::Value as Json;

use super::{PAGE, RowName, by_name, columns, untold};
use crate::storage::db::Db;
use crate::storage::imprint::{Columns, is_hash};
use crate::storage::ledger::error::{Attempt, LedgerError};
use crate::storage::ledger::tables::replant_changes as ch;

/// A change as the ledger has it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) step: String,
    pub(crate) what: String,
    pub(crate) before: Option<Columns>,
    pub(crate) after: Option<Columns>,
    /// Whether the imprint of the row tells it too.
    pub(crate) in_imprint: bool,
    /// The state in which it was done, and its number.
    pub(crate) generation: i64,
    pub(crate) id: i64,
    /// The chunk for which it was done; none where the end of the step has.
    pub(crate) chunk: Option<i64>,
}

impl Known {
    /// Whether it tells of nothing but secrets, of which the ledger has hashes, and times, which later steps stamp anew.
    pub(crate) fn tells_nothing(&self) -> bool {
        let is_time = |value: &Json| value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok());
        self.after.as_ref().is_some_and(|after| after.values().all(|value| is_hash(value) || is_time(value)))
    }
}

type Found =
    (String, String, Option<i64>, Option<String>, Option<String>, Option<String>, bool, (i64, i64, Option<i64>));

/// What was done to rows, by their names, first things first.
pub(crate) type ByRow = FxHashMap<RowName, Vec<Known>>;

fn take_in(table: &str, found: Vec<Found>, changes: &mut ByRow) -> Result<(), LedgerError> {
    for (step, what, target_id, key, before, after, in_imprint, (generation, id, chunk)) in found {
        let Some(row) = target_id.map(RowName::Id).or(key.map(RowName::Key)) else { continue };
        let (before, after) = (columns(table, before)?, columns(table, after)?);
        let known = Known { step, what, before, after, in_imprint, generation, id, chunk };
        changes.entry(row).or_default().push(known);
    }
    Ok(())
}

type Columned = (
    ch::step,
    ch::what,
    ch::target_id,
    ch::target_key,
    ch::value_before,
    ch::value_after,
    ch::in_imprint,
    (ch::generation, ch::id, ch::chunk_id),
);
const COLUMNS: Columned = (
    ch::step,
    ch::what,
    ch::target_id,
    ch::target_key,
    ch::value_before,
    ch::value_after,
    ch::in_imprint,
    (ch::generation, ch::id, ch::chunk_id),
);

/// What was done to some rows of a table.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn of_rows(db: &mut Db, table: &str, rows: &[RowName]) -> Result<ByRow, LedgerError> {
    let mut changes = ByRow::default();
    for some in rows.chunks(PAGE) {
        let (ids, keys) = by_name(some);
        let of_table = || ch::table.filter(ch::target_table.eq(table.to_owned())).order(ch::id).select(COLUMNS);
        if !ids.is_empty() {
            take_in(table, of_table().filter(ch::target_id.eq_any(ids)).load(db).attempt("read")?, &mut changes)?;
        }
        if !keys.is_empty() {
            let keyed = of_table().filter(ch::target_id.is_null()).filter(ch::target_key.eq_any(keys));
            take_in(table, keyed.load(db).attempt("read")?, &mut changes)?;
        }
    }
    Ok(changes)
}

/// What was done to rows of a table with ids between two, that their imprints do not tell.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn between(db: &mut Db, table: &str, (lo, hi): (i64, i64)) -> Result<ByRow, LedgerError> {
    let since = untold(table.to_owned());
    let since = since.filter(ch::target_id.between(lo, hi)).order(ch::id).select(COLUMNS);
    let mut changes = ByRow::default();
    take_in(table, since.load(db).attempt("read")?, &mut changes)?;
    Ok(changes)
}

/// Whether anything was done to rows of a table without ids that their imprints do not tell.
///
/// # Errors
/// The database fails.
pub(crate) fn has_keyed(db: &mut Db, table: &str) -> Result<bool, LedgerError> {
    let since = untold(table.to_owned());
    let first = since.filter(ch::target_id.is_null()).select(ch::id).first::<i64>(db);
    Ok(first.optional().attempt("read")?.is_some())
}

/// What was done to rows of a table that their imprints do not tell.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn since_imprints(db: &mut Db, table: &str) -> Result<ByRow, LedgerError> {
    let since = untold(table.to_owned());
    let mut changes = ByRow::default();
    take_in(table, since.order(ch::id).select(COLUMNS).load(db).attempt("read")?, &mut changes)?;
    Ok(changes)
}
