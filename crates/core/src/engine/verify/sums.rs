//! Money as it was written and as it stands, by table and currency.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use rustc_hash::FxHashMap;

use super::verdict::MoneyVerified;
use crate::storage::fields::Field;
use crate::storage::imprint::{Reading, Table, Value};
use crate::storage::model::Model;

/// Amounts in minor units: as they were written and as they stand.
#[derive(Debug, Default)]
pub(super) struct Sums {
    by_currency: FxHashMap<(&'static str, String), (i128, i128)>,
    /// Of rows that do not stand as they were written, by whose they are.
    by_owner: FxHashMap<(&'static str, String, i64), (i128, i128)>,
}

/// On which side an amount is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Written,
    Stands,
}

impl Sums {
    /// Counts rows that stand as they were written: all but some, by their places.
    pub(super) fn equal(&mut self, model: &Model, table: &Table, but: &[bool]) {
        let Some([minor, currency, _]) = model.summed else { return };
        let (Some(minor), Some(currency)) = (table.column(minor), table.column(currency)) else { return };
        let (minor, currency) = (&table.values[minor], &table.values[currency]);
        let mut sums: Vec<(&str, i128)> = Vec::new();
        for row in (0..table.keys.len()).filter(|row| !but[*row]) {
            let (Field::Integer(minor), Field::Text(currency)) = (minor.get(row), currency.get(row)) else { continue };
            match sums.iter_mut().find(|(known, _)| *known == currency) {
                Some((_, sum)) => *sum += i128::from(minor),
                None => sums.push((currency, minor.into())),
            }
        }
        for (currency, sum) in sums {
            let (written, stands) =
                self.by_currency.entry((model.shape.name, currency.trim_end().to_owned())).or_default();
            *written += sum;
            *stands += sum;
        }
    }

    /// Counts a row on one side.
    pub(super) fn row(&mut self, model: &Model, reading: &Reading, row: &[Value], side: Side) {
        let Some(columns) = model.summed else { return };
        let places = columns.map(|name| reading.columns().iter().position(|(known, _)| known == name));
        let [Some(minor), Some(currency), Some(owner)] = places else { return };
        let (Some(minor), Some(currency)) = (row[minor].integer(), row[currency].as_text()) else { return };
        let (table, currency) = (model.shape.name, currency.trim_end().to_owned());
        let add = |sums: &mut (i128, i128)| match side {
            Side::Written => sums.0 += i128::from(minor),
            Side::Stands => sums.1 += i128::from(minor),
        };
        add(self.by_currency.entry((table, currency.clone())).or_default());
        add(self.by_owner.entry((table, currency, row[owner].integer().unwrap_or_default())).or_default());
    }

    /// By table and currency, with the owners of whom it stands otherwise.
    pub(super) fn told(self) -> Vec<MoneyVerified> {
        let mut told: BTreeMap<(&str, String), MoneyVerified> = BTreeMap::new();
        for ((table, currency), (written, stands)) in self.by_currency {
            let money = MoneyVerified {
                table: table.to_owned(),
                currency: currency.clone(),
                written,
                stands,
                owners: BTreeMap::new(),
            };
            told.insert((table, currency), money);
        }
        for ((table, currency, owner), (written, stands)) in self.by_owner {
            let money = told.get_mut(&(table, currency)).filter(|_| written != stands);
            money.into_iter().for_each(|money| {
                money.owners.insert(owner, (written, stands));
            });
        }
        told.into_values().collect()
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        for (of, (written, stands)) in other.by_currency {
            let sums = self.by_currency.entry(of).or_default();
            *sums = (sums.0 + written, sums.1 + stands);
        }
        for (of, (written, stands)) in other.by_owner {
            let sums = self.by_owner.entry(of).or_default();
            *sums = (sums.0 + written, sums.1 + stands);
        }
    }
}
