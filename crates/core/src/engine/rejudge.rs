//! A chunk that is done, judged again: what has changed since is written, and the chunk closed anew.

use std::time::Instant;

use diesel::prelude::*;
use roaring::RoaringBitmap;
use rustc_hash::{FxHashMap, FxHashSet};

use super::chunk::{Judged, balanced};
use super::ends::{ByTarget, Kept, RowEnd, static_name};
use super::error::ChunkError;
use crate::contract::legacy::LegacyRow;
use crate::contract::step::Step;
use crate::storage::bulk::{Rows as _, UnitIndex, Writing, settle, whole_row};
use crate::storage::db::Db;
use crate::storage::failure::{Failure, Told, caught};
use crate::storage::ledger::changes::{self, Change};
use crate::storage::ledger::close;
use crate::storage::ledger::plan::{self, Ours};
use crate::storage::ledger::recorded::{self, Recorded};
use crate::storage::sql::quoted;
use crate::words::{Key, Outcome, Root};

/// What judging chunks again came to, in legacy rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Rejudged {
    /// Rows that were read and judged.
    pub read: u64,
    /// Rows that were out and are in the target now.
    pub came_in: u64,
    /// Rows that were in the target and were written anew.
    pub rewritten: u64,
    /// Rows that were in the target and were taken out.
    pub taken_out: u64,
    /// Rows that stay out, for another reason than before.
    pub still_out: u64,
    /// Rows that would come out otherwise now, but what was written for them cannot be taken back.
    pub kept: u64,
    /// Units that the target refused.
    pub refused: u64,
}

impl Rejudged {
    /// Whether anything was written.
    pub fn changed(&self) -> bool {
        self.came_in + self.rewritten + self.taken_out + self.still_out > 0
    }
}

impl std::ops::AddAssign for Rejudged {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.came_in += other.came_in;
        self.rewritten += other.rewritten;
        self.taken_out += other.taken_out;
        self.still_out += other.still_out;
        self.kept += other.kept;
        self.refused += other.refused;
    }
}

impl Rejudged {
    /// The sum of two passes over the same rows.
    #[must_use]
    pub(super) fn and_then(mut self, next: Self) -> Self {
        self += next;
        Self { read: next.read, kept: next.kept, refused: next.refused, ..self }
    }
}

pub(super) type ByKey = FxHashMap<Key, Recorded>;

/// Rows that left their chunk because they follow a leader elsewhere now, as they were recorded.
pub(super) type Moved = FxHashMap<Key, Recorded>;

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

pub(super) fn is_in(recorded: &Recorded) -> bool {
    matches!(recorded.outcome, Outcome::Migrated | Outcome::Merged)
}

impl<S: Step> Judged<S> {
    /// See [`ReadyChunk::commit_again`](super::chunk::ReadyChunk::commit_again).
    pub(super) fn rejudge(
        &self,
        db: &mut Db,
        chunk: i64,
        moved: &Moved,
        started: Instant,
    ) -> Result<(Rejudged, Moved), ChunkError> {
        let mut recorded = recorded::of_chunk(db, S::NAME, chunk)?;
        let own: FxHashSet<Key> = self.rows.iter().map(LegacyRow::key).collect();
        let left: Moved = recorded.iter().filter(|(key, _)| !own.contains(key)).map(|(k, r)| (*k, r.clone())).collect();
        let elsewhere = self.recorded_elsewhere(db, moved, &mut recorded)?;
        let same_rows = left.is_empty() && elsewhere.is_empty();
        let due = self.due(&recorded);
        let mut done = Rejudged { read: self.rows.len() as u64, ..Rejudged::default() };
        let differs = self.ledger_differs(&recorded);
        if due.write.is_empty() && due.out.is_empty() && !differs && same_rows {
            return Ok((done, left));
        }

        let ours = plan::ours(db)?;
        let mut kept = Kept::default();
        // What a row points to can be taken out once the row is.
        let mut out = due.out.clone();
        loop {
            let before = out.len();
            let mut still = Vec::new();
            for unit in out {
                if !self.take_out(db, unit, chunk, &recorded, &ours)? {
                    still.push(unit);
                }
            }
            out = still;
            if out.len() == before {
                break;
            }
        }
        for unit in out {
            kept.extend(self.stays(unit, &recorded));
        }
        let writing = Writing { step: S::NAME, chunk, units: self.units(), again: &due.again };
        let refused = settle(db, &writing, &self.draft.rows.only(&|unit| due.write.contains(unit)))?;

        done.refused = refused.len() as u64;
        let refused_units: RoaringBitmap = refused.iter().map(|refused| refused.unit).collect();
        for unit in (&due.again - refused_units).iter() {
            self.take_out_surplus(db, unit, chunk, &recorded, &ours)?;
        }
        // What cannot be written anew stays as it is.
        for unit in refused.iter().map(|refused| refused.unit).filter(|unit| due.again.contains(*unit)) {
            kept.extend(self.stays(unit, &recorded));
        }
        let by_target = ByTarget::new(&refused);
        for unit in 0..self.units() {
            for (key, end) in self.ends(unit, &by_target) {
                self.count(&recorded, key, &end, kept.contains_key(&key), due.again.contains(unit), &mut done);
            }
        }
        if !done.changed() && !differs && same_rows {
            return Ok((done, left));
        }
        let mut result = self.result(chunk, &refused, &kept);
        balanced(&result)?;
        result.busy_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let kept: Vec<Key> = kept.into_keys().collect();
        close::close_again(db, S::NAME, chunk, &elsewhere, &kept, &mut result)?;
        Ok((done, left))
    }

