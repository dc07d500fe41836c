//! The units of a chunk that may be taken back: which rows were written for each, and what keeps it.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use crate::engine::written::{Sheet, Written};
use crate::storage::db::Db;
use crate::storage::imprint::{Lock, Table, Value};
use crate::storage::ledger::changes::RowName;
use crate::storage::ledger::plan::Ours;
use crate::storage::ledger::recorded::ByKey;
use crate::storage::ledger::row::Recorded;
use crate::storage::ledger::{Attempt, LedgerError};
use crate::storage::pointing::{self, Pointer, Pointing};
use crate::words::Key;

/// Why a unit is not taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Somebody on the platform has changed a row of it.
    Changed,
    /// Somebody on the platform has removed it: there is nothing to take back, and it does not come back.
    Removed,
    /// A row of somebody else points to it.
    PointedTo,
    /// A row of ours points to it that is not taken back.
    Needed,
    /// The target does not let go of it, or of what was done for it.
    Refused,
    /// The legacy database has not its row any more: it could not come again.
    SourceGone,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Changed, Self::Removed, Self::PointedTo, Self::Needed, Self::Refused, Self::SourceGone];

    /// As reports and files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed_since",
            Self::Removed => "removed_since",
            Self::PointedTo => "pointed_to",
            Self::Needed => "needed",
            Self::Refused => "refused",
            Self::SourceGone => "source_gone",
        }
    }
}

/// Which of some rows that point to others do not count.
pub(super) type Going<'a> = dyn Fn(&mut Db, &[Pointer]) -> Result<Vec<bool>, LedgerError> + 'a;

/// A row by the place of its sheet and its own.
pub(super) type Place = (usize, usize);

/// Legacy rows that were written as one.
#[derive(Debug, Default)]
pub(super) struct Unit {
    /// The keys of its rows.
    pub(super) members: Vec<Key>,
    /// What was written for it, and is there.
    pub(super) rows: Vec<Place>,
    /// What keeps it, and the row that tells so.
    pub(super) kept: Option<(Why, Option<Place>)>,
}

/// What was recorded and written for some legacy rows of a step.
pub(super) struct Units<'a> {
    pub(super) recorded: ByKey,
    pub(super) written: Vec<Written<'a>>,
    /// By their leaders, or whoever stands for them.
    pub(super) units: FxHashMap<Key, Unit>,
    /// The leader of each row that was written.
    leaders: Vec<Vec<Key>>,
}

impl<'a> Units<'a> {
    /// The units of rows that were recorded, as they stand in the target. `target`: the table of the step. Rows are locked first where
    /// `lock` says so.
    ///
    /// # Errors
    /// The database fails, or a change cannot be read back.
    pub(super) fn new(
        db: &mut Db,
        sheets: &'a [Sheet],
        target: &str,
        (recorded, mut tables): (ByKey, Vec<Table>),
        lock: Lock,
    ) -> Result<Self, LedgerError> {
        let mut written: Vec<Written<'a>> = Vec::new();
        for sheet in sheets {
            let own = sheet.table(&mut tables).unwrap_or_else(|| sheet.nothing());
            written.push(Written::new(db, sheet, own)?);
        }
        for of_sheet in written.iter().filter(|_| lock != Lock::No) {
            let keys: Vec<Vec<Value>> =
                (0..of_sheet.table.keys.len()).map(|row| of_sheet.reading.key(&of_sheet.table.row(row))).collect();
            of_sheet.reading.rows(db, &keys, lock).attempt("locked")?;
        }
        let leaders: Vec<Vec<Key>> = written.iter().map(|written| written.table.keys.clone()).collect();
        let mut units = Self { recorded, written, units: FxHashMap::default(), leaders };
        units.group(target);
        units.stand(db, target)?;
        Ok(units)
    }

    /// Puts legacy rows into one unit that have one target row, or of which one stands for what was written for the other.
    fn group(&mut self, target: &str) {
        let mut by_target: FxHashMap<(&str, i64), Key> = FxHashMap::default();
        for (written, leaders) in self.written.iter().zip(&self.leaders) {
            let ids = written.table.column("id");
            for (row, leader) in leaders.iter().enumerate() {
                let id = ids.and_then(|ids| Value::from(written.table.values[ids].get(row)).integer());
                by_target.extend(id.map(|id| ((written.sheet.model.shape.name, id), *leader)));
            }
        }
        let mut keys: Vec<(&Key, &Recorded)> = self.recorded.iter().collect();
        keys.sort_unstable_by_key(|(key, _)| **key);
        for (key, recorded) in keys {
            let table = recorded.table.as_deref().unwrap_or(target);
            let leader = match recorded.target {
                Some(id) => *by_target.entry((table, id)).or_insert(*key),
                None => *key,
            };
            self.units.entry(leader).or_default().members.push(*key);
        }
    }

    /// Looks which rows stand as they were left.
    fn stand(&mut self, db: &mut Db, target: &str) -> Result<(), LedgerError> {
        for (nth, written) in self.written.iter().enumerate() {
            let held = written.held(db, None)?;
            let (differs, _) = written.differing(&held);
            let there: FxHashSet<Vec<Value>> = match differs.contains(&true) {
                true => (0..held.keys.len()).map(|row| written.reading.key(&held.row(row))).collect(),
                false => FxHashSet::default(),
            };
            for (row, differs) in differs.into_iter().enumerate() {
                let unit = self.units.entry(self.leaders[nth][row]).or_default();
                if !differs {
                    // What was taken out later is not there.
                    if written.left(row).is_some() {
                        unit.rows.push((nth, row));
                    }
                    continue;
                }
                match there.contains(&written.reading.key(&written.table.row(row))) {
                    true => {
                        unit.rows.push((nth, row));
                        unit.kept = Some((Why::Changed, Some((nth, row))));
                    }
                    false => unit.kept = unit.kept.or(Some((Why::Removed, Some((nth, row))))),
                }
            }
        }
        self.targets(db, target)?;
        for unit in self.units.values_mut() {
            // Of one that is there without a part, the part was removed: it is somebody's.
            if let Some((why @ Why::Removed, _)) = &mut unit.kept
                && !unit.rows.is_empty()
            {
                *why = Why::Changed;
            }
        }
        Ok(())
    }

