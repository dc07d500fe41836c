//! Double posts (rules: Credit): entries that were written down twice.

use std::hash::Hash;

use replant_clean::{self as clean, Snapshot};
use replant_core::KeySet;
use replant_core::prelude::*;
use rustc_hash::FxHashSet;
use xxhash_rust::xxh3::Xxh3;

use crate::legacy::CreditEntry;
use crate::transform::Facts;

/// The entries that say what one of a lower key says. Exceptions alone.
#[derive(Debug, Default)]
pub(crate) struct Doubles(KeySet);

impl Doubles {
    /// Looks ahead at every legacy row.
    ///
    /// # Errors
    /// The legacy database cannot be read.
    pub(crate) fn read(
        cx: &Prepare<'_>,
        users: &Standings,
        currencies: &clean::Currencies,
        snapshot: Snapshot,
    ) -> Result<Self, PrepareError> {
        let mut doubles = Self::default();
        let mut seen = FxHashSet::default();
        cx.scan(|row: CreditEntry| {
            let amount = row.price().read_amount(currencies).map(|(_, amount)| amount);
            // A row that an earlier code takes is nobody's double.
            if let Ok(facts) = Facts::read(&row, users, amount, snapshot) {
                doubles.add(&row, &facts, &mut seen);
            }
        })?;
        Ok(doubles)
    }

    /// Takes the rows in the order of their keys: the first of those that say the same stays.
    pub(crate) fn add(&mut self, row: &CreditEntry, facts: &Facts<'_>, seen: &mut FxHashSet<u128>) {
        if facts.ref_id.is_some() && !seen.insert(said(row, facts)) {
            self.0.insert(row.id);
        }
    }

    pub(crate) fn contains(&self, key: Key) -> bool {
        self.0.contains(key)
    }
}

/// A hash that stands for what an entry says: two that meet by chance are not to be expected in the lifetime of a company.
/// `created_when` counts as it is stored, all else as it is understood.
fn said(row: &CreditEntry, facts: &Facts<'_>) -> u128 {
    let created = match &row.created_when {
        Cell::Good(wall) => (Some(wall.0), None),
        Cell::Null => (None, None),
        Cell::Bad(unfit) => (None, Some(&unfit.raw)),
    };
    let amount = (facts.amount.exact_minor, facts.amount.money.currency);
    let mut hash = Xxh3::default();
    (facts.user, amount, &facts.reason_word, &facts.ref_type, facts.ref_id, created).hash(&mut hash);
    hash.digest128()
}
