//! A chunk that is done, judged again: what has changed since is written, and the chunk closed anew.

use std::time::{Duration, Instant};

use roaring::RoaringBitmap;
use rustc_hash::FxHashSet;

use super::closing::{Closing, close};
use super::ends::{ByTarget, Kept, RowEnd};
use super::error::ChunkError;
use super::forms::Moved;
use super::judged::Judged;
use super::rejudged::Rejudged;
use super::take_out::{delete_row, deleted, is_in, take_out_all, taken_out};
use crate::contract::legacy::LegacyRow;
use crate::contract::step::Step;
use crate::storage::bulk::{Refused, Rows as _, Settled, UnitIndex, Writing, settle};
use crate::storage::db::Db;
use crate::storage::failure::Failure;
use crate::storage::ledger::changes;
use crate::storage::ledger::plan::{self, Ours};
use crate::storage::ledger::recorded::{self, ByKey, Recorded};
use crate::words::{Key, Outcome, Root};

/// What is to be done about the units of a chunk.
#[derive(Default)]
struct Due {
    /// Units that are written.
    write: RoaringBitmap,
    /// Of these: units that were written before.
    again: RoaringBitmap,
    /// Units that were written and are refused now.
    out: Vec<UnitIndex>,
}

/// A chunk that is judged again, beside what is recorded of its rows.
struct Rejudging<'a, S: Step> {
    judged: &'a Judged<S>,
    chunk: i64,
    recorded: ByKey,
}

/// See [`ReadyChunk::commit_again`](super::forms::ReadyChunk::commit_again). Returns the rows that have left the chunk as well.
///
/// # Errors
/// The database fails, or the chunk does not balance.
pub(crate) fn rejudge<S: Step>(
    judged: &Judged<S>,
    db: &mut Db,
    chunk: i64,
    moved: &Moved,
    started: Instant,
) -> Result<(Rejudged, Moved), ChunkError> {
    let recorded = recorded::of_chunk(db, S::NAME, chunk)?;
    let own: FxHashSet<Key> = judged.rows.iter().map(LegacyRow::key).collect();
    let left: Moved = recorded.iter().filter(|(key, _)| !own.contains(key)).map(|(k, r)| (*k, r.clone())).collect();
    let mut rejudging = Rejudging { judged, chunk, recorded };
    let elsewhere = rejudging.take_in_elsewhere(db, moved)?;
    let due = rejudging.due();
    let mut done = Rejudged { read: judged.rows.len() as u64, ..Rejudged::default() };
    let same = left.is_empty() && elsewhere.is_empty() && !rejudging.ledger_differs();
    if due.write.is_empty() && due.out.is_empty() && same {
        return Ok((done, left));
    }
    let (settled, kept) = rejudging.write(db, &due)?;
    done.refused = settled.refused.len() as u64;
    rejudging.count(&settled.refused, &kept, &due.again, &mut done);
    if done.changed() || !same {
        let closing = Closing::Anew { chunk, elsewhere: &elsewhere };
        close(db, judged, (&settled, &kept), closing, (Duration::ZERO, started))?;
    }
    Ok((done, left))
}

