//! What became of the rows of an earlier step, as a lookup for later ones.

use std::sync::Arc;

use vers_vecs::{BitVec, RsVec};

use crate::storage::ledger::plan::Layer;
use crate::words::{Key, KeySet, Root};

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

/// What became of every row of a step: legacy key to target id. A row whose id is the one that was planned for it costs
/// nothing but its key, and a bit.
#[derive(Debug, Clone)]
pub struct Standings {
    keys: Arc<KeySet>,
    layers: Vec<Layer>,
    /// A bit for each key, by its place: whether the row is not simply in the target with the id that was planned for it.
    exceptional: BitVec,
    /// A bit for each key, by its place: whether the row has another id than the planned one.
    moved: RsVec,
    /// The ids of those, by key.
    moved_to: Vec<i64>,
    exceptions: Exceptions,
}

/// The rows that are not simply in the target, with the id that was planned for them. Lists by key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exceptions {
    /// Rows with another id than the planned one. They go into lists of their own when the standings are made.
    other_ids: Vec<(Key, i64)>,
    merged: KeySet,
    /// Rows of another table.
    elsewhere: KeySet,
    skipped: KeySet,
    /// Each with the key of the row that it waits for, and the place of that row's step in `steps`.
    quarantined: Vec<(Key, Key, u32)>,
    steps: Vec<String>,
}

impl Exceptions {
    pub(crate) fn other_id(&mut self, key: Key, target: i64) {
        self.other_ids.push((key, target));
    }

    pub(crate) fn merged(&mut self, key: Key, target: i64) {
        self.other_id(key, target);
        self.merged.insert(key);
    }

    pub(crate) fn elsewhere(&mut self, key: Key) {
        self.elsewhere.insert(key);
    }

    pub(crate) fn skipped(&mut self, key: Key) {
        self.skipped.insert(key);
    }

    pub(crate) fn quarantined(&mut self, key: Key, root: Root) {
        let place = self.steps.iter().position(|step| *step == root.step).unwrap_or_else(|| {
            self.steps.push(root.step);
            self.steps.len() - 1
        });
        let place = u32::try_from(place).expect("fewer than 2^32 steps");
        self.quarantined.push((key, root.key, place));
    }

    /// Rows without an id, in no order.
    fn without_id(&self) -> impl Iterator<Item = Key> + '_ {
        let roots = self.quarantined.iter().map(|(key, ..)| *key);
        roots.chain(self.skipped.iter()).chain(self.elsewhere.iter())
    }

    /// What became of a row without an id.
    fn of(&self, key: Key) -> Standing {
        if let Ok(place) = self.quarantined.binary_search_by_key(&key, |(key, ..)| *key) {
            let (_, root, step) = self.quarantined[place];
            Standing::Quarantined(Root { step: self.steps[step as usize].clone(), key: root })
        } else if self.skipped.contains(key) {
            Standing::Skipped
        } else {
            Standing::Missing
        }
    }
}

impl Default for Standings {
    fn default() -> Self {
        Self::new(Arc::default(), Vec::new(), Exceptions::default())
    }
}

impl Standings {
    /// `keys`: those of the step; `layers`: the ids that were planned for them.
    pub(crate) fn new(keys: Arc<KeySet>, layers: Vec<Layer>, mut exceptions: Exceptions) -> Self {
        let mut exceptional = BitVec::from_zeros(usize::try_from(keys.len()).expect("the keys fit into memory"));
        let mut moved = exceptional.clone();
        let mut other_ids = std::mem::take(&mut exceptions.other_ids);
        other_ids.sort_unstable();
        // Ids are found by counting, so no key may stand here twice.
        other_ids.dedup_by_key(|(key, _)| *key);
        let mut moved_to = Vec::with_capacity(other_ids.len());
        for (key, id) in other_ids {
            if let Some(place) = keys.rank(key) {
                moved.set_unchecked(as_index(place), 1);
                exceptional.set_unchecked(as_index(place), 1);
                moved_to.push(id);
            }
        }
        exceptions.quarantined.sort_unstable();
        exceptions.quarantined.shrink_to_fit();
        for place in exceptions.without_id().filter_map(|key| keys.rank(key)) {
            exceptional.set_unchecked(as_index(place), 1);
        }
        Self { keys, layers, exceptional, moved: RsVec::from_bit_vec(moved), moved_to, exceptions }
    }

