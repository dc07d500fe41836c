//! What customers keep although the source says otherwise now.

use diesel::prelude::*;
use serde::Serialize;

use super::changes::RowName;
use super::error::{Attempt, LedgerError};
use super::generations;
use super::tables::replant_conflicts as k;
use crate::storage::db::Db;
use crate::storage::model;
use crate::words::Key;

/// Columns of a row that stay as a customer left them, although the row would come out otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// The step that writes the row.
    pub step: String,
    /// The legacy row for whose sake it is written; none where there is none.
    pub legacy_key: Option<Key>,
    /// The table of the target.
    pub table: String,
    /// The `id` of the row.
    pub id: Option<i64>,
    /// The columns of its key, as JSON, where it has no `id`.
    pub key: Option<String>,
    /// The columns; none where a customer has removed the row.
    pub columns: Vec<String>,
    /// The state of the legacy database in which the conflicts of its chunk changed last.
    pub generation: i64,
}

/// A conflict before it stands in the ledger: the legacy row, the row with its table, and the columns.
pub(crate) struct Found {
    pub(crate) legacy_key: Option<Key>,
    pub(crate) table: &'static str,
    pub(crate) row: RowName,
    pub(crate) columns: Vec<String>,
}

#[derive(Insertable, Clone, serde::Serialize)]
#[diesel(table_name = k, treat_none_as_default_value = false)]
struct NewConflict {
    step: String,
    chunk_id: Option<i64>,
    legacy_key: Option<Key>,
    target_table: &'static str,
    target_id: Option<i64>,
    target_key: Option<String>,
    column_names: String,
    generation: i64,
}

crate::insert!(NewConflict => k);

/// Puts the conflicts of a chunk in the place of those that it had, where they are others.
///
/// # Errors
/// The database fails.
pub(crate) fn replace(db: &mut Db, step: &str, chunk: i64, found: Vec<Found>) -> QueryResult<()> {
    let of_chunk = || k::table.filter(k::step.eq(step.to_owned())).filter(k::chunk_id.eq(chunk));
    let generation = generations::number(db)?;
    let row = |Found { legacy_key, table, row, columns }| {
        let (target_id, target_key) = match row {
            RowName::Id(id) => (Some(id), None),
            RowName::Key(key) => (None, Some(key)),
        };
        let column_names = serde_json::to_string(&columns).expect("names have a JSON form");
        let step = step.to_owned();
        let (target_table, chunk_id) = (table, Some(chunk));
        NewConflict { step, chunk_id, legacy_key, target_table, target_id, target_key, column_names, generation }
    };
    let after: Vec<NewConflict> = found.into_iter().map(row).collect();
    type Known = (Option<Key>, String, Option<i64>, Option<String>, String);
    let columns = (k::legacy_key, k::target_table, k::target_id, k::target_key, k::column_names);
    let mut before: Vec<Known> = of_chunk().select(columns).load(db)?;
    let known = |new: &NewConflict| {
        let NewConflict { legacy_key, target_table, target_id, target_key, column_names, .. } = new.clone();
        (legacy_key, target_table.to_owned(), target_id, target_key, column_names)
    };
    let mut known: Vec<Known> = after.iter().map(known).collect();
    before.sort_unstable();
    known.sort_unstable();
    if before == known {
        return Ok(());
    }
    diesel::delete(of_chunk()).execute(db)?;
    model::insert_all(db, &after)
}

/// How many rows there are of which customers keep something.
///
/// # Errors
/// The database fails.
pub fn count(db: &mut Db) -> Result<u64, LedgerError> {
    let found: i64 = k::table.count().get_result(db).attempt("read")?;
    Ok(found.cast_unsigned())
}

/// Conflicts, in the order in which they were found: at most `limit`, those behind the first `offset`.
///
/// # Errors
/// The database fails, or what it says cannot be read back.
pub fn list(db: &mut Db, offset: i64, limit: i64) -> Result<Vec<Conflict>, LedgerError> {
    type Row = (String, Option<Key>, String, Option<i64>, Option<String>, String, i64);
    let columns =
        (k::step, k::legacy_key, k::target_table, k::target_id, k::target_key, k::column_names, k::generation);
    let of_all = k::table.order(k::id).offset(offset).limit(limit).select(columns);
    let rows: Vec<Row> = of_all.load(db).attempt("read")?;
    let conflict = |(step, legacy_key, table, id, key, columns, generation): Row| {
        let unreadable = |_| LedgerError::Unreadable { what: "columns of a conflict", of: step.clone() };
        let columns = serde_json::from_str(&columns).map_err(unreadable)?;
        Ok(Conflict { step, legacy_key, table, id, key, columns, generation })
    };
    rows.into_iter().map(conflict).collect()
}
