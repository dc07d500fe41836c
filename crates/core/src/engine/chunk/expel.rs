//! The rows of a closed chunk that a missing foreign key refuses: taken out again and quarantined, with what the ledger would
//! say of them on a live target.

use std::time::{Duration, Instant};

use diesel::prelude::*;
use roaring::RoaringBitmap;
use rustc_hash::{FxHashMap, FxHashSet};

use super::closing::{Closing, Gone, close};
use super::ends::Kept;
use super::error::ChunkError;
use super::forms::Expelled;
use super::judged::Judged;
use super::take_out::{deleted, is_in, take_out_all, written};
use crate::contract::legacy::LegacyRow;
use crate::contract::step::Step;
use crate::storage::bulk::{Before, Refused, Rows as _, UnitIndex, Writing, settle};
use crate::storage::db::Db;
use crate::storage::ledger::tables::replant_changes as ch;
use crate::storage::ledger::{imprints, plan, recorded};
use crate::words::{Code, Key};

/// See [`ReadyChunk::expel`](super::forms::ReadyChunk::expel).
///
/// # Errors
/// The database fails, the chunk does not balance, or what was written for a unit cannot be taken back.
pub(crate) fn expel<S: Step>(
    judged: &Judged<S>,
    db: &mut Db,
    chunk: i64,
    out: &Expelled,
    started: Instant,
) -> Result<(), ChunkError> {
    let (recorded, _) = recorded::of_chunk(db, S::NAME, chunk)?;
    let imprint = imprints::of_chunk(db, chunk)?;
    let before = Before::new(db, &S::Rows::models(), imprint)?;
    let was_in = |unit: UnitIndex| judged.unit(unit).iter().any(|row| recorded.get(&row.key()).is_some_and(is_in));
    let mut refused: Vec<Refused> = Vec::new();
    let mut again = RoaringBitmap::new();
    let mut going = Vec::new();
    for unit in 0..judged.units() {
        if judged.draft.verdicts[unit as usize].result.is_err() {
            continue;
        }
        match judged.unit(unit).iter().find_map(|row| out.get(&row.key())) {
            Some(name) => {
                let reason = format!("refused by `{name}`");
                refused.push(Refused { unit, code: Code::CONSTRAINT_VIOLATED, reason });
                if was_in(unit) {
                    going.push(unit);
                }
            }
            None if !was_in(unit) => {
                again.insert(unit);
            }
            None => {}
        }
    }
    if let Some(key) = entangled(judged, db, chunk, &going)? {
        return Err(ChunkError::Entangled { key });
    }
    let ours = plan::ours(db)?;
    let still = take_out_all(going, |unit| {
        let keys = judged.unit(unit).iter().map(LegacyRow::key).collect();
        deleted(db, &written(&before, &keys), &ours)
    })?;
    if let Some((unit, _)) = still.first() {
        return Err(ChunkError::Entangled { key: judged.unit(*unit)[0].key() });
    }
    let writing = Writing { step: S::NAME, chunk, units: judged.units(), before: None, by_set: false };
    let mut settled = settle(db, &writing, &judged.draft.rows.only(&|unit| again.contains(unit)))?;
    settled.refused.extend(refused);
    let repacked = judged.repacked(db, &settled.refused)?;
    let imprint = repacked.as_deref().unwrap_or_else(|| judged.imprint());
    let (gone, entangled) = (&Gone::default(), &FxHashMap::default());
    let closing = Closing::Anew { chunk, elsewhere: &[], imprint, gone, entangled, waits: !settled.refused.is_empty() };
    close(db, judged, (&settled, &Kept::default()), closing, (Duration::ZERO, started))?;
    Ok(())
}

/// The first of some units for whose sake rows were changed that were there before, as far as the ledger tells: that cannot be
/// taken back. A change for nobody's sake may be for any of them.
fn entangled<S: Step>(judged: &Judged<S>, db: &mut Db, chunk: i64, units: &[UnitIndex]) -> QueryResult<Option<Key>> {
    if units.is_empty() {
        return Ok(None);
    }
    let changes = ch::table.filter(ch::chunk_id.eq(chunk)).select(ch::legacy_key);
    let changes: FxHashSet<Option<Key>> = changes.distinct().load(db)?.into_iter().collect();
    let changed = |key: Key| changes.contains(&None) || changes.contains(&Some(key));
    let entangled = units.iter().find(|unit| judged.unit(**unit).iter().any(|row| changed(row.key())));
    Ok(entangled.map(|unit| judged.unit(*unit)[0].key()))
}
