//! What the ledger has recorded of the rows of a chunk: what a replay holds its verdicts against.

use diesel::prelude::*;
use rustc_hash::FxHashMap;

use super::error::{Attempt, LedgerError};
use super::history::{OUTCOME, OutcomeRow, outcome_of, record_of, record_of_key};
use super::plan::Span;
use super::record::{self, CarriedBy};
use super::row::Recorded;
use super::tables::{replant_chunks as c, replant_outcomes as o, replant_quarantine as q};
use crate::storage::db::Db;
use crate::words::{Key, KeyRange, Root};

/// The committed chunks of a step, by key.
///
/// # Errors
/// The database fails.
pub(crate) fn chunks(db: &mut Db, step: &str) -> Result<Vec<(i64, Span)>, LedgerError> {
    Ok(all_chunks(db, step)?
        .into_iter()
        .filter_map(|(chunk, span, is_done)| is_done.then_some((chunk, span)))
        .collect())
}

/// All chunks of a step by key, each with whether it is committed.
///
/// # Errors
/// The database fails.
pub(crate) fn all_chunks(db: &mut Db, step: &str) -> Result<Vec<(i64, Span, bool)>, LedgerError> {
    let chunks: Vec<(i64, Key, Key, i64, String)> = c::table
        .filter(c::step.eq(step.to_owned()))
        .order((c::generation, c::lo))
        .select((c::id, c::lo, c::hi, c::generation, c::state))
        .load(db)
        .attempt("read")?;
    let span = |(id, lo, hi, layer, state): (i64, Key, Key, i64, String)| {
        (id, Span { layer, range: KeyRange { lo, hi } }, state == "done")
    };
    Ok(chunks.into_iter().map(span).collect())
}

/// Whether a chunk is committed.
///
/// # Errors
/// The database fails.
pub(crate) fn is_done(db: &mut Db, chunk: i64) -> Result<bool, LedgerError> {
    let done = c::table.find(chunk).filter(c::state.eq("done")).select(c::id);
    Ok(done.first::<i64>(db).optional().attempt("read")?.is_some())
}

/// How often a chunk was claimed and closed: whoever finds the same number finds the same imprint.
///
/// # Errors
/// The database fails, or the chunk was cut into others.
pub(crate) fn epoch(db: &mut Db, chunk: i64) -> Result<i64, LedgerError> {
    c::table.find(chunk).select(c::epoch).first(db).optional().attempt("read").map(Option::unwrap_or_default)
}

/// Recorded rows, by key.
pub(crate) type ByKey = FxHashMap<Key, Recorded>;

/// How a chunk was judged last.
#[derive(Debug, Queryable)]
pub(crate) struct LastTime {
    /// A hash of its rows and their verdicts; none where an older version closed it.
    digest: Option<Vec<u8>>,
    /// Whether the target has not all that they say: it refused some, or what stands there could not be taken back.
    waits: bool,
}

impl LastTime {
    /// Whether it comes out as it did.
    pub(crate) fn is(&self, digest: [u8; 16]) -> bool {
        self.digest.as_deref() == Some(&digest[..])
    }

    /// Whether the target has all that its verdicts say.
    pub(crate) fn is_settled(&self) -> bool {
        !self.waits
    }
}

/// How a chunk was judged last.
///
/// # Errors
/// The database fails.
pub(crate) fn last_time(db: &mut Db, chunk: i64) -> QueryResult<LastTime> {
    c::table.find(chunk).select((c::digest, c::waits)).first(db)
}

/// The rows that a chunk has closed, by key, and how it was judged. Whoever has read them may close the chunk again: it stays locked.
///
/// # Errors
/// The database fails.
pub(crate) fn of_chunk(db: &mut Db, step: &str, chunk: i64) -> Result<(ByKey, LastTime), LedgerError> {
    lock(db, chunk)?;
    Ok((rows(db, step, chunk)?, last_time(db, chunk).attempt("read")?))
}

