//! What became of the rows of an earlier step, as a lookup for later ones.

use rustc_hash::FxHashMap;

use crate::storage::ledger::plan::IdBlock;
use crate::words::{Key, KeySet, Outcome, Root};

/// What a legacy row that another one points to has become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is in the target, as the row with this id.
    Live(i64),
    /// It was skipped.
    Skipped,
    /// It is quarantined, because of this row (itself or one that it waits for).
    Quarantined(Root),
    /// There is no such legacy row, the reference is NULL, or the row went into another table than the step's.
    Missing,
}

/// What became of every row of a step: legacy key to target id. Exceptions only: a row whose id is the one that was
/// planned for it costs nothing but its key.
#[derive(Debug, Clone, Default)]
pub struct Standings {
    keys: KeySet,
    ids: IdBlock,
    /// Rows with another id than the planned one.
    other_ids: FxHashMap<Key, i64>,
    merged: KeySet,
    /// Rows of another table.
    elsewhere: KeySet,
    skipped: KeySet,
    quarantined: FxHashMap<Key, Root>,
}

impl Standings {
    pub(crate) fn new(keys: KeySet, ids: IdBlock) -> Self {
        Self { keys, ids, ..Self::default() }
    }

    pub(crate) fn live(&mut self, key: Key, target: i64) {
        if self.planned(key) != Some(target) {
            self.other_ids.insert(key, target);
        }
    }

    pub(crate) fn merged(&mut self, key: Key, target: i64) {
        self.live(key, target);
        self.merged.insert(key);
    }

    pub(crate) fn elsewhere(&mut self, key: Key) {
        self.elsewhere.insert(key);
    }

    /// Standings made by hand: for tests of a `transform`.
    pub fn from_rows(rows: impl IntoIterator<Item = (Key, Standing)>) -> Self {
        let mut standings = Self::default();
        for (key, standing) in rows {
            standings.keys.insert(key);
            match standing {
                Standing::Live(target) => standings.live(key, target),
                Standing::Skipped => standings.skipped.insert(key),
                Standing::Quarantined(root) => {
                    standings.quarantined.insert(key, root);
                }
                Standing::Missing => standings.elsewhere.insert(key),
            }
        }
        standings
    }

    /// The migrated rows, by key, with the ids of their target rows. Rows that were merged into one are left out.
    pub fn migrated(&self) -> impl Iterator<Item = (Key, i64)> + '_ {
        let own = self.keys.iter().filter(|key| !self.merged.contains(*key));
        own.filter_map(|key| match self.of(Some(key)) {
            Standing::Live(id) => Some((key, id)),
            Standing::Skipped | Standing::Quarantined(_) | Standing::Missing => None,
        })
    }

    pub(crate) fn refused(&mut self, key: Key, outcome: Outcome, root: Option<Root>) {
        match (outcome, root) {
            (Outcome::Quarantined, Some(root)) => {
                self.quarantined.insert(key, root);
            }
            _ => self.skipped.insert(key),
        }
    }

    fn planned(&self, key: Key) -> Option<i64> {
        self.keys.rank(key).and_then(|place| self.ids.id(place))
    }

    /// What the row with `key` has become.
    pub fn of(&self, key: Option<Key>) -> Standing {
        let Some((key, place)) = key.and_then(|key| Some((key, self.keys.rank(key)?))) else {
            return Standing::Missing;
        };
        if let Some(target) = self.other_ids.get(&key) {
            Standing::Live(*target)
        } else if let Some(root) = self.quarantined.get(&key) {
            Standing::Quarantined(root.clone())
        } else if self.skipped.contains(key) {
            Standing::Skipped
        } else if self.elsewhere.contains(key) {
            Standing::Missing
        } else {
            self.ids.id(place).map_or(Standing::Missing, Standing::Live)
        }
    }

    /// The target row of a migrated row; none of one that was merged into another.
    pub fn migrated_to(&self, key: Key) -> Option<i64> {
        match self.of(Some(key)) {
            Standing::Live(id) if !self.merged.contains(key) => Some(id),
            _ => None,
        }
    }

    /// Whether a target row was made by the step (rather than found by it).
    pub fn made(&self, id: i64) -> bool {
        self.ids.place(id).is_some()
    }
}
