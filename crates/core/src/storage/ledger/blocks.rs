//! Ids that were handed out to the rows of a step: which row has which, and which rows of the target are ours.

use diesel::QueryResult;

use crate::storage::db::Db;

/// Ids that follow each other: `first`, `first + step_by`, ..., so many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdRange {
    /// The lowest id.
    pub first: i64,
    /// How many ids; at least one.
    pub ids: u64,
    /// How far they are apart; at least one. What lies between is not of the range: a sequence need not count by ones.
    pub step_by: u64,
}

impl IdRange {
    /// The highest id.
    pub fn last(&self) -> i64 {
        self.first + ((self.ids - 1) * self.step_by).cast_signed()
    }

    /// All of its ids, ascending.
    pub fn iter(self) -> impl Iterator<Item = i64> {
        (0..self.ids).map(move |place| self.first + (place * self.step_by).cast_signed())
    }

    /// The place of an id in it; `None` where it is not one of them.
    fn place(&self, id: i64) -> Option<u64> {
        let apart = id.checked_sub(self.first).filter(|apart| *apart >= 0)?.cast_unsigned();
        (apart.is_multiple_of(self.step_by) && apart / self.step_by < self.ids).then_some(apart / self.step_by)
    }

    /// The condition that a column of integers is one of the ids, as SQL.
    fn condition(&self, column: &str) -> String {
        let Self { first, step_by, .. } = self;
        match step_by {
            1 => format!("{column} BETWEEN {first} AND {}", self.last()),
            _ => format!("({column} BETWEEN {first} AND {} AND ({column} - {first}) % {step_by} = 0)", self.last()),
        }
    }
}

/// A range, and what stands before it in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Placed {
    range: IdRange,
    /// Ids of the ranges before it.
    before: u64,
    /// The highest id of it and of those before it: ranges of steps greater than one may lie in each other.
    highest: i64,
}

/// The ids that were reserved from a target sequence for a step: the row of the n-th legacy key gets the n-th of them.
/// The live site may take ids meanwhile, so they need not be contiguous.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdBlock {
    /// By their first ids. No id is in two of them.
    ranges: Vec<Placed>,
}

impl IdBlock {
    /// Makes a block of ranges of contiguous ids: first id and number of ids.
    pub fn new(ranges: Vec<(i64, u64)>) -> Self {
        Self::of(ranges.into_iter().map(|(first, ids)| IdRange { first, ids, step_by: 1 }).collect())
    }

    /// Makes a block of ranges.
    pub fn of(mut ranges: Vec<IdRange>) -> Self {
        ranges.sort_unstable();
        let (mut before, mut highest) = (0, i64::MIN);
        let placed = ranges.into_iter().filter(|range| range.ids > 0).map(|range| {
            highest = highest.max(range.last());
            let placed = Placed { range, before, highest };
            before += range.ids;
            placed
        });
        Self { ranges: placed.collect() }
    }

    /// The id at a place.
    pub fn id(&self, place: u64) -> Option<i64> {
        let at = self.ranges.partition_point(|one| one.before <= place).checked_sub(1)?;
        let Placed { range, before, .. } = self.ranges[at];
        let within = place - before;
        (within < range.ids).then(|| range.first + (within * range.step_by).cast_signed())
    }

    /// The ids as ranges, by their first ids.
    pub fn ranges(&self) -> impl Iterator<Item = IdRange> + '_ {
        self.ranges.iter().map(|one| one.range)
    }

    /// The place of an id; `None` where it is not one of them.
    pub fn place(&self, id: i64) -> Option<u64> {
        let behind = self.ranges.partition_point(|one| one.range.first <= id);
        let candidates = self.ranges[..behind].iter().rev().take_while(|one| one.highest >= id);
        candidates.filter_map(|one| one.range.place(id).map(|place| one.before + place)).next()
    }
}

/// The ids that steps have handed out: which rows of a target table are ours.
#[derive(Debug, Clone, Default)]
pub struct Ours(rustc_hash::FxHashMap<String, IdBlock>);

impl Ours {
    pub(super) fn new(ranges: impl IntoIterator<Item = (String, IdRange)>) -> Self {
        let mut by_table: rustc_hash::FxHashMap<String, Vec<IdRange>> = rustc_hash::FxHashMap::default();
        for (table, range) in ranges {
            by_table.entry(table).or_default().push(range);
        }
        Self(by_table.into_iter().map(|(table, ranges)| (table, IdBlock::of(ranges))).collect())
    }

