//! The rules of bank transfers that `settlement` leaves: what is written for one.

use payments::{NewAllocation, NewPayment, NewRefund, Reason, Status};
use replant_core::prelude::*;
use settlement::{BANK, Method, Transfer, transfer_ref};

use crate::Lookups;
use crate::target::Rows;

/// Judges a bank transfer: it becomes a payment of its own where no transaction shows it.
pub(crate) fn transfer(lookups: &Lookups, row: &Transfer, draft: &mut Draft<Rows>) -> Result<i64, Refusal> {
    // The money is counted whatever becomes of the row. What cannot be read is judged below, after the parent.
    let _ = row.price().take_amount(row.id, lookups.rules.currencies(), draft);
    let received = lookups.rules.transfer(row)?;
    lookups.transfers.transfer(row.id, &lookups.payments)?;
    for (column, cell) in row.texts() {
        reference::text(cell, column, row.id, draft)?;
    }
    let no_id = || Refusal::unforeseen("the plan has no id for this key");
    let payment_id = lookups.plan.id_of(row.id).ok_or_else(no_id)?;
    let status = if received.reversed { Status::Refunded } else { Status::Succeeded };
    let payment = NewPayment {
        id: payment_id,
        account_id: received.account_id,
        method: Method::BankTransfer.into(),
        status: status.into(),
        amount_minor: received.money.minor,
        currency: received.money.currency.into(),
        gateway: Some(BANK.to_owned()),
        gateway_ref: Some(transfer_ref(row.id)),
        subscription_id: None,
        paid_at: received.at().into(),
    };
    if received.reversed {
        let id = lookups.plan.id_in("refunds", row.id).ok_or_else(no_id)?;
        draft.write(NewRefund::of_whole(id, &payment, Reason::Reversal));
        draft.also("refunds", id);
    }
    draft.write(payment);
    for share in lookups.allocations.of_transfer(row.id) {
        draft.write(NewAllocation::new(payment_id, *share));
    }
    Ok(payment_id)
}
