//! Legacy keys: ranges of them, sets of them, and rows that travel with another one.

use std::sync::OnceLock;

use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};
use vers_vecs::{BitVec, EliasFanoVec, RsVec};

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
    /// Every key that there can be.
    pub const ALL: Self = Self { lo: Key::MIN, hi: Key::MAX };

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
    ranks: OnceLock<Ranks>,
}

/// Keys with their ranks: a bit for each possible key where they are dense, else a few bits a key.
#[derive(Debug, Clone)]
enum Ranks {
    Dense { first: u64, bits: RsVec, keys: usize },
    Sparse(EliasFanoVec),
}

/// Keys are dense if there are no more possible ones than so many times as many as there are.
const DENSE: u64 = 4;

impl Ranks {
    fn of(keys: &RoaringTreemap) -> Self {
        match (keys.min(), keys.max()) {
            (Some(first), Some(last)) if (last - first) / DENSE < keys.len() => {
                let place = |key: u64| usize::try_from(key - first).expect("as many as memory holds");
                let mut bits = BitVec::from_zeros(place(last) + 1);
                keys.iter().for_each(|key| bits.set_unchecked(place(key), 1));
                let bits = RsVec::from_bit_vec(bits);
                Self::Dense { first, keys: bits.rank1(bits.len()), bits }
            }
            _ => Self::Sparse(EliasFanoVec::from_slice(&keys.iter().collect::<Vec<u64>>())),
        }
    }

    fn rank(&self, key: u64) -> Option<u64> {
        match self {
            Self::Dense { first, bits, .. } => {
                let place = usize::try_from(key.checked_sub(*first)?).ok()?;
                (bits.get(place) == Some(1)).then(|| bits.rank1(place) as u64)
            }
            Self::Sparse(keys) => {
                let rank = keys.rank(key);
                (keys.get(usize::try_from(rank).ok()?) == Some(key)).then_some(rank)
            }
        }
    }

    fn at(&self, place: usize) -> Option<u64> {
        match self {
            Self::Dense { first, bits, keys } => (place < *keys).then(|| first + bits.select1(place) as u64),
            Self::Sparse(keys) => keys.get(place),
        }
    }
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
        let at = |place: u64| self.at(place).filter(|key| *key <= range.hi);
        let last = at(from.saturating_add(count.checked_sub(1)?))?;
        at(from.saturating_add(count)).map(|next| (last, next))
    }

    /// `range` from the first key in it to the last; none where no key is in it.
    pub fn narrowed(&self, range: KeyRange) -> Option<KeyRange> {
        let before = ordered(range.lo).checked_sub(1).map_or(0, |before| self.keys.rank(before));
        let last = self.keys.rank(ordered(range.hi)).checked_sub(1)?;
        (before <= last).then(|| Some(KeyRange { lo: self.at(before)?, hi: self.at(last)? }))?
    }

    /// The key of which so many are smaller.
    pub fn at(&self, place: u64) -> Option<Key> {
        self.ranks().at(usize::try_from(place).ok()?).map(key)
    }

    /// The same, of a set that is asked once: nothing is built for the next question.
    pub fn once_at(&self, place: u64) -> Option<Key> {
        self.keys.select(place).map(key)
    }

    fn ranks(&self) -> &Ranks {
        self.ranks.get_or_init(|| Ranks::of(&self.keys))
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: Key) {
        self.keys.remove(ordered(key));
        self.ranks.take();
    }

    /// Keeps runs of keys as runs, once all keys are in it.
    pub fn compact(&mut self) {
        self.keys.optimize();
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
        self.ranks().rank(ordered(key))
    }

    /// How many keys lie in `range`.
    pub fn count(&self, range: KeyRange) -> u64 {
        self.keys.range_cardinality(ordered(range.lo)..=ordered(range.hi))
    }

    /// Those that `other` has not.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self { keys: &self.keys - &other.keys, ranks: OnceLock::new() }
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

impl Extend<Key> for KeySet {
    fn extend<I: IntoIterator<Item = Key>>(&mut self, keys: I) {
        self.keys.extend(keys.into_iter().map(ordered));
        self.ranks.take();
    }
}

impl FromIterator<Key> for KeySet {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        let mut set = Self::default();
        set.extend(keys);
        set.compact();
        set
    }
}

/// Rows that travel with another one: a duplicate with the row that is taken for it.
///
/// A leader and its followers are one unit: they are read, judged and committed together, in the chunk of the leader.
/// A leader follows nobody.
#[derive(Debug, Clone, Default)]
pub struct Followers {
    /// Each follower with its leader, by follower.
    leader_of: Vec<(Key, Key)>,
    /// The leaders, by key, each with the place of its first follower.
    leaders: Vec<(Key, u32)>,
    /// The followers, leader by leader.
    followers: Vec<Key>,
}