    /// The condition that a column with ids of `table` holds one of ours, as SQL: `column` with the alias of its table.
    pub fn condition(&self, table: &str, column: &str) -> String {
        let ranges = self.0.get(table).map(|ids| ids.ranges().map(|range| range.condition(column)).collect::<Vec<_>>());
        match ranges {
            Some(ranges) if !ranges.is_empty() => format!("({})", ranges.join(" OR ")),
            _ => "1 = 0".to_owned(),
        }
    }

    /// How many rows [`Ours::natives`] asks for at once.
    pub const PAGE: i64 = 20_000;

    /// Hands on the rows of `table` that the migration did not make, by id: those with larger ids than `after`. `page` reads the
    /// first [`PAGE`](Self::PAGE) rows with larger ids than it is given, so what the migration made fills no memory.
    ///
    /// # Errors
    /// Those of `page`.
    pub fn natives<T>(
        &self,
        db: &mut Db,
        table: &str,
        mut after: i64,
        page: impl Fn(&mut Db, i64) -> QueryResult<Vec<(i64, T)>>,
        mut each: impl FnMut(i64, T),
    ) -> QueryResult<()> {
        loop {
            let rows = page(db, after)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = *last;
            rows.into_iter().filter(|(id, _)| !self.made(table, *id)).for_each(|(id, row)| each(id, row));
        }
    }

    /// The ids of a table, as ranges.
    pub(crate) fn ranges(&self, table: &str) -> impl Iterator<Item = IdRange> + '_ {
        self.0.get(table).into_iter().flat_map(IdBlock::ranges)
    }

    /// Whether the migration made the row.
    pub fn made(&self, table: &str, id: i64) -> bool {
        self.0.get(table).is_some_and(|ids| ids.place(id).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, ids: u64, step_by: u64) -> IdRange {
        IdRange { first, ids, step_by }
    }

    #[test]
    fn ids_go_on_behind_a_gap() {
        let ids = IdBlock::new(vec![(20, 2), (10, 3)]);
        let all: Vec<_> = (0..6).map(|place| ids.id(place)).collect();
        assert_eq!(all, [Some(10), Some(11), Some(12), Some(20), Some(21), None]);
        assert_eq!((ids.place(21), ids.place(13), ids.place(9)), (Some(4), None, None));
    }

    #[test]
    fn what_lies_between_ids_is_not_ours() {
        let ids = IdBlock::of(vec![range(10, 3, 10), range(60, 2, 10)]);
        let all: Vec<_> = (0..6).map(|place| ids.id(place)).collect();
        assert_eq!(all, [Some(10), Some(20), Some(30), Some(60), Some(70), None]);
        for (place, id) in all.iter().flatten().enumerate() {
            assert_eq!(ids.place(*id), Some(place as u64));
        }
        assert!([9, 11, 19, 25, 40, 50, 65, 80].iter().all(|id| ids.place(*id).is_none()));
    }

    #[test]
    fn ranges_may_lie_in_each_other() {
        // A sequence that was set back while it counted by tens, then by fives.
        let ids = IdBlock::of(vec![range(10, 10, 10), range(13, 2, 1), range(15, 3, 10)]);
        let all: Vec<i64> = ids.ranges().flat_map(IdRange::iter).collect();
        for (place, id) in all.iter().enumerate() {
            assert_eq!((ids.id(place as u64), ids.place(*id)), (Some(*id), Some(place as u64)));
        }
        assert!([12, 16, 45, 101, 110].iter().all(|id| ids.place(*id).is_none()));
    }

    #[test]
    fn a_condition_admits_our_ids_alone() {
        let ranges = [range(5, 2, 1), range(20, 3, 10)].map(|range| ("t".to_owned(), range));
        let ours = Ours::new(ranges);
        let expected = "(s.id BETWEEN 5 AND 6 OR (s.id BETWEEN 20 AND 40 AND (s.id - 20) % 10 = 0))";
        assert_eq!(ours.condition("t", "s.id"), expected);
        assert_eq!(ours.condition("u", "s.id"), "1 = 0");
        assert!(ours.made("t", 30) && !ours.made("t", 31) && !ours.made("u", 30));
    }

    #[test]
    fn many_ranges_are_searched_by_halves() {
        let ids = IdBlock::of((0..100_000).map(|n| range(n * 40, 2, 10)).collect());
        let began = std::time::Instant::now();
        for place in 0..200_000 {
            let id = ids.id(place).expect("an id");
            assert_eq!(ids.place(id), Some(place));
        }
        // By walking it would be ten thousand million steps.
        assert!(began.elapsed() < std::time::Duration::from_secs(5));
    }
}
