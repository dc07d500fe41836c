//! Rows that were in the target before the migration, or that a replay takes back: what was done to them.

use diesel::prelude::*;

use super::tables::replant_changes;
use crate::storage::db::Db;
use crate::storage::model;

/// A target row that was there before, and what was done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub table: &'static str,
    /// The row.
    pub id: i64,
    /// The legacy row for whose sake; none where there is none.
    pub legacy_key: Option<i64>,
    /// What was done, in a word: `filled`, `closed`.
    pub what: &'static str,
    /// What was there: a value, or several as JSON.
    pub before: Option<String>,
    /// What is there now, likewise.
    pub after: Option<String>,
}

#[derive(Insertable, Clone, serde::Serialize)]
#[diesel(table_name = replant_changes, treat_none_as_default_value = false)]
struct NewChange {
    step: String,
    chunk_id: Option<i64>,
    target_table: &'static str,
    target_id: i64,
    legacy_key: Option<i64>,
    what: &'static str,
    value_before: Option<String>,
    value_after: Option<String>,
}

crate::insert!(NewChange => replant_changes);

/// Records changes.
///
/// # Errors
/// Those of the database.
pub(crate) fn record(db: &mut Db, step: &str, chunk_id: Option<i64>, changes: Vec<Change>) -> QueryResult<()> {
    let rows: Vec<NewChange> = changes
        .into_iter()
        .map(|change| NewChange {
            step: step.to_owned(),
            chunk_id,
            target_table: change.table,
            target_id: change.id,
            legacy_key: change.legacy_key,
            what: change.what,
            value_before: change.before,
            value_after: change.after,
        })
        .collect();
    model::insert_all(db, &rows)
}
