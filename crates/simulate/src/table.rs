//! What a table is to those who write it somewhere.

use crate::row::Row;
use crate::world::World;

/// The database that a table stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Legacy,
    Platform,
}

/// A table: any of its rows can be made by its number.
#[derive(Clone, Copy)]
pub(crate) struct Table {
    pub(crate) side: Side,
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [&'static str],
    /// Numbers of rows: 0 to this, this not included. Not every number has a row.
    pub(crate) rows: u64,
    /// Makes a row, in the order of the columns; false where there is none.
    pub(crate) make: fn(&World, u64, &mut Row) -> bool,
}

/// Rows that are made together.
pub(crate) const SLICE: u64 = 20_000;

impl Table {
    /// Writes rows one after the other, each by `write`. Returns how many there were.
    pub(crate) fn slice(
        &self,
        world: &World,
        rows: std::ops::Range<u64>,
        out: &mut Vec<u8>,
        write: fn(&Row, &mut Vec<u8>),
    ) -> u64 {
        let mut row = Row::default();
        let mut made = 0;
        for number in rows {
            row.clear();
            if (self.make)(world, number, &mut row) {
                debug_assert_eq!(row.cells().count(), self.columns.len(), "{}", self.name);
                write(&row, out);
                made += 1;
            }
        }
        made
    }

    /// Its rows in slices.
    pub(crate) fn slices(&self) -> impl Iterator<Item = std::ops::Range<u64>> + use<> {
        let rows = self.rows;
        (0..rows.div_ceil(SLICE)).map(move |slice| slice * SLICE..((slice + 1) * SLICE).min(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rates::Rates;

    fn whole(world: &World, table: &Table) -> Vec<u8> {
        let mut out = Vec::new();
        table.slice(world, 0..table.rows, &mut out, Row::csv);
        out
    }

    fn tables(world: &World) -> Vec<Table> {
        [Side::Legacy, Side::Platform].iter().flat_map(|side| side.tables(world)).collect()
    }

    #[test]
    fn slices_agree_with_the_whole_and_a_second_run() {
        let [world, again] = [(); 2].map(|()| World::new(30_000, 5, Rates::default()));
        for table in tables(&world) {
            let whole = whole(&world, &table);
            let mut pieces: Vec<(u64, Vec<u8>)> = Vec::new();
            // The last ones first, in sizes that fit no block.
            let mut end = table.rows;
            while end > 0 {
                let from = end.saturating_sub(777);
                let mut out = Vec::new();
                table.slice(&again, from..end, &mut out, Row::csv);
                pieces.push((from, out));
                end = from;
            }
            pieces.sort();
            let pieces: Vec<u8> = pieces.into_iter().flat_map(|(_, out)| out).collect();
            assert!(whole == pieces, "{}", table.name);
        }
    }

    #[test]
    fn another_seed_makes_other_rows() {
        let [one, other] = [1, 2].map(|seed| World::new(1_000, seed, Rates::default()));
        let differ = |(a, b): (&Table, &Table)| whole(&one, a) != whole(&other, b);
        let (ours, theirs) = (tables(&one), tables(&other));
        assert!(ours.iter().zip(&theirs).filter(|(a, _)| a.side == Side::Legacy && a.name != "meta").all(differ));
    }

    #[test]
    fn any_rates_make_rows() {
        for share in [0.0, 0.01, 0.5, 1.0] {
            let text = Rates::default().to_toml();
            let text: Vec<String> = text
                .lines()
                .map(|line| line.split_once(" = ").map_or(line.to_owned(), |(name, _)| format!("{name} = {share:?}")))
                .collect();
            let world = World::new(1_000, 1, Rates::parse(&text.join("\n")).unwrap());
            for table in tables(&world) {
                whole(&world, &table);
            }
        }
    }
}
