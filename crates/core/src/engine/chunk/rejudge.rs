//! A chunk that is done, judged again: what has changed since is written, and the chunk closed anew.

use std::time::{Duration, Instant};

use diesel::QueryResult;
use roaring::RoaringBitmap;
use rustc_hash::{FxHashMap, FxHashSet};

use super::closing::{Closing, Gone, close};
use super::due::{Due, Rejudging, is_same};
use super::ends::{ByTarget, Kept};
use super::error::ChunkError;
use super::judged::{Judged, seen_of};
use super::rejudged::Rejudged;
use super::take_out::{TakenOut, Written, deleted, is_in, take_out_all, written};
use crate::contract::legacy::LegacyRow;
use crate::contract::step::Step;
use crate::storage::bulk::{Conflict, RowKey, Rows as _, Settled, UnitIndex, Writing, settle, take_back};
use crate::storage::db::Db;
use crate::storage::imprint::{Packed, Value, by_key};
use crate::storage::ledger::changes::RowName;
use crate::storage::ledger::moved::Moving;
use crate::storage::ledger::plan::{self, Ours};
use crate::storage::ledger::recorded;
use crate::storage::ledger::{changes, conflicts, earlier, first, imprints, moved, seen};
use crate::words::{Counts, Key, Outcome};

/// Where rows may stand that come to a chunk.
#[derive(Clone, Copy)]
pub(crate) enum Beside<'a> {
    /// In any other chunk: some are judged at the same time.
    Any,
    /// In none any more: these were left for whoever takes them.
    Left(&'a FxHashSet<Key>),
}