    /// Standings made by hand: for tests of a `transform`.
    pub fn from_rows(rows: impl IntoIterator<Item = (Key, Standing)>) -> Self {
        let mut keys = KeySet::default();
        let mut exceptions = Exceptions::default();
        for (key, standing) in rows {
            keys.insert(key);
            match standing {
                Standing::Live(target) => exceptions.other_id(key, target),
                Standing::Skipped => exceptions.skipped(key),
                Standing::Quarantined(root) => exceptions.quarantined(key, root),
                Standing::Missing => exceptions.elsewhere(key),
            }
        }
        Self::new(Arc::new(keys), Vec::new(), exceptions)
    }

    /// The id that was planned for a key, which has a place among all.
    fn planned(&self, key: Key, place: u64) -> Option<i64> {
        match &self.layers[..] {
            [only] => only.ids.id(place),
            layers => layers.iter().find_map(|layer| layer.ids.id(layer.keys.rank(key)?)),
        }
    }

    /// The migrated rows, by key, with the ids of their target rows. Rows that were merged into one are left out.
    pub fn migrated(&self) -> impl Iterator<Item = (Key, i64)> + '_ {
        let own = self.keys.iter().filter(|key| !self.exceptions.merged.contains(*key));
        own.filter_map(|key| match self.of(Some(key)) {
            Standing::Live(id) => Some((key, id)),
            Standing::Skipped | Standing::Quarantined(_) | Standing::Missing => None,
        })
    }

    /// What the row with `key` has become.
    pub fn of(&self, key: Option<Key>) -> Standing {
        let Some((key, place)) = key.and_then(|key| Some((key, self.keys.rank(key)?))) else {
            return Standing::Missing;
        };
        if !self.exceptional.is_bit_set_unchecked(as_index(place)) {
            self.planned(key, place).map_or(Standing::Missing, Standing::Live)
        } else if self.moved.get(as_index(place)) == Some(1) {
            Standing::Live(self.moved_to[self.moved.rank1(as_index(place))])
        } else {
            self.exceptions.of(key)
        }
    }

    /// The target row of a migrated row; none of one that was merged into another.
    pub fn migrated_to(&self, key: Key) -> Option<i64> {
        match self.of(Some(key)) {
            Standing::Live(id) if !self.exceptions.merged.contains(key) => Some(id),
            _ => None,
        }
    }

    /// Whether a target row was made by the step (rather than found by it).
    pub fn made(&self, id: i64) -> bool {
        self.layers.iter().any(|layer| layer.ids.place(id).is_some())
    }
}

/// The place of a key among the others, which are in memory.
fn as_index(place: u64) -> usize {
    usize::try_from(place).expect("the keys fit into memory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::ledger::plan::IdBlock;

    #[test]
    fn every_row_is_found_among_many() {
        // Every third key is there; the n-th has the id 1,000 + n, but for the exceptions.
        let keys: KeySet = (0..3_000).filter(|key| key % 3 == 0).collect();
        let expected = |key: Key| match key {
            key if key % 3 != 0 => Standing::Missing,
            key if key % 5 == 0 => Standing::Live(-key),
            key if key % 7 == 0 => Standing::Skipped,
            key if key % 11 == 0 => Standing::Quarantined(Root { step: "users".to_owned(), key: key + 1 }),
            key if key % 13 == 0 => Standing::Missing,
            key => Standing::Live(1_000 + key / 3),
        };
        let mut exceptions = Exceptions::default();
        // The ledger tells of them in no order, and of keys that nobody planned.
        for key in (0..4_000).rev() {
            match expected(key) {
                Standing::Live(id) if id <= 0 => {
                    exceptions.other_id(key, id);
                    exceptions.other_id(key, id);
                }
                Standing::Live(_) => {}
                Standing::Skipped => exceptions.skipped(key),
                Standing::Quarantined(root) => exceptions.quarantined(key, root),
                Standing::Missing => exceptions.elsewhere(key),
            }
        }
        let keys = Arc::new(keys);
        let ids = IdBlock::new(vec![(1_000, 1_000)]);
        let layer = Layer { generation: 1, keys: Arc::clone(&keys), ids, also: Vec::new() };
        let standings = Standings::new(keys, vec![layer], exceptions);
        for key in 0..3_000 {
            assert_eq!(standings.of(Some(key)), expected(key), "{key}");
        }
        assert_eq!(standings.of(Some(3_005)), Standing::Missing);
        assert_eq!(standings.of(None), Standing::Missing);
    }
}
