//! Invoices with one number: which one stays (rules: Invoices).

use std::collections::BTreeSet;

use replant_core::prelude::*;
use rustc_hash::FxHashMap;

use crate::number::InvoiceNumber;

/// Why an invoice that is right in itself does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Double {
    /// The same invoice has a lower id.
    Duplicate,
    /// Another invoice has its number.
    Conflict,
    /// A customer's invoice has its number.
    Native,
}

/// What invoices with one number must have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Billed {
    pub(crate) account_id: i64,
    pub(crate) total: Money,
}

/// Looks for doubles among the invoices that no other code took.
#[derive(Debug, Default)]
pub(crate) struct Search(FxHashMap<InvoiceNumber, Same>);

#[derive(Debug)]
struct Same {
    first: Key,
    billed: Billed,
    others: Vec<Key>,
    agree: bool,
}

impl Search {
    /// Takes in an invoice. They come by ascending key.
    pub(crate) fn add(&mut self, key: Key, number: InvoiceNumber, billed: Billed) {
        let same = self.0.entry(number).or_insert(Same { first: key, billed, others: Vec::new(), agree: true });
        if same.first != key {
            same.others.push(key);
            same.agree &= same.billed == billed;
        }
    }

    /// The invoices that do not come in. `native`: numbers of the platform's own invoices.
    pub(crate) fn end(self, native: &BTreeSet<String>) -> FxHashMap<Key, Double> {
        let mut doubles = FxHashMap::default();
        for (number, same) in self.0 {
            let (first, others) = match (same.agree, native.contains(number.as_str())) {
                (false, _) => (Some(Double::Conflict), Double::Conflict),
                (true, true) => (Some(Double::Native), Double::Duplicate),
                (true, false) => (None, Double::Duplicate),
            };
            doubles.extend(first.map(|double| (same.first, double)));
            doubles.extend(same.others.into_iter().map(|key| (key, others)));
        }
        doubles
    }
}
