//! Rows as the ledger keeps them: by columns, in the order of the legacy keys, compressed.

use std::borrow::Cow;
use std::io;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::sent::Table;
use super::value::Value;
use super::values::{Common, Integers, Values};
use crate::storage::fields::Field;
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
    Same(Value),
    /// Integers that are never NULL, each as its distance from the one before.
    Integers(Vec<i64>),
    /// The same, but where they are NULL.
    SomeIntegers(Vec<Option<i64>>),
    /// Texts, as an older version put them.
    Texts(Vec<Cow<'a, str>>),
    Values(Vec<Value>),
    /// Integers in other numbers than themselves.
    Numbers(Form, Vec<i64>),
    /// The same, but where they are NULL.
    SomeNumbers(Form, Vec<Option<i64>>),
    /// A few values that come again and again, and for each row the place of its own among them.
    Few(Vec<Value>, Vec<u8>),
    /// Texts, one after the other, and the length of each and one; 0 where it is NULL.
    Joined(Cow<'a, str>, Vec<u64>),
}

/// Of how many values it is said that they are few.
const FEW: usize = 64;

impl<'a> Column<'a> {
    /// The nth column of a table.
    fn of(columns: &[&'a Values], nth: usize, order: &[u32]) -> Self {
        let values = &columns[nth];
        if values.len() > 0 && values.is_one() {
            return Self::Same(values.get(0).into());
        }
        if let Some((few, codes)) = values.few(order, FEW.min(order.len() / 4)) {
            return Self::Few(few, codes);
        }
        let rows = order.iter().map(|row| *row as usize);
        match values.common() {
            Common::Integers(own) => {
                let form = Form::best(columns, own, nth, order);
                let numbers = form.numbers(columns, own, order);
                match (form.is_plain(), own.has_nulls()) {
                    (true, false) => Self::Integers(numbers.flatten().collect()),
                    (true, true) => Self::SomeIntegers(numbers.collect()),
                    (false, false) => Self::Numbers(form, numbers.flatten().collect()),
                    (false, true) => Self::SomeNumbers(form, numbers.collect()),
                }
            }
            Common::Texts(texts) => {
                let lengths = rows.clone().map(|row| texts.get(row).map_or(0, |text| text.len() as u64 + 1)).collect();
                let text = match order.is_sorted() {
                    true => Cow::Borrowed(texts.all()),
                    false => Cow::Owned(rows.filter_map(|row| texts.get(row)).collect()),
                };
                Self::Joined(text, lengths)
            }
            Common::Any => Self::Values(rows.map(|row| values.get(row).into()).collect()),
        }
    }

    /// The values of a column, from those of the columns that stand before it.
    fn values(self, rows: usize, columns: &[Values]) -> Option<Values> {
        Some(match self {
            Self::Same(value) => std::iter::repeat_n(value.field(), rows).collect(),
            Self::Few(few, codes) => {
                codes.iter().map(|code| few.get(usize::from(*code)).map(Value::field)).collect::<Option<_>>()?
            }
            Self::Integers(numbers) => Form::PLAIN.values(numbers.into_iter().map(Some), columns)?,
            Self::SomeIntegers(numbers) => Form::PLAIN.values(numbers.into_iter(), columns)?,
            Self::Numbers(form, numbers) => form.values(numbers.into_iter().map(Some), columns)?,
            Self::SomeNumbers(form, numbers) => form.values(numbers.into_iter(), columns)?,
            Self::Texts(texts) => texts.iter().map(|text| Field::Text(text)).collect(),
            Self::Joined(text, lengths) => {
                let mut rest = &*text;
                let field = |length: u64| {
                    let Some(length) = length.checked_sub(1) else { return Some(Field::Null) };
                    let (text, more) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                    rest = more;
                    Some(Field::Text(text))
                };
                lengths.into_iter().map(field).collect::<Option<_>>()?
            }
            Self::Values(values) => values.into(),
        })
    }
}

/// What numbers stand for integers: their distances from the one before, or from a column beside, in units. Times are multiples of a
/// second, and the times of a row lie near each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Form {
    /// The column beside, by its place.
    beside: Option<u32>,
    unit: i64,
}

/// How many rows are looked at to choose a form.
const LOOKED_AT: usize = 64;

impl Form {
    const PLAIN: Self = Self { beside: None, unit: 1 };

    fn is_plain(self) -> bool {
        self == Self::PLAIN
    }

    /// The form in which the nth column takes the least room.
    fn best(columns: &[&Values], own: Integers<'_>, nth: usize, order: &[u32]) -> Self {
        let beside = (0..nth).filter(|place| columns[*place].integers().is_some());
        let forms = std::iter::once(None).chain(beside.filter_map(|place| u32::try_from(place).ok()).map(Some));
        // Rows that follow each other stand for all: a distance is that between neighbours.
        let some = &order[..order.len().min(LOOKED_AT)];
        let weighed = forms.map(|beside| {
            let form = Self { beside, unit: 1 }.in_units(columns, own, some);
            let room = |number: i64| u64::from(64 - number.unsigned_abs().leading_zeros());
            (form.numbers(columns, own, some).flatten().map(room).sum::<u64>(), beside)
        });
        let (_, beside) = weighed.min_by_key(|(room, _)| *room).unwrap_or_default();
        Self { beside, unit: 1 }.in_units(columns, own, order)
    }

    /// The same in the largest unit of which all numbers are multiples.
    fn in_units(self, columns: &[&Values], own: Integers<'_>, order: &[u32]) -> Self {
        let mut unit = 0_u64;
        for number in self.numbers(columns, own, order).flatten() {
            unit = gcd(unit, number.unsigned_abs());
            if unit == 1 {
                break;
            }
        }
        Self { unit: i64::try_from(unit).unwrap_or(1).max(1), ..self }
    }

    fn numbers<'a>(
        self,
        columns: &[&'a Values],
        own: Integers<'a>,
        order: &'a [u32],
    ) -> impl Iterator<Item = Option<i64>> + use<'a> {
        let beside = self.beside.map(|place| columns[place as usize].integers());
        let mut before = 0_i64;
        order.iter().map(move |row| {
            let row = *row as usize;
            let value = own.get(row)?;
            let from = match beside {
                Some(beside) => beside.map_or(0, |beside| beside.or_zero(row)),
                None => std::mem::replace(&mut before, value),
            };
            Some(value.wrapping_sub(from) / self.unit)
        })
    }

    /// The integers; none where there is no column beside them.
    fn values(self, numbers: impl Iterator<Item = Option<i64>>, columns: &[Values]) -> Option<Values> {
        let beside = match self.beside {
            Some(place) => Some(columns.get(place as usize)?),
            None => None,
        };
        let mut before = 0_i64;
        let value = |(row, number): (usize, Option<i64>)| {
            let Some(number) = number else { return Some(Field::Null) };
            let from = match beside {
                Some(beside) if row >= beside.len() => return None,
                Some(beside) => match beside.get(row) {
                    Field::Integer(value) => value,
                    _ => 0,
                },
                None => before,
            };
            before = from.wrapping_add(number.wrapping_mul(self.unit));
            Some(Field::Integer(before))
        };
        numbers.enumerate().map(value).collect()
    }
}

