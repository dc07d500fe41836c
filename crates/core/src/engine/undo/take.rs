//! Taking back what was done for the units of a chunk, in one transaction: all of it, but for units that something keeps.

use rustc_hash::FxHashSet;

use super::scope::Scope;
use super::told::{Kept, Row, Taken};
use super::units::{self, Unit, Units, Why};
use crate::engine::chunk::ChunkError;
use crate::engine::step::AnyStep;
use crate::engine::written::Sheet;
use crate::storage::bulk::take_back;
use crate::storage::by_set;
use crate::storage::db::Db;
use crate::storage::failure::{Failure, Told};
use crate::storage::imprint::{Lock, Table, Value, by_key};
use crate::storage::ledger::changes::{self, RowName};
use crate::storage::ledger::moved::{self, Moving};
use crate::storage::ledger::plan::Ours;
use crate::storage::ledger::recorded::{self, ByKey};
use crate::storage::ledger::{LedgerError, imprints, undone};
use crate::storage::pointing::Pointing;
use crate::storage::sql::quoted;
use crate::words::{Key, KeySet};

/// A step of which something is taken back.
pub(super) struct Taking<'a> {
    pub(super) step: &'a dyn AnyStep,
    pub(super) sheets: Vec<Sheet>,
    /// The foreign keys that lead to the table of each sheet.
    pub(super) pointing: Vec<Vec<Pointing>>,
    pub(super) ours: &'a Ours,
    /// Keys that the legacy database has not any more.
    pub(super) gone: KeySet,
    /// What goes.
    pub(super) scope: &'a Scope,
}

