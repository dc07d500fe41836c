//! The life of a chunk: its rows read, judged on rayon, written and closed in one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::ends::Kept;
use super::error::ChunkError;
use super::expel::Expelled;
use super::rejudge::{Moved, Rejudged};
use crate::contract::draft::{Draft, Unit};
use crate::contract::legacy::weight;
use crate::contract::refusal::Refusal;
use crate::contract::step::Step;
use crate::storage::bulk::{Rows as _, UnitIndex, Writing, settle};
use crate::storage::db::Db;
use crate::storage::ledger::alive;
use crate::storage::ledger::claim::Claim;
use crate::storage::ledger::close::{self, ChunkResult};
use crate::storage::ledger::owner::Owner;
use crate::words::Counts;

/// Units that one rayon task judges at the least: what tasks found is put together in the end, so there are but a few for
/// each thread.
const TASK: usize = 256;
const TASKS_A_THREAD: usize = 2;

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

pub(super) struct Rows<S: Step> {
    pub(super) rows: Vec<S::Legacy>,
    /// Where each unit begins; none where every row is a unit.
    pub(super) starts: Option<Vec<usize>>,
    pub(super) found: u64,
    pub(super) planned: u64,
    /// Whether these are the keys that were planned.
    pub(super) as_planned: bool,
    pub(super) lookups: Arc<S::Lookups>,
}

/// The rows of a chunk with their verdicts.
pub(super) struct Judged<S: Step> {
    pub(super) rows: Vec<S::Legacy>,
    pub(super) starts: Option<Vec<usize>>,
    pub(super) draft: Draft<S::Rows>,
    bytes: u64,
}

impl<S: Step> Judged<S> {
    /// The rows of a unit, the leader first.
    pub(super) fn unit(&self, unit: UnitIndex) -> &[S::Legacy] {
        unit_rows(&self.rows, self.starts.as_deref(), unit as usize)
    }
}

/// The second invariant: every row and all money is accounted for.
///
/// # Errors
/// They are not.
pub(super) fn balanced(result: &ChunkResult) -> Result<(), ChunkError> {
    if !result.counts.balance() {
        return Err(ChunkError::Unbalanced(format!("rows are unaccounted for: {:?}", result.counts)));
    }
    match result.money.imbalance() {
        Some((currency, flow)) => {
            Err(ChunkError::Unbalanced(format!("money in {currency} does not balance: {flow:?}")))
        }
        None => Ok(()),
    }
}

impl<S: Step> ReadRows for Rows<S> {
    fn transform(self: Box<Self>) -> Result<Box<dyn ReadyChunk>, ChunkError> {
        if !self.as_planned {
            return Err(ChunkError::SourceChanged { planned: self.planned, found: self.found });
        }
        let units = self.starts.as_ref().map_or(self.rows.len(), Vec::len);
        let task = units.div_ceil(TASKS_A_THREAD * rayon::current_num_threads()).max(TASK);
        let tasks: Vec<(usize, usize)> = (0..units).step_by(task).map(|from| (from, units.min(from + task))).collect();
        let parts: Vec<Draft<S::Rows>> = tasks.into_par_iter().map(|(from, to)| self.judge(from..to)).collect();
        let mut parts = parts.into_iter();
        let mut draft = parts.next().unwrap_or_default();
        parts.for_each(|part| draft.append(part));
        draft.rows.arrange();
        let bytes = weight(&self.rows) + draft.bytes;
        Ok(Box::new(Judged::<S> { rows: self.rows, starts: self.starts, draft, bytes }))
    }
}

fn unit_rows<'a, L>(rows: &'a [L], starts: Option<&[usize]>, unit: usize) -> &'a [L] {
    match starts {
        None => &rows[unit..=unit],
        Some(starts) => &rows[starts[unit]..starts.get(unit + 1).copied().unwrap_or(rows.len())],
    }
}

impl<S: Step> Rows<S> {
    fn judge(&self, units: std::ops::Range<usize>) -> Draft<S::Rows> {
        let mut draft = Draft::default();
        for unit in units {
            let unit = Unit::new(unit_rows(&self.rows, self.starts.as_deref(), unit));
            // A defect in a rule must not take the run down: the row that shows it waits in quarantine.
            let judged = catch_unwind(AssertUnwindSafe(|| S::transform(&self.lookups, &unit, &mut draft)));
            draft.close(
                judged.unwrap_or_else(|_| Err(Refusal::unforeseen("the transform panicked: a defect of its rule"))),
            );
        }
        draft
    }
}

impl<S: Step> ReadyChunk for Judged<S> {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn commit(&self, db: &mut Db, owner: &Owner, claim: &Claim, took: Duration) -> Result<Committed, ChunkError> {
        let began = Instant::now();
        db.write(|db| {
            alive::name_work(db, owner, S::NAME, claim.chunk)?;
            let units = UnitIndex::try_from(self.draft.verdicts.len()).expect("a chunk has fewer than 2^32 units");
            let writing = Writing { step: S::NAME, chunk: claim.chunk, units, again: &RoaringBitmap::new() };
            let refused = settle(db, &writing, &self.draft.rows)?;
            let mut result = self.result(claim.chunk, &refused, &Kept::default());
            balanced(&result)?;
            result.busy_ms = u64::try_from((took + began.elapsed()).as_millis()).unwrap_or(u64::MAX);
            if !close::close(db, S::NAME, owner, claim, &result)? {
                return Err(ChunkError::LeaseLost);
            }
            Ok(Committed { counts: result.counts, refused: refused.len() })
        })
    }

    fn commit_again(
        &self,
        db: &mut Db,
        chunk: i64,
        moved: &mut Moved,
        started: Instant,
    ) -> Result<Rejudged, ChunkError> {
        let (done, left) = db.write(|db| self.rejudge(db, chunk, moved, started))?;
        moved.extend(left);
        Ok(done)
    }

    fn expel(&self, db: &mut Db, chunk: i64, out: &Expelled, started: Instant) -> Result<(), ChunkError> {
        self.without(db, chunk, out, started)
    }
}
