//! Legacy rows as they were read, in the form in which the ledger keeps rows.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::row::row;
use super::sent::{RowInto, Table};
use super::value::Value;
use super::values::Values;
use crate::storage::fields::{self, Field};
use crate::words::Key;

/// The column of rows that are told whole, as JSON: one of their cells holds what no column does.
const WHOLE: &str = "";

impl Table {
    /// Legacy rows of a table.
    pub(crate) fn of_legacy<'a, L: Serialize + 'a>(name: &str, rows: impl Iterator<Item = (Key, &'a L)>) -> Self {
        let mut table = Self::empty(Cow::Owned(name.to_owned()));
        let mut whole = Values::default();
        let room = rows.size_hint().0;
        table.keys.reserve(room);
        for (key, row) in rows {
            let before = table.keys.len();
            let is_first = table.columns.is_empty();
            if fields::each(row, &mut RowInto::new(&mut table, &[], room)).is_err() {
                if is_first {
                    // Not all columns were told.
                    (table.columns, table.values) = (Vec::new(), Vec::new());
                }
                table.values.iter_mut().for_each(|values| {
                    values.truncate(before);
                    values.push(Field::Null);
                });
                whole.fill(before);
                whole.push(Field::Text(&serde_json::to_string(row).expect("a legacy row has a JSON form")));
            }
            table.keys.push(key);
        }
        if whole.len() > 0 {
            whole.fill(table.keys.len());
            table.columns.push(Cow::Borrowed(WHOLE));
            table.values.push(whole);
        }
        table
    }

    /// How many of these legacy rows read otherwise in another table that has them too. What these do not tell is not compared.
    pub(crate) fn altered(&self, now: &Self) -> u64 {
        let places: FxHashMap<Key, usize> = now.keys.iter().enumerate().map(|(place, key)| (*key, place)).collect();
        let mut columns: Vec<(Option<usize>, Option<usize>)> =
            self.columns.iter().enumerate().map(|(place, name)| (Some(place), now.column(name))).collect();
        if self.column(WHOLE).is_none() {
            columns.push((None, now.column(WHOLE)));
        }
        let value = |table: &Self, column: Option<usize>, row| -> Value {
            column.map_or(Value::Null, |column| table.values[column].get(row).into())
        };
        let is_other = |(row, key): (usize, &Key)| {
            places
                .get(key)
                .is_some_and(|at| columns.iter().any(|(was, is)| value(self, *was, row) != value(now, *is, *at)))
        };
        self.keys.iter().enumerate().filter(|one| is_other(*one)).count() as u64
    }

    /// The text that a column of a legacy row holds, by its place; none where it holds none.
    pub(crate) fn cell(&self, place: usize, column: &str) -> Option<Cow<'_, str>> {
        let text = |column: usize| match self.values[column].get(place) {
            Field::Text(text) => Some(text),
            _ => None,
        };
        if let Some(whole) = self.column(WHOLE).and_then(text) {
            let mut row: serde_json::Value = serde_json::from_str(whole).ok()?;
            return match row.get_mut(column)?.take() {
                serde_json::Value::String(text) => Some(text.into()),
                _ => None,
            };
        }
        self.column(column).and_then(text).map(Cow::Borrowed)
    }

    /// A legacy row, or some of its columns, by its place; none where it is not one of the model.
    pub(crate) fn legacy<L: DeserializeOwned>(&self, place: usize) -> Option<L> {
        let whole = self.column(WHOLE).map(|whole| self.values[whole].get(place));
        match whole {
            Some(Field::Text(json)) => serde_json::from_str(json).ok(),
            _ => row(self.columns.iter().zip(&self.values).map(|(name, values)| (&**name, values.get(place)))).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::packed::Packed;
    use super::*;
    use crate::storage::cell::Cell;
    use crate::storage::types::Wall;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Thing {
        id: Key,
        name: Cell<String>,
        weight: Cell<f32>,
        made: Cell<Wall>,
        parent: Cell<i64>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Narrow {
        id: Key,
        made: Cell<Wall>,
    }

    fn thing(id: Key) -> Thing {
        Thing {
            id,
            name: Cell::Good("{\"raw\": \"no\", \"why\": \"cell\"}".to_owned()),
            weight: Cell::Good(0.1),
            made: Cell::Good(Wall("2019-04-01 12:30:00.25".parse().unwrap())),
            parent: Cell::Good(-1),
        }
    }

    #[test]
    fn every_row_comes_back_as_it_was_read() {
        let bad = |id| Thing { parent: Cell::bad("18446744073709551615", "out of range"), ..thing(id) };
        let empty = |id| Thing { id, name: Cell::Null, weight: Cell::Null, made: Cell::Null, parent: Cell::Null };
        for rows in [
            vec![],
            vec![thing(1), empty(2), thing(3)],
            vec![bad(1), thing(2), bad(3), empty(4)],
            vec![bad(1), bad(2)],
            vec![thing(4), bad(5)],
        ] {
            let table = Table::of_legacy("thing", rows.iter().map(|row| (row.id, row)));
            let packed = Packed::of(&table);
            let back = Packed::unpacked("thing".to_owned(), packed.compressed()).unwrap();
            let read: Vec<Thing> = (0..rows.len()).map(|place| back.legacy(place).unwrap()).collect();
            assert_eq!(read, rows);
            for (place, row) in rows.iter().enumerate() {
                let narrow = Narrow { id: row.id, made: row.made.clone() };
                assert_eq!(back.legacy::<Narrow>(place), Some(narrow));
            }
        }
    }

    #[test]
    fn rows_that_read_otherwise_are_counted() {
        let of = |rows: &[Thing]| Table::of_legacy("thing", rows.iter().map(|row| (row.id, row)));
        let bad = |id| Thing { parent: Cell::bad("18446744073709551615", "out of range"), ..thing(id) };
        let empty = |id| Thing { id, name: Cell::Null, weight: Cell::Null, made: Cell::Null, parent: Cell::Null };
        let was = of(&[thing(1), thing(2), thing(3), bad(4), bad(5), empty(6)]);
        assert_eq!(was.altered(&was), 0);
        assert_eq!(was.altered(&of(&[])), 0, "what is gone reads no otherwise");
        let now = [thing(7), empty(6), bad(5), thing(4), bad(3), Thing { weight: Cell::Good(0.2), ..thing(2) }];
        assert_eq!(was.altered(&of(&now)), 3);
        assert_eq!(of(&[empty(6)]).altered(&of(&[bad(6)])), 1);
    }

    #[test]
    fn a_row_of_another_model_is_none() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Other {
            colour: Cell<String>,
        }
        let row = thing(1);
        let table = Table::of_legacy("thing", std::iter::once((1, &row)));
        assert_eq!(table.legacy::<Other>(0), None);
    }
}