/// Pairs of a leader and a follower. The followers of a leader stay in their order.
impl FromIterator<(Key, Key)> for Followers {
    fn from_iter<I: IntoIterator<Item = (Key, Key)>>(pairs: I) -> Self {
        let mut pairs: Vec<(Key, Key)> = pairs.into_iter().collect();
        debug_assert!(pairs.iter().all(|(leader, follower)| leader != follower), "a leader follows nobody");
        pairs.sort_by_key(|(leader, _)| *leader);
        let mut leaders: Vec<(Key, u32)> = Vec::new();
        for (place, (leader, _)) in pairs.iter().enumerate() {
            if leaders.last().is_none_or(|(last, _)| last != leader) {
                leaders.push((*leader, u32::try_from(place).expect("fewer than 2^32 followers")));
            }
        }
        let followers = pairs.iter().map(|(_, follower)| *follower).collect();
        let mut leader_of: Vec<(Key, Key)> = pairs.into_iter().map(|(leader, follower)| (follower, leader)).collect();
        leader_of.sort_unstable();
        Self { leader_of, leaders, followers }
    }
}

impl Followers {
    /// The leader that `key` follows, if it follows one.
    pub fn leader_of(&self, key: Key) -> Option<Key> {
        let place = self.leader_of.binary_search_by_key(&key, |(follower, _)| *follower).ok()?;
        Some(self.leader_of[place].1)
    }

    /// The followers of `leader`.
    pub fn of(&self, leader: Key) -> &[Key] {
        let Ok(place) = self.leaders.binary_search_by_key(&leader, |(key, _)| *key) else { return &[] };
        let end = self.leaders.get(place + 1).map_or(self.followers.len(), |(_, first)| *first as usize);
        &self.followers[self.leaders[place].1 as usize..end]
    }

    /// Whether nobody follows anybody.
    pub fn is_empty(&self) -> bool {
        self.leader_of.is_empty()
    }

    /// The keys of the rows that the chunk of those `keys` which lie in `range` carries beside these, ascending.
    pub fn joining(&self, keys: &KeySet, range: KeyRange) -> Vec<Key> {
        if self.is_empty() {
            return Vec::new();
        }
        let leaders = self.leading(keys, range);
        let within = |key| range.contains(key) && keys.contains(key);
        let mut joining: Vec<Key> =
            leaders.flat_map(|leader| self.of(leader)).copied().filter(|key| !within(*key)).collect();
        joining.sort_unstable();
        joining
    }

    /// How many rows the chunk of `range` carries: its own leaders with all their followers.
    pub fn rows(&self, keys: &KeySet, range: KeyRange) -> u64 {
        if self.is_empty() {
            return keys.count(range);
        }
        let within = self.leader_of[self.leader_of.partition_point(|(follower, _)| *follower < range.lo)..].iter();
        let within = within.map(|(follower, _)| *follower).take_while(|follower| *follower <= range.hi);
        let leaving = within.filter(|follower| keys.contains(*follower)).count() as u64;
        let coming: usize = self.leading(keys, range).map(|leader| self.of(leader).len()).sum();
        keys.count(range) - leaving + coming as u64
    }

    /// The leaders in a range that are among `keys`.
    fn leading(&self, keys: &KeySet, range: KeyRange) -> impl Iterator<Item = Key> {
        let from = self.leaders.partition_point(|(leader, _)| *leader < range.lo);
        let leaders = self.leaders[from..].iter().map(|(leader, _)| *leader);
        leaders.take_while(move |leader| *leader <= range.hi).filter(|leader| keys.contains(*leader))
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
        assert_eq!((keys.at(0), keys.at(4), keys.at(5)), (Some(i64::MIN), Some(i64::MAX), None));
        assert_eq!(keys.count(KeyRange { lo: -3, hi: 7 }), 3);
    }

    #[test]
    fn dense_keys_and_sparse_ones_have_the_same_ranks() {
        for step in [1, 2, 3, 5, 1_000_003] {
            let keys: KeySet = (0..2_000).map(|n| -500 + n * step + n % 2).collect();
            for (place, key) in keys.iter().enumerate() {
                assert_eq!((keys.rank(key), keys.at(place as u64)), (Some(place as u64), Some(key)));
                assert_eq!(keys.rank(key + 1).is_some(), keys.contains(key + 1));
            }
            assert_eq!((keys.rank(-501), keys.at(2_000)), (None, None));
        }
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
        let followers: Followers = [(2, 9), (6, 7), (2, 3)].into_iter().collect();
        assert_eq!((followers.of(2), followers.of(6), followers.of(7)), (&[9, 3][..], &[7][..], &[][..]));
        assert_eq!([2, 3, 7, 9].map(|key| followers.leader_of(key)), [None, Some(2), Some(6), Some(2)]);
        let first = KeyRange { lo: 1, hi: 5 };
        let second = KeyRange { lo: 6, hi: 10 };
        assert_eq!(followers.joining(&keys, first), [9]);
        assert_eq!(followers.rows(&keys, first), 6);
        assert_eq!(followers.rows(&keys, second), 4);
    }
}
