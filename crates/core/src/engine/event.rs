//! What a run tells whoever watches it. Counts and reasons, never values.

use std::time::Duration;

use super::chunk::Rejudged;
use crate::contract::inspect::Finding;
use crate::words::Counts;

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The checks before the run have found something that its operator should know.
    Noted {
        /// What.
        finding: Finding,
    },
    /// A run began: as the ledger names it.
    Began {
        /// Host, process and a number.
        run: String,
    },
    /// A step is planned.
    Planned {
        /// The step.
        step: &'static str,
        /// How many steps the run has: as many of these events come, as long as nothing fails.
        of: usize,
        /// Its legacy rows.
        rows: u64,
        /// Of these, done by earlier runs.
        done: u64,
    },
    /// Chunks of dead workers were freed.
    Reaped {
        /// How many.
        chunks: usize,
    },
    /// A step was done by an earlier run.
    StepAlreadyDone {
        /// The step.
        step: &'static str,
    },
    /// A step reads its legacy keys and plans its chunks.
    Planning {
        /// The step.
        step: &'static str,
    },
    /// A step builds its lookups.
    Preparing {
        /// The step.
        step: &'static str,
    },
    /// A load of an offline target has dropped constraints.
    Dropped {
        /// The step.
        step: &'static str,
        /// How many foreign keys.
        foreign_keys: usize,
        /// How many secondary indexes.
        indexes: usize,
    },
    /// What loads dropped is built again.
    Restoring {
        /// The steps that dropped it.
        steps: Vec<String>,
    },
    /// What loads dropped is back, validated.
    Restored {
        /// How many foreign keys and indexes this process built.
        built: usize,
        /// How long it took.
        elapsed: Duration,
    },
    /// Rows of an offline load pointed to nothing: they were taken out again and quarantined, as they would have been at once
    /// on a live target.
    Expelled {
        /// The step.
        step: &'static str,
        /// Legacy rows.
        rows: usize,
    },
    /// Somebody else who may write is connected to a target that was said to be offline.
    Intruder {
        /// Whose session.
        session: String,
    },
    /// A step moves rows.
    StepStarted {
        /// The step.
        step: &'static str,
        /// Legacy rows in all.
        rows: u64,
        /// Of these, done by earlier runs.
        done: u64,
    },
    /// A chunk was committed.
    ChunkDone {
        /// The step.
        step: &'static str,
        /// The chunk.
        chunk: i64,
        /// Its counts.
        counts: Counts,
        /// Units that the target refused.
        refused: usize,
    },
    /// A catch-up has judged the rows of a step, and written nothing yet.
    Looked {
        /// The step.
        step: &'static str,
        /// Its rows.
        rows: u64,
        /// Those that would come out otherwise.
        changed: u64,
    },
    /// A verification has looked at every row of a step.
    Verified {
        /// The step.
        step: &'static str,
        /// Target rows that the ledger says are there.
        rows: u64,
        /// Those that are as they are to be.
        equal: u64,
    },
    /// A step was taken back.
    Undone {
        /// The step.
        step: &'static str,
        /// Target rows that were deleted.
        rows: u64,
        /// Rows that stay.
        kept: u64,
    },
    /// Rows that were planned had gone before they were read: the legacy database changes while it is migrated.
    SourceMoves {
        /// The step.
        step: &'static str,
        /// How many.
        absent: usize,
    },
    /// A step has to wait.
    Throttled {
        /// The step.
        step: &'static str,
        /// For what.
        reason: String,
    },
    /// Something is tried again.
    Retrying {
        /// The step.
        step: &'static str,
        /// What went wrong.
        reason: String,
        /// After how long.
        wait: Duration,
    },
    /// A chunk was cut in half.
    Cut {
        /// The step.
        step: &'static str,
        /// Why.
        reason: String,
    },
    /// A chunk was lost to another worker while it was under way: nothing of it was written here.
    LeaseLost {
        /// The step.
        step: &'static str,
    },
    /// A step is done.
    StepDone {
        /// The step.
        step: &'static str,
        /// What this run did of it.
        counts: Counts,
        /// How long this run took for it.
        elapsed: Duration,
    },
    /// A chunk was judged again.
    ChunkRejudged {
        /// The step.
        step: &'static str,
        /// The chunk.
        chunk: i64,
        /// What came of it.
        done: Rejudged,
    },
    /// All rows of a step were judged again.
    StepRejudged {
        /// The step.
        step: &'static str,
        /// What came of it.
        done: Rejudged,
        /// How long it took.
        elapsed: Duration,
    },
    /// A step ended early, because the run was asked to stop: what was under way is done.
    StepStopped {
        /// The step.
        step: &'static str,
    },
}

/// Whoever watches a run.
pub trait Reporter: Sync {
    /// Hears of an event. Called from many threads; must return soon.
    fn event(&self, event: &Event);
}

/// Watches nothing.
pub struct Silent;

impl Reporter for Silent {
    fn event(&self, _: &Event) {}
}
