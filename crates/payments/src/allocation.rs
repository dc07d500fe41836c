//! Which invoices a payment settles.

use diesel::prelude::*;
use serde::Serialize;
use settlement::Share;

use crate::schema::payment_allocations;

/// A row of `payment_allocations`.
#[derive(Debug, Clone, PartialEq, Eq, Insertable, Serialize)]
#[diesel(table_name = payment_allocations, treat_none_as_default_value = false)]
pub struct NewAllocation {
    /// The payment.
    pub payment_id: i64,
    /// The invoice that it settles.
    pub invoice_id: i64,
    /// How much of it, in minor units of their currency; positive.
    pub amount_minor: i64,
}

replant_core::insert!(NewAllocation => payment_allocations, fixed = [payment_id, invoice_id, amount_minor]);

impl NewAllocation {
    /// A share of a payment.
    pub fn new(payment_id: i64, Share { invoice_id, amount_minor }: Share) -> Self {
        Self { payment_id, invoice_id, amount_minor }
    }
}
