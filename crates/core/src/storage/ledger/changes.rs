//! What the migration did to rows of the target that were there already: the columns, before and after.
//!
//! Rows of its own that it changed later are among them. Whoever asks what the migration wrote into a row last has it from the
//! imprint of the row and the changes since; those that the imprint tells too are marked.

use std::borrow::Cow;

use diesel::prelude::*;
use rustc_hash::FxHashMap;

use super::error::{Attempt, LedgerError};
use super::generations;
use super::tables::replant_changes as ch;
use crate::storage::db::Db;
use crate::storage::imprint::Columns;
use crate::storage::model;
use crate::storage::sql::literal;
use crate::words::Key;

/// A row of the target that was there, and what was done to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The table.
    pub table: Cow<'static, str>,
    /// The row.
    pub row: RowName,
    /// The legacy row for whose sake; none where there is none.
    pub legacy_key: Option<i64>,
    /// What was done, in a word: `filled`, `closed`.
    pub what: Cow<'static, str>,
    /// The columns as they were; none where the row was not there.
    pub before: Option<Columns>,
    /// The same columns as they are now; none where the row was taken out.
    pub after: Option<Columns>,
}

/// How a row is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RowName {
    /// By its `id`.
    Id(i64),
    /// By the columns of its key, as JSON: it has no `id`.
    Key(String),
}

impl From<i64> for RowName {
    fn from(id: i64) -> Self {
        Self::Id(id)
    }
}

impl RowName {
    /// The row with these columns as its key.
    pub fn of_key(key: &Columns) -> Self {
        match key.get("id").and_then(serde_json::Value::as_i64) {
            Some(id) if key.len() == 1 => Self::Id(id),
            _ => Self::Key(serde_json::Value::Object(key.clone()).to_string()),
        }
    }

    pub(super) fn parts(&self) -> (Option<i64>, Option<String>) {
        match self {
            Self::Id(id) => (Some(*id), None),
            Self::Key(key) => (None, Some(key.clone())),
        }
    }
}

#[derive(Insertable, Clone, serde::Serialize)]
#[diesel(table_name = ch, treat_none_as_default_value = false)]
struct NewChange {
    step: String,
    chunk_id: Option<i64>,
    target_table: String,
    target_id: Option<i64>,
    target_key: Option<String>,
    legacy_key: Option<i64>,
    what: String,
    value_before: Option<String>,
    value_after: Option<String>,
    in_imprint: bool,
    generation: i64,
}

crate::insert!(NewChange => ch);

/// Records changes; `in_imprint`: whether the imprints of the rows tell them too.
///
/// # Errors
/// Those of the database.
pub(crate) fn record(
    db: &mut Db,
    step: &str,
    chunk_id: Option<i64>,
    in_imprint: bool,
    changes: Vec<Change>,
) -> QueryResult<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let generation = generations::number(db)?;
    let rows: Vec<NewChange> = changes
        .into_iter()
        .map(|change| {
            let (target_id, target_key) = change.row.parts();
            let json = |columns: Columns| serde_json::Value::Object(columns).to_string();
            NewChange {
                step: step.to_owned(),
                chunk_id,
                target_table: change.table.into_owned(),
                target_id,
                target_key,
                legacy_key: change.legacy_key,
                what: change.what.into_owned(),
                value_before: change.before.map(json),
                value_after: change.after.map(json),
                in_imprint,
                generation,
            }
        })
        .collect();
    model::insert_all(db, &rows)
}

/// A change as the ledger has it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) step: String,
    pub(crate) what: String,
    pub(crate) before: Option<Columns>,
    pub(crate) after: Option<Columns>,
    /// Whether the imprint of the row tells it too.
    pub(crate) in_imprint: bool,
}

/// Rows that are asked for at once.
const PAGE: usize = 1_000;

type Found = (String, String, Option<i64>, Option<String>, Option<String>, Option<String>, bool);

/// What was done to rows, by their names, first things first.
pub(crate) type ByRow = FxHashMap<RowName, Vec<Known>>;

pub(super) fn columns(table: &str, json: Option<String>) -> Result<Option<Columns>, LedgerError> {
    let unreadable = || LedgerError::Unreadable { what: "change of a row", of: table.to_owned() };
    json.map(|json| serde_json::from_str(&json).map_err(|_| unreadable())).transpose()
}

fn take_in(table: &str, found: Vec<Found>, changes: &mut ByRow) -> Result<(), LedgerError> {
    for (step, what, target_id, key, before, after, in_imprint) in found {
        let Some(row) = target_id.map(RowName::Id).or(key.map(RowName::Key)) else { continue };
        let known = Known { step, what, before: columns(table, before)?, after: columns(table, after)?, in_imprint };
        changes.entry(row).or_default().push(known);
    }
    Ok(())
}

