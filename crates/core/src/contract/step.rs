//! A step moves one legacy table: prepare, read, transform, write.

use diesel::QueryResult;

use super::draft::{Draft, Unit};
use super::inspect::{Finding, Inspect, Right};
use super::legacy::{Fate, LegacyRow};
use super::prepare::{Prepare, PrepareError};
use super::refusal::Refusal;
use crate::storage::bulk::{Rows, Tx};
use crate::storage::indexes::UniqueIndex;
use crate::storage::shape::TableShape;
use crate::words::{Code, Followers};

/// One legacy table on its way into the target. A step is a type without values: all that it knows is in its lookups.
pub trait Step: Send + Sync + 'static {
    /// `domain.step`, in the ledger and in logs. Never renamed.
    const NAME: &'static str;
    /// What moves, in a line.
    const ABOUT: &'static str;
    /// The steps whose rows it points to, by their types: `&[stock::Items::NAME]`.
    const AFTER: &'static [&'static str];
    /// The target table whose ids it hands out; the first in a row's lineage.
    const TARGET: &'static str;
    /// Further target tables in which a legacy row may get an id: [`StepPlan::id_in`](crate::StepPlan::id_in).
    const ALSO: &'static [&'static str] = &[];
    /// Tables without ids whose rows belong to a row of the target, with the column that points to it: a replay that takes
    /// that row out takes them out first.
    const PARTS: &'static [(&'static str, &'static str)] = &[];
    /// Unique indexes that the target has once the step is done: built after the last part of its end, beside customers.
    const INDEXES: &'static [UniqueIndex] = &[];
    /// Further target tables that it changes, and how: the rights that the user needs there. TARGET, ALSO and PARTS are written
    /// anyhow, and SELECT is needed on all that `writes` names.
    const CHANGES: &'static [(&'static str, &'static [Right])] = &[];
    /// The code of a row that follows another one: why it was merged.
    const MERGED: Option<&'static str> = None;
    /// What becomes of each legacy column.
    const FATES: &'static [(&'static str, Fate)];

    /// A row of the legacy table.
    type Legacy: LegacyRow;
    /// What `prepare` knows and `transform` asks.
    type Lookups: Send + Sync + 'static;
    /// What a chunk writes.
    type Rows: Rows;

    /// Further legacy tables that `prepare` reads.
    fn reads() -> Vec<TableShape> {
        Vec::new()
    }

    /// The target tables that it writes or reads, as `table!` declares them.
    fn writes() -> Vec<TableShape>;

    /// Looks at the target for what would keep the step from its end and that only the step knows of: before anything is
    /// written, by every `plan` and every run.
    ///
    /// # Errors
    /// Those of the database.
    fn inspect(_: &mut Inspect<'_>) -> QueryResult<Vec<Finding>> {
        Ok(Vec::new())
    }

    /// Builds the lookups, before the first chunk and again in every process: from the legacy database, which does not
    /// change, and from frozen readings of the target, which does.
    ///
    /// # Errors
    /// A database fails, or a lookup cannot be built.
    fn prepare(cx: &Prepare<'_>) -> Result<Self::Lookups, PrepareError>;

    /// The rows that travel with others.
    fn followers(_: &Self::Lookups) -> Option<&Followers> {
        None
    }

    /// Judges a unit: its rows and the lookups in, the id of its target row or a refusal out. Pure: no clock, no I/O, no
    /// log line, no panic.
    ///
    /// # Errors
    /// The refusal of the leader. Its followers then wait for it, or go its way.
    fn transform(
        lookups: &Self::Lookups,
        unit: &Unit<'_, Self::Legacy>,
        draft: &mut Draft<Self::Rows>,
    ) -> Result<i64, Refusal>;

    /// What is left to do in the target once every chunk is done, in one transaction. A replay does it again: it brings about
    /// a state, and finds what it brought about before. The repairs and the money of the last time are forgotten before.
    ///
    /// # Errors
    /// The database fails, or says why it cannot be done.
    fn finish(_: &Self::Lookups, _: &mut Tx<'_>) -> Result<(), FinishError> {
        Ok(())
    }

    /// How many parts the end of the step has: the same whenever it is asked. More than one where [`finish`](Self::finish)
    /// would keep rows of customers locked for longer than they may notice.
    fn finish_parts(_: &Self::Lookups) -> u64 {
        1
    }

    /// A part of the end of the step, counted from 0, in a short transaction of its own: the first time after all those before
    /// it, and once. A lock that it waits for longer than a moment fails it, and it is tried again. What holds for
    /// [`finish`](Self::finish) holds for each part.
    ///
    /// # Errors
    /// The database fails, or says why it cannot be done.
    fn finish_part(lookups: &Self::Lookups, _part: u64, tx: &mut Tx<'_>) -> Result<(), FinishError> {
        Self::finish(lookups, tx)
    }

    /// Makes one row of those that share a value of an index of [`INDEXES`](Self::INDEXES), where the rules do: customers may
    /// have added some since the end of the step. Called, after its last part, when the index cannot be built. Returns how
    /// many rows it took away; rows that it leaves are named to the operator.
    ///
    /// # Errors
    /// The database fails.
    fn make_unique(_: &Self::Lookups, _: &UniqueIndex, _: &mut Tx<'_>) -> Result<u64, FinishError> {
        Ok(0)
    }
}

/// Why a step cannot be finished.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// The database fails.
    #[error("{}", crate::storage::failure::Failure::of(.0).describe())]
    Database(#[from] diesel::result::Error),
    /// The target is not as it must be: what is wrong and what to do. Holds ids, no values.
    #[error("{0}")]
    Target(String),
    /// The ledger of its chunks is not that of its keys: a defect, or a ledger that somebody changed.
    #[error(
        "its chunks have {keys} keys and read {read} rows, where {planned} were planned, so it is not called done: look at \
         replant_chunks, and restore the ledger with the target if it was changed by hand"
    )]
    Unaccounted {
        /// Keys that were planned.
        planned: u64,
        /// Keys in its chunks.
        keys: i64,
        /// Rows that they read.
        read: i64,
    },
}

/// The code under which followers of a step are merged.
pub(crate) fn merged_code<S: Step>() -> Code {
    Code::from(S::MERGED.unwrap_or("merged"))
}
