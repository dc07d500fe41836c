//! The values of a column of many rows, in the form that they have in common.

use std::borrow::Cow;
use std::hash::Hash;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::value::Value;
use crate::storage::fields::Field;

/// The values of a column, one for each row.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Value>", into = "Vec<Value>")]
pub(crate) struct Values {
    held: Held,
    /// Which rows hold NULL, where some do and others do not.
    nulls: Option<Vec<bool>>,
    /// About how many rows there will be.
    room: usize,
}

/// What rows hold. Where one holds NULL, it has the place of an empty value.
#[derive(Debug, Clone)]
enum Held {
    /// Nothing but NULL, as many times.
    Nothing(usize),
    Integers(Vec<i64>),
    /// All texts, one after the other, and where each ends.
    Texts(String, Vec<usize>),
    /// Floats, or values of several kinds.
    Mixed(Vec<Value>),
}

impl Default for Held {
    fn default() -> Self {
        Self::Nothing(0)
    }
}

/// What the values of a column have in common.
pub(super) enum Common<'a> {
    Integers(Integers<'a>),
    Texts(Texts<'a>),
    /// Anything.
    Any,
}

/// Integers, or NULL.
#[derive(Clone, Copy)]
pub(super) struct Integers<'a> {
    values: &'a [i64],
    nulls: Option<&'a [bool]>,
}

impl Integers<'_> {
    /// What a row holds.
    pub(super) fn get(self, row: usize) -> Option<i64> {
        if self.nulls.is_some_and(|nulls| nulls[row]) { None } else { Some(self.values[row]) }
    }

    /// The same, with 0 for NULL.
    pub(super) fn or_zero(self, row: usize) -> i64 {
        self.values[row]
    }

    /// Whether a row may hold NULL.
    pub(super) fn has_nulls(self) -> bool {
        self.nulls.is_some()
    }
}

/// Texts, or NULL.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a> {
    text: &'a str,
    ends: &'a [usize],
    nulls: Option<&'a [bool]>,
}

impl<'a> Texts<'a> {
    /// What a row holds.
    pub(super) fn get(self, row: usize) -> Option<&'a str> {
        if self.nulls.is_some_and(|nulls| nulls[row]) { None } else { Some(nth(self.text, self.ends, row)) }
    }

    /// All texts, one after the other.
    pub(super) fn all(self) -> &'a str {
        self.text
    }
}

/// The nth of texts that stand one after the other.
fn nth<'a>(all: &'a str, ends: &[usize], row: usize) -> &'a str {
    let from = row.checked_sub(1).map_or(0, |before| ends[before]);
    &all[from..ends[row]]
}

/// A few values that come again and again: each once, and for each row the place of its own among them.
pub(super) type Few = (Vec<Value>, Vec<u8>);

impl Values {
    /// NULL, as many times, with room for more.
    pub(crate) fn nulls(rows: usize, room: usize) -> Self {
        Self { held: Held::Nothing(rows), nulls: None, room }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match &self.held {
            Held::Nothing(rows) => *rows,
            Held::Integers(values) => values.len(),
            Held::Texts(_, ends) => ends.len(),
            Held::Mixed(values) => values.len(),
        }
    }

    /// Adds the value of one more row.
    #[inline]
    pub(crate) fn push(&mut self, value: Field<'_>) {
        match (&mut self.held, value) {
            (Held::Integers(values), Field::Integer(value)) => values.push(value),
            (Held::Texts(all, ends), Field::Text(text)) => {
                all.push_str(text);
                ends.push(all.len());
            }
            _ => return self.push_any(value),
        }
        if let Some(nulls) = &mut self.nulls {
            nulls.push(false);
        }
    }

    fn push_any(&mut self, value: Field<'_>) {
        let rows = self.len();
        match (&mut self.held, value) {
            (Held::Nothing(rows), Field::Null) => *rows += 1,
            (Held::Integers(values), Field::Null) => {
                values.push(0);
                self.nulls.get_or_insert_with(|| vec![false; rows]).push(true);
            }
            (Held::Texts(all, ends), Field::Null) => {
                ends.push(all.len());
                self.nulls.get_or_insert_with(|| vec![false; rows]).push(true);
            }
            (Held::Integers(_), Field::Bool(value)) => self.push(Field::Integer(value.into())),
            (Held::Mixed(values), value) => values.push(value.into()),
            (Held::Nothing(_), Field::Integer(_) | Field::Bool(_)) => {
                let mut values = Vec::with_capacity(self.room.max(rows + 1));
                values.resize(rows, 0);
                self.begin(Held::Integers(values), value);
            }
            (Held::Nothing(_), Field::Text(_)) => {
                let mut ends = Vec::with_capacity(self.room.max(rows + 1));
                ends.resize(rows, 0);
                self.begin(Held::Texts(String::new(), ends), value);
            }
            _ => {
                self.held = Held::Mixed(self.iter().map(Value::from).collect());
                self.nulls = None;
                self.push_any(value);
            }
        }
    }

