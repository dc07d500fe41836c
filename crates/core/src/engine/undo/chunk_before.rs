//! A chunk as it was before the last state of the legacy database changed it: the rows that this has inserted go, and the ledger says of the
//! chunk what it said, in one transaction.

use rustc_hash::FxHashSet;

use super::take::Taking;
use super::told::Taken;
use super::units::{self, Unit, Units, Why};
use crate::engine::chunk::ChunkError;
use crate::engine::written::Kept as Rows;
use crate::storage::bulk::take_back;
use crate::storage::by_set;
use crate::storage::db::Db;
use crate::storage::imprint::{Lock, Table, Value, by_key};
use crate::storage::ledger::earlier::{self, Earlier};
use crate::storage::ledger::moved::{self, Moving};
use crate::storage::ledger::recorded::{self, ByKey};
use crate::storage::ledger::row::Recorded;
use crate::storage::ledger::{LedgerError, changes, imprints, origin};
use crate::words::Key;

/// Takes a chunk back to where it was.
pub(super) struct Before<'a> {
    pub(super) taking: &'a Taking<'a>,
    /// Changes that the target does not let go of yet.
    pub(super) refused: &'a [i64],
    /// Whether these stay, rather than their chunks wait.
    pub(super) insists: bool,
}

impl Before<'_> {
    /// Deletes the rows that the last state has inserted for a chunk, and has the ledger say of it what it said; `false`: that waits until
    /// other rows are gone.
    ///
    /// # Errors
    /// The database fails, or the ledger cannot be read back. Nothing is written then.
    pub(super) fn back(&self, db: &mut Db, chunk: i64) -> Result<(Taken, bool), ChunkError> {
        db.write(|db| self.attempt(db, chunk))
    }

    fn attempt(&self, db: &mut Db, chunk: i64) -> Result<(Taken, bool), ChunkError> {
        let step = self.taking.step.name();
        by_set::guarded(db)?;
        recorded::lock(db, chunk)?;
        // The answer to an earlier attempt may have been lost.
        let Some(earlier) = earlier::of_chunk(db, chunk)? else { return Ok((Taken::default(), true)) };
        let (rows, tables) = (recorded::rows(db, step, chunk)?, imprints::of_chunk(db, chunk)?);
        let refused = changes::among(db, chunk, self.refused)?;
        let inserted = self.inserted(db, &earlier, &tables)?;
        let (mut units, taken) = self.without_inserted(db, &rows, inserted)?;
        // Rows of ours that keep one may go yet.
        let waits = |unit: &Unit| matches!(unit.kept, Some((Why::Needed | Why::Refused, _)));
        if !self.insists && (!refused.is_empty() || units.units.values().any(waits)) {
            let lasting = Vec::new();
            return Ok((Taken { lasting, ..taken }, false));
        }
        let undone = earlier.undone(db, self.refused)?;
        let redone = take_back::redo(db, &undone)?;
        let stays: FxHashSet<Key> = units
            .units
            .values()
            .filter(|unit| unit.kept.is_some() && !unit.rows.is_empty())
            .flat_map(|unit| unit.members.iter().copied())
            .collect();
        let mut written = by_key(&tables, &stays);
        let left: Vec<Key> = stays.iter().copied().collect();
        earlier.restore(db, step, (&left, &redone))?;
        for key in &left {
            if let Some(recorded) = units.recorded.remove(key) {
                let row: Moving = (recorded, written.remove(key).unwrap_or_default());
                moved::leave(db, step, chunk, *key, &row)?;
            }
        }
        Ok((Taken { chunks: 1, ..taken }, true))
    }

    /// The rows that the state has inserted, and parts of these. A row that came from another chunk was there.
    fn inserted(&self, db: &mut Db, earlier: &Earlier, tables: &[Table]) -> Result<Vec<Table>, LedgerError> {
        let (step, sheets) = (self.taking.step, &self.taking.sheets);
        let before = earlier.tables()?;
        let mut inserted = Vec::new();
        // The ids of rows of the step that were there in this chunk, and of those that were nowhere.
        let mut own: FxHashSet<i64> = FxHashSet::default();
        // Rows with ids come first: parts are told by them.
        for by_id in [true, false] {
            for table in tables {
                let Some(sheet) = sheets.iter().find(|sheet| sheet.model.shape.name == table.name) else { continue };
                if (sheet.rows == Rows::ById) != by_id {
                    continue;
                }
                let reading = sheet.reading(&table.columns);
                let of_table = before.iter().filter(|was| was.name == table.name);
                let known: FxHashSet<Vec<Value>> = of_table
                    .flat_map(|was| (0..was.keys.len()).map(|row| reading.key(&reading.arranged(was, row))))
                    .collect();
                let mut is_new = Vec::new();
                for row in 0..table.keys.len() {
                    let key = reading.key(&reading.arranged(table, row));
                    let id = key.first().and_then(Value::integer);
                    let is_known = known.contains(&key);
                    let was_there = match (sheet.rows, id) {
                        _ if is_known => true,
                        (Rows::ById, Some(id)) => self.was_there(db, &table.name, id)?,
                        // A part of a row that came from another chunk came with it.
                        (Rows::AsParts, Some(id)) => !own.contains(&id),
                        _ => false,
                    };
                    let is_target = by_id && *table.name == *step.target_table();
                    own.extend(id.filter(|_| is_target && (is_known || !was_there)));
                    is_new.push(!was_there);
                }
                if is_new.contains(&true) {
                    inserted.push(table.picked(|row| is_new[row]));
                }
            }
        }
        Ok(inserted)
    }

    /// Whether a row that stands in the chunk now was there before the state: in the chunk of the legacy row for which its id was planned.
    fn was_there(&self, db: &mut Db, table: &str, id: i64) -> Result<bool, LedgerError> {
        let step = self.taking.step.name();
        let Some(key) = origin::planned_for(db, step, table, id)? else { return Ok(true) };
        earlier::had(db, step, key, (table, id))
    }

    /// Deletes rows that were inserted, but for those that something keeps.
    fn without_inserted(
        &self,
        db: &mut Db,
        rows: &ByKey,
        inserted: Vec<Table>,
    ) -> Result<(Units<'_>, Taken), ChunkError> {
        let taking = self.taking;
        let leaders: FxHashSet<Key> = inserted.iter().flat_map(|table| table.keys.iter().copied()).collect();
        let mut ids: FxHashSet<(String, i64)> = FxHashSet::default();
        for table in &inserted {
            let values = table.column("id").map(|ids| table.values[ids].iter());
            let of_table = values.into_iter().flatten().filter_map(|id| Value::from(id).integer());
            ids.extend(of_table.map(|id| (table.name.to_string(), id)));
        }
        let target = taking.step.target_table();
        let is_theirs = |key: &Key, row: &Recorded| {
            let table = row.table.as_deref().unwrap_or(target);
            leaders.contains(key) || row.target.is_some_and(|id| ids.contains(&(table.to_owned(), id)))
        };
        let of_leaders: ByKey =
            rows.iter().filter(|(key, row)| is_theirs(key, row)).map(|(key, row)| (*key, row.clone())).collect();
        let mut units = Units::new(db, &taking.sheets, taking.step.target_table(), (of_leaders, inserted), Lock::Key)?;
        units.keep_pointed(db, &taking.pointing, taking.ours, &units::all_count)?;
        taking.delete(db, &mut units)?;
        let mut taken = taking.taken(&units, false);
        // What is not there needs not be taken back.
        taken.kept.retain(|kept| kept.row.is_some() && kept.why != Why::Removed);
        taken.lasting = std::mem::take(&mut taken.kept);
        Ok((units, taken))
    }
}
