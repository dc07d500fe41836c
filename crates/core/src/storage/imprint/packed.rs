//! Rows as the ledger keeps them: by columns, in the order of the legacy keys, compressed.

use std::borrow::Cow;
use std::io;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::sent::Table;
use super::value::Value;
use crate::words::Key;

/// Twice as fast as the level that saves a tenth more.
const LEVEL: i32 = 1;

/// The column by which rows are known, where they have it.
const ID: &str = "id";

/// Rows of one table, ready for the ledger.
#[derive(Debug)]
pub(crate) struct Packed {
    /// The table.
    pub(crate) table: Cow<'static, str>,
    /// How many rows.
    pub(crate) rows: usize,
    /// The lowest and the highest id, where rows have one.
    pub(crate) ids: Option<(i64, i64)>,
    /// Not yet compressed: the same bytes for the same rows.
    pub(crate) bytes: Vec<u8>,
    compressed: OnceLock<Vec<u8>>,
}

/// What the bytes hold.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    columns: Vec<Cow<'a, str>>,
    /// Each as its distance from the one before, which most often is 1.
    keys: Vec<i64>,
    values: Vec<Column<'a>>,
}

/// The values of a column, in the form that takes the least room.
#[derive(Serialize, Deserialize)]
enum Column<'a> {
    /// All the same.
    Same(Cow<'a, Value>),
    /// Integers that are never NULL, each as its distance from the one before.
    Integers(Vec<i64>),
    /// The same, but where they are NULL.
    SomeIntegers(Vec<Option<i64>>),
    Texts(Vec<Cow<'a, str>>),
    Values(Vec<Cow<'a, Value>>),
}

impl<'a> Column<'a> {
    fn of(values: &'a [Value], order: &[u32]) -> Self {
        if let Some(first) = values.first()
            && values.iter().all(|value| value == first)
        {
            return Self::Same(Cow::Borrowed(first));
        }
        let ordered = || order.iter().map(|row| &values[*row as usize]);
        let mut before = 0_i64;
        let mut distance = |value: i64| value.wrapping_sub(std::mem::replace(&mut before, value));
        let (mut nulls, mut integers, mut texts) = (false, false, false);
        for value in values {
            match value {
                Value::Null => nulls = true,
                Value::Integer(_) => integers = true,
                Value::Text(_) => texts = true,
                Value::Real(_) => return Self::Values(ordered().map(Cow::Borrowed).collect()),
            }
        }
        match (integers, texts, nulls) {
            (true, false, false) => Self::Integers(ordered().filter_map(Value::integer).map(distance).collect()),
            (true, false, true) => {
                Self::SomeIntegers(ordered().map(|value| value.integer().map(&mut distance)).collect())
            }
            (false, true, false) => {
                Self::Texts(ordered().filter_map(Value::text).map(|text| Cow::Borrowed(text.as_str())).collect())
            }
            _ => Self::Values(ordered().map(Cow::Borrowed).collect()),
        }
    }

    fn values(self, rows: usize) -> Vec<Value> {
        let mut before = 0_i64;
        let mut integer = |distance: i64| {
            before = before.wrapping_add(distance);
            Value::Integer(before)
        };
        match self {
            Self::Same(value) => vec![value.into_owned(); rows],
            Self::Integers(distances) => distances.into_iter().map(integer).collect(),
            Self::SomeIntegers(distances) => {
                distances.into_iter().map(|distance| distance.map_or(Value::Null, &mut integer)).collect()
            }
            Self::Texts(texts) => texts.into_iter().map(|text| Value::Text(text.into())).collect(),
            Self::Values(values) => values.into_iter().map(Cow::into_owned).collect(),
        }
    }
}

impl Packed {
    /// Packs the rows of a table.
    pub(crate) fn of(table: &Table) -> Self {
        let mut order: Vec<u32> = (0..).take(table.keys.len()).collect();
        if !table.keys.is_sorted() {
            order.sort_by_key(|row| table.keys[*row as usize]);
        }
        let mut before: Key = 0;
        let keys = order.iter().map(|row| table.keys[*row as usize]);
        let content = Content {
            columns: table.columns.clone(),
            keys: keys.map(|key| key.wrapping_sub(std::mem::replace(&mut before, key))).collect(),
            values: table.values.iter().map(|values| Column::of(values, &order)).collect(),
        };
        let ids = table.column(ID).map(|id| &table.values[id]);
        let ids = || ids.into_iter().flatten().filter_map(Value::integer);
        Self {
            table: table.name.clone(),
            rows: order.len(),
            ids: ids().min().zip(ids().max()),
            bytes: postcard::to_stdvec(&content).expect("values have a postcard form"),
            compressed: OnceLock::new(),
        }
    }

    /// The bytes, compressed when they are first asked for.
    pub(crate) fn compressed(&self) -> &[u8] {
        self.compressed
            .get_or_init(|| zstd::bulk::compress(&self.bytes, LEVEL).expect("memory is compressed into memory"))
    }

    /// The rows of a table, from compressed bytes.
    ///
    /// # Errors
    /// They are not those of rows.
    pub(crate) fn unpacked(table: String, compressed: &[u8]) -> io::Result<Table> {
        let bytes = zstd::stream::decode_all(compressed)?;
        let content: Content<'_> = postcard::from_bytes(&bytes).map_err(io::Error::other)?;
        let mut before: Key = 0;
        let keys: Vec<Key> = content
            .keys
            .into_iter()
            .map(|distance| {
                before = before.wrapping_add(distance);
                before
            })
            .collect();
        let rows = keys.len();
        let values: Vec<Vec<Value>> = content.values.into_iter().map(|column| column.values(rows)).collect();
        if values.len() != content.columns.len() || values.iter().any(|column| column.len() != rows) {
            return Err(io::Error::other("columns of several lengths"));
        }
        let columns = content.columns.into_iter().map(|name| Cow::Owned(name.into_owned())).collect();
        Ok(Table { name: Cow::Owned(table), columns, keys, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn rows_come_back_in_the_order_of_their_keys() {
        let integer = Value::Integer;
        let table = Table {
            name: "things".into(),
            columns: ["id", "name", "parent", "weight", "mixed", "same"].map(Cow::Borrowed).to_vec(),
            keys: vec![7, -2, 7],
            values: vec![
                vec![integer(i64::MAX), integer(i64::MIN), integer(3)],
                vec![text("Ann"), text(""), text("a name that is longer than what stands in place")],
                vec![Value::Null, integer(4), integer(-4)],
                vec![Value::Real(0.0), Value::Real(-0.0), Value::Null],
                vec![text("1"), integer(1), Value::Null],
                vec![Value::Null, Value::Null, Value::Null],
            ],
        };
        let packed = Packed::of(&table);
        assert_eq!((packed.rows, packed.ids), (3, Some((i64::MIN, i64::MAX))));
        let back = Packed::unpacked("things".to_owned(), packed.compressed()).unwrap();
        assert_eq!(back.keys, [-2, 7, 7]);
        assert_eq!([back.row(0), back.row(1), back.row(2)], [table.row(1), table.row(0), table.row(2)]);
        assert_eq!(Packed::of(&back).bytes, packed.bytes);
        assert!(Packed::unpacked("things".to_owned(), b"no rows").is_err());
    }

    #[test]
    fn no_rows_are_rows_too() {
        let table = Table { name: "things".into(), columns: vec![], keys: vec![], values: vec![] };
        let packed = Packed::of(&table);
        assert!(Packed::unpacked("things".to_owned(), packed.compressed()).unwrap().keys.is_empty());
    }
}
