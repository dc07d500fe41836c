//! The table in which it is kept: by chunk, and what is none by numbers below 0.

use diesel::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::storage::db::Db;
use crate::storage::ledger::error::{Attempt, LedgerError};
use crate::storage::ledger::generations;
use crate::storage::ledger::tables::replant_earlier as b;

/// Compression of what is kept: it is read once at the most.
const LEVEL: i32 = 1;

/// The last state, where something has to be kept at a place before it changes that: not of the first state, nor twice.
///
/// # Errors
/// The database fails.
pub(super) fn due(db: &mut Db, place: i64) -> Result<Option<i64>, LedgerError> {
    let generation = generations::number(db).attempt("read")?;
    let known = b::table.find(place).filter(b::generation.eq(generation)).select(b::chunk_id);
    let is_kept = generation < 2 || known.first::<i64>(db).optional().attempt("read")?.is_some();
    Ok((!is_kept).then_some(generation))
}

/// Keeps something at a place, in the place of what was kept there.
///
/// # Errors
/// The database fails.
pub(super) fn insert(db: &mut Db, place: i64, generation: i64, what: &impl Serialize) -> Result<(), LedgerError> {
    let bytes = postcard::to_stdvec(what).map_err(|_| unreadable(place))?;
    let data = zstd::bulk::compress(&bytes, LEVEL).map_err(|_| unreadable(place))?;
    forget_chunk(db, place).attempt("written")?;
    let row = (b::chunk_id.eq(place), b::generation.eq(generation), b::data.eq(data));
    diesel::insert_into(b::table).values(row).execute(db).attempt("written").map(|_| ())
}

/// What is kept at a place.
///
/// # Errors
/// The database fails, or it cannot be read back.
pub(super) fn kept<T: DeserializeOwned>(db: &mut Db, place: i64) -> Result<Option<T>, LedgerError> {
    let data: Option<Vec<u8>> = b::table.find(place).select(b::data).first(db).optional().attempt("read")?;
    let Some(data) = data else { return Ok(None) };
    let bytes = zstd::stream::decode_all(&*data).map_err(|_| unreadable(place))?;
    postcard::from_bytes(&bytes).map(Some).map_err(|_| unreadable(place))
}

/// It cannot be read back.
pub(super) fn unreadable(chunk: i64) -> LedgerError {
    LedgerError::Unreadable { what: "state before the last one", of: format!("chunk {chunk}") }
}

/// The chunks of which it is known what the ledger said before a state.
///
/// # Errors
/// The database fails.
pub(crate) fn chunks(db: &mut Db, generation: i64) -> Result<Vec<i64>, LedgerError> {
    b::table.filter(b::generation.eq(generation)).select(b::chunk_id).load(db).attempt("read")
}

/// Forgets what the ledger said before states that are not the last one any more, or of all chunks: `generation` none.
///
/// # Errors
/// The database fails.
pub(crate) fn forget(db: &mut Db, generation: Option<i64>) -> Result<usize, LedgerError> {
    match generation {
        Some(generation) => diesel::delete(b::table.filter(b::generation.lt(generation))).execute(db),
        None => diesel::delete(b::table).execute(db),
    }
    .attempt("written")
}

/// Forgets what the ledger said of a chunk.
///
/// # Errors
/// The database fails.
pub(in crate::storage::ledger) fn forget_chunk(db: &mut Db, chunk: i64) -> QueryResult<()> {
    diesel::delete(b::table.find(chunk)).execute(db).map(|_| ())
}

/// Where it is noted that the last state is being taken back.
const UNDER_WAY: i64 = i64::MIN;

/// Notes that the last state is being taken back: nobody else writes before that has come to its end.
///
/// # Errors
/// The database fails.
pub(crate) fn begin(db: &mut Db, generation: i64) -> Result<(), LedgerError> {
    insert(db, UNDER_WAY, generation, &())
}

/// Notes that the last state was taken back.
///
/// # Errors
/// The database fails.
pub(crate) fn end(db: &mut Db) -> Result<(), LedgerError> {
    forget_chunk(db, UNDER_WAY).attempt("written")
}

/// Whether the last state is being taken back.
///
/// # Errors
/// The database fails.
pub(crate) fn is_under_way(db: &mut Db) -> Result<bool, LedgerError> {
    let found = b::table.find(UNDER_WAY).select(b::chunk_id).first::<i64>(db).optional().attempt("read")?;
    Ok(found.is_some())
}
