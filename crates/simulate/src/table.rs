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
