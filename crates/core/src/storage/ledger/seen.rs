//! The legacy rows of a chunk, as they were read last. Where one is gone, it counts as it was.

use std::borrow::Cow;

use diesel::prelude::*;

use super::error::{Attempt, LedgerError};
use super::recorded;
use super::tables::{replant_outcomes as o, replant_seen as s};
use crate::storage::db::Db;
use crate::storage::imprint::{Packed, Table};
use crate::words::KeySet;

/// Packs rows of a legacy table, piece by piece.
pub(crate) fn packed(pieces: impl Iterator<Item = Table>) -> Vec<u8> {
    let pieces: Vec<Vec<u8>> = pieces.map(|piece| Packed::of(&piece).compressed().to_vec()).collect();
    postcard::to_stdvec(&pieces).expect("bytes have a postcard form")
}

fn unpacked(legacy_table: &str, data: &[u8]) -> Option<Table> {
    let pieces: Vec<Vec<u8>> = postcard::from_bytes(data).ok()?;
    let mut rows = Table::empty(Cow::Owned(legacy_table.to_owned()));
    for piece in pieces {
        rows.append(&Packed::unpacked(legacy_table.to_owned(), &piece).ok()?);
    }
    Some(rows)
}

/// Forgets the rows of a chunk.
///
/// # Errors
/// The database fails.
pub(super) fn forget(db: &mut Db, chunk: i64) -> QueryResult<()> {
    diesel::delete(s::table.find(chunk)).execute(db).map(|_| ())
}

/// Keeps the packed rows of a chunk, which has none.
///
/// # Errors
/// The database fails.
pub(super) fn save(db: &mut Db, chunk: i64, rows: &[u8]) -> QueryResult<()> {
    diesel::insert_into(s::table).values((s::chunk_id.eq(chunk), s::data.eq(rows))).execute(db).map(|_| ())
}

/// The rows of a chunk of a legacy table; none where it keeps none.
///
/// # Errors
/// The database fails, or they cannot be read back.
pub(crate) fn of_chunk(db: &mut Db, legacy_table: &str, chunk: i64) -> Result<Option<Table>, LedgerError> {
    let unreadable = || LedgerError::Unreadable { what: "rows of a chunk", of: legacy_table.to_owned() };
    let data: Option<Vec<u8>> = s::table.find(chunk).select(s::data).first(db).optional().attempt("read")?;
    data.map(|data| unpacked(legacy_table, &data).ok_or_else(unreadable)).transpose()
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
