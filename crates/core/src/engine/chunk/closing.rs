//! Closing a chunk: what its rows came to goes into the ledger, in the transaction that wrote them.

use std::time::{Duration, Instant};

use super::ends::Kept;
use super::error::ChunkError;
use super::judged::Judged;
use crate::contract::step::Step;
use crate::storage::bulk::Settled;
use crate::storage::db::Db;
use crate::storage::imprint::Packed;
use crate::storage::ledger::claim::Claim;
use crate::storage::ledger::close::{self, ChunkResult};
use crate::storage::ledger::owner::Owner;
use crate::words::{Counts, Key};

/// How a chunk is closed.
pub(crate) enum Closing<'a> {
    /// For the first time, by whoever holds it.
    Held(&'a Owner, &'a Claim),
    /// Anew, although it is done.
    Anew {
        /// The chunk.
        chunk: i64,
        /// Rows of it that were recorded in other chunks.
        elsewhere: &'a [Key],
        /// What it has written.
        imprint: &'a [Packed],
    },
}

impl Closing<'_> {
    fn chunk(&self) -> i64 {
        match self {
            Self::Held(_, claim) => claim.chunk,
            Self::Anew { chunk, .. } => *chunk,
        }
    }
}

/// Closes a chunk of which the target refused some units, and of which some rows stay as they were recorded. It was in work
/// for `before`, and since `began`.
///
/// # Errors
/// The database fails, the chunk does not balance, or somebody else holds it.
pub(crate) fn close<S: Step>(
    db: &mut Db,
    judged: &Judged<S>,
    (settled, kept): (&Settled, &Kept),
    closing: Closing<'_>,
    (before, began): (Duration, Instant),
) -> Result<Counts, ChunkError> {
    let mut result = judged.result(closing.chunk(), &settled.refused, kept);
    result.by_set = settled.by_set;
    result.digest = (settled.refused.is_empty() && kept.is_empty()).then(|| judged.digest());
    balanced(&result)?;
    result.busy_ms = u64::try_from((before + began.elapsed()).as_millis()).unwrap_or(u64::MAX);
    match closing {
        Closing::Held(owner, claim) => {
            let repacked = judged.repacked(db, &settled.refused)?;
            let imprint = repacked.as_deref().unwrap_or_else(|| judged.imprint());
            if !close::close(db, S::NAME, owner, claim, (&result, imprint))? {
                return Err(ChunkError::LeaseLost);
            }
        }
        Closing::Anew { chunk, elsewhere, imprint } => {
            let kept: Vec<Key> = kept.keys().copied().collect();
            close::close_again(db, S::NAME, chunk, elsewhere, &kept, (&mut result, imprint))?;
        }
    }
    Ok(result.counts)
}

/// The second invariant: every row and all money is accounted for.
///
/// # Errors
/// They are not.
fn balanced(result: &ChunkResult) -> Result<(), ChunkError> {
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
