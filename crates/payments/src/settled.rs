//! Which invoices a payment settles.

use diesel::prelude::*;
use replant_core::Batch;
use replant_core::prelude::*;
use serde::Serialize;
use settlement::Share;

use crate::schema::payment_allocations;

/// A row of `payment_allocations`.
#[derive(Debug, Clone, PartialEq, Eq, Insertable, Serialize)]
#[diesel(table_name = payment_allocations, treat_none_as_default_value = false)]
struct NewAllocation {
    payment_id: i64,
    invoice_id: i64,
    amount_minor: i64,
}

replant_core::insert!(NewAllocation => payment_allocations);

/// All that a payment settles: none of it where it settles nothing, be it that it did once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settled {
    payment_id: i64,
    /// Invoice and minor units.
    shares: Vec<(i64, i64)>,
}

impl Settled {
    /// The shares of a payment.
    pub fn new(payment_id: i64, shares: impl IntoIterator<Item = Share>) -> Self {
        let shares = shares.into_iter().map(|share| (share.invoice_id, share.amount_minor)).collect();
        Self { payment_id, shares }
    }

    /// Takes away what the payment settled when it was written before, and settles no longer. Shares of invoices that the
    /// platform has of itself are not of the migration's making.
    fn forget_others(&self, tx: &mut Tx<'_>, ours: &Ours) -> QueryResult<usize> {
        let kept: Vec<i64> = self.shares.iter().map(|(invoice, _)| *invoice).collect();
        let own = || payment_allocations::table.filter(payment_allocations::payment_id.eq(self.payment_id));
        let others = own().filter(payment_allocations::invoice_id.ne_all(kept));
        let mut others: Vec<i64> = others.select(payment_allocations::invoice_id).load(tx.db())?;
        others.retain(|invoice| ours.made("invoices", *invoice));
        if others.is_empty() {
            return Ok(0);
        }
        let others: Vec<String> = others.iter().map(i64::to_string).collect();
        tx.execute(&format!(
            "DELETE FROM payment_allocations WHERE payment_id = {} AND invoice_id IN ({})",
            self.payment_id,
            others.join(", ")
        ))
    }
}

impl Write for Settled {
    fn write(tx: &mut Tx<'_>, batch: &Batch<Self>) -> QueryResult<()> {
        let mut rows: Batch<NewAllocation> = Batch::default();
        let ours = match batch.iter().any(|(unit, _)| tx.is_again(unit)) {
            true => tx.ours()?,
            false => Ours::default(),
        };
        for (unit, settled) in batch.iter() {
            if tx.is_again(unit) && !tx.is_refused(unit) && settled.forget_others(tx, &ours)? > 0 {
                tx.touch(unit);
            }
            let payment_id = settled.payment_id;
            for (invoice_id, amount_minor) in settled.shares.iter().copied() {
                rows.push(unit, NewAllocation { payment_id, invoice_id, amount_minor });
            }
        }
        tx.insert(&rows)
    }
}
