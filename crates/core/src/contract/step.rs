//! A step moves one legacy table: prepare, read, transform, write.

use diesel::QueryResult;

use super::draft::{Draft, Unit};
use super::inspect::{Finding, Inspect, Right};
use super::legacy::{Fate, LegacyRow};
use super::prepare::{Prepare, PrepareError};
use super::refusal::Refusal;
use crate::storage::bulk::{Rows, Tx};
use crate::storage::shape::TableShape;
use crate::words::{Code, Followers};

/// One legacy table on its way into the target. A step is a type without values: all that it knows is in its lookups.
pub trait Step: Send + Sync + 'static {
    /// `domain.step`, in the ledger and in logs. Never renamed.
    const NAME: &'static str;
    /// What moves, in a line.
    const ABOUT: &'static str;
    /// The steps whose rows it points to, by their types: `&[users::Accounts::NAME]`.
    const AFTER: &'static [&'static str];
    /// The target table whose ids it hands out; the first in a row's lineage.
    const TARGET: &'static str;
    /// Further target tables in which a legacy row may get an id: [`StepPlan::id_in`](crate::StepPlan::id_in).
    const ALSO: &'static [&'static str] = &[];
    /// Tables without ids whose rows belong to a row of the target, with the column that points to it: a replay that takes
    /// that row out takes them out first.
    const PARTS: &'static [(&'static str, &'static str)] = &[];
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
}

/// The code under which followers of a step are merged.
pub(crate) fn merged_code<S: Step>() -> Code {
    Code::from(S::MERGED.unwrap_or("merged"))
}
