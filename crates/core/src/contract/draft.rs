//! The draft of a chunk: what `transform` writes down, unit by unit, before anything reaches the target.

use rust_decimal::Decimal;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::refusal::Refusal;
use crate::storage::bulk::{Holds, Rows, UnitIndex, Write};
use crate::words::{Code, Key, Money, Repair};

/// Legacy rows that are judged together: a leader and the rows that follow it. Most have one row.
#[derive(Debug)]
pub struct Unit<'a, L> {
    rows: &'a [L],
}

impl<'a, L> Unit<'a, L> {
    /// A unit of rows, the leader first.
    ///
    /// # Panics
    /// On no rows at all.
    pub fn new(rows: &'a [L]) -> Self {
        assert!(!rows.is_empty(), "a unit has a leader");
        Self { rows }
    }

    /// The row that is migrated.
    pub fn leader(&self) -> &'a L {
        &self.rows[0]
    }

    /// All rows, the leader first, then by key.
    pub fn rows(&self) -> &'a [L] {
        self.rows
    }
}

/// What became of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub result: Result<i64, Refusal>,
    /// A hash of what is done for it besides inserting rows.
    pub deeds: u64,
}

/// An amount that a legacy row carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Carried {
    pub unit: UnitIndex,
    pub key: Key,
    pub amount: Money,
    pub exact_minor: Decimal,
}

/// What `transform` writes down. All that a unit put in is taken back when the unit is refused, but for its money.
#[derive(Debug)]
pub struct Draft<R> {
    pub(crate) rows: R,
    pub(crate) repairs: Vec<(UnitIndex, Repair)>,
    pub(crate) also: Vec<(UnitIndex, &'static str, i64)>,
    /// Followers that are rows of their own: key, table, id.
    pub(crate) own: Vec<(UnitIndex, Key, &'static str, i64)>,
    pub(crate) carried: Vec<Carried>,
    pub(crate) verdicts: Vec<Verdict>,
    /// About how many bytes of memory the rows take.
    pub(crate) bytes: u64,
    deeds: u64,
    buffer: Vec<u8>,
}

impl<R: Rows> Default for Draft<R> {
    fn default() -> Self {
        Self {
            rows: R::default(),
            repairs: Vec::new(),
            also: Vec::new(),
            own: Vec::new(),
            carried: Vec::new(),
            verdicts: Vec::new(),
            bytes: 0,
            deeds: 0,
            buffer: Vec::new(),
        }
    }
}

impl<R: Rows> Draft<R> {
    /// The unit that is being judged.
    fn unit(&self) -> UnitIndex {
        UnitIndex::try_from(self.verdicts.len()).expect("a chunk has fewer than 2^32 units")
    }

    /// Writes something into the target when the chunk is committed.
    pub fn write<T: Write>(&mut self, row: T)
    where
        R: Holds<T>,
    {
        if !T::IS_ROW {
            self.mark(&row);
            self.bytes += self.buffer.len() as u64;
        }
        self.bytes += size_of::<T>() as u64;
        let unit = self.unit();
        self.rows.batch().push(unit, row);
    }

    /// Takes a deed into the hash of those of the unit.
    fn mark(&mut self, value: &impl Serialize) {
        self.buffer.clear();
        let buffer = std::mem::take(&mut self.buffer);
        self.buffer = postcard::to_extend(value, buffer).expect("a target row can be serialized");
        self.deeds = xxh3_64_with_seed(&self.buffer, self.deeds.wrapping_add(1));
    }

    /// Notes that a rule changed a value of the row with `key`.
    pub fn repair(
        &mut self,
        key: Key,
        code: impl Into<Code>,
        column: &'static str,
        before: impl Into<Option<String>>,
        after: impl Into<Option<String>>,
    ) {
        let repair = Repair { key, code: code.into(), column, before: before.into(), after: after.into() };
        let unit = self.unit();
        self.repairs.push((unit, repair));
    }

    /// Notes that the unit is behind a further target row.
    pub fn also(&mut self, table: &'static str, id: i64) {
        let unit = self.unit();
        self.also.push((unit, table, id));
    }

    /// Says that the follower with `key` is migrated too, as a row of its own, of another table than the step's. A
    /// follower of which this is not said is merged into the leader's row.
    pub fn migrated_as(&mut self, key: Key, table: &'static str, id: i64) {
        let unit = self.unit();
        self.own.push((unit, key, table, id));
    }

    /// Counts an amount of the row with `key`, whatever becomes of the row: as it was read, exactly, and in the minor
    /// units that its target row is to carry.
    pub fn money(&mut self, key: Key, amount: Money, exact_minor: Decimal) {
        let unit = self.unit();
        self.carried.push(Carried { unit, key, amount, exact_minor });
    }

    /// Closes the unit with its verdict.
    pub(crate) fn close(&mut self, result: Result<i64, Refusal>) {
        let unit = self.unit();
        if result.is_err() {
            self.rows.withdraw(unit);
            while self.repairs.last().is_some_and(|(of, _)| *of == unit) {
                self.repairs.pop();
            }
            while self.also.last().is_some_and(|(of, _, _)| *of == unit) {
                self.also.pop();
            }
            while self.own.last().is_some_and(|(of, ..)| *of == unit) {
                self.own.pop();
            }
        }
        self.verdicts.push(Verdict { result, deeds: std::mem::take(&mut self.deeds) });
    }

    /// Puts another part of the chunk behind this one.
    pub(crate) fn append(&mut self, other: Self) {
        let before = self.unit();
        self.rows.append(other.rows, before);
        self.repairs.extend(other.repairs.into_iter().map(|(unit, repair)| (unit + before, repair)));
        self.also.extend(other.also.into_iter().map(|(unit, table, id)| (unit + before, table, id)));
        self.own.extend(other.own.into_iter().map(|(unit, key, table, id)| (unit + before, key, table, id)));
        self.carried
            .extend(other.carried.into_iter().map(|carried| Carried { unit: carried.unit + before, ..carried }));
        self.verdicts.extend(other.verdicts);
        self.bytes += other.bytes;
    }

    /// The rows written so far: for tests of a `transform`.
    pub fn rows(&self) -> &R {
        &self.rows
    }

    /// The amounts counted so far, by the key of their row: for tests of a `transform`.
    pub fn counted(&self) -> impl Iterator<Item = (Key, Money, Decimal)> {
        self.carried.iter().map(|carried| (carried.key, carried.amount, carried.exact_minor))
    }

    /// The repairs noted so far: for tests of a `transform`.
    pub fn repairs(&self) -> impl Iterator<Item = &Repair> {
        self.repairs.iter().map(|(_, repair)| repair)
    }
}