/// See [`ReadyChunk::commit_again`](super::forms::ReadyChunk::commit_again): the chunk in its transaction, once it is known that it
/// does not come out as it was recorded, or that the target has not all of it.
///
/// Returns what it came to, and the counts of the chunk where it was closed anew.
///
/// # Errors
/// The database fails, or the chunk does not balance.
pub(crate) fn rejudge<S: Step>(
    judged: &Judged<S>,
    db: &mut Db,
    chunk: i64,
    (started, beside): (Instant, Beside<'_>),
) -> Result<(Rejudged, Option<Counts>), ChunkError> {
    let (mut recorded, last_time) = recorded::of_chunk(db, S::NAME, chunk)?;
    let mut imprint = imprints::of_chunk(db, chunk)?;
    let own: FxHashSet<Key> = judged.rows.iter().map(LegacyRow::key).collect();
    let mut gone = Gone::default();
    gone.rows.extend(judged.absent.iter().filter_map(|key| Some((*key, recorded.remove(key)?))));
    if !gone.rows.is_empty() {
        gone.amounts = recorded::amounts(db, S::NAME, chunk)?;
        gone.amounts.retain(|amount| gone.rows.contains_key(&amount.key));
        let mut kept = seen::of_chunk(db, S::Legacy::TABLE, chunk)?;
        kept.iter_mut().for_each(|kept| kept.retain(|key| gone.rows.contains_key(&key)));
        gone.seen = Some(seen::packed(seen_of(&judged.rows).chain(kept)));
    }
    let left: FxHashSet<Key> = recorded.keys().filter(|key| !own.contains(key)).copied().collect();
    let mut written = by_key(&imprint, &left);
    for key in &left {
        let row = recorded.remove(key).map(|recorded| (recorded, written.remove(key).unwrap_or_default()));
        row.map_or(Ok(()), |row| moved::leave(db, S::NAME, chunk, *key, &row))?;
    }
    let elsewhere: Vec<Key> = own.iter().filter(|key| !recorded.contains_key(key)).copied().collect();
    for key in &elsewhere {
        let found = match beside {
            Beside::Any => elsewhere_recorded::<S>(db, *key)?,
            Beside::Left(left) if left.contains(key) => moved::take(db, S::NAME, *key)?,
            Beside::Left(_) => None,
        };
        if let Some((found, tables)) = found {
            recorded.insert(*key, found);
            imprint.extend(tables);
        }
    }
    let stays = |key| own.contains(&key) || gone.rows.contains_key(&key);
    imprint.iter_mut().for_each(|table| table.retain(stays));
    let rejudging = Rejudging::new(db, (judged, chunk), (recorded, gone), imprint)?;

    let due = rejudging.due()?;
    let mut done = Rejudged { read: judged.rows.len() as u64, ..Rejudged::default() };
    let same = left.is_empty() && elsewhere.is_empty() && last_time.is(judged.digest);
    if due.write.is_empty() && due.out.is_empty() && due.surplus.is_empty() && same {
        return Ok((done, None));
    }
    let earlier = earlier::look(db, chunk)?;
    let Wrote { settled, kept, surplus, cleared, changed, entangled, taken_back } = rejudging.write(db, &due)?;
    done.refused = settled.refused.len() as u64;
    done.surplus = surplus.len() as u64;
    done.cleared = cleared;
    done.entangled = entangled.len() as u64;
    let came_in = rejudging.count(&settled, &kept, &changed, &mut done);
    first::note(db, S::NAME, &came_in)?;
    conflicts::replace(db, S::NAME, chunk, rejudging.conflicts(&settled))?;
    let mut counts = None;
    let waits = !(settled.refused.is_empty() && kept.is_empty() && surplus.is_empty() && entangled.is_empty());
    let settles = taken_back || !waits && !last_time.is_settled();
    if done.changed() || !same || settles {
        earlier::keep(db, earlier.as_ref())?;
        let imprint = rejudging.imprint(&settled, &kept, &surplus)?;
        let (elsewhere, gone) = (&elsewhere[..], &rejudging.gone);
        let closing = Closing::Anew { chunk, elsewhere, imprint: &imprint, gone, entangled: &entangled, waits };
        counts = Some(close(db, judged, (&settled, &kept), closing, (Duration::ZERO, started))?);
    }
    Ok((done, counts))
}

/// What is known of a row that another chunk has, or has left. That chunk may be judged again at the same time: it is locked, and then
/// it has left the row, or leaves it no more.
fn elsewhere_recorded<S: Step>(db: &mut Db, key: Key) -> Result<Option<Moving>, ChunkError> {
    if let Some(left) = moved::take(db, S::NAME, key)? {
        return Ok(Some(left));
    }
    let Some((chunk, _)) = recorded::of_row(db, S::NAME, key)? else { return Ok(None) };
    recorded::lock(db, chunk)?;
    if let Some(left) = moved::take(db, S::NAME, key)? {
        return Ok(Some(left));
    }
    let found = recorded::of_row(db, S::NAME, key)?.filter(|(of, _)| *of == chunk);
    let Some((of, found)) = found else { return Ok(None) };
    // It loses the row now, and is closed anew later.
    let earlier = earlier::look(db, of)?;
    earlier::keep(db, earlier.as_ref())?;
    let written = by_key(&imprints::of_chunk(db, of)?, &FxHashSet::from_iter([key])).remove(&key);
    Ok(Some((found, written.unwrap_or_default())))
}

/// What was written.
struct Wrote {
    settled: Settled,
    /// Legacy rows that stay as they were recorded.
    kept: Kept,
    /// Rows that do not belong to their unit any more, and stay.
    surplus: FxHashSet<RowKey>,
    /// How many of those are gone.
    cleared: u64,
    /// Units of which something was written.
    changed: RoaringBitmap,
    /// Rows for which something was done that cannot be taken back yet, with the hash of what was done for them before.
    entangled: FxHashMap<Key, u64>,
    /// Whether something was taken back that had been done for a row.
    taken_back: bool,
}

impl<S: Step> Rejudging<'_, S> {
    /// Takes out what is refused now, and writes what comes out otherwise.
    fn write(&self, db: &mut Db, due: &Due) -> Result<Wrote, ChunkError> {
        let judged = self.judged;
        let mut kept = Kept::default();
        let ours = match due.out.is_empty() && due.surplus.is_empty() {
            true => Ours::default(),
            false => plan::ours(db)?,
        };
        let mut surplus: FxHashSet<RowKey> = FxHashSet::default();
        for (unit, waits) in take_out_all(due.out.clone(), |unit| self.take_out(db, unit, &ours))? {
            match waits {
                // What waits for it learns so from the ledger, goes, and then it can go itself.
                true => surplus.extend(written(&self.before, &self.keys_of(unit)).into_iter().map(row_key)),
                false => kept.extend(self.stays(unit)),
            }
        }
        let (entangled, taken_back) = self.take_back(db, due, &kept)?;
        let (chunk, before) = (self.chunk, Some(&self.before));
        let writing = Writing { step: S::NAME, chunk, units: judged.units(), before, by_set: false };
        let mut settled = settle(db, &writing, &judged.draft.rows.only(&|unit| due.write.contains(unit)))?;
        let rewritten = std::mem::take(&mut settled.rewritten.changes);
        let (plain, layered): (Vec<_>, Vec<_>) = rewritten.into_iter().partition(|(_, in_imprint)| *in_imprint);
        for (changes, in_imprint) in [(plain, true), (layered, false)] {
            let changes = changes.into_iter().map(|(change, _)| change).collect();
            changes::record(db, S::NAME, Some(chunk), in_imprint, changes)?;
        }

        let refused: RoaringBitmap = settled.refused.iter().map(|refused| refused.unit).collect();
        let mut changed = settled.rewritten.units.clone();
        let stay = self.take_out_surplus(db, due, &refused, (&mut changed, &ours))?;
        let cleared = (due.surplus.len() - stay.len()) as u64;
        surplus.extend(stay);
        // What cannot be written anew stays as it is.
        for unit in refused.iter().filter(|unit| self.was_in(*unit)) {
            kept.extend(self.stays(unit));
        }
        Ok(Wrote { settled, kept, surplus, cleared, changed: changed - refused, entangled, taken_back })
    }

    /// Counts what became of the rows. Returns those that have come in.
    fn count(&self, settled: &Settled, kept: &Kept, changed: &RoaringBitmap, done: &mut Rejudged) -> Vec<Key> {
        let mut came_in = Vec::new();
        let by_target = ByTarget::new(&settled.refused);
        let theirs: RoaringBitmap = settled.rewritten.conflicts.iter().map(|conflict| conflict.unit).collect();
        for unit in 0..self.judged.units() {
            for (key, end) in self.judged.ends(unit, &by_target) {
                let was = self.recorded.get(&key);
                let was_in = was.is_some_and(is_in);
                let is_in = matches!(end.outcome, Outcome::Migrated | Outcome::Merged);
                match (was_in, is_in) {
                    _ if kept.contains_key(&key) => done.kept += 1,
                    (false, true) => came_in.push(key),
                    (true, true) if changed.contains(unit) => done.rewritten += 1,
                    (true, true) => {}
                    (true, false) => done.taken_out += 1,
                    (false, false) if was.is_some_and(|was| is_same::<S>(was, key, &end)) => {}
                    (false, false) => done.still_out += 1,
                }
            }
        }
        done.conflicts += theirs.len();
        done.came_in = came_in.len() as u64;
        came_in
    }

    /// What customers keep, row by row.
    fn conflicts(&self, settled: &Settled) -> Vec<conflicts::Found> {
        let found = |conflict: &Conflict| {
            let (table, key) = &conflict.row;
            let known = self.before.table(table);
            let row = known.map_or_else(|| by_id(key), |known| known.name(key));
            let legacy_key = known.and_then(|known| Some(known.rows.get(key)?.key));
            let legacy_key = Some(legacy_key.unwrap_or_else(|| self.judged.unit(conflict.unit)[0].key()));
            conflicts::Found { legacy_key, table, row, columns: conflict.columns.clone() }
        };
        settled.rewritten.conflicts.iter().map(found).collect()
    }

    /// Deletes what was written for a unit that is refused now.
    fn take_out(&self, db: &mut Db, unit: UnitIndex, ours: &Ours) -> Result<TakenOut, ChunkError> {
        let rows = written(&self.before, &self.keys_of(unit));
        // One that went into another one's row, or into one that was there before, has none: what was done to that is taken back.
        self.delete(db, &rows, ours)
    }

    /// Takes back what was done to rows that were there before for units of which that comes out otherwise: it is done anew. Where the
    /// target does not admit that, it stays for now: another row has to come or go first. Returns those rows, with the hash of what was
    /// done for them, and whether anything was taken back.
    fn take_back(&self, db: &mut Db, due: &Due, kept: &Kept) -> QueryResult<(FxHashMap<Key, u64>, bool)> {
        let mut keys = Vec::new();
        for unit in due.out.iter().copied().chain(&due.write) {
            let verdict = &self.judged.draft.verdicts[unit as usize];
            let leader = self.judged.unit(unit)[0].key();
            for key in self.judged.unit(unit).iter().map(LegacyRow::key).filter(|key| self.has_deeds(*key)) {
                let same = verdict.result.is_ok() && key == leader && self.recorded[&key].deeds == verdict.deeds;
                if !same && !kept.contains_key(&key) {
                    keys.push(key);
                }
            }
        }
        let (mut entangled, mut taken_back) = (FxHashMap::default(), false);
        for key in keys {
            match take_back::of_row(db, S::NAME, key)? {
                true => taken_back = true,
                false => {
                    entangled.insert(key, self.recorded[&key].deeds);
                }
            }
        }
        Ok((entangled, taken_back))
    }

    /// Deletes rows, all or none, and records it.
    fn delete(&self, db: &mut Db, rows: &[Written<'_>], ours: &Ours) -> Result<TakenOut, ChunkError> {
        let out = deleted(db, rows, ours)?;
        if let TakenOut::Gone(changes) = out {
            changes::record(db, S::NAME, Some(self.chunk), true, changes)?;
            return Ok(TakenOut::Gone(Vec::new()));
        }
        Ok(out)
    }

    /// Deletes rows that were written for units and do not belong to them any more. Returns those that stay: something points to
    /// them, or somebody has changed them.
    fn take_out_surplus(
        &self,
        db: &mut Db,
        due: &Due,
        refused: &RoaringBitmap,
        (changed, ours): (&mut RoaringBitmap, &Ours),
    ) -> Result<FxHashSet<RowKey>, ChunkError> {
        let mut stay: FxHashSet<RowKey> = FxHashSet::default();
        if due.surplus.is_empty() {
            return Ok(stay);
        }
        // Their unit may have changed them just now: an account that goes into another one is closed.
        let surplus: FxHashSet<&RowKey> = due.surplus.iter().collect();
        for known in self.before.tables.iter().rev() {
            let name = known.model.shape.name;
            let mut now = known.only(|row| surplus.contains(&(name, row.clone())));
            now.overlay(db)?;
            for (row, was) in &now.rows {
                let unit = self.unit_of[&was.key];
                let out = match refused.contains(unit) {
                    true => TakenOut::Stays,
                    false => self.delete(db, &[(&now, row, was)], ours)?,
                };
                match out {
                    TakenOut::Gone(_) => {
                        changed.insert(unit);
                    }
                    TakenOut::Waits | TakenOut::Stays => {
                        stay.insert((name, row.clone()));
                    }
                }
            }
        }
        Ok(stay)
    }

    /// What the chunk has written, once all this is done.
    fn imprint(&self, settled: &Settled, kept: &Kept, surplus: &FxHashSet<RowKey>) -> Result<Vec<Packed>, ChunkError> {
        let refused: RoaringBitmap = settled.refused.iter().map(|refused| refused.unit).collect();
        let rows = self.judged.draft.rows.only(&|unit| {
            !refused.contains(unit) && !self.judged.unit(unit).iter().any(|row| kept.contains_key(&row.key()))
        });
        let mut tables = self.judged.imprint_of(&rows)?;
        for table in &mut tables {
            let Some(known) = self.before.table(&table.name) else { continue };
            let name = known.model.shape.name;
            let imprint = |place: usize| {
                let key = known.reading.key(&known.reading.arranged(table, place));
                settled.rewritten.imprints.get(&(name, key))
            };
            let anew: Vec<Option<&Vec<Value>>> = (0..table.keys.len()).map(imprint).collect();
            for (nth, (column, _)) in known.reading.columns().iter().enumerate() {
                if let Some(at) = table.column(column) {
                    table.replace(at, |place| anew[place].map(|imprint| imprint[nth].clone()));
                }
            }
        }
        for known in &self.before.tables {
            let name = known.model.shape.name;
            let stays = |row: &Vec<Value>, key: &Key| {
                kept.contains_key(key) || self.gone.rows.contains_key(key) || surplus.contains(&(name, row.clone()))
            };
            let rows = known.rows.iter().filter(|(row, was)| stays(row, &was.key));
            let more = known.reading.rows_of(rows.map(|(_, was)| (was.key, &was.values[..])));
            match tables.iter_mut().find(|table| table.name == name) {
                Some(table) => table.append(&more),
                None => tables.push(more),
            }
        }
        Ok(tables.iter().map(Packed::of).collect())
    }
}

/// Rows that were there before are amended by their `id`.
fn by_id(key: &[Value]) -> RowName {
    match key {
        [Value::Integer(id)] => RowName::Id(*id),
        other => RowName::Key(format!("{other:?}")),
    }
}

fn row_key((known, key, _): Written<'_>) -> RowKey {
    (known.model.shape.name, key.clone())
}
