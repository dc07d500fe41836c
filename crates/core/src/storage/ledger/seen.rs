//! The legacy rows of a chunk, as they were read last. Where one is gone, it counts as it was.

use diesel::prelude::*;

use super::error::{Attempt, LedgerError};
use super::recorded;
use super::tables::{replant_outcomes as o, replant_seen as s};
use crate::storage::db::Db;
use crate::storage::imprint::{Packed, Table};
use crate::words::{Key, KeySet};

/// Keeps the rows of a chunk, in the place of those that it had.
///
/// # Errors
/// The database fails.
pub(super) fn save(db: &mut Db, chunk: i64, rows: &Packed) -> QueryResult<()> {
    diesel::delete(s::table.find(chunk)).execute(db)?;
    let row = (s::chunk_id.eq(chunk), s::data.eq(rows.compressed()));
    diesel::insert_into(s::table).values(row).execute(db).map(|_| ())
}

/// The rows of a chunk of a legacy table; none where it keeps none.
///
/// # Errors
/// The database fails, or they cannot be read back.
pub(crate) fn of_chunk(db: &mut Db, legacy_table: &str, chunk: i64) -> Result<Option<Table>, LedgerError> {
    let data: Option<Vec<u8>> = s::table.find(chunk).select(s::data).first(db).optional().attempt("read")?;
    let unreadable = || LedgerError::Unreadable { what: "rows of a chunk", of: legacy_table.to_owned() };
    data.map(|data| Packed::unpacked(legacy_table.to_owned(), &data).map_err(|_| unreadable())).transpose()
}

/// Whether a chunk keeps these rows.
///
/// # Errors
/// The database fails, or those that it keeps cannot be read back.
pub(crate) fn is_same(db: &mut Db, legacy_table: &str, chunk: i64, rows: &Packed) -> Result<bool, LedgerError> {
    let kept = of_chunk(db, legacy_table, chunk)?;
    Ok(kept.is_some_and(|kept| Packed::of(&kept).bytes == rows.bytes))
}

/// Some rows of the legacy table of a step, those of them that were ever read.
///
/// # Errors
/// The database fails, or they cannot be read back.
pub(crate) fn of_keys(
    db: &mut Db,
    (step, legacy_table): (&str, &str),
    keys: &KeySet,
) -> Result<Vec<Table>, LedgerError> {
    let mut left = keys.clone();
    let mut tables = Vec::new();
    let mut take = |db: &mut Db, chunk: i64, left: &mut KeySet| -> Result<(), LedgerError> {
        let Some(mut table) = of_chunk(db, legacy_table, chunk)? else { return Ok(()) };
        table.retain(|key| left.contains(key));
        table.keys.iter().for_each(|key| left.remove(*key));
        tables.push(table);
        Ok(())
    };
    for (chunk, span) in recorded::chunks(db, step)? {
        if left.count(span.range) > 0 {
            take(db, chunk, &mut left)?;
        }
    }
    // What follows a leader stands in the leader's chunk.
    for key in left.clone().iter() {
        let elsewhere = o::table.find((step.to_owned(), key)).select(o::chunk_id);
        let elsewhere: Option<i64> = elsewhere.first(db).optional().attempt("read")?;
        if let Some(chunk) = elsewhere.filter(|_| left.contains(key)) {
            take(db, chunk, &mut left)?;
        }
    }
    Ok(tables)
}

/// Takes some of the rows that a chunk keeps into those that it is to keep.
///
/// # Errors
/// The database fails, or they cannot be read back.
pub(crate) fn with_those(
    db: &mut Db,
    chunk: i64,
    rows: Table,
    stay: impl Fn(Key) -> bool,
) -> Result<Table, LedgerError> {
    let Some(mut kept) = of_chunk(db, &rows.name, chunk)? else { return Ok(rows) };
    let mut rows = rows;
    kept.retain(|key| stay(key) && !rows.keys.contains(&key));
    rows.append(&kept);
    Ok(rows)
}
