//! The forms of a chunk, whatever its step: its rows as they were read, then judged and ready to be written.

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::error::ChunkError;
use super::rejudged::Rejudged;
use crate::storage::db::Db;
use crate::storage::ledger::claim::Claim;
use crate::storage::ledger::owner::Owner;
use crate::storage::ledger::recorded::Recorded;
use crate::words::{Counts, Key};

/// Rows that left their chunk because they follow a leader elsewhere now, as they were recorded.
pub(crate) type Moved = FxHashMap<Key, Recorded>;

/// Legacy rows that are taken out, each with the foreign key that refuses what was written for it.
pub(crate) type Expelled = FxHashMap<Key, String>;

/// The rows of a chunk, as they were read.
pub trait ReadRows: Send {
    /// Judges every unit.
    ///
    /// # Errors
    /// The rows are not those that were planned.
    fn transform(self: Box<Self>) -> Result<Box<dyn ReadyChunk>, ChunkError>;
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
    fn commit(&self, db: &mut Db, owner: &Owner, claim: &Claim, took: Duration) -> Result<Committed, ChunkError>;

    /// Writes what has changed since the chunk was closed, and closes it anew, in one transaction. Nothing is written where
    /// nothing has changed.
    ///
    /// # Errors
    /// The database fails, or the chunk does not balance. Nothing is written then.
    fn commit_again(
        &self,
        db: &mut Db,
        chunk: i64,
        moved: &mut Moved,
        started: Instant,
    ) -> Result<Rejudged, ChunkError>;

    /// Takes out the units of the rows that `out` names, each with the foreign key that refuses it, gives those another
    /// chance that the target refused when the chunk was written, and closes the chunk anew: inside the caller's transaction.
    ///
    /// # Errors
    /// The database fails, the chunk does not balance, or what was written for a unit cannot be taken back.
    fn expel(&self, db: &mut Db, chunk: i64, out: &Expelled, started: Instant) -> Result<(), ChunkError>;
}

/// What a committed chunk did.
#[derive(Debug, Clone, Copy)]
pub struct Committed {
    /// Its counts.
    pub counts: Counts,
    /// Units that the target refused.
    pub refused: usize,
}
