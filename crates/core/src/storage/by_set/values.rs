//! The distinct values of foreign keys in rows of a model, by the names of their columns.

use rustc_hash::FxHashSet;
use serde::Serialize;

use super::keys::ForeignKey;
use crate::storage::fields::{self, Field, Fields, Untold};

/// A value of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Value {
    Null,
    Integer(i64),
    Text(String),
}

/// The values of a column of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Column {
    Integers(Vec<i64>),
    Texts(Vec<String>),
}

/// The distinct values of a key, column by column; without those that have a NULL in them, which no parent has to meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Values {
    columns: Vec<Column>,
    len: usize,
}

impl Values {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }
}

/// The values of each key in `rows`, sorted, so that locks are taken in one order. A column that rows do not have is NULL. None
/// where a row does not tell a value, or the server would fill a column.
pub(super) fn of<T: Serialize>(rows: &[T], keys: &[ForeignKey]) -> Option<Vec<Values>> {
    let mut wanted: Vec<&str> = Vec::new();
    for column in keys.iter().flat_map(|key| &key.columns) {
        if !wanted.contains(&column.as_str()) {
            wanted.push(column);
        }
    }
    let place = |column: &String| wanted.iter().position(|wanted| wanted == column);
    let places: Vec<Vec<usize>> = keys.iter().map(|key| key.columns.iter().filter_map(place).collect()).collect();
    let mut distinct: Vec<Distinct> = places.iter().map(|places| Distinct::new(places.len())).collect();
    let slot = Slot { value: Value::Null, seen: false, is_new: true };
    let mut picked = Picked { wanted: &wanted, slots: vec![slot; wanted.len()] };
    for row in rows {
        fields::each(row, &mut picked).ok()?;
        for (distinct, places) in distinct.iter_mut().zip(&places) {
            // Rows stand in the order of a parent: mostly a key is that of the row before.
            if places.iter().any(|place| picked.slots[*place].is_new) {
                distinct.add(&picked.slots, places);
            }
        }
        picked.slots.iter_mut().for_each(|slot| slot.is_new = false);
    }
    let fills = |key: &ForeignKey, places: &[usize]| {
        key.defaults.iter().zip(places).any(|(default, place)| *default && !picked.slots[*place].seen)
    };
    if keys.iter().zip(&places).any(|(key, places)| fills(key, places)) {
        return None;
    }
    distinct.into_iter().map(Distinct::sorted).collect()
}

/// The values of a key, as they are gathered. Most keys have one column of integers.
enum Distinct {
    Integers(Vec<i64>),
    Rows(FxHashSet<Vec<Value>>),
}

impl Distinct {
    fn new(columns: usize) -> Self {
        if columns == 1 { Self::Integers(Vec::new()) } else { Self::Rows(FxHashSet::default()) }
    }

    fn add(&mut self, slots: &[Slot], places: &[usize]) {
        match (&mut *self, places) {
            (Self::Integers(integers), [place]) => match &slots[*place].value {
                Value::Null => {}
                Value::Integer(value) => integers.push(*value),
                Value::Text(_) => {
                    let before = integers.drain(..).map(|value| vec![Value::Integer(value)]);
                    *self = Self::Rows(before.collect());
                    self.add(slots, places);
                }
            },
            (Self::Integers(_), _) => unreachable!("integers are those of one column"),
            (Self::Rows(rows), _) => {
                if places.iter().any(|place| slots[*place].value == Value::Null) {
                    return;
                }
                if let [place] = places
                    && rows.contains(std::slice::from_ref(&slots[*place].value))
                {
                    return;
                }
                rows.insert(places.iter().map(|place| slots[*place].value.clone()).collect());
            }
        }
    }

