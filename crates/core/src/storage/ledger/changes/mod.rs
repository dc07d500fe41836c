//! What the migration did to rows of the target that were there already: the columns, before and after.
//!
//! Rows of its own that it changed later are among them. Whoever asks what the migration wrote into a row last has it from the
//! imprint of the row and the changes since ([`known`]); those that the imprint tells too are marked. What is to be taken back has
//! it from [`done`], last things first.

mod done;
mod known;

use std::borrow::Cow;

use diesel::prelude::*;

use super::error::{Attempt, LedgerError};
use super::tables::replant_changes as ch;
use super::{erased, generations};
use crate::storage::db::Db;
use crate::storage::imprint::Columns;
use crate::storage::model;
use crate::storage::sql::literal;

pub(crate) use done::{
    Done, REWRITTEN, after, forget, forget_columns, forget_row, forget_rows, of_chunk, of_end, of_key, of_step,
    of_target, rebase,
};
pub(crate) use done::{among, counts, of_state, text};
pub(crate) use known::{ByRow, Known, between, has_keyed, of_rows, since_imprints};

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
    let changes = without_erased(db, changes)?;
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

/// Changes without the columns that hold values of persons who were erased: of these it is not known that anything was done.
fn without_erased(db: &mut Db, changes: Vec<Change>) -> QueryResult<Vec<Change>> {
    let erased = erased::rows(db).map_err(LedgerError::into_diesel)?;
    if erased.is_empty() {
        return Ok(changes);
    }
    let left = |mut change: Change| {
        let RowName::Id(id) = change.row else { return Some(change) };
        let Some(row) = erased.get(&(change.table.to_string(), id)) else { return Some(change) };
        let stays = |name: &String| !row.held.contains(name);
        for columns in [&mut change.before, &mut change.after].into_iter().flatten() {
            columns.retain(|name, _| stays(name));
        }
        let is_nothing = change.before.is_some() && change.after.as_ref().is_some_and(Columns::is_empty);
        (!is_nothing).then_some(change)
    };
    Ok(changes.into_iter().filter_map(left).collect())
}

pub(super) fn columns(table: &str, json: Option<String>) -> Result<Option<Columns>, LedgerError> {
    let unreadable = || LedgerError::Unreadable { what: "change of a row", of: table.to_owned() };
    json.map(|json| serde_json::from_str(&json).map_err(|_| unreadable())).transpose()
}

/// Rows that are asked for at once.
const PAGE: usize = 1_000;

/// The ids of rows that have one, and the keys of the others.
fn by_name(rows: &[RowName]) -> (Vec<i64>, Vec<String>) {
    let (ids, keys): (Vec<_>, Vec<_>) = rows.iter().map(RowName::parts).unzip();
    (ids.into_iter().flatten().collect(), keys.into_iter().flatten().collect())
}

/// What was done to rows of a table that their imprints do not tell.
#[diesel::dsl::auto_type]
fn untold(table: String) -> _ {
    ch::table.filter(ch::target_table.eq(table)).filter(ch::in_imprint.eq(false))
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
    let changed = untold(table.to_owned());
    let changed = changed.filter(ch::target_id.gt(after)).select(ch::target_id.assume_not_null()).distinct();
    changed.order(ch::target_id).limit(most).load(db).attempt("read")
}

/// Some rows of a table without ids that were changed, by their keys: those with later keys than `after`.
///
/// # Errors
/// The database fails.
pub(crate) fn changed_keys(db: &mut Db, table: &str, after: &str, most: i64) -> Result<Vec<String>, LedgerError> {
    let changed = untold(table.to_owned());
    let changed = changed.filter(ch::target_id.is_null()).filter(ch::target_key.gt(after.to_owned()));
    let changed = changed.select(ch::target_key.assume_not_null()).distinct();
    changed.order(ch::target_key).limit(most).load(db).attempt("read")
}