type Columned = (ch::step, ch::what, ch::target_id, ch::target_key, ch::value_before, ch::value_after, ch::in_imprint);
const COLUMNS: Columned =
    (ch::step, ch::what, ch::target_id, ch::target_key, ch::value_before, ch::value_after, ch::in_imprint);

/// What was done to some rows of a table.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn of_rows(db: &mut Db, table: &str, rows: &[RowName]) -> Result<ByRow, LedgerError> {
    let mut changes = ByRow::default();
    for some in rows.chunks(PAGE) {
        let (ids, keys): (Vec<_>, Vec<_>) = some.iter().map(RowName::parts).unzip();
        let ids: Vec<i64> = ids.into_iter().flatten().collect();
        let keys: Vec<String> = keys.into_iter().flatten().collect();
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
    let since = ch::table.filter(ch::target_table.eq(table.to_owned())).filter(ch::in_imprint.eq(false));
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
    let since = ch::table.filter(ch::target_table.eq(table.to_owned())).filter(ch::in_imprint.eq(false));
    let first = since.filter(ch::target_id.is_null()).select(ch::id).first::<i64>(db);
    Ok(first.optional().attempt("read")?.is_some())
}

/// Something that was done to a row that was there before.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) id: i64,
    pub(crate) table: String,
    pub(crate) row: RowName,
    pub(crate) before: Option<Columns>,
    pub(crate) after: Option<Columns>,
}

type DoneRow = (i64, String, Option<i64>, Option<String>, Option<String>, Option<String>);
type DoneColumns = (ch::id, ch::target_table, ch::target_id, ch::target_key, ch::value_before, ch::value_after);
const DONE: DoneColumns = (ch::id, ch::target_table, ch::target_id, ch::target_key, ch::value_before, ch::value_after);

fn done((id, table, target_id, key, before, after): DoneRow) -> Result<Option<Done>, LedgerError> {
    let (before, after) = (columns(&table, before)?, columns(&table, after)?);
    let row = target_id.map(RowName::Id).or(key.map(RowName::Key));
    Ok(row.map(|row| Done { id, table, row, before, after }))
}

/// What became of a row that the step itself had written, in a word.
pub(crate) const REWRITTEN: &str = "rewritten";

/// What a step did for the sake of a legacy row to rows that it had not written itself, last things first.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn of_key(db: &mut Db, step: &str, key: Key) -> Result<Vec<Done>, LedgerError> {
    let of_step = ch::table.filter(ch::step.eq(step.to_owned())).filter(ch::in_imprint.eq(false));
    let of_key = of_step.filter(ch::legacy_key.eq(key)).filter(ch::what.ne(REWRITTEN));
    let of_key = of_key.order(ch::id.desc()).select(DONE);
    let rows: Vec<DoneRow> = of_key.load(db).attempt("read")?;
    rows.into_iter().filter_map(|row| done(row).transpose()).collect()
}

/// What a step did for the sake of no one legacy row when it wrote a chunk, last things first.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn of_chunk(db: &mut Db, step: &str, chunk: i64) -> Result<Vec<Done>, LedgerError> {
    let of_step = ch::table.filter(ch::step.eq(step.to_owned())).filter(ch::in_imprint.eq(false));
    let of_chunk = of_step.filter(ch::chunk_id.eq(chunk)).filter(ch::legacy_key.is_null());
    let rows: Vec<DoneRow> = of_chunk.order(ch::id.desc()).select(DONE).load(db).attempt("read")?;
    rows.into_iter().filter_map(|row| done(row).transpose()).collect()
}

/// What a step did when it was finished, last things first: some changes before one of them.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn of_end(db: &mut Db, step: &str, before: i64, most: i64) -> Result<Vec<Done>, LedgerError> {
    let of_step = ch::table.filter(ch::step.eq(step.to_owned())).filter(ch::in_imprint.eq(false));
    let of_end = of_step.filter(ch::chunk_id.is_null()).filter(ch::id.lt(before)).order(ch::id.desc());
    let rows: Vec<DoneRow> = of_end.limit(most).select(DONE).load(db).attempt("read")?;
    rows.into_iter().filter_map(|row| done(row).transpose()).collect()
}

