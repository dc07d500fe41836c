//! Chance without state: what happens to a row is a function of the seed, the table, a label and the row's number, so that
//! any slice of a table can be made alone, and any row can ask what became of another one.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Above this share rows are drawn one by one; below it one row of every block is.
const RARE: f64 = 0.13;

/// The chances of one table or column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn of(seed: u64, table: &str) -> Self {
        Self(xxh3_64_with_seed(table.as_bytes(), seed))
    }

    /// Those of a column of it.
    pub(crate) fn within(self, label: &str) -> Self {
        Self(xxh3_64_with_seed(label.as_bytes(), self.0))
    }

    pub(crate) fn number(self, label: &str, row: u64) -> u64 {
        xxh3_64_with_seed(&row.to_le_bytes(), self.within(label).0)
    }

    pub(crate) fn dice(self, label: &str, row: u64) -> Dice {
        Dice(fastrand::Rng::with_seed(self.number(label, row)))
    }

    /// Whether `label` happens to a row, to `share` of all rows. What is rare happens to exactly one row of every
    /// `1 / share`, somewhere among them, so that it comes up in every table that is large enough.
    pub(crate) fn hits(self, label: &str, row: u64, share: f64) -> bool {
        if share <= 0.0 {
            return false;
        }
        if share >= RARE {
            // 53 bits, which a float holds exactly.
            return ((self.number(label, row) >> 11) as f64) < share * (1_u64 << 53) as f64;
        }
        let block = strata(share);
        self.number(label, row / block) % block == row % block
    }

    /// The same for things of the same share of which at most one should happen to a row: each has its `place` among eight.
    pub(crate) fn hits_apart(self, place: u64, row: u64, share: f64) -> bool {
        let block = strata(share).max(1);
        share > 0.0 && (self.number("apart", row / block) + place * block.div_ceil(8)) % block == row % block
    }
}

/// The size of the blocks of which one row each is that share of all.
pub(crate) fn strata(share: f64) -> u64 {
    (1.0 / share.max(1e-12)).round() as u64
}

/// The draws of one row, one after the other.
pub(crate) struct Dice(fastrand::Rng);

impl Dice {
    /// From 0 to `below` - 1; 0 where `below` is 0.
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        self.0.u64(0..below.max(1))
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0.i64(low..=high.max(low))
    }

    pub(crate) fn one_in(&mut self, rows: u64) -> bool {
        self.below(rows) == 0
    }

    /// A part of one.
    pub(crate) fn share(&mut self) -> f64 {
        self.0.f64()
    }

    pub(crate) fn permille(&mut self, share: u64) -> bool {
        self.below(1000) < share
    }

    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.usize(0..choices.len())]
    }

    /// One of several, each as often as its weight says.
    pub(crate) fn weighed<T: Copy>(&mut self, choices: &[(T, u64)]) -> T {
        let mut left = self.below(choices.iter().map(|(_, weight)| weight).sum());
        for (choice, weight) in choices {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *choice,
            }
        }
        choices[0].0
    }

    /// A rank among `count`, low ones far more often: every doubling of the rank is as likely as any other.
    pub(crate) fn rank(&mut self, count: u64) -> u64 {
        let doublings = u64::from(u64::BITS - count.max(1).leading_zeros());
        loop {
            let from = 1_u64 << self.below(doublings);
            let rank = from + self.below(from) - 1;
            if rank < count.max(1) {
                return rank;
            }
        }
    }

    /// A share of `span`, small ones more often.
    pub(crate) fn fade(&mut self, span: i64) -> i64 {
        // Fine enough that the times of someone very busy differ.
        let part = i128::from(self.between(0, 1 << 31));
        let faded = (i128::from(span.max(0)) * part * part) >> 62;
        i64::try_from(faded).unwrap_or(0)
    }
}

/// A number's place in a fixed shuffle of `0..count`: a bijection, and where `unshuffled` finds it again.
pub(crate) fn shuffled(number: u64, count: u64, salt: u64) -> u64 {
    let count = u128::from(count.max(1));
    let place = u128::from(number) * u128::from(STEP) + u128::from(salt);
    u64::try_from(place % count).unwrap_or(0)
}

/// The number that [`shuffled`] puts at a place. Both take the count to be no multiple of the step, a large prime.
pub(crate) fn unshuffled(place: u64, count: u64, salt: u64) -> u64 {
    let count = i128::from(count.max(1));
    let step = i128::from(STEP) % count;
    let from = (i128::from(place) - i128::from(salt) % count).rem_euclid(count);
    u64::try_from((from * inverse(step, count)).rem_euclid(count)).unwrap_or(0)
}

const STEP: u64 = 2_305_843_009_213_693_951;

/// The inverse modulo `count`, by Euclid.
fn inverse(step: i128, count: i128) -> i128 {
    let (mut old, mut new, mut before, mut after) = (step, count, 1_i128, 0_i128);
    while new != 0 {
        let times = old / new;
        (old, new) = (new, old - times * new);
        (before, after) = (after, before - times * after);
    }
    before.rem_euclid(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rare_happens_once_in_every_block() {
        let chance = Chance::of(7, "user");
        let hits = (0..10_000).filter(|row| chance.hits("x", *row, 0.002)).count();
        assert_eq!(hits, 20);
        let often = (0..10_000).filter(|row| chance.hits("x", *row, 0.3)).count();
        assert!((2_800..3_200).contains(&often), "{often}");
        assert!(!chance.hits("x", 3, 0.0) && chance.hits("x", 3, 1.0));
    }

    #[test]
    fn a_shuffle_can_be_undone() {
        for count in [1, 2, 35, 481, 6_300, 630_001] {
            let mut seen: Vec<u64> = (0..count).map(|n| shuffled(n, count, 99)).collect();
            assert!((0..count).all(|n| unshuffled(shuffled(n, count, 99), count, 99) == n));
            seen.sort_unstable();
            assert!(seen.iter().enumerate().all(|(n, place)| n as u64 == *place));
        }
    }

    #[test]
    fn low_ranks_are_frequent() {
        let mut dice = Chance::of(1, "t").dice("rank", 0);
        let first = (0..10_000).filter(|_| dice.rank(1_000) == 0).count();
        assert!((800..1_200).contains(&first), "{first}");
    }
}
