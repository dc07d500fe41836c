//! Rows that have left their chunk because they follow a leader elsewhere now: what was recorded of them, and what was written for
//! them, until the leader's chunk takes it. In a table, because the two chunks are two transactions.

use diesel::prelude::*;
use rustc_hash::FxHashSet;

use super::error::{Attempt, LedgerError};
use super::row::Recorded;
use super::tables::{replant_moved as m, replant_outcomes as o};
use crate::storage::db::Db;
use crate::storage::imprint::Table;
use crate::words::{Key, KeyRange};

/// What is known of a row that moves.
pub(crate) type Moving = (Recorded, Vec<Table>);

fn unreadable(step: &str) -> LedgerError {
    LedgerError::Unreadable { what: "row that moves", of: step.to_owned() }
}

/// Leaves a row of a chunk to the chunk that takes it, unless that has it already.
///
/// # Errors
/// The database fails.
pub(crate) fn leave(db: &mut Db, step: &str, chunk: i64, key: Key, row: &Moving) -> Result<(), LedgerError> {
    let taken: Option<i64> =
        o::table.find((step.to_owned(), key)).select(o::chunk_id).first(db).optional().attempt("read")?;
    if taken.is_some_and(|by| by != chunk) {
        return Ok(());
    }
    let data = postcard::to_stdvec(row).map_err(|_| unreadable(step))?;
    diesel::delete(m::table.find((step.to_owned(), key))).execute(db).attempt("written")?;
    let row = (m::step.eq(step), m::legacy_key.eq(key), m::data.eq(data));
    diesel::insert_into(m::table).values(row).execute(db).attempt("written")?;
    Ok(())
}

/// Takes a row that has left its chunk, if it has.
///
/// # Errors
/// The database fails, or the row cannot be read back.
pub(crate) fn take(db: &mut Db, step: &str, key: Key) -> Result<Option<Moving>, LedgerError> {
    let place = || m::table.find((step.to_owned(), key));
    let found: Option<Vec<u8>> = place().select(m::data).first(db).optional().attempt("read")?;
    let Some(found) = found else { return Ok(None) };
    diesel::delete(place()).execute(db).attempt("written")?;
    postcard::from_bytes(&found).map(Some).map_err(|_| unreadable(step))
}

/// Some rows of a step that have left their chunk, by their keys: those with larger keys than `after`.
///
/// # Errors
/// The database fails, or one cannot be read back.
pub(crate) fn page(db: &mut Db, step: &str, after: Key, most: i64) -> Result<Vec<(Key, Moving)>, LedgerError> {
    let of_step = m::table.filter(m::step.eq(step.to_owned())).filter(m::legacy_key.gt(after));
    let found: Vec<(Key, Vec<u8>)> =
        of_step.order(m::legacy_key).limit(most).select((m::legacy_key, m::data)).load(db).attempt("read")?;
    unpacked(step, found)
}

fn unpacked(step: &str, found: Vec<(Key, Vec<u8>)>) -> Result<Vec<(Key, Moving)>, LedgerError> {
    let row =
        |(key, data): (Key, Vec<u8>)| postcard::from_bytes(&data).map(|row| (key, row)).map_err(|_| unreadable(step));
    found.into_iter().map(row).collect()
}

/// The rows of a step that have left their chunk, those with keys of a range.
///
/// # Errors
/// The database fails, or one cannot be read back.
pub(crate) fn between(db: &mut Db, step: &str, range: KeyRange) -> Result<Vec<(Key, Moving)>, LedgerError> {
    let of_step = m::table.filter(m::step.eq(step.to_owned())).filter(m::legacy_key.between(range.lo, range.hi));
    let found: Vec<(Key, Vec<u8>)> =
        of_step.order(m::legacy_key).select((m::legacy_key, m::data)).load(db).attempt("read")?;
    unpacked(step, found)
}

/// Whether rows of a step have left their chunk.
///
/// # Errors
/// The database fails.
pub(crate) fn any(db: &mut Db, step: &str) -> Result<bool, LedgerError> {
    let first = m::table.filter(m::step.eq(step.to_owned())).select(m::legacy_key).first::<Key>(db);
    Ok(first.optional().attempt("read")?.is_some())
}

/// Forgets rows that have left their chunk.
///
/// # Errors
/// The database fails.
pub(crate) fn forget(db: &mut Db, step: &str, keys: &[Key]) -> Result<(), LedgerError> {
    for some in keys.chunks(1_000) {
        let some = m::table.filter(m::step.eq(step.to_owned())).filter(m::legacy_key.eq_any(some.to_vec()));
        diesel::delete(some).execute(db).attempt("written")?;
    }
    Ok(())
}

/// The keys of the rows of a step that have left their chunk and are not taken yet.
///
/// # Errors
/// The database fails.
pub(crate) fn keys(db: &mut Db, step: &str) -> Result<FxHashSet<Key>, LedgerError> {
    let of_step = m::table.filter(m::step.eq(step.to_owned())).select(m::legacy_key);
    Ok(of_step.load(db).attempt("read")?.into_iter().collect())
}

/// The rows of a step that have left their chunk and are not taken yet.
///
/// # Errors
/// The database fails, or one cannot be read back.
pub(super) fn all(db: &mut Db, step: &str) -> Result<Vec<(Key, Recorded)>, LedgerError> {
    let of_step = m::table.filter(m::step.eq(step.to_owned())).order(m::legacy_key);
    let found: Vec<(Key, Vec<u8>)> = of_step.select((m::legacy_key, m::data)).load(db).attempt("read")?;
    Ok(unpacked(step, found)?.into_iter().map(|(key, (recorded, _))| (key, recorded)).collect())
}
