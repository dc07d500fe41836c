//! What was done to rows that were there before, and how it leaves the ledger when it is taken back.

use diesel::prelude::*;

use super::{PAGE, RowName, by_name, columns, untold};
use crate::storage::db::Db;
use crate::storage::imprint::{Columns, is_hash};
use crate::storage::ledger::error::{Attempt, LedgerError};
use crate::storage::ledger::tables::replant_changes as ch;
use crate::words::Key;

/// Something that was done to a row that was there before.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) id: i64,
    pub(crate) table: String,
    pub(crate) row: RowName,
    pub(crate) before: Option<Columns>,
    pub(crate) after: Option<Columns>,
}

impl Done {
    /// Whether nothing but secrets was done, of which the ledger has hashes.
    pub(crate) fn is_secret(&self) -> bool {
        self.after.as_ref().is_some_and(|after| after.values().all(is_hash))
    }
}

type DoneRow = (i64, String, Option<i64>, Option<String>, Option<String>, Option<String>);
type DoneColumns = (ch::id, ch::target_table, ch::target_id, ch::target_key, ch::value_before, ch::value_after);
const DONE: DoneColumns = (ch::id, ch::target_table, ch::target_id, ch::target_key, ch::value_before, ch::value_after);

fn done((id, table, target_id, key, before, after): DoneRow) -> Result<Option<Done>, LedgerError> {
    let (before, after) = (columns(&table, before)?, columns(&table, after)?);
    let row = target_id.map(RowName::Id).or(key.map(RowName::Key));
    Ok(row.map(|row| Done { id, table, row, before, after }))
}

fn all(rows: Vec<DoneRow>) -> Result<Vec<Done>, LedgerError> {
    rows.into_iter().filter_map(|row| done(row).transpose()).collect()
}

/// What a step did to rows that it had not written itself, last things first.
#[diesel::dsl::auto_type]
fn by_step(step: String) -> _ {
    ch::table.filter(ch::step.eq(step)).filter(ch::in_imprint.eq(false)).order(ch::id.desc())
}

/// What became of a row that the step itself had written, in a word.
pub(crate) const REWRITTEN: &str = "rewritten";

/// What a step did for the sake of a legacy row to rows that it had not written itself, last things first.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn of_key(db: &mut Db, step: &str, key: Key) -> Result<Vec<Done>, LedgerError> {
    let of_key = by_step(step.to_owned()).filter(ch::legacy_key.eq(key)).filter(ch::what.ne(REWRITTEN));
    all(of_key.select(DONE).load(db).attempt("read")?)
}

/// What a step did for the sake of no one legacy row when it wrote a chunk, last things first.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn of_chunk(db: &mut Db, step: &str, chunk: i64) -> Result<Vec<Done>, LedgerError> {
    let of_chunk = by_step(step.to_owned()).filter(ch::chunk_id.eq(chunk)).filter(ch::legacy_key.is_null());
    all(of_chunk.select(DONE).load(db).attempt("read")?)
}

/// What was done in a state, by whichever step, last things first, with what steps did to rows of their own: some changes before one of
/// them.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn of_state(
    db: &mut Db,
    generation: i64,
    before: i64,
    most: i64,
) -> Result<Vec<(String, Done)>, LedgerError> {
    let of_state = ch::table.filter(ch::generation.eq(generation)).filter(ch::id.lt(before)).order(ch::id.desc());
    let rows: Vec<(String, DoneRow)> = of_state.limit(most).select((ch::step, DONE)).load(db).attempt("read")?;
    rows.into_iter().filter_map(|(step, row)| Some(done(row).transpose()?.map(|done| (step, done)))).collect()
}

/// What the ledger says of a change: the columns as they were made; none where it is not there any more.
///
/// # Errors
/// The database fails.
pub(crate) fn text(db: &mut Db, id: i64) -> QueryResult<Option<Option<String>>> {
    ch::table.find(id).select(ch::value_after).first(db).optional()
}

/// How much was done in a state when a chunk was written, of some.
///
/// # Errors
/// The database fails.
pub(crate) fn among(db: &mut Db, chunk: i64, ids: &[i64]) -> Result<Vec<i64>, LedgerError> {
    let of_chunk = ch::table.filter(ch::chunk_id.eq(chunk)).filter(ch::id.eq_any(ids.to_vec()));
    of_chunk.select(ch::id).load(db).attempt("read")
}

/// How many changes were made in a state, by step.
///
/// # Errors
/// The database fails.
pub(crate) fn counts(db: &mut Db, generation: i64) -> Result<Vec<(String, i64)>, LedgerError> {
    let of_state = ch::table.filter(ch::generation.eq(generation)).group_by(ch::step);
    of_state.select((ch::step, diesel::dsl::count_star())).load(db).attempt("read")
}

/// What a step did when it was finished, last things first: some changes before one of them.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn of_end(db: &mut Db, step: &str, before: i64, most: i64) -> Result<Vec<Done>, LedgerError> {
    let of_end = by_step(step.to_owned()).filter(ch::chunk_id.is_null()).filter(ch::id.lt(before));
    all(of_end.limit(most).select(DONE).load(db).attempt("read")?)
}