impl Taking<'_> {
    /// What would be taken back of a chunk, where some rows are known to stay. Writes and locks nothing.
    ///
    /// # Errors
    /// The database fails, or the ledger cannot be read back.
    pub(super) fn look(&self, db: &mut Db, chunk: i64, stays: &FxHashSet<Row>) -> Result<Taken, ChunkError> {
        db.snapshot(|db| {
            let recorded = recorded::rows(db, self.step.name(), chunk)?;
            let tables = imprints::of_chunk(db, chunk)?;
            if let Some(taken) = self.kept_whole(&recorded) {
                return Ok(Taken { stays: self.rows_of(tables), ..taken });
            }
            Ok(Taken { chunks: 1, ..self.looked_at(db, (recorded, tables), stays)? })
        })
    }

    /// The same of some rows that are left of chunks which are free again: those with larger keys than `after`. Returns the last of them.
    ///
    /// # Errors
    /// The database fails, or the ledger cannot be read back.
    pub(super) fn look_left(&self, db: &mut Db, after: Key, stays: &FxHashSet<Row>) -> Result<Page, ChunkError> {
        db.snapshot(|db| {
            let Some((last, source)) = page(db, self.step.name(), after)? else { return Ok(None) };
            Ok(Some((last, self.looked_at(db, source, stays)?)))
        })
    }

    /// The rows that were written.
    fn rows_of(&self, mut tables: Vec<Table>) -> Vec<Row> {
        let mut rows = Vec::new();
        for sheet in &self.sheets {
            let Some(table) = sheet.table(&mut tables) else { continue };
            let reading = sheet.reading(&table.columns);
            let name = |row| RowName::of_key(&reading.key_columns(&reading.key(&table.row(row))));
            rows.extend((0..table.keys.len()).map(|row| (sheet.model.shape.name, name(row))));
        }
        rows
    }

    fn looked_at(&self, db: &mut Db, source: Source, stays: &FxHashSet<Row>) -> Result<Taken, ChunkError> {
        let mut units = Units::new(db, &self.sheets, self.step.target_table(), source, Lock::No)?;
        units.keep_pointed(db, &self.pointing, self.ours, &|db, pointers| self.scope.going(db, pointers, stays))?;
        Ok(self.taken(&units, true))
    }

    /// Takes back what a chunk has done, and frees it.
    ///
    /// # Errors
    /// The database fails, or the ledger cannot be read back. Nothing is written then.
    pub(super) fn chunk(&self, db: &mut Db, chunk: i64) -> Result<Taken, ChunkError> {
        let step = self.step.name();
        db.write(|db| {
            by_set::guarded(db)?;
            recorded::lock(db, chunk)?;
            // The answer to an earlier attempt may have been lost.
            if !recorded::is_done(db, chunk)? {
                return Ok(Taken::default());
            }
            let recorded = recorded::rows(db, step, chunk)?;
            if let Some(taken) = self.kept_whole(&recorded) {
                return Ok(taken);
            }
            let tables = imprints::of_chunk(db, chunk)?;
            let mut units = self.units(db, (recorded, tables))?;
            let mut taken = self.take(db, &mut units, Some(chunk))?;
            let (goes, stays) = parted(&units);
            undone::free(db, step, chunk, &goes)?;
            let mut written = by_key(units.written.iter().map(|written| &written.table), &stays);
            for key in &stays {
                if let Some(recorded) = units.recorded.get(key) {
                    let row: Moving = (recorded.clone(), written.remove(key).unwrap_or_default());
                    moved::leave(db, step, chunk, *key, &row)?;
                }
            }
            taken.chunks = 1;
            Ok(taken)
        })
    }

    /// Takes back what is left of chunks that are free again: some rows with larger keys than `after`. Returns the last of them.
    ///
    /// # Errors
    /// The database fails, or the ledger cannot be read back. Nothing is written then.
    pub(super) fn left(&self, db: &mut Db, after: Key) -> Result<Page, ChunkError> {
        let step = self.step.name();
        db.write(|db| {
            by_set::guarded(db)?;
            let Some((last, source)) = page(db, step, after)? else { return Ok(None) };
            let mut units = self.units(db, source)?;
            let taken = self.take(db, &mut units, None)?;
            moved::forget(db, step, &parted(&units).0)?;
            Ok(Some((last, taken)))
        })
    }

    fn units(&self, db: &mut Db, source: Source) -> Result<Units<'_>, ChunkError> {
        // Whoever would point to a row waits until it is gone, or is seen.
        Ok(Units::new(db, &self.sheets, self.step.target_table(), source, Lock::Key)?)
    }

    /// A chunk with rows that have gone from the legacy database stays: they could not come again.
    fn kept_whole(&self, recorded: &ByKey) -> Option<Taken> {
        if !recorded.keys().any(|key| self.gone.contains(*key)) {
            return None;
        }
        let kept = |key: &Key| Kept {
            step: self.step.name(),
            legacy_key: Some(*key),
            table: self.step.target_table().to_owned(),
            row: None,
            why: Why::SourceGone,
        };
        let mut all: Vec<Kept> =
            recorded.iter().filter(|(_, row)| row.target.is_some()).map(|(key, _)| kept(key)).collect();
        all.sort_by_key(|kept| kept.legacy_key);
        Some(Taken { lasting: all, ..Taken::default() })
    }

    /// Takes back what was done for the units that nothing keeps. What keeps one may only show when something of it is gone: then nothing is,
    /// and it is tried without that unit.
    fn take(&self, db: &mut Db, units: &mut Units<'_>, chunk: Option<i64>) -> Result<Taken, ChunkError> {
        loop {
            match db.write(|db| self.attempt(db, units, chunk)) {
                Ok(taken) => return Ok(taken),
                Err(Attempt::Again) => {}
                Err(Attempt::Failed(error)) => return Err(error),
            }
        }
    }

    fn attempt(&self, db: &mut Db, units: &mut Units<'_>, chunk: Option<i64>) -> Result<Taken, Attempt> {
        let (step, before) = (self.step.name(), kept(units).count());
        let (mut restored, mut changed) = (0, Vec::new());
        let leaders: Vec<Key> =
            units.units.iter().filter(|(_, unit)| unit.kept.is_none()).map(|(key, _)| *key).collect();
        for leader in leaders {
            for key in units.units[&leader].members.clone() {
                if units.recorded.get(&key).is_none_or(|recorded| recorded.deeds == 0) {
                    continue;
                }
                let done = changes::of_key(db, step, key)?;
                let refused = !take_back::whole(db, &done)?;
                restored += done.len() as u64;
                let left = changes::of_key(db, step, key)?;
                // A row that was added, and is not any more what it was, is somebody's: so the unit stays, and knows of it.
                let theirs = left.iter().any(|done| done.before.is_none());
                if refused || theirs {
                    let why = if refused { Why::Refused } else { Why::Changed };
                    units.units.entry(leader).or_default().kept = Some((why, None));
                    break;
                }
                // Columns that somebody has changed since stay as they are.
                changed.extend(left.into_iter().map(|done| Kept {
                    step,
                    legacy_key: Some(key),
                    table: done.table,
                    row: Some(done.row),
                    why: Why::Changed,
                }));
            }
        }
        // What was done for the sake of no one row goes with the last unit.
        if let Some(chunk) = chunk
            && kept(units).next().is_none()
        {
            let done = changes::of_chunk(db, step, chunk)?;
            restored += take_back::each(db, &done)?;
        }
        units.keep_pointed(db, &self.pointing, self.ours, &units::all_count)?;
        if kept(units).count() == before {
            self.delete(db, units)?;
        }
        if kept(units).count() > before {
            return Err(Attempt::Again);
        }
        Ok(Taken { restored, lasting: changed, ..self.taken(units, false) })
    }

    /// Deletes the rows of units that nothing keeps: at once, or one unit after the other where the target does not let go of all.
    pub(super) fn delete(&self, db: &mut Db, units: &mut Units<'_>) -> Result<(), ChunkError> {
        let all: Vec<Vec<Vec<Value>>> = (0..self.sheets.len()).map(|nth| units.keys(nth)).collect();
        if self.deleted(db, units, &all)? {
            return Ok(());
        }
        let mut open: Vec<Key> =
            units.units.iter().filter(|(_, unit)| unit.kept.is_none()).map(|(key, _)| *key).collect();
        open.sort_unstable();
        loop {
            let before = open.len();
            let mut still = Vec::new();
            for leader in open {
                let rows = &units.units[&leader].rows;
                let of_sheet =
                    |nth: usize| rows.iter().filter(|(of, _)| *of == nth).map(|place| units.key(*place)).collect();
                let own: Vec<Vec<Vec<Value>>> = (0..self.sheets.len()).map(of_sheet).collect();
                if !self.deleted(db, units, &own)? {
                    still.push(leader);
                }
            }
            if still.is_empty() || still.len() == before {
                for leader in still {
                    let unit = units.units.entry(leader).or_default();
                    unit.kept = Some((Why::Refused, unit.rows.first().copied()));
                }
                return Ok(());
            }
            open = still;
        }
    }

    /// Deletes rows of each sheet by their keys: all of them, or none.
    fn deleted(&self, db: &mut Db, units: &Units<'_>, keys: &[Vec<Vec<Value>>]) -> Result<bool, ChunkError> {
        let deleted = db.write(|db| {
            for (nth, keys) in keys.iter().enumerate().rev().filter(|(_, keys)| !keys.is_empty()) {
                let written = &units.written[nth];
                let table = self.sheets[nth].model.shape.name;
                let among = written.reading.among("t", keys.iter(), db.backend());
                let gone = db.execute_caught(&format!("DELETE FROM {} AS t WHERE {among}", quoted(table)))?;
                if gone != keys.len() {
                    return Err(Told::not_taken(table));
                }
                let names = keys.iter().map(|key| written.name_of(key));
                changes::forget_rows(db, table, &names.collect::<Vec<RowName>>()).map_err(LedgerError::into_diesel)?;
            }
            Ok::<_, diesel::result::Error>(())
        });
        match deleted {
            Ok(()) => Ok(true),
            Err(error) if Failure::of(&error).blames_a_row() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// `all`: with every row that stays.
    pub(super) fn taken(&self, units: &Units<'_>, all: bool) -> Taken {
        let mut taken = Taken::default();
        for (leader, unit) in &units.units {
            match unit.kept {
                None => {
                    taken.rows += unit.rows.len() as u64;
                    taken.legacy += unit.members.len() as u64;
                }
                Some((why, place)) => {
                    if all {
                        taken.stays.extend(unit.rows.iter().map(|place| units.name(*place)));
                    }
                    let (table, row) = match place {
                        Some(place) => {
                            let (table, row) = units.name(place);
                            (table.to_owned(), Some(row))
                        }
                        None => (self.step.target_table().to_owned(), None),
                    };
                    taken.kept.push(Kept { step: self.step.name(), legacy_key: Some(*leader), table, row, why });
                }
            }
        }
        taken.kept.sort_by_key(|kept| kept.legacy_key);
        taken
    }
}

/// Why something was not taken back in one attempt.
enum Attempt {
    /// A unit is kept that was not known to be.
    Again,
    Failed(ChunkError),
}

impl<E: Into<ChunkError>> From<E> for Attempt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Rows that are left of chunks, in one transaction: more than a chunk has, so that those of a unit are rarely apart.
const PAGE: i64 = 50_000;

fn kept<'a>(units: &'a Units<'_>) -> impl Iterator<Item = &'a Unit> {
    units.units.values().filter(|unit| unit.kept.is_some())
}

/// What became of some rows that are left, and the last of their keys. None: no more are left.
pub(super) type Page = Option<(Key, Taken)>;

/// What was recorded of some legacy rows, and written for them.
type Source = (ByKey, Vec<Table>);

/// Some rows that are left of chunks, and the last of their keys.
fn page(db: &mut Db, step: &str, after: Key) -> Result<Option<(Key, Source)>, LedgerError> {
    let page = moved::page(db, step, after, PAGE)?;
    let Some((last, _)) = page.last() else { return Ok(None) };
    let last = *last;
    let (mut recorded, mut tables) = (ByKey::default(), Vec::new());
    for (key, (row, of_row)) in page {
        recorded.insert(key, row);
        tables.extend(of_row);
    }
    Ok(Some((last, (recorded, tables))))
}

/// The keys of rows of which nothing is left, and of those that stay.
fn parted(units: &Units<'_>) -> (Vec<Key>, FxHashSet<Key>) {
    let stays: FxHashSet<Key> = kept(units).flat_map(|unit| &unit.members).copied().collect();
    (units.recorded.keys().filter(|key| !stays.contains(key)).copied().collect(), stays)
}
