//! Target rows of one kind, each tied to the unit that it came from.

use serde::Serialize;
use serde_json::Value;

/// A unit of legacy rows, by its place in the chunk.
pub type UnitIndex = u32;

/// Target rows of one kind, with the unit that each came from.
#[derive(Debug, Clone)]
pub struct Batch<T> {
    pub(super) rows: Vec<T>,
    pub(super) units: Vec<UnitIndex>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), units: Vec::new() }
    }
}

impl<T> Batch<T> {
    /// The rows.
    pub fn rows(&self) -> &[T] {
        &self.rows
    }

    /// The rows with their units.
    pub fn iter(&self) -> impl Iterator<Item = (UnitIndex, &T)> {
        self.units.iter().copied().zip(&self.rows)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    #[doc(hidden)]
    pub fn push(&mut self, unit: UnitIndex, row: T) {
        self.units.push(unit);
        self.rows.push(row);
    }

    #[doc(hidden)]
    pub fn withdraw(&mut self, unit: UnitIndex) {
        while self.units.last() == Some(&unit) {
            self.units.pop();
            self.rows.pop();
        }
    }

    #[doc(hidden)]
    pub fn append(&mut self, mut other: Self, units_before: UnitIndex) {
        self.rows.append(&mut other.rows);
        self.units.extend(other.units.iter().map(|unit| unit + units_before));
    }
}

impl<T> Batch<T> {
    /// Puts the rows into the order of their places: that in which the target takes them best.
    #[doc(hidden)]
    pub fn arrange(&mut self, place: fn(&T) -> i64) {
        if self.rows.windows(2).all(|pair| place(&pair[0]) <= place(&pair[1])) {
            return;
        }
        let places = u32::try_from(self.rows.len()).expect("a chunk has fewer than 2^32 rows");
        let mut order: Vec<(i64, u32)> = self.rows.iter().map(place).zip(0..places).collect();
        order.sort_unstable();
        // Rows are large: each is swapped to its place where they stand. What stood there before was swapped on, to where its
        // own place in the order tells.
        for to in 0..order.len() {
            let mut from = order[to].1 as usize;
            while from < to {
                from = order[from].1 as usize;
            }
            order[to].1 = from as u32;
            self.rows.swap(to, from);
            self.units.swap(to, from);
        }
    }
}

impl<T: Clone> Batch<T> {
    #[doc(hidden)]
    #[must_use]
    pub fn only(&self, keep: &dyn Fn(UnitIndex) -> bool) -> Self {
        let (units, rows) = self.iter().filter(|(unit, _)| keep(*unit)).map(|(unit, row)| (unit, row.clone())).unzip();
        Self { rows, units }
    }
}

impl<T: Serialize> Batch<T> {
    /// Calls `each` with every row as JSON, its unit and the name of the batch: to be looked at.
    #[doc(hidden)]
    pub fn show(&self, name: &'static str, each: &mut dyn FnMut(UnitIndex, &'static str, Value)) {
        for (unit, row) in self.iter() {
            each(unit, name, serde_json::to_value(row).unwrap_or_default());
        }
    }
}
