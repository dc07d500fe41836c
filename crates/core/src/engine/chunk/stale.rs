//! What of a chunk comes out otherwise today than the ledger has it. Nothing is written.

use roaring::RoaringBitmap;
use rustc_hash::FxHashSet;

use super::closing::Gone;
use super::due::{Rejudging, is_same};
use super::ends::{ByTarget, RowEnd};
use super::error::ChunkError;
use super::judged::Judged;
use crate::contract::legacy::LegacyRow;
use crate::contract::step::Step;
use crate::storage::bulk::Rows as _;
use crate::storage::db::Db;
use crate::storage::imprint::Table;
use crate::storage::ledger::{imprints, recorded};
use crate::words::{Key, Outcome};

/// What of a chunk comes out otherwise than the ledger has it.
#[derive(Debug, Default)]
pub struct Stale {
    /// The rows of the chunk.
    pub read: u64,
    /// Units that come out otherwise: the keys of their rows, the leader's first.
    pub units: Vec<Vec<Key>>,
    /// What would be written for these units.
    pub expected: Vec<Table>,
    /// Rows that come out well and that the target does not have: it has refused them, or does not let go of others.
    pub waiting: u64,
    /// Rows of which the ledger says something else than its own digest of the chunk.
    pub damaged: Vec<Key>,
}

/// Holds verdicts against what the ledger has recorded of a chunk.
///
/// # Errors
/// The database fails, or the ledger cannot be read back.
pub(super) fn stale<S: Step>(judged: &Judged<S>, db: &mut Db, chunk: i64) -> Result<Stale, ChunkError> {
    let read = judged.rows.len() as u64;
    let (last_time, rows) = (recorded::last_time(db, chunk)?, recorded::rows(db, S::NAME, chunk)?);
    if last_time.is(judged.digest) {
        let nothing_refused = ByTarget::new(&[]);
        let all = (0..judged.units()).flat_map(|unit| judged.ends(unit, &nothing_refused).collect::<Vec<_>>());
        let others = all.filter(|(key, end)| rows.get(key).is_none_or(|was| !is_same::<S>(was, *key, end)));
        // What the target has refused, or does not let go of, is recorded otherwise than it comes out.
        let is_in = |outcome| matches!(outcome, Outcome::Migrated | Outcome::Merged);
        let waits = |key: &Key, end: &RowEnd| {
            !last_time.is_settled() && rows.get(key).is_some_and(|was| is_in(was.outcome) != is_in(end.outcome))
        };
        let (waiting, damaged): (Vec<_>, Vec<_>) = others.partition(|(key, end)| waits(key, end));
        let damaged = damaged.into_iter().map(|(key, _)| key).collect();
        return Ok(Stale { read, waiting: waiting.len() as u64, damaged, ..Stale::default() });
    }
    let own: FxHashSet<Key> = judged.rows.iter().map(LegacyRow::key).collect();
    let mut imprint = imprints::of_chunk(db, chunk)?;
    imprint.iter_mut().for_each(|table| table.retain(|key| own.contains(&key)));
    let rejudging = Rejudging::new(db, (judged, chunk), (rows, Gone::default()), imprint)?;
    let due = rejudging.due()?;
    let mut units: RoaringBitmap = due.out.into_iter().chain(due.write).collect();
    for (table, row) in &due.surplus {
        let was = rejudging.before.table(table).and_then(|known| known.rows.get(row));
        units.extend(was.and_then(|was| rejudging.unit_of.get(&was.key)));
    }
    let expected = judged.imprint_of(&judged.draft.rows.only(&|unit| units.contains(unit)))?;
    let keys = |unit| judged.unit(unit).iter().map(LegacyRow::key).collect();
    Ok(Stale { read, units: units.iter().map(keys).collect(), expected, ..Stale::default() })
}
