//! The migrated invoices by their numbers: what later domains ask where a payment names the invoice that it settles.

use replant_core::prelude::*;
use rustc_hash::FxHashMap;

use crate::number::InvoiceNumber;
use crate::target::Rows;
use crate::transform::Known;
use crate::{Invoices, legacy};

/// An invoice that was migrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigratedInvoice {
    /// The legacy key.
    pub key: Key,
    /// The id on the platform.
    pub id: i64,
    /// The account that is billed.
    pub account_id: i64,
    /// The total, as it was written.
    pub total: Money,
}

/// Migrated invoices by number. A customer's invoice is none of them.
#[derive(Debug, Default)]
pub struct Numbers(FxHashMap<InvoiceNumber, MigratedInvoice>);

impl Lookup for Numbers {
    /// A step that asks for it stands after [`Invoices`].
    fn build(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        let known = Known::read(cx)?;
        let invoices = cx.standings::<Invoices>()?;
        let mut numbers = FxHashMap::default();
        cx.scan(|row: legacy::Invoice| {
            let Standing::Live(id) = invoices.of(Some(row.id)) else { return };
            if let Ok(fields) = known.judge(&row, &mut Draft::<Rows>::default()) {
                let billed = fields.billed();
                let invoice = MigratedInvoice { key: row.id, id, account_id: billed.account_id, total: billed.total };
                numbers.insert(fields.number, invoice);
            }
        })?;
        Ok(Self(numbers))
    }
}

impl Numbers {
    /// The migrated invoice with a number.
    pub fn of(&self, number: &InvoiceNumber) -> Option<&MigratedInvoice> {
        self.0.get(number)
    }

    /// The migrated invoices that a free text names, in the order named. `text` has gone through the text rule.
    pub fn named_in(&self, text: &str) -> Vec<MigratedInvoice> {
        InvoiceNumber::all_in(text).iter().filter_map(|number| self.of(number).copied()).collect()
    }
}

impl FromIterator<(InvoiceNumber, MigratedInvoice)> for Numbers {
    fn from_iter<I: IntoIterator<Item = (InvoiceNumber, MigratedInvoice)>>(invoices: I) -> Self {
        Self(invoices.into_iter().collect())
    }
}