impl<S: Step> Rejudging<'_, S> {
    /// Takes out what is refused now, and writes what comes out otherwise. Returns the units that the target refused, and the
    /// rows that stay as they were recorded.
    fn write(&self, db: &mut Db, due: &Due) -> Result<(Settled, Kept), ChunkError> {
        let ours = plan::ours(db)?;
        let mut kept = Kept::default();
        let out = take_out_all(due.out.clone(), |unit| self.take_out(db, unit, &ours))?;
        for unit in out {
            kept.extend(self.stays(unit));
        }
        let judged = self.judged;
        let writing =
            Writing { step: S::NAME, chunk: self.chunk, units: judged.units(), again: &due.again, by_set: false };
        let settled = settle(db, &writing, &judged.draft.rows.only(&|unit| due.write.contains(unit)))?;

        let refused = &settled.refused;
        let refused_units: RoaringBitmap = refused.iter().map(|refused| refused.unit).collect();
        for unit in (&due.again - refused_units).iter() {
            self.take_out_surplus(db, unit, &ours)?;
        }
        // What cannot be written anew stays as it is.
        for unit in refused.iter().map(|refused| refused.unit).filter(|unit| due.again.contains(*unit)) {
            kept.extend(self.stays(unit));
        }
        Ok((settled, kept))
    }

    /// The rows of a unit that are in the target, as they were recorded.
    fn stays(&self, unit: UnitIndex) -> Vec<(Key, Recorded)> {
        let keys = self.judged.unit(unit).iter().map(LegacyRow::key);
        keys.filter_map(|key| Some((key, self.recorded.get(&key).filter(|row| is_in(row))?.clone()))).collect()
    }

    /// Adds what was recorded of rows that were in other chunks: rows that follow a leader of this one now.
    fn take_in_elsewhere(&mut self, db: &mut Db, moved: &Moved) -> Result<Vec<Key>, ChunkError> {
        let mut elsewhere = Vec::new();
        for key in self.judged.rows.iter().map(LegacyRow::key) {
            if !self.recorded.contains_key(&key) {
                let found = match moved.get(&key) {
                    Some(found) => Some(found.clone()),
                    None => recorded::of_row(db, S::NAME, key)?,
                };
                self.recorded.extend(found.map(|found| (key, found)));
                elsewhere.push(key);
            }
        }
        Ok(elsewhere)
    }

    fn due(&self) -> Due {
        let mut due = Due::default();
        let nothing_refused = ByTarget::new(&[]);
        for unit in 0..self.judged.units() {
            let verdict = &self.judged.draft.verdicts[unit as usize];
            let ends: Vec<_> = self.judged.ends(unit, &nothing_refused).collect();
            let was_in = ends.iter().any(|(key, _)| self.recorded.get(key).is_some_and(is_in));
            match verdict.result {
                Err(_) if was_in => due.out.push(unit),
                Err(_) => {}
                Ok(_) => {
                    let same = ends
                        .iter()
                        .all(|(key, end)| self.recorded.get(key).is_some_and(|was| is_same::<S>(was, *key, end)));
                    let leader = ends[0].0;
                    let fingerprint = self.recorded.get(&leader).and_then(|was| was.fingerprint);
                    if !same || fingerprint != Some(verdict.fingerprint.to_le_bytes()) {
                        due.write.insert(unit);
                        if was_in {
                            due.again.insert(unit);
                        }
                    }
                }
            }
        }
        due
    }

    /// Whether a row that stays out does so for another reason, or was mended in vain.
    fn ledger_differs(&self) -> bool {
        let nothing_refused = ByTarget::new(&[]);
        let out = (0..self.judged.units()).filter(|unit| self.judged.draft.verdicts[*unit as usize].result.is_err());
        out.into_iter().any(|unit| {
            self.judged.unit(unit).iter().zip(self.judged.ends(unit, &nothing_refused)).any(|(row, (key, end))| {
                !self.recorded.get(&key).is_some_and(|was| {
                    let whole = || was.legacy_row.is_none() || was.legacy_row == serde_json::to_string(row).ok();
                    is_same::<S>(was, key, &end) && whole()
                })
            })
        })
    }

    fn count(&self, refused: &[Refused], kept: &Kept, again: &RoaringBitmap, done: &mut Rejudged) {
        let by_target = ByTarget::new(refused);
        for unit in 0..self.judged.units() {
            for (key, end) in self.judged.ends(unit, &by_target) {
                let was = self.recorded.get(&key);
                let was_in = was.is_some_and(is_in);
                let is_in = matches!(end.outcome, Outcome::Migrated | Outcome::Merged);
                match (was_in, is_in) {
                    _ if kept.contains_key(&key) => done.kept += 1,
                    (false, true) => done.came_in += 1,
                    (true, true) if again.contains(unit) => done.rewritten += 1,
                    (true, true) => {}
                    (true, false) => done.taken_out += 1,
                    (false, false) if was.is_some_and(|was| is_same::<S>(was, key, &end)) => {}
                    (false, false) => done.still_out += 1,
                }
            }
        }
    }

    /// Deletes what was written for a unit that is refused now. `false` where it stays.
    fn take_out(&self, db: &mut Db, unit: UnitIndex, ours: &Ours) -> Result<bool, ChunkError> {
        let Some(made) = deleted(self.judged, db, unit, &self.recorded, ours)? else { return Ok(false) };
        changes::record(db, S::NAME, Some(self.chunk), made)?;
        Ok(true)
    }

    /// Deletes further rows that were written for a unit and do not belong to it any more. One that something points to
    /// stays.
    fn take_out_surplus(&self, db: &mut Db, unit: UnitIndex, ours: &Ours) -> Result<(), ChunkError> {
        let leader = self.judged.unit(unit)[0].key();
        let Some(was) = self.recorded.get(&leader) else { return Ok(()) };
        let still = |table: &str, id: i64| {
            self.judged.draft.also.iter().any(|(of, name, also)| *of == unit && *name == table && *also == id)
        };
        for (table, id) in was.also.iter().filter(|(table, id)| !still(table, *id) && ours.made(table, *id)) {
            let deleted = db.write(|db| {
                let change = taken_out::<S>(db, table, *id, leader)?;
                delete_row(db, &change, *id)?;
                Ok::<_, diesel::result::Error>(change)
            });
            match deleted {
                Ok(change) => changes::record(db, S::NAME, Some(self.chunk), vec![change])?,
                Err(error) if Failure::of(&error).blames_a_row() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Whether a row comes out as it was recorded.
fn is_same<S: Step>(was: &Recorded, key: Key, end: &RowEnd) -> bool {
    let own = || Root { step: S::NAME.to_owned(), key };
    was.outcome == end.outcome
        && was.code.as_deref() == end.code.map(|code| code.as_str())
        && was.target == end.target
        && was.table.as_deref() == end.table
        && (end.outcome != Outcome::Quarantined || was.root == Some(end.root.clone().unwrap_or_else(own)))
}
