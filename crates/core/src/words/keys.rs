//! Legacy keys: ranges of them, sets of them, and rows that travel with another one.

use std::sync::OnceLock;

use roaring::RoaringTreemap;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use vers_vecs::EliasFanoVec;

/// A legacy primary key. Unsigned 64-bit keys beyond `i64` are refused when a step is planned.
pub type Key = i64;

/// A range of legacy keys, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyRange {
    /// The first key.
    pub lo: Key,
    /// The last key.
    pub hi: Key,
}

impl KeyRange {
    /// Whether `key` lies in the range.
    pub fn contains(self, key: Key) -> bool {
        (self.lo..=self.hi).contains(&key)
    }
}

/// A set of legacy keys: those of a table as they were when its step was planned, say. Dense keys cost next to nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeySet {
    keys: RoaringTreemap,
    /// The same keys, made for ranks: a bitmap counts all that stands before. Built when the first rank is asked for.
    #[serde(skip)]
    ranks: OnceLock<EliasFanoVec>,
}

impl PartialEq for KeySet {
    fn eq(&self, other: &Self) -> bool {
        self.keys == other.keys
    }
}

/// Keys are ordered as signed numbers; the bitmap holds unsigned ones.
fn ordered(key: Key) -> u64 {
    key.cast_unsigned() ^ (1 << 63)
}

fn key(ordered: u64) -> Key {
    (ordered ^ (1 << 63)).cast_signed()
}

impl KeySet {
    /// Adds a key.
    pub fn insert(&mut self, key: Key) {
        self.keys.insert(ordered(key));
        self.ranks.take();
    }

    /// The keys of `range` cut in two: the last of the first `count` of them, and the one after it. None where there are no
    /// more than `count`.
    pub fn cut(&self, range: KeyRange, count: u64) -> Option<(Key, Key)> {
        let from = ordered(range.lo).checked_sub(1).map_or(0, |before| self.keys.rank(before));
        let ranks = self.ranks();
        let at = |place: u64| ranks.get(usize::try_from(place).ok()?).filter(|k| *k <= ordered(range.hi)).map(key);
        let last = at(from + count.checked_sub(1)?)?;
        at(from + count).map(|next| (last, next))
    }

    fn ranks(&self) -> &EliasFanoVec {
        self.ranks.get_or_init(|| EliasFanoVec::from_slice(&self.keys.iter().collect::<Vec<u64>>()))
    }

    /// The number of keys.
    pub fn len(&self) -> u64 {
        self.keys.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether `key` is one of them.
    pub fn contains(&self, key: Key) -> bool {
        self.keys.contains(ordered(key))
    }

    /// How many keys are smaller than `key`; `None` where `key` is not one of them.
    pub fn rank(&self, key: Key) -> Option<u64> {
        let ranks = self.ranks();
        let rank = ranks.rank(ordered(key));
        let place = usize::try_from(rank).expect("as many keys as memory holds");
        (ranks.get(place) == Some(ordered(key))).then_some(rank)
    }

    /// How many keys lie in `range`.
    pub fn count(&self, range: KeyRange) -> u64 {
        self.keys.range_cardinality(ordered(range.lo)..=ordered(range.hi))
    }

    /// The keys, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Key> + '_ {
        self.keys.iter().map(key)
    }

    /// The keys of `range`, ascending.
    pub fn range(&self, range: KeyRange) -> impl Iterator<Item = Key> + '_ {
        let mut keys = self.keys.iter();
        keys.advance_to(ordered(range.lo));
        keys.take_while(move |k| *k <= ordered(range.hi)).map(key)
    }
}

impl FromIterator<Key> for KeySet {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        let mut keys: RoaringTreemap = keys.into_iter().map(ordered).collect();
        keys.optimize();
        Self { keys, ranks: OnceLock::new() }
    }
}

/// Rows that travel with another one: a duplicate user with the user that its account came from.
///
/// A leader and its followers are one unit: they are read, judged and committed together, in the chunk of the leader.
/// A leader follows nobody.
#[derive(Debug, Clone, Default)]
pub struct Followers {
    leader_of: FxHashMap<Key, Key>,
    followers_of: FxHashMap<Key, Vec<Key>>,
}

impl Followers {
    /// Lets `follower` travel with `leader`.
    pub fn insert(&mut self, leader: Key, follower: Key) {
        debug_assert!(leader != follower, "a leader follows nobody");
        self.leader_of.insert(follower, leader);
        self.followers_of.entry(leader).or_default().push(follower);
    }

    /// The leader that `key` follows, if it follows one.
    pub fn leader_of(&self, key: Key) -> Option<Key> {
        self.leader_of.get(&key).copied()
    }

    /// The followers of `leader`.
    pub fn of(&self, leader: Key) -> &[Key] {
        self.followers_of.get(&leader).map_or(&[], Vec::as_slice)
    }

    /// Whether nobody follows anybody.
    pub fn is_empty(&self) -> bool {
        self.leader_of.is_empty()
    }

    /// The keys of the rows that the chunk of `range` carries from outside it, ascending.
    pub fn joining(&self, keys: &KeySet, range: KeyRange) -> Vec<Key> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut joining: Vec<Key> =
            keys.range(range).flat_map(|leader| self.of(leader)).copied().filter(|k| !range.contains(*k)).collect();
        joining.sort_unstable();
        joining
    }

    /// How many rows the chunk of `range` carries: its own leaders with all their followers.
    pub fn rows(&self, keys: &KeySet, range: KeyRange) -> u64 {
        if self.is_empty() {
            return keys.count(range);
        }
        keys.range(range).filter(|k| self.leader_of(*k).is_none()).map(|leader| 1 + self.of(leader).len() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_in_the_order_of_signed_keys() {
        let keys: KeySet = [7, -3, 0, i64::MAX, i64::MIN].into_iter().collect();
        assert_eq!(keys.iter().collect::<Vec<_>>(), [i64::MIN, -3, 0, 7, i64::MAX]);
        assert_eq!(keys.rank(0), Some(2));
        assert_eq!(keys.rank(1), None);
        assert_eq!(keys.count(KeyRange { lo: -3, hi: 7 }), 3);
    }

    #[test]
    fn a_range_is_cut_at_its_keys() {
        let keys: KeySet = [-5, 1, 2, 5, 100, 7000].into_iter().collect();
        let range = KeyRange { lo: 1, hi: 100 };
        assert_eq!(keys.cut(range, 1), Some((1, 2)));
        assert_eq!(keys.cut(range, 3), Some((5, 100)));
        assert_eq!((keys.cut(range, 4), keys.cut(range, 0)), (None, None));
        assert_eq!(keys.cut(KeyRange { lo: i64::MIN, hi: 1 }, 1), Some((-5, 1)));
    }

    #[test]
    fn a_chunk_carries_the_followers_of_its_leaders_and_no_others() {
        let keys: KeySet = (1..=10).collect();
        let mut followers = Followers::default();
        followers.insert(2, 3);
        followers.insert(2, 9);
        followers.insert(6, 7);
        let first = KeyRange { lo: 1, hi: 5 };
        let second = KeyRange { lo: 6, hi: 10 };
        assert_eq!(followers.joining(&keys, first), [9]);
        assert_eq!(followers.rows(&keys, first), 6);
        assert_eq!(followers.rows(&keys, second), 4);
    }
}