/// What a step did to rows that it had not written, last things first: some changes before one of them.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn of_step(db: &mut Db, step: &str, before: i64, most: i64) -> Result<Vec<Done>, LedgerError> {
    let of_step = ch::table.filter(ch::step.eq(step.to_owned())).filter(ch::in_imprint.eq(false));
    let rows: Vec<DoneRow> =
        of_step.filter(ch::id.lt(before)).order(ch::id.desc()).limit(most).select(DONE).load(db).attempt("read")?;
    rows.into_iter().filter_map(|row| done(row).transpose()).collect()
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
    let rows: Vec<DoneRow> = of_row.order(ch::id.desc()).select(DONE).load(db).attempt("read")?;
    rows.into_iter().filter_map(|row| done(row).transpose()).collect()
}

/// The condition that a step did something in a word to row `t` of a table, as SQL.
pub(crate) fn is_changed(step: &str, table: &str, what: &str) -> String {
    format!(
        "t.id IN (SELECT target_id FROM replant_changes WHERE step = {} AND target_table = {} AND what = {})",
        literal(step),
        literal(table),
        literal(what)
    )
}

/// What was done to a row that its imprint does not tell, first things first.
fn of_row(db: &mut Db, table: &str, row: &RowName) -> Result<Vec<Done>, LedgerError> {
    let (target_id, key) = row.parts();
    let of_table = ch::table.filter(ch::target_table.eq(table.to_owned())).filter(ch::in_imprint.eq(false));
    let of_table = of_table.order(ch::id).select(DONE);
    let rows: Vec<DoneRow> = match target_id {
        Some(id) => of_table.filter(ch::target_id.eq(id)).load(db),
        None => of_table.filter(ch::target_id.is_null()).filter(ch::target_key.eq(key)).load(db),
    }
    .attempt("read")?;
    rows.into_iter().filter_map(|row| done(row).transpose()).collect()
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
        let (ids, keys): (Vec<_>, Vec<_>) = some.iter().map(RowName::parts).unzip();
        let of_table = || ch::table.filter(ch::target_table.eq(table.to_owned()));
        let ids: Vec<i64> = ids.into_iter().flatten().collect();
        let keys: Vec<String> = keys.into_iter().flatten().collect();
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

/// The keys of rows without `id` that the migration added to a table, as JSON.
///
/// # Errors
/// Those of the database.
pub fn added(db: &mut Db, table: &str) -> QueryResult<Vec<String>> {
    let added = ch::table.filter(ch::target_table.eq(table.to_owned())).filter(ch::value_before.is_null());
    added.filter(ch::target_key.is_not_null()).select(ch::target_key.assume_not_null()).load(db)
}

/// The tables of which rows were changed that were there before.
///
/// # Errors
/// The database fails.
pub(crate) fn tables(db: &mut Db) -> Result<Vec<String>, LedgerError> {
    let tables = ch::table.filter(ch::in_imprint.eq(false)).select(ch::target_table).distinct();
    tables.order(ch::target_table).load(db).attempt("read")
}

/// Some rows of a table that were changed, by their ids: those with larger ids than `after`, ascending.
///
/// # Errors
/// The database fails.
pub(crate) fn changed_ids(db: &mut Db, table: &str, after: i64, most: i64) -> Result<Vec<i64>, LedgerError> {
    let changed = ch::table.filter(ch::target_table.eq(table.to_owned())).filter(ch::in_imprint.eq(false));
    let changed = changed.filter(ch::target_id.gt(after)).select(ch::target_id.assume_not_null()).distinct();
    changed.order(ch::target_id).limit(most).load(db).attempt("read")
}

/// Some rows of a table without ids that were changed, by their keys: those with later keys than `after`.
///
/// # Errors
/// The database fails.
pub(crate) fn changed_keys(db: &mut Db, table: &str, after: &str, most: i64) -> Result<Vec<String>, LedgerError> {
    let changed = ch::table.filter(ch::target_table.eq(table.to_owned())).filter(ch::in_imprint.eq(false));
    let changed = changed.filter(ch::target_id.is_null()).filter(ch::target_key.gt(after.to_owned()));
    let changed = changed.select(ch::target_key.assume_not_null()).distinct();
    changed.order(ch::target_key).limit(most).load(db).attempt("read")
}

/// What was done to rows of a table that their imprints do not tell.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn since_imprints(db: &mut Db, table: &str) -> Result<ByRow, LedgerError> {
    let since = ch::table.filter(ch::target_table.eq(table.to_owned())).filter(ch::in_imprint.eq(false));
    let mut changes = ByRow::default();
    take_in(table, since.order(ch::id).select(COLUMNS).load(db).attempt("read")?, &mut changes)?;
    Ok(changes)
}