/// What a step did to rows that it had not written, last things first: some changes before one of them.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn of_step(db: &mut Db, step: &str, before: i64, most: i64) -> Result<Vec<Done>, LedgerError> {
    all(by_step(step.to_owned()).filter(ch::id.lt(before)).limit(most).select(DONE).load(db).attempt("read")?)
}

/// What a step did in a word to a row of a table, last things first.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn of_target(
    db: &mut Db,
    step: &str,
    (table, what): (&str, &str),
    id: i64,
) -> Result<Vec<Done>, LedgerError> {
    let of_row = ch::table.filter(ch::target_table.eq(table.to_owned())).filter(ch::target_id.eq(id));
    let of_row = of_row.filter(ch::step.eq(step.to_owned())).filter(ch::what.eq(what.to_owned()));
    all(of_row.order(ch::id.desc()).select(DONE).load(db).attempt("read")?)
}

/// What was done to a row that its imprint does not tell, first things first.
fn of_row(db: &mut Db, table: &str, row: &RowName) -> Result<Vec<Done>, LedgerError> {
    let (target_id, key) = row.parts();
    let of_table = untold(table.to_owned());
    let of_table = of_table.order(ch::id).select(DONE);
    let rows: Vec<DoneRow> = match target_id {
        Some(id) => of_table.filter(ch::target_id.eq(id)).load(db),
        None => of_table.filter(ch::target_id.is_null()).filter(ch::target_key.eq(key)).load(db),
    }
    .attempt("read")?;
    all(rows)
}

/// What was done to the columns of a change afterwards, and to no others, first things first.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn after(db: &mut Db, change: &Done) -> Result<Vec<Done>, LedgerError> {
    let known = |columns: &Columns| {
        change.after.as_ref().is_some_and(|after| columns.keys().all(|column| after.contains_key(column)))
    };
    let mut all = of_row(db, &change.table, &change.row)?;
    all.retain(|later| later.id > change.id && later.after.as_ref().is_some_and(known));
    Ok(all)
}

/// Tells what was done to columns of a row that the migration had written, from what it writes there now: to take it back is to
/// come to that.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn rebase(db: &mut Db, table: &str, row: &RowName, columns: &Columns) -> Result<(), LedgerError> {
    let mut open = columns.clone();
    for change in of_row(db, table, row)? {
        let Done { id, before: Some(mut before), .. } = change else { continue };
        let mut is_other = false;
        for (column, value) in &mut before {
            if let Some(now) = open.remove(column) {
                is_other |= *value != now;
                *value = now;
            }
        }
        if is_other {
            let before = serde_json::Value::Object(before).to_string();
            diesel::update(ch::table.find(id)).set(ch::value_before.eq(before)).execute(db).attempt("written")?;
        }
    }
    Ok(())
}

/// Removes what was done to a row that is taken out: one that is written in its place later has none of it.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn forget_row(db: &mut Db, table: &str, row: &RowName) -> Result<(), LedgerError> {
    let ids: Vec<i64> = of_row(db, table, row)?.into_iter().map(|change| change.id).collect();
    forget(db, &ids).attempt("written")
}

/// Removes what was done to rows that are deleted.
///
/// # Errors
/// The database fails.
pub(crate) fn forget_rows(db: &mut Db, table: &str, rows: &[RowName]) -> Result<(), LedgerError> {
    for some in rows.chunks(PAGE) {
        let (ids, keys) = by_name(some);
        let of_table = || ch::table.filter(ch::target_table.eq(table.to_owned()));
        if !ids.is_empty() {
            diesel::delete(of_table().filter(ch::target_id.eq_any(ids))).execute(db).attempt("written")?;
        }
        if !keys.is_empty() {
            let keyed = of_table().filter(ch::target_id.is_null()).filter(ch::target_key.eq_any(keys));
            diesel::delete(keyed).execute(db).attempt("written")?;
        }
    }
    Ok(())
}

/// Removes columns of changes that were taken back, and changes of which nothing is left.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn forget_columns(db: &mut Db, ids: &[i64], back: &[String]) -> Result<(), LedgerError> {
    let rows: Vec<DoneRow> = ch::table.filter(ch::id.eq_any(ids.to_vec())).select(DONE).load(db).attempt("read")?;
    for row in rows {
        let Some(Done { id, before, after, .. }) = done(row)? else { continue };
        let left = |columns: Option<Columns>| -> Columns {
            columns.into_iter().flatten().filter(|(column, _)| !back.contains(column)).collect()
        };
        let (before, after) = (left(before), left(after));
        if after.is_empty() {
            forget(db, &[id]).attempt("written")?;
            continue;
        }
        let json = |columns| serde_json::Value::Object(columns).to_string();
        let values = (ch::value_before.eq(json(before)), ch::value_after.eq(json(after)));
        diesel::update(ch::table.find(id)).set(values).execute(db).attempt("written")?;
    }
    Ok(())
}

/// Removes changes that were taken back.
///
/// # Errors
/// The database fails.
pub(crate) fn forget(db: &mut Db, ids: &[i64]) -> QueryResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    diesel::delete(ch::table.filter(ch::id.eq_any(ids.to_vec()))).execute(db).map(|_| ())
}