    /// Takes a form in the place of NULLs alone, for the first value that is none.
    fn begin(&mut self, held: Held, value: Field<'_>) {
        let rows = self.len();
        self.held = held;
        self.nulls = (rows > 0).then(|| vec![true; rows]);
        self.push(value);
    }

    /// Adds NULLs until there are so many.
    pub(crate) fn fill(&mut self, rows: usize) {
        (self.len()..rows).for_each(|_| self.push(Field::Null));
    }

    /// What a row holds.
    pub(crate) fn get(&self, row: usize) -> Field<'_> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls[row]) {
            return Field::Null;
        }
        match &self.held {
            Held::Nothing(_) => Field::Null,
            Held::Integers(values) => Field::Integer(values[row]),
            Held::Texts(text, ends) => Field::Text(nth(text, ends, row)),
            Held::Mixed(values) => values[row].field(),
        }
    }

    /// What the rows hold, one after the other.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Keeps the first rows alone.
    pub(crate) fn truncate(&mut self, rows: usize) {
        match &mut self.held {
            Held::Nothing(all) => *all = rows.min(*all),
            Held::Integers(values) => values.truncate(rows),
            Held::Texts(all, ends) => {
                ends.truncate(rows);
                all.truncate(ends.last().copied().unwrap_or(0));
            }
            Held::Mixed(values) => values.truncate(rows),
        }
        if let Some(nulls) = &mut self.nulls {
            nulls.truncate(rows);
        }
    }

    /// Whether all rows hold the same.
    pub(super) fn is_one(&self) -> bool {
        match (&self.held, &self.nulls) {
            (Held::Nothing(_), _) => true,
            (Held::Integers(values), None) => values.windows(2).all(|two| two[0] == two[1]),
            (Held::Mixed(values), _) => values.windows(2).all(|two| two[0] == two[1]),
            _ => (1..self.len()).all(|row| self.get(row) == self.get(0)),
        }
    }

    /// What they have in common.
    pub(super) fn common(&self) -> Common<'_> {
        let nulls = self.nulls.as_deref();
        match &self.held {
            Held::Integers(values) => Common::Integers(Integers { values, nulls }),
            Held::Texts(text, ends) => Common::Texts(Texts { text, ends, nulls }),
            Held::Nothing(_) | Held::Mixed(_) => Common::Any,
        }
    }

    /// They are integers, or NULL.
    pub(super) fn integers(&self) -> Option<Integers<'_>> {
        if let Common::Integers(integers) = self.common() { Some(integers) } else { None }
    }

    /// In the form in which they would be had they been added one by one: values that are gone may have left another one.
    pub(super) fn settled(&self) -> Cow<'_, Self> {
        let all_there = || self.nulls.as_ref().is_some_and(|nulls| !nulls.contains(&true));
        let none_there = || self.nulls.as_ref().is_some_and(|nulls| !nulls.contains(&false));
        let is_left = match &self.held {
            Held::Nothing(_) => false,
            Held::Integers(_) | Held::Texts(..) => all_there() || none_there() && self.len() > 0,
            Held::Mixed(_) => true,
        };
        match is_left {
            true => Cow::Owned(self.iter().collect()),
            false => Cow::Borrowed(self),
        }
    }

    /// Their few values, in the order of some rows; none where they are more than `most`.
    pub(super) fn few(&self, order: &[u32], most: usize) -> Option<Few> {
        match (&self.held, self.common()) {
            (Held::Mixed(values), _) => few(order, most, |row| &values[row], Clone::clone),
            (_, Common::Integers(values)) => {
                few(order, most, |row| values.get(row), |value| value.map_or(Value::Null, Value::Integer))
            }
            (_, Common::Texts(texts)) => {
                few(order, most, |row| texts.get(row), |text| text.map_or(Value::Null, |text| Value::Text(text.into())))
            }
            (_, Common::Any) => few(order, most, |_| (), |()| Value::Null),
        }
    }

    /// Adds what they are to a hash.
    pub(crate) fn hash(&self, hash: &mut Xxh3) {
        hash.update(&(self.len() as u64).to_le_bytes());
        match &self.held {
            Held::Nothing(_) => hash.update(&[0]),
            Held::Integers(values) => {
                hash.update(&[1]);
                hash.update(bytemuck::cast_slice(values));
            }
            Held::Texts(text, ends) => {
                hash.update(&[2]);
                hash.update(bytemuck::cast_slice(ends));
                hash.update(text.as_bytes());
            }
            Held::Mixed(values) => {
                hash.update(&[3]);
                values.iter().for_each(|value| value.hash(hash));
            }
        }
        if let Some(nulls) = &self.nulls {
            hash.update(bytemuck::cast_slice(nulls));
        }
    }
}