/// The largest number of which both are multiples.
fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
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
        let keys = keys.map(|key| key.wrapping_sub(std::mem::replace(&mut before, key))).collect();
        let settled: Vec<Cow<'_, Values>> = table.values.iter().map(Values::settled).collect();
        let settled: Vec<&Values> = settled.iter().map(|values| &**values).collect();
        let columns = (0..settled.len()).map(|nth| Column::of(&settled, nth, &order));
        let content = Content { columns: table.columns.clone(), keys, values: columns.collect() };
        let ids = table.column(ID).and_then(|id| settled[id].integers());
        let ids = || ids.into_iter().flat_map(|ids| (0..order.len()).filter_map(move |row| ids.get(row)));
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
        let wrong = || io::Error::other("columns of several lengths");
        let mut values: Vec<Values> = Vec::with_capacity(content.values.len());
        for column in content.values {
            let column = column.values(rows, &values).filter(|column| column.len() == rows).ok_or_else(wrong)?;
            values.push(column);
        }
        if values.len() != content.columns.len() {
            return Err(wrong());
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
            values: [
                vec![integer(i64::MAX), integer(i64::MIN), integer(3)],
                vec![text("Ann"), text(""), text("a name that is longer than what stands in place")],
                vec![Value::Null, integer(4), integer(-4)],
                vec![Value::Real(0.0), Value::Real(-0.0), Value::Null],
                vec![text("1"), integer(1), Value::Null],
                vec![Value::Null, Value::Null, Value::Null],
            ]
            .map(Values::from)
            .to_vec(),
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
    fn integers_come_back_whatever_form_they_take() {
        let integer = Value::Integer;
        let day = 86_400_000_000_i64;
        let of = |values: Vec<Vec<Value>>| Table {
            name: "things".into(),
            columns: (0..values.len()).map(|place| Cow::Owned(format!("c{place}"))).collect(),
            keys: (0..).take(values[0].len()).collect(),
            values: values.into_iter().map(Values::from).collect(),
        };
        let some = |value: Option<i64>| value.map_or(Value::Null, integer);
        let times = || (0..300).map(|row: i64| row * row % 977 * day + 7 * 1_000_000);
        let tables = [
            vec![times().map(integer).collect(), times().map(|at| integer(at + 60_000_000)).collect()],
            vec![
                times().map(|at| some((at % 7 > 0).then_some(at))).collect(),
                times().map(|at| some((at % 5 > 0).then_some(at + 1))).collect(),
            ],
            vec![
                vec![integer(i64::MIN), integer(i64::MAX), integer(0)],
                vec![integer(i64::MAX), integer(i64::MIN), Value::Null],
                vec![integer(0), integer(i64::MIN), integer(0)],
            ],
        ];
        for values in tables {
            let table = of(values);
            let packed = Packed::of(&table);
            assert_eq!(Packed::unpacked("things".to_owned(), packed.compressed()).unwrap().values, table.values);
        }
        let few = [Value::Null, text("paid"), integer(3), Value::Real(0.5)];
        let again: Vec<Value> = (0..300).map(|row| few[row * row % few.len()].clone()).collect();
        let many: Vec<Value> =
            (0..300).map(|row| if row % 3 == 0 { Value::Null } else { text(&row.to_string()) }).collect();
        let table = of(vec![again, many]);
        let packed = Packed::of(&table);
        assert_eq!(Packed::unpacked("things".to_owned(), packed.compressed()).unwrap().values, table.values);
        assert!(packed.bytes.len() < 300 * 7, "{}", packed.bytes.len());

        let order: Vec<u32> = (0..300).collect();
        let near: Values = times().map(|at| Field::Integer(at + 60_000_000)).collect();
        let times: Values = times().map(Field::Integer).collect();
        let form = Form::best(&[&times, &near], near.integers().unwrap(), 1, &order);
        assert_eq!(form, Form { beside: Some(0), unit: 60_000_000 });
    }

    #[test]
    fn no_rows_are_rows_too() {
        let table = Table { name: "things".into(), columns: vec![], keys: vec![], values: vec![] };
        let packed = Packed::of(&table);
        assert!(Packed::unpacked("things".to_owned(), packed.compressed()).unwrap().keys.is_empty());
    }
}