    /// None where a column has integers and texts.
    fn sorted(self) -> Option<Values> {
        match self {
            Self::Integers(mut integers) => {
                integers.sort_unstable();
                integers.dedup();
                Some(Values { len: integers.len(), columns: vec![Column::Integers(integers)] })
            }
            Self::Rows(rows) => {
                let mut rows: Vec<Vec<Value>> = rows.into_iter().collect();
                rows.sort_unstable();
                let columns = rows.first().map_or(0, Vec::len);
                let column = |n: usize| {
                    let values = || rows.iter().map(move |row| &row[n]);
                    let integers: Option<Vec<i64>> = values()
                        .map(|value| if let Value::Integer(value) = value { Some(*value) } else { None })
                        .collect();
                    let texts =
                        || values().map(|value| if let Value::Text(text) = value { Some(text.clone()) } else { None });
                    integers.map(Column::Integers).or_else(|| texts().collect::<Option<_>>().map(Column::Texts))
                };
                let columns: Option<Vec<Column>> = (0..columns).map(column).collect();
                Some(Values { len: rows.len(), columns: columns? })
            }
        }
    }
}

/// Rows of a model on their way, one after the other: their wanted fields.
struct Picked<'a> {
    wanted: &'a [&'a str],
    slots: Vec<Slot>,
}

/// A wanted field.
#[derive(Debug, Clone)]
struct Slot {
    /// That of the last row.
    value: Value,
    /// Whether rows have it.
    seen: bool,
    /// Whether the row before had another value.
    is_new: bool,
}

impl Slot {
    fn set(&mut self, value: Value) {
        self.is_new |= self.value != value;
        self.value = value;
    }

    fn set_text(&mut self, text: &str) {
        match &mut self.value {
            Value::Text(known) if known == text => {}
            Value::Text(known) => {
                self.is_new = true;
                known.clear();
                known.push_str(text);
            }
            _ => self.set(Value::Text(text.to_owned())),
        }
    }
}

impl Fields for Picked<'_> {
    fn place(&mut self, name: &'static str) -> Option<usize> {
        self.wanted.iter().position(|wanted| *wanted == name)
    }

    fn take(&mut self, place: usize, value: Field<'_>) -> Result<(), Untold> {
        let slot = &mut self.slots[place];
        slot.seen = true;
        match value {
            Field::Null => slot.set(Value::Null),
            Field::Integer(value) => slot.set(Value::Integer(value)),
            Field::Text(text) => slot.set_text(text),
            Field::Real(_) | Field::Bool(_) => return Err(Untold),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Row {
        id: i64,
        parent: Option<i64>,
        currency: &'static str,
        weight: f64,
    }

    fn key(columns: &[&str]) -> ForeignKey {
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        ForeignKey {
            name: String::new(),
            parent_name: String::new(),
            parent: String::new(),
            parent_oid: 0,
            operators: Vec::new(),
            parent_columns: Vec::new(),
            types: Vec::new(),
            columns,
            defaults: vec![false],
        }
    }

    fn rows() -> Vec<Row> {
        let row = |id, parent, currency| Row { id, parent, currency, weight: 1.5 };
        vec![
            row(1, Some(9), "EUR"),
            row(2, None, "GBP"),
            row(3, Some(4), "EUR"),
            row(4, Some(9), "EUR"),
            row(5, Some(9), "EUR"),
        ]
    }

    #[test]
    fn values_are_distinct_sorted_and_without_null() {
        let found = of(&rows(), &[key(&["parent"]), key(&["currency"]), key(&["parent", "currency"])]).unwrap();
        assert_eq!(found[0].columns, [Column::Integers(vec![4, 9])]);
        assert_eq!(found[1].columns, [Column::Texts(vec!["EUR".to_owned(), "GBP".to_owned()])]);
        let both = [Column::Integers(vec![4, 9]), Column::Texts(vec!["EUR".to_owned(), "EUR".to_owned()])];
        assert_eq!((found[2].len(), &*found[2].columns), (2, &both[..]));
    }

    #[test]
    fn a_field_that_tells_no_value_leaves_the_key_to_the_server() {
        assert_eq!(of(&rows(), &[key(&["weight"])]), None);
        // A column that the model does not have is NULL, unless the server fills it.
        assert_eq!(of(&rows(), &[key(&["colour"])]).unwrap()[0].len(), 0);
        assert_eq!(of(&rows(), &[ForeignKey { defaults: vec![true], ..key(&["colour"]) }]), None);
        assert!(of(&rows(), &[key(&["id"])]).is_some());
    }
}