fn few<K: Hash + Eq + Copy>(
    order: &[u32],
    most: usize,
    of: impl Fn(usize) -> K,
    value: impl Fn(K) -> Value,
) -> Option<Few> {
    let mut places: FxHashMap<K, u8> = FxHashMap::default();
    let mut last: Option<(K, u8)> = None;
    let (mut few, mut codes) = (Vec::new(), Vec::with_capacity(order.len()));
    for row in order {
        let key = of(*row as usize);
        let place = match last.filter(|(known, _)| *known == key).map(|(_, place)| place) {
            Some(place) => place,
            None => match places.get(&key) {
                Some(place) => *place,
                None => {
                    let place = u8::try_from(few.len()).ok().filter(|_| few.len() < most)?;
                    places.insert(key, place);
                    few.push(value(key));
                    place
                }
            },
        };
        last = Some((key, place));
        codes.push(place);
    }
    Some((few, codes))
}

impl<'a> FromIterator<Field<'a>> for Values {
    fn from_iter<T: IntoIterator<Item = Field<'a>>>(all: T) -> Self {
        let mut values = Self::default();
        all.into_iter().for_each(|value| values.push(value));
        values
    }
}

impl From<Vec<Value>> for Values {
    fn from(values: Vec<Value>) -> Self {
        values.iter().map(Value::field).collect()
    }
}

impl From<Values> for Vec<Value> {
    fn from(values: Values) -> Self {
        values.iter().map(Value::from).collect()
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().map(Value::from).eq(other.iter().map(Value::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Field<'static>; 7] = [
        Field::Null,
        Field::Integer(-7),
        Field::Integer(0),
        Field::Text("a"),
        Field::Text(""),
        Field::Real(-0.0),
        Field::Real(0.5),
    ];

    fn as_values<'a>(fields: impl Iterator<Item = Field<'a>>) -> Vec<Value> {
        fields.map(Value::from).collect()
    }

    #[test]
    fn a_column_holds_what_was_added_in_whatever_order() {
        for n in 0..7_usize.pow(4) {
            let added: Vec<Field<'_>> = [n % 7, n / 7 % 7, n / 49 % 7, n / 343].map(|one| ALL[one]).to_vec();
            let mut values: Values = added.iter().copied().collect();
            assert_eq!(as_values(values.iter()), as_values(added.iter().copied()));
            assert_eq!(Values::from(Vec::from(values.clone())), values);
            values.truncate(3);
            assert_eq!(as_values(values.iter()), as_values(added[..3].iter().copied()));
            let once: Values = added[..3].iter().copied().collect();
            let hashed = |values: &Values| {
                let mut hash = Xxh3::new();
                values.hash(&mut hash);
                hash.digest()
            };
            assert_eq!(hashed(&values.settled()), hashed(&once), "{added:?}");
            values.push(added[3]);
            assert_eq!(as_values(values.iter()), as_values(added.iter().copied()));
            let (few, codes) = values.few(&[0, 1, 2, 3], 7).unwrap();
            let back: Vec<Value> = codes.iter().map(|code| few[usize::from(*code)].clone()).collect();
            assert_eq!(back, as_values(added.iter().copied()));
            let is_one = as_values(added.iter().copied()).windows(2).all(|two| two[0] == two[1]);
            assert_eq!(values.is_one(), is_one, "{added:?}");
        }
    }

    #[test]
    fn columns_that_differ_have_other_hashes() {
        let columns: [&[Field<'_>]; 8] = [
            &[],
            &[Field::Null],
            &[Field::Integer(0)],
            &[Field::Integer(0), Field::Null],
            &[Field::Null, Field::Integer(0)],
            &[Field::Text("ab"), Field::Text("c")],
            &[Field::Text("a"), Field::Text("bc")],
            &[Field::Text("ab"), Field::Integer(0)],
        ];
        let mut hashes = std::collections::BTreeSet::new();
        for column in columns {
            let mut hash = Xxh3::new();
            column.iter().copied().collect::<Values>().hash(&mut hash);
            assert!(hashes.insert(hash.digest()), "{column:?}");
        }
    }
}