    /// Units for which no row was written, because they went into a row that was there: somebody may have removed that.
    fn targets(&mut self, db: &mut Db, target: &str) -> Result<(), LedgerError> {
        let into = |key: &Key| {
            let recorded = self.recorded.get(key)?;
            Some((recorded.table.as_deref().unwrap_or(target), recorded.target?))
        };
        let bare = self.units.iter().filter(|(_, unit)| unit.rows.is_empty() && unit.kept.is_none());
        let bare: Vec<(Key, Vec<(&str, i64)>)> =
            bare.map(|(leader, unit)| (*leader, unit.members.iter().filter_map(into).collect())).collect();
        let mut wanted: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        bare.iter().flat_map(|(_, into)| into).for_each(|(table, id)| wanted.entry(table).or_default().push(*id));
        let mut there: FxHashSet<(&str, i64)> = FxHashSet::default();
        for (table, ids) in wanted {
            let found = pointing::there(db, table, &ids).attempt("looked for")?;
            there.extend(found.into_iter().map(|id| (table, id)));
        }
        let is_gone = |(_, into): &&(Key, Vec<(&str, i64)>)| into.iter().any(|into| !there.contains(into));
        let gone: Vec<Key> = bare.iter().filter(is_gone).map(|(leader, _)| *leader).collect();
        for leader in gone {
            self.units.entry(leader).or_default().kept = Some((Why::Removed, None));
        }
        Ok(())
    }

    /// The keys of rows of a sheet that would be taken back.
    pub(super) fn keys(&self, sheet: usize) -> Vec<Vec<Value>> {
        let rows = self.units.values().filter(|unit| unit.kept.is_none()).flat_map(|unit| &unit.rows);
        rows.filter(|(nth, _)| *nth == sheet).map(|place| self.key(*place)).collect()
    }

    /// The key of a row.
    pub(super) fn key(&self, (nth, row): Place) -> Vec<Value> {
        let written = &self.written[nth];
        written.reading.key(&written.table.row(row))
    }

    /// The table of a row, and its name.
    pub(super) fn name(&self, place: Place) -> (&'static str, RowName) {
        let written = &self.written[place.0];
        (written.sheet.model.shape.name, written.name_of(&self.key(place)))
    }

    /// Keeps units to which something points that stays: `pointing` are the keys that lead to each sheet's table, `going` says which of
    /// the rows of others do not count.
    ///
    /// # Errors
    /// The database fails: what may not be read, say, may point to a row.
    pub(super) fn keep_pointed(
        &mut self,
        db: &mut Db,
        pointing: &[Vec<Pointing>],
        ours: &Ours,
        going: &Going<'_>,
    ) -> Result<(), LedgerError> {
        let mut own: FxHashMap<(&str, RowName), Key> = FxHashMap::default();
        for unit in &self.units {
            own.extend(unit.1.rows.iter().map(|place| (self.name(*place), *unit.0)));
        }
        // Who points to whom among these.
        let mut within: Vec<(Key, Key, Place)> = Vec::new();
        for (nth, pointing) in pointing.iter().enumerate() {
            let keys = self.keys(nth);
            if keys.is_empty() {
                continue;
            }
            let wanted: FxHashSet<&Vec<Value>> = keys.iter().collect();
            let rows = (0..self.written[nth].table.keys.len()).map(|row| (self.key((nth, row)), row));
            let rows: FxHashMap<Vec<Value>, usize> = rows.filter(|(key, _)| wanted.contains(key)).collect();
            for key in pointing {
                let mut pointers = key.rows(db, &self.written[nth].reading, &keys, ours).attempt("looked at")?;
                pointers.retain(|pointer| {
                    let Some(row) = rows.get(&pointer.to) else { return false };
                    let by = pointer.of.as_deref().and_then(|of| own.get(&(of, pointer.row.clone())));
                    within.extend(by.map(|by| (*by, self.leaders[nth][*row], (nth, *row))));
                    by.is_none()
                });
                let going = going(db, &pointers)?;
                for (pointer, goes) in pointers.iter().zip(going) {
                    let row = &rows[&pointer.to];
                    let leader = self.leaders[nth][*row];
                    if !goes {
                        let why = if pointer.is_ours { Why::Needed } else { Why::PointedTo };
                        let unit = self.units.entry(leader).or_default();
                        // That of a customer says more.
                        if unit.kept.is_none() || why == Why::PointedTo {
                            unit.kept = Some((why, Some((nth, *row))));
                        }
                    }
                }
            }
        }
        loop {
            let is_kept = |key: &Key| self.units.get(key).is_some_and(|unit| unit.kept.is_some());
            let more: Vec<(Key, Place)> = within
                .iter()
                .filter(|(by, to, _)| is_kept(by) && !is_kept(to))
                .map(|(_, to, place)| (*to, *place))
                .collect();
            if more.is_empty() {
                return Ok(());
            }
            for (leader, place) in more {
                self.units.entry(leader).or_default().kept = Some((Why::Needed, Some(place)));
            }
        }
    }
}

/// That of rows which point to others none goes.
///
/// # Errors
/// None.
pub(super) fn all_count(_: &mut Db, pointers: &[Pointer]) -> Result<Vec<bool>, LedgerError> {
    Ok(vec![false; pointers.len()])
}
