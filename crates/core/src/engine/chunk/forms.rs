//! The forms of a chunk, whatever its step: its rows as they were read, then judged and ready to be written.

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use serde::Serialize;
use serde_json::Value;

use super::due::Looked;
use super::erase::Forgotten;
use super::error::ChunkError;
use super::judged::Packing;
use super::rejudged::Rejudged;
use super::stale::Stale;
use super::writer::Writer;
use crate::storage::db::Db;
use crate::storage::ledger::claim::Claim;
use crate::storage::ledger::forget::Written;
use crate::words::{Counts, Key, Outcome, Repair};

/// Legacy rows that are taken out, each with the foreign key that refuses what was written for it.
pub(crate) type Expelled = FxHashMap<Key, String>;

/// The rows of a chunk, as they were read.
pub trait ReadRows: Send {
    /// Judges every unit.
    ///
    /// # Errors
    /// The rows are not those that were planned.
    fn transform(self: Box<Self>, packing: Packing) -> Result<Box<dyn ReadyChunk>, ChunkError>;
}

/// A chunk that only has to be written.
pub trait ReadyChunk: Send {
    /// About how many bytes of memory it takes.
    fn bytes(&self) -> u64;

    /// Writes it and closes it, in one transaction. Can be called again after it failed. `took` is the time that reading and
    /// judging it took.
    ///
    /// # Errors
    /// The database fails, the chunk does not balance, or its lease was lost. Nothing is written then.
    fn commit(&self, db: &mut Db, writer: Writer<'_>, claim: &Claim, took: Duration) -> Result<Committed, ChunkError>;

    /// Writes what has changed since the chunk was closed, and closes it anew, in one transaction. Nothing is written where
    /// nothing has changed.
    ///
    /// # Errors
    /// The database fails, or the chunk does not balance. Nothing is written then.
    fn commit_again(&self, db: &mut Db, chunk: i64, started: Instant) -> Result<Rejudged, ChunkError>;

    /// What would come out otherwise than it did when the chunk was closed. Writes and locks nothing.
    ///
    /// # Errors
    /// The database fails.
    fn look(&self, db: &mut Db, chunk: i64) -> Result<Looked, ChunkError>;

    /// What comes out otherwise than the ledger has it, row by row. Writes and locks nothing.
    ///
    /// # Errors
    /// The database fails, or the ledger cannot be read back.
    fn stale(&self, db: &mut Db, chunk: i64) -> Result<Stale, ChunkError>;

    /// What the ledger is to say of the chunk, whose rows were judged without a person's values, so that none is left in it. Writes
    /// and locks nothing.
    ///
    /// # Errors
    /// The database fails, or the ledger cannot be read back.
    fn anew(&self, db: &mut Db, chunk: i64, forgotten: &Forgotten<'_>) -> Result<Written, ChunkError>;

    /// Its units with their verdicts, to be looked at.
    fn shown(&self) -> Vec<Trial>;

    /// Takes out the units of the rows that `out` names, each with the foreign key that refuses it, gives those another
    /// chance that the target refused when the chunk was written, and closes the chunk anew: inside the caller's transaction.
    ///
    /// # Errors
    /// The database fails, the chunk does not balance, or what was written for a unit cannot be taken back.
    fn expel(&self, db: &mut Db, chunk: i64, out: &Expelled, started: Instant) -> Result<(), ChunkError>;
}

/// A unit that was judged and not written.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    /// Its rows, the leader first.
    pub rows: Vec<TrialRow>,
    /// What would be written for it: the name of the batch, which is that of its table where rows are inserted, and the row.
    pub written: Vec<(&'static str, Value)>,
    /// Its repairs.
    pub repairs: Vec<Repair>,
    /// What the target has of its leader, as the ledger knows it: table, id and row; no row where it is gone.
    pub stands: Vec<(String, i64, Option<Value>)>,
}

/// A legacy row that was judged and not written.
#[derive(Debug, Clone, Serialize)]
pub struct TrialRow {
    /// Its key.
    pub key: Key,
    /// The row, as it was read.
    pub legacy: Value,
    /// What would become of it.
    pub outcome: Outcome,
    /// Why.
    pub code: Option<&'static str>,
    /// Why, in words.
    pub reason: String,
    /// The id of its target row.
    pub target: Option<i64>,
}

/// What a committed chunk did.
#[derive(Debug, Clone, Copy)]
pub struct Committed {
    /// Its counts.
    pub counts: Counts,
    /// Units that the target refused.
    pub refused: usize,
    /// Planned rows that were not there.
    pub absent: usize,
}