    /// The rows of a unit that are in the target, as they were recorded.
    fn stays(&self, unit: UnitIndex, recorded: &ByKey) -> Vec<(Key, Recorded)> {
        let keys = self.unit(unit).iter().map(LegacyRow::key);
        keys.filter_map(|key| Some((key, recorded.get(&key).filter(|row| is_in(row))?.clone()))).collect()
    }

    /// Adds what was recorded of rows that were in other chunks: rows that follow a leader of this one now.
    fn recorded_elsewhere(&self, db: &mut Db, moved: &Moved, recorded: &mut ByKey) -> Result<Vec<Key>, ChunkError> {
        let mut elsewhere = Vec::new();
        for key in self.rows.iter().map(LegacyRow::key) {
            if !recorded.contains_key(&key) {
                let found = match moved.get(&key) {
                    Some(found) => Some(found.clone()),
                    None => recorded::of_row(db, S::NAME, key)?,
                };
                recorded.extend(found.map(|found| (key, found)));
                elsewhere.push(key);
            }
        }
        Ok(elsewhere)
    }

    fn due(&self, recorded: &ByKey) -> Due {
        let mut due = Due::default();
        let nothing_refused = ByTarget::new(&[]);
        for unit in 0..self.units() {
            let verdict = &self.draft.verdicts[unit as usize];
            let ends: Vec<_> = self.ends(unit, &nothing_refused).collect();
            let was_in = ends.iter().any(|(key, _)| recorded.get(key).is_some_and(is_in));
            match verdict.result {
                Err(_) if was_in => due.out.push(unit),
                Err(_) => {}
                Ok(_) => {
                    let same =
                        ends.iter().all(|(key, end)| recorded.get(key).is_some_and(|was| is_same::<S>(was, *key, end)));
                    let leader = ends[0].0;
                    let fingerprint = recorded.get(&leader).and_then(|was| was.fingerprint);
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
    fn ledger_differs(&self, recorded: &ByKey) -> bool {
        let nothing_refused = ByTarget::new(&[]);
        let out = (0..self.units()).filter(|unit| self.draft.verdicts[*unit as usize].result.is_err());
        out.into_iter().any(|unit| {
            self.unit(unit).iter().zip(self.ends(unit, &nothing_refused)).any(|(row, (key, end))| {
                !recorded.get(&key).is_some_and(|was| {
                    let whole = || was.legacy_row.is_none() || was.legacy_row == serde_json::to_string(row).ok();
                    is_same::<S>(was, key, &end) && whole()
                })
            })
        })
    }

    fn count(&self, recorded: &ByKey, key: Key, end: &RowEnd, kept: bool, again: bool, done: &mut Rejudged) {
        let was = recorded.get(&key);
        let was_in = was.is_some_and(is_in);
        let is_in = matches!(end.outcome, Outcome::Migrated | Outcome::Merged);
        match (was_in, is_in) {
            _ if kept => done.kept += 1,
            (false, true) => done.came_in += 1,
            (true, true) if again => done.rewritten += 1,
            (true, true) => {}
            (true, false) => done.taken_out += 1,
            (false, false) if was.is_some_and(|was| is_same::<S>(was, key, end)) => {}
            (false, false) => done.still_out += 1,
        }
    }

    /// Deletes what was written for a unit that is refused now. `false` where something points to it, or it was there before
    /// the migration: then it stays.
    fn take_out(
        &self,
        db: &mut Db,
        unit: UnitIndex,
        chunk: i64,
        recorded: &ByKey,
        ours: &Ours,
    ) -> Result<bool, ChunkError> {
        let Some(changes) = self.deleted(db, unit, recorded, ours)? else { return Ok(false) };
        changes::record(db, S::NAME, Some(chunk), changes)?;
        Ok(true)
    }

    /// The same without a line in the ledger: the changes, or none where it stays.
    pub(super) fn deleted(
        &self,
        db: &mut Db,
        unit: UnitIndex,
        recorded: &ByKey,
        ours: &Ours,
    ) -> Result<Option<Vec<Change>>, ChunkError> {
        let mut targets: Vec<(String, i64, Key)> = Vec::new();
        for key in self.unit(unit).iter().map(LegacyRow::key) {
            let Some(was) = recorded.get(&key).filter(|was| was.outcome == Outcome::Migrated) else { continue };
            let own = was.table.clone().unwrap_or_else(|| S::TARGET.to_owned());
            let all = was.also.iter().cloned().chain(was.target.map(|id| (own, id)));
            targets.extend(all.map(|(table, id)| (table, id, key)));
        }
        if targets.is_empty() || targets.iter().any(|(table, id, _)| !ours.made(table, *id)) {
            return Ok(None);
        }
        let mut changes = Vec::new();
        let deleted = db.write(|db| {
            for (table, id, key) in &targets {
                let change = taken_out::<S>(db, table, *id, *key)?;
                for (part, column) in S::PARTS.iter().filter(|_| table == S::TARGET) {
                    delete(db, part, column, *id)?;
                }
                delete_row(db, &change, *id)?;
                changes.push(change);
            }
            Ok::<_, diesel::result::Error>(())
        });
        match deleted {
            Ok(()) => Ok(Some(changes)),
            Err(error) if Failure::of(&error).blames_a_row() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes further rows that were written for a unit and do not belong to it any more. One that something points to
    /// stays.
    fn take_out_surplus(
        &self,
        db: &mut Db,
        unit: UnitIndex,
        chunk: i64,
        recorded: &ByKey,
        ours: &Ours,
    ) -> Result<(), ChunkError> {
        let leader = self.unit(unit)[0].key();
        let Some(was) = recorded.get(&leader) else { return Ok(()) };
        let still = |table: &str, id: i64| {
            self.draft.also.iter().any(|(of, name, also)| *of == unit && *name == table && *also == id)
        };
        for (table, id) in was.also.iter().filter(|(table, id)| !still(table, *id) && ours.made(table, *id)) {
            let deleted = db.write(|db| {
                let change = taken_out::<S>(db, table, *id, leader)?;
                delete_row(db, &change, *id)?;
                Ok::<_, diesel::result::Error>(change)
            });
            match deleted {
                Ok(change) => changes::record(db, S::NAME, Some(chunk), vec![change])?,
                Err(error) if Failure::of(&error).blames_a_row() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The line of the ledger about a row that is taken out, with all that it holds.
fn taken_out<S: Step>(db: &mut Db, table: &str, id: i64, key: Key) -> QueryResult<Change> {
    Ok(Change {
        table: static_name::<S>(table),
        id,
        legacy_key: Some(key),
        what: "taken out",
        before: whole_row(db, table, id)?,
        after: None,
    })
}

/// The rows of a table that only the ledger, or a constant of the step, names.
fn delete(db: &mut Db, table: &str, column: &str, id: i64) -> QueryResult<usize> {
    let sql = format!("DELETE FROM {} WHERE {} = {id}", quoted(table), quoted(column));
    match db {
        Db::Pg(pg) => caught::execute(pg, &sql),
        db => diesel::sql_query(sql).execute(db),
    }
}

/// Deletes a row of the target by its id. What was there, and is there still although nothing refused to let it go, is kept by
/// something of the site's own.
fn delete_row(db: &mut Db, change: &Change, id: i64) -> QueryResult<()> {
    let gone = delete(db, change.table, "id", id)?;
    if gone == 0 && change.before.is_some() { Err(Told::not_taken(change.table)) } else { Ok(()) }
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
