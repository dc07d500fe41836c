//! What is to be done about a chunk that is judged again: its verdicts beside what is recorded of its rows, and what was written.

use roaring::RoaringBitmap;
use rustc_hash::{FxHashMap, FxHashSet};

use super::closing::Gone;
use super::ends::{ByTarget, RowEnd};
use super::error::ChunkError;
use super::judged::Judged;
use super::take_out::is_in;
use crate::contract::legacy::LegacyRow;
use crate::contract::step::Step;
use crate::storage::bulk::{Before, RowKey, Rows as _, UnitIndex};
use crate::storage::db::Db;
use crate::storage::imprint::Table;
use crate::storage::ledger::imprints;
use crate::storage::ledger::recorded::{self, ByKey};
use crate::storage::ledger::row::Recorded;
use crate::words::{Key, Outcome, Root};

/// What is to be done about the units of a chunk.
#[derive(Default)]
pub(super) struct Due {
    /// Units that are written: they are new, or come out otherwise.
    pub(super) write: RoaringBitmap,
    /// Units that were written and are refused now.
    pub(super) out: Vec<UnitIndex>,
    /// Rows that were written for units which come in still, and do not belong to them any more.
    pub(super) surplus: Vec<RowKey>,
}

/// A chunk that is judged again, beside what is recorded of its rows.
pub(super) struct Rejudging<'a, S: Step> {
    pub(super) judged: &'a Judged<S>,
    pub(super) chunk: i64,
    pub(super) recorded: ByKey,
    pub(super) gone: Gone,
    pub(super) before: Before,
    /// The unit of each row.
    pub(super) unit_of: FxHashMap<Key, UnitIndex>,
}

impl<'a, S: Step> Rejudging<'a, S> {
    /// `imprint`: of rows that are judged, and of those that are gone.
    ///
    /// # Errors
    /// The database fails.
    pub(super) fn new(
        db: &mut Db,
        (judged, chunk): (&'a Judged<S>, i64),
        (recorded, gone): (ByKey, Gone),
        imprint: Vec<Table>,
    ) -> Result<Self, ChunkError> {
        let before = Before::new(db, &S::Rows::models(), imprint)?;
        let unit_of = (0..judged.units()).flat_map(|unit| judged.unit(unit).iter().map(move |row| (row.key(), unit)));
        Ok(Self { judged, chunk, recorded, gone, before, unit_of: unit_of.collect() })
    }

    pub(super) fn keys_of(&self, unit: UnitIndex) -> FxHashSet<Key> {
        self.judged.unit(unit).iter().map(LegacyRow::key).collect()
    }

    pub(super) fn has_deeds(&self, key: Key) -> bool {
        self.recorded.get(&key).is_some_and(|was| was.deeds != 0)
    }

    pub(super) fn was_in(&self, unit: UnitIndex) -> bool {
        self.judged.unit(unit).iter().any(|row| self.recorded.get(&row.key()).is_some_and(is_in))
    }

    /// The rows of a unit that are in the target, as they were recorded.
    pub(super) fn stays(&self, unit: UnitIndex) -> Vec<(Key, Recorded)> {
        let keys = self.judged.unit(unit).iter().map(LegacyRow::key);
        keys.filter_map(|key| Some((key, self.recorded.get(&key).filter(|row| is_in(row))?.clone()))).collect()
    }

    pub(super) fn due(&self) -> Result<Due, ChunkError> {
        let mut due = Due::default();
        let nothing_refused = ByTarget::new(&[]);
        for unit in 0..self.judged.units() {
            let verdict = &self.judged.draft.verdicts[unit as usize];
            match verdict.result {
                Err(_) if self.was_in(unit) => due.out.push(unit),
                Err(_) => {}
                Ok(_) => {
                    let mut ends = self.judged.ends(unit, &nothing_refused);
                    let same = |(key, end): (Key, RowEnd)| {
                        self.recorded.get(&key).is_some_and(|was| is_same::<S>(was, key, &end))
                    };
                    let deeds = self.recorded.get(&self.judged.unit(unit)[0].key()).map_or(0, |was| was.deeds);
                    if deeds != verdict.deeds || !ends.all(same) {
                        due.write.insert(unit);
                    }
                }
            }
        }
        let mut seen: FxHashSet<RowKey> = FxHashSet::default();
        for table in self.judged.imprint_of(&self.judged.draft.rows)? {
            let known = self.before.table(&table.name);
            for (place, key) in table.keys.iter().enumerate() {
                let unit = self.unit_of[key];
                let Some(known) = known else {
                    due.write.insert(unit);
                    continue;
                };
                let values = known.reading.arranged(&table, place);
                let row = known.reading.key(&values);
                if known.rows.get(&row).is_none_or(|was| was.values != values) {
                    due.write.insert(unit);
                }
                seen.insert((known.model.shape.name, row));
            }
        }
        for known in &self.before.tables {
            let name = known.model.shape.name;
            let rows = known.rows.iter().filter(|(row, _)| !seen.contains(&(name, (*row).clone())));
            for (row, was) in rows {
                // Those of a unit that is refused, and was in, go with it.
                let stays_or_went =
                    |unit: UnitIndex| self.judged.draft.verdicts[unit as usize].result.is_ok() || !self.was_in(unit);
                if self.unit_of.get(&was.key).is_some_and(|unit| stays_or_went(*unit)) {
                    due.surplus.push((name, row.clone()));
                }
            }
        }
        Ok(due)
    }
}

/// What a look at chunks came to.
#[derive(Debug, Clone, Default)]
pub struct Looked {
    /// Rows that would come out otherwise.
    pub changed: u64,
    /// Chunks that would be closed anew, be it that nothing else comes of it.
    pub chunks: u64,
    /// Chunks that come out as they did, and of which the target has not all: it may take it now.
    pub waiting: Vec<i64>,
}

impl std::ops::AddAssign for Looked {
    fn add_assign(&mut self, other: Self) {
        self.changed += other.changed;
        self.chunks += other.chunks;
        self.waiting.extend(other.waiting);
    }
}

/// How many rows of a chunk come out otherwise than they are recorded. Rows that have left it, or come to it, are counted where they
/// go.
///
/// # Errors
/// The database fails.
pub(crate) fn look<S: Step>(judged: &Judged<S>, db: &mut Db, chunk: i64) -> Result<Looked, ChunkError> {
    let recorded = recorded::rows(db, S::NAME, chunk)?;
    let own: FxHashSet<Key> = judged.rows.iter().map(LegacyRow::key).collect();
    let mut imprint = imprints::of_chunk(db, chunk)?;
    imprint.iter_mut().for_each(|table| table.retain(|key| own.contains(&key)));
    let due = Rejudging::new(db, (judged, chunk), (recorded, Gone::default()), imprint)?.due()?;
    let units: RoaringBitmap = due.out.into_iter().chain(due.write).collect();
    Ok(Looked {
        changed: units.into_iter().map(|unit| judged.unit(unit).len() as u64).sum(),
        chunks: 1,
        waiting: Vec::new(),
    })
}

/// Whether a row comes out as it was recorded.
pub(super) fn is_same<S: Step>(was: &Recorded, key: Key, end: &RowEnd) -> bool {
    let own = || Root { step: S::NAME.to_owned(), key };
    was.outcome == end.outcome
        && was.code.as_deref() == end.code.map(|code| code.as_str())
        && was.target == end.target
        && was.table.as_deref() == end.table
        && (end.outcome != Outcome::Quarantined || was.root == Some(end.root.clone().unwrap_or_else(own)))
}
