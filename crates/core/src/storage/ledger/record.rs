//! The compact record of the migrated rows of a chunk.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::error::LedgerError;
use crate::words::{Currency, Key, Money, MoneyTotals, Outcome};

/// A migrated row, in the compact record of its chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The legacy key.
    pub key: Key,
    /// Its row in the step's target table.
    pub target: i64,
    /// Further rows that it is behind: table and id.
    pub also: Vec<(String, i64)>,
    /// A hash of what was done for its unit besides inserting rows; 0 where nothing was.
    pub deeds: u64,
}

/// More takes longer than it saves.
const LEVEL: i32 = 3;

/// Keys and targets, each as its distance from the one before: mostly 1.
#[derive(Serialize, Deserialize)]
struct Content {
    keys: Vec<i64>,
    targets: Vec<i64>,
    /// Further rows, by the place of their row.
    also: Vec<(u32, Vec<(String, i64)>)>,
    /// What was done besides inserting rows, by the place of the row.
    deeds: Vec<(u32, u64)>,
}

fn distances(values: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut before = 0_i64;
    values.map(|value| value.wrapping_sub(std::mem::replace(&mut before, value))).collect()
}

fn values(distances: Vec<i64>) -> impl Iterator<Item = i64> {
    let sum = |before: &mut i64, distance: i64| {
        *before = before.wrapping_add(distance);
        Some(*before)
    };
    distances.into_iter().scan(0_i64, sum)
}

/// An amount that a row carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarriedBy {
    /// The row.
    pub key: Key,
    /// As its target row is to carry it.
    pub minor: i64,
    /// Its currency.
    pub currency: Currency,
    /// As it was read, where that is another number.
    pub exact: Option<Decimal>,
}

impl CarriedBy {
    /// Counts it as what became of its row: what came in counts as written, too.
    pub(crate) fn count(&self, outcome: Outcome, money: &mut MoneyTotals) {
        let carried = Money { currency: self.currency, minor: self.minor };
        money.row(carried, self.exact.unwrap_or(self.minor.into()), outcome);
        if outcome == Outcome::Migrated {
            money.written(carried);
        }
    }
}

/// Packs what the rows of a chunk carry; none where they carry nothing.
pub(super) fn packed_amounts(amounts: &[CarriedBy]) -> Option<Vec<u8>> {
    let content = (
        distances(amounts.iter().map(|amount| amount.key)),
        amounts.iter().map(|amount| amount.minor).collect::<Vec<_>>(),
        amounts.iter().map(|amount| amount.currency).collect::<Vec<_>>(),
        amounts.iter().map(|amount| amount.exact.map(|exact| (exact.mantissa(), exact.scale()))).collect::<Vec<_>>(),
    );
    let bytes = postcard::to_stdvec(&content).expect("amounts have a postcard form");
    (!amounts.is_empty()).then(|| zstd::bulk::compress(&bytes, LEVEL).expect("memory is compressed into memory"))
}

/// What the rows of a chunk of a step carry.
///
/// # Errors
/// The bytes are not amounts.
pub(super) fn unpacked_amounts(step: &str, packed: &[u8]) -> Result<Vec<CarriedBy>, LedgerError> {
    type Content = (Vec<i64>, Vec<i64>, Vec<Currency>, Vec<Option<(i128, u32)>>);
    let unreadable = || LedgerError::Unreadable { what: "amounts of a chunk", of: step.to_owned() };
    let bytes = zstd::stream::decode_all(packed).map_err(|_| unreadable())?;
    let (keys, minors, currencies, exacts): Content = postcard::from_bytes(&bytes).map_err(|_| unreadable())?;
    let mut amounts = Vec::with_capacity(minors.len());
    for (((key, minor), currency), exact) in values(keys).zip(minors).zip(currencies).zip(exacts) {
        let exact = exact.map(|(mantissa, scale)| Decimal::from_i128_with_scale(mantissa, scale));
        amounts.push(CarriedBy { key, minor, currency, exact });
    }
    Ok(amounts)
}

/// Packs the migrated rows of a chunk.
pub(super) fn packed(rows: &[Migrated]) -> Vec<u8> {
    let also = (0..).zip(rows).filter(|(_, row)| !row.also.is_empty());
    let deeds = (0..).zip(rows).filter(|(_, row)| row.deeds != 0);
    let content = Content {
        keys: distances(rows.iter().map(|row| row.key)),
        targets: distances(rows.iter().map(|row| row.target)),
        also: also.map(|(place, row)| (place, row.also.clone())).collect(),
        deeds: deeds.map(|(place, row)| (place, row.deeds)).collect(),
    };
    let bytes = postcard::to_stdvec(&content).expect("numbers and names have a postcard form");
    zstd::bulk::compress(&bytes, LEVEL).expect("memory is compressed into memory")
}

/// The migrated row of a record that a row of the target belongs to; `table`: where that is not the target table of the step.
///
/// # Errors
/// The record is not one.
pub(super) fn key_of(step: &str, record: &[u8], (table, id): (Option<&str>, i64)) -> Result<Option<Key>, LedgerError> {
    let content = content(step, record)?;
    let place = match table {
        None => values(content.targets).position(|target| target == id),
        Some(table) => {
            let is_it = |(name, of): &(String, i64)| name == table && *of == id;
            content.also.iter().find(|(_, also)| also.iter().any(is_it)).map(|(place, _)| *place as usize)
        }
    };
    Ok(place.and_then(|place| values(content.keys).nth(place)))
}

fn content(step: &str, record: &[u8]) -> Result<Content, LedgerError> {
    let unreadable = || LedgerError::Unreadable { what: "record of a chunk", of: step.to_owned() };
    let bytes = zstd::stream::decode_all(record).map_err(|_| unreadable())?;
    postcard::from_bytes(&bytes).map_err(|_| unreadable())
}

/// The migrated rows of a chunk of a step.
///
/// # Errors
/// The record is not one.
pub(super) fn unpacked(step: &str, record: &[u8]) -> Result<Vec<Migrated>, LedgerError> {
    let unreadable = || LedgerError::Unreadable { what: "record of a chunk", of: step.to_owned() };
    let content = content(step, record)?;
    let keys = values(content.keys);
    let mut rows: Vec<Migrated> = keys
        .zip(values(content.targets))
        .map(|(key, target): (Key, i64)| Migrated { key, target, also: Vec::new(), deeds: 0 })
        .collect();
    for (place, also) in content.also {
        rows.get_mut(place as usize).ok_or_else(unreadable)?.also = also;
    }
    for (place, deeds) in content.deeds {
        rows.get_mut(place as usize).ok_or_else(unreadable)?.deeds = deeds;
    }
    Ok(rows)
}
