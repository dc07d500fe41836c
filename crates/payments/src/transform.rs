//! The rules of payments and refunds that `settlement` leaves: what is written for a unit.

use std::borrow::Cow;

use reference::{Amount, KnownCurrency};
use replant_clean as clean;
use replant_core::prelude::*;
use settlement::{PaidAt, Payment, State, Transaction, TransactionRepair};

use crate::Lookups;
use crate::allocation::NewAllocation;
use crate::target::{NewPayment, NewRefund, Reason, Rows, Status};

/// Judges a payment with the refunds that come in, or a transaction that does not come in.
pub(crate) fn transaction(
    lookups: &Lookups,
    unit: &Unit<'_, Transaction>,
    draft: &mut Draft<Rows>,
) -> Result<i64, Refusal> {
    // The money is counted whatever becomes of the rows. What cannot be read is judged below, after the parents.
    let row = unit.leader();
    let is_refund = row.is_refund();
    let amount = take_amount(lookups, row, is_refund, draft);
    for refund in &unit.rows()[1..] {
        let _ = take_amount(lookups, refund, true, draft);
    }
    if is_refund {
        return Err(refused_refund(lookups, row));
    }
    let payment = lookups.rules.payment_of(row, amount)?;
    lookups.transactions.payment(row.id)?;
    let refunds = unit.rows()[1..].iter().map(|row| Ok((row, lookups.rules.refund(row)?)));
    let refunds: Vec<_> = refunds.collect::<Result<_, Refusal>>()?;
    let refunded = refunds.iter().map(|(_, refund)| refund.money.minor).sum();
    let refunded = (!refunds.is_empty()).then_some(refunded);

    let written = new_payment(lookups, row, &payment, refunded, draft)?;
    let payment_id = written.id;
    for (row, refund) in refunds {
        note_texts(row, draft)?;
        note_time(row, refund.paid_at, draft);
        let id = lookups.plan.id_in("refunds", row.id).ok_or_else(no_id)?;
        draft.write(NewRefund {
            id,
            payment_id,
            amount_minor: refund.money.minor,
            reason: Reason::Refund.into(),
            refunded_at: refund.paid_at.at.into(),
            carries: Some(refund.money.currency),
        });
        draft.migrated_as(row.id, "refunds", id);
    }
    if payment.state == State::Refunded && refunded.is_none() {
        let id = lookups.plan.id_in("refunds", row.id).ok_or_else(no_id)?;
        draft.write(NewRefund::of_whole(id, &written, Reason::LegacyStatus));
        draft.also("refunds", id);
    }
    if let Some(share) = lookups.allocations.of_payment(row.id) {
        draft.write(NewAllocation::new(payment_id, share));
    }
    draft.write(written);
    Ok(payment_id)
}

fn no_id() -> Refusal {
    Refusal::unforeseen("the plan has no id for this key")
}

/// Reads an amount, counts and notes it; of a refund without its sign.
fn take_amount(
    lookups: &Lookups,
    row: &Transaction,
    is_refund: bool,
    draft: &mut Draft<Rows>,
) -> Result<(KnownCurrency, Amount), Refusal> {
    let cells = row.price();
    let found = lookups.rules.amount(row);
    let noted = cells.note_texts(row.id, draft);
    if let (Ok((currency, amount)), Ok(())) = (&found, noted) {
        let counted = if is_refund { amount.unsigned().ok() } else { Some(*amount) };
        if let Some(counted) = counted {
            cells.note(*currency, Some(counted), row.id, draft);
        }
    }
    found
}

/// Why a refund does not travel with a payment.
fn refused_refund(lookups: &Lookups, row: &Transaction) -> Refusal {
    let judge = || {
        lookups.transactions.parent_of_refund(row.parent_id.reference("parent_id")?)?;
        lookups.rules.refund(row)?;
        lookups.transactions.refund(row.id)
    };
    judge().err().unwrap_or_else(|| Refusal::unforeseen("a refund that comes in travels with its payment"))
}

fn new_payment(
    lookups: &Lookups,
    row: &Transaction,
    payment: &Payment,
    refunded: Option<i64>,
    draft: &mut Draft<Rows>,
) -> Result<NewPayment, Refusal> {
    note_texts(row, draft)?;
    note_time(row, payment.paid_at, draft);
    if payment.recovered {
        let before = row.user_id.stored();
        let after = payment.account_id.to_string();
        draft.repair(row.id, TransactionRepair::AccountRecovered, "user_id", before, after);
    }
    let status: &str = Status::of(payment.state, payment.money.minor, refunded).into();
    if payment.stale {
        let before = row.status.good().cloned();
        draft.repair(row.id, TransactionRepair::StalePending, "status", before, status.to_owned());
    }
    let text = |cell: &Cell<String>| Some(clean::text(cell.good()?).value?.into_owned());
    Ok(NewPayment {
        id: lookups.plan.id_of(row.id).ok_or_else(no_id)?,
        account_id: payment.account_id,
        method: payment.method.into(),
        status,
        amount_minor: payment.money.minor,
        currency: payment.money.currency.into(),
        gateway: row.gateway.good().and_then(|raw| clean::word(raw)).map(Cow::into_owned),
        gateway_ref: text(&row.gateway_ref),
        subscription_id: subscription(lookups, row, draft)?,
        paid_at: payment.paid_at.at.into(),
    })
}

/// The subscription that it pays, as far as that is on the platform.
fn subscription(lookups: &Lookups, row: &Transaction, draft: &mut Draft<Rows>) -> Result<Option<i64>, Refusal> {
    let Some(key) = row.subscription_id.reference("subscription_id")? else { return Ok(None) };
    match lookups.subscriptions.of(Some(key)) {
        Standing::Live(id) => Ok(Some(id)),
        Standing::Skipped | Standing::Quarantined(_) | Standing::Missing => {
            let code = TransactionRepair::SubscriptionLinkBroken;
            draft.repair(row.id, code, "subscription_id", row.subscription_id.stored(), None);
            Ok(None)
        }
    }
}

/// Notes what the text rule changes in the columns that the rules name.
fn note_texts(row: &Transaction, draft: &mut Draft<Rows>) -> Result<(), Refusal> {
    for (column, cell) in row.texts() {
        reference::text(cell, column, row.id, draft)?;
    }
    Ok(())
}

/// Notes a time that is not that of `tx_when`.
fn note_time(row: &Transaction, paid_at: PaidAt, draft: &mut Draft<Rows>) {
    if paid_at.derived {
        let before = match &row.tx_when {
            Cell::Good(wall) => Some(wall.0.strftime("%Y-%m-%d %H:%M:%S%.f").to_string()),
            Cell::Bad(unfit) => Some(unfit.raw.clone()),
            Cell::Null => None,
        };
        draft.repair(row.id, TransactionRepair::PaidAtDerived, "tx_when", before, paid_at.at.to_string());
    }
}
