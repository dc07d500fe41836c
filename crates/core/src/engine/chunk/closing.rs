//! Closing a chunk: what its rows came to goes into the ledger, in the transaction that wrote them.

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::ends::Kept;
use super::error::ChunkError;
use super::judged::Judged;
use super::writer::Writer;
use crate::contract::step::Step;
use crate::storage::bulk::Settled;
use crate::storage::db::Db;
use crate::storage::imprint::Packed;
use crate::storage::ledger::claim::Claim;
use crate::storage::ledger::close::{self, ChunkResult, Closed};
use crate::storage::ledger::record::{CarriedBy, Migrated};
use crate::storage::ledger::recorded::ByKey;
use crate::words::{Counts, Key, Outcome};

/// How a chunk is closed.
pub(crate) enum Closing<'a> {
    /// For the first time, by whoever holds it.
    Held(Writer<'a>, &'a Claim),
    /// Anew, although it is done.
    Anew {
        /// The chunk.
        chunk: i64,
        /// Rows of it that were recorded in other chunks.
        elsewhere: &'a [Key],
        /// What it has written.
        imprint: &'a [Packed],
        /// Rows of it that are gone.
        gone: &'a Gone,
        /// Rows for which something was done that cannot be taken back yet: the hash of what was done for them before.
        entangled: &'a FxHashMap<Key, u64>,
        /// Whether the target has not all that its verdicts say.
        waits: bool,
    },
}

/// Rows of a chunk that the legacy database has not any more, and had when this began: they stay as they were recorded, and count
/// as they were read last from the next time on.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    pub(crate) rows: ByKey,
    /// All rows of the chunk, with these as they were read last.
    pub(crate) seen: Option<Vec<u8>>,
    /// What they carry.
    pub(crate) amounts: Vec<CarriedBy>,
}

impl Gone {
    /// Counts them as they were counted before.
    fn enter(&self, result: &mut ChunkResult) {
        for (key, row) in &self.rows {
            result.counts.read += 1;
            result.counts.add(row.outcome);
            if let (Outcome::Migrated, None, Some(target)) = (row.outcome, &row.table, row.target) {
                let (also, deeds) = (row.also.clone(), row.deeds);
                result.migrated.push(Migrated { key: *key, target, also, deeds });
            }
        }
        for amount in &self.amounts {
            let outcome = self.rows.get(&amount.key).map_or(Outcome::Quarantined, |row| row.outcome);
            amount.count(outcome, &mut result.money);
        }
        result.amounts.extend(&self.amounts);
        result.unread.retain(|key| !self.rows.contains_key(key));
        result.migrated.sort_by_key(|row| row.key);
    }
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
    result.unread.clone_from(&judged.absent);
    result.digest = Some(judged.digest);
    result.waits = !settled.refused.is_empty();
    if let Closing::Anew { gone, entangled, waits, .. } = &closing {
        result.waits = *waits;
        gone.enter(&mut result);
        for row in &mut result.migrated {
            row.deeds = entangled.get(&row.key).copied().unwrap_or(row.deeds);
        }
    }
    balanced(&result)?;
    result.busy_ms = u64::try_from((before + began.elapsed()).as_millis()).unwrap_or(u64::MAX);
    match closing {
        Closing::Held(Writer { owner, cluster, .. }, claim) => {
            let repacked = judged.repacked(db, &settled.refused)?;
            let imprint = repacked.as_deref().unwrap_or_else(|| judged.imprint());
            let closed = Closed { result: &mut result, imprint, seen: Some(judged.seen()), cluster };
            if !close::close(db, S::NAME, owner, claim, &closed)? {
                return Err(ChunkError::LeaseLost);
            }
        }
        Closing::Anew { chunk, elsewhere, imprint, gone, .. } => {
            let kept: Vec<Key> = kept.keys().copied().collect();
            let (gone, more): (Vec<Key>, _) = (gone.rows.keys().copied().collect(), gone.seen.as_deref());
            let seen = Some(more.unwrap_or_else(|| judged.seen()));
            let closed = Closed { result: &mut result, imprint, seen, cluster: None };
            close::close_again(db, S::NAME, chunk, elsewhere, (&kept, &gone), closed)?;
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
