//! How many rows the next chunk of a step has: as many as take about the time that a chunk should take.

use std::time::Duration;

/// Between which limits chunks are sized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizing {
    /// Rows of the first chunk of a step of which nothing is known. All chunks have as many where `time` is zero.
    pub(crate) first: u64,
    /// How long reading, judging and writing a chunk should take.
    pub(crate) time: Duration,
    /// The fewest rows.
    pub(crate) least: u64,
    /// The most rows.
    pub(crate) most: u64,
    /// The most bytes in memory.
    pub(crate) bytes: u64,
}

/// A chunk that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) rows: u64,
    pub(crate) took: Duration,
    /// Bytes in memory; 0 where they are not known.
    pub(crate) bytes: u64,
}

impl Sizing {
    /// Chunks of one size.
    pub(crate) fn fixed(rows: u64) -> Self {
        Self { first: rows, time: Duration::ZERO, least: rows, most: rows, bytes: u64::MAX }
    }

    /// The rows of the next chunk, given those of the ones before it (`now`) and how the last one went: fewer at once,
    /// more by a quarter at a time.
    pub(crate) fn next(&self, now: u64, done: Measured) -> u64 {
        if self.time.is_zero() || done.rows == 0 {
            return now;
        }
        let scaled = |goal: u128, is: u128| {
            let rows = u128::from(done.rows) * goal / is.max(1);
            u64::try_from(rows).unwrap_or(u64::MAX)
        };
        let by_time = scaled(self.time.as_micros(), done.took.as_micros());
        let by_bytes = if done.bytes == 0 { u64::MAX } else { scaled(self.bytes.into(), done.bytes.into()) };
        let wanted = by_time.min(by_bytes);
        // The last chunk of a step has what is left: it may tell that chunks are too large, not that they are too small.
        let grown = if done.rows >= now / 2 { now.saturating_add(now / 4).saturating_add(1) } else { now };
        wanted.min(grown).clamp(self.least.min(self.most), self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZING: Sizing =
        Sizing { first: 5_000, time: Duration::from_secs(1), least: 500, most: 50_000, bytes: 16_000_000 };

    fn took(rows: u64, millis: u64) -> Measured {
        Measured { rows, took: Duration::from_millis(millis), bytes: 0 }
    }

    #[test]
    fn chunks_grow_gently_and_shrink_at_once() {
        assert_eq!(SIZING.next(5_000, took(5_000, 100)), 6_251);
        assert_eq!(SIZING.next(5_000, took(5_000, 900)), 5_555);
        assert_eq!(SIZING.next(5_000, took(5_000, 4_000)), 1_250);
        assert_eq!(SIZING.next(5_000, took(5_000, 1_000_000)), 500);
        assert_eq!(SIZING.next(49_000, took(49_000, 10)), 50_000);
    }

    #[test]
    fn a_short_chunk_lets_nothing_grow() {
        assert_eq!(SIZING.next(5_000, took(20, 1)), 5_000);
        assert_eq!(SIZING.next(5_000, took(20, 1_000)), 500);
        assert_eq!(SIZING.next(5_000, took(0, 1)), 5_000);
    }

    #[test]
    fn chunks_stay_within_their_bytes() {
        let heavy = Measured { bytes: 64_000_000, ..took(5_000, 100) };
        assert_eq!(SIZING.next(5_000, heavy), 1_250);
    }

    #[test]
    fn a_fixed_size_is_fixed() {
        assert_eq!(Sizing::fixed(150).next(150, took(150, 90_000)), 150);
    }

    #[test]
    fn the_size_settles_within_ten_chunks_of_what_it_should_be() {
        // 40,000 rows a second.
        let mut rows = SIZING.first;
        for _ in 0..10 {
            rows = SIZING.next(rows, Measured { rows, took: Duration::from_micros(rows * 25), bytes: 0 });
        }
        assert_eq!(rows, 40_000);
    }
}