/// The rows that a chunk has closed, by key.
///
/// # Errors
/// The database fails.
pub(crate) fn rows(db: &mut Db, step: &str, chunk: i64) -> Result<ByKey, LedgerError> {
    let mut rows: FxHashMap<Key, Recorded> =
        record_of(db, step, chunk)?.into_iter().map(|row| (row.key, row.into())).collect();
    let roots: Vec<(Key, String, Key, String)> = q::table
        .filter(q::chunk_id.eq(chunk))
        .select((q::legacy_key, q::root_step, q::root_key, q::legacy_row))
        .load(db)
        .attempt("read")?;
    let mut roots: FxHashMap<Key, (Root, String)> =
        roots.into_iter().map(|(key, step, root, row)| (key, (Root { step, key: root }, row))).collect();
    let others: Vec<OutcomeRow> = o::table.filter(o::chunk_id.eq(chunk)).select(OUTCOME).load(db).attempt("read")?;
    for row in others {
        let (root, legacy_row) = roots.remove(&row.0).unzip();
        rows.insert(row.0, Recorded { legacy_row, ..other(step, row, root)? });
    }
    Ok(rows)
}

fn other(
    step: &str,
    (_, outcome, code, table, target): OutcomeRow,
    root: Option<Root>,
) -> Result<Recorded, LedgerError> {
    Ok(Recorded {
        outcome: outcome_of(step, &outcome)?,
        code,
        target,
        table,
        also: Vec::new(),
        deeds: 0,
        root,
        legacy_row: None,
    })
}

/// What the rows of a chunk carry, as they were read last.
///
/// # Errors
/// The database fails, or it cannot be read back.
pub(crate) fn amounts(db: &mut Db, step: &str, chunk: i64) -> Result<Vec<CarriedBy>, LedgerError> {
    let packed: Option<Vec<u8>> = c::table.find(chunk).select(c::carried).first(db).attempt("read")?;
    packed.map_or(Ok(Vec::new()), |packed| record::unpacked_amounts(step, &packed))
}

/// The record of a chunk with other hashes of what was done for some of its rows, packed.
///
/// # Errors
/// The database fails, or the record cannot be read back.
pub(crate) fn record_with(
    db: &mut Db,
    step: &str,
    chunk: i64,
    deeds: &FxHashMap<Key, u64>,
) -> Result<Vec<u8>, LedgerError> {
    let mut rows = record_of(db, step, chunk)?;
    for row in &mut rows {
        row.deeds = deeds.get(&row.key).copied().unwrap_or(row.deeds);
    }
    Ok(record::packed(&rows))
}

/// Locks a chunk: nobody else closes it until the transaction ends.
///
/// # Errors
/// The database fails.
pub(crate) fn lock(db: &mut Db, chunk: i64) -> Result<(), LedgerError> {
    if let Db::Pg(pg) = db {
        c::table.find(chunk).select(c::id).for_update().first::<i64>(pg).attempt("locked")?;
    }
    Ok(())
}

/// What one row was recorded as, and in which chunk.
///
/// # Errors
/// The database fails.
pub(crate) fn of_row(db: &mut Db, step: &str, key: Key) -> Result<Option<(i64, Recorded)>, LedgerError> {
    let found: Option<(i64, OutcomeRow)> =
        o::table.find((step.to_owned(), key)).select((o::chunk_id, OUTCOME)).first(db).optional().attempt("read")?;
    if let Some((chunk, found)) = found {
        let root: Option<(String, Key)> = q::table
            .find((step.to_owned(), key))
            .select((q::root_step, q::root_key))
            .first(db)
            .optional()
            .attempt("read")?;
        return other(step, found, root.map(|(step, key)| Root { step, key })).map(|row| Some((chunk, row)));
    }
    Ok(record_of_key(db, step, key)?.map(|(chunk, row)| (chunk, row.into())))
}
