#![doc = include_str!("../README.md")]

mod target;
mod transform;

use std::sync::Arc;

use replant_core::StepPlan;
use replant_core::prelude::*;
use settlement::{Allocations, Transfer, TransferRules, Transfers};

/// The domain.
pub fn domain() -> Domain {
    Domain::new("bank_transfers").step::<BankTransfers>()
}

/// Legacy `bank_transfer` to platform `payments` and `refunds`.
pub struct BankTransfers;

/// What the step knows before its first chunk.
pub struct Lookups {
    rules: Arc<TransferRules>,
    transfers: Arc<Transfers>,
    allocations: Arc<Allocations>,
    payments: Arc<Standings>,
    plan: Arc<StepPlan>,
}

impl Step for BankTransfers {
    const NAME: &'static str = "bank_transfers.transfers";
    const ABOUT: &'static str = "bank transfers that no transaction shows become payments; they settle invoices";
    const AFTER: &'static [&'static str] = &[users::Accounts::NAME, invoices::Invoices::NAME, payments::Payments::NAME];
    const TARGET: &'static str = "payments";
    const ALSO: &'static [&'static str] = &["refunds"];
    const PARTS: &'static [(&'static str, &'static str)] = &[("payment_allocations", "payment_id")];
    const FATES: &'static [(&'static str, Fate)] = &[
        ("id", Fate::Moved("payments.gateway_ref")),
        ("user_id", Fate::Moved("payments.account_id")),
        ("payer_name", Fate::Dropped("the platform knows payers by their accounts; nothing is told by the name")),
        ("payer_email", Fate::Derived("payments.account_id, where neither the user nor an invoice tells it")),
        ("reference", Fate::Moved("payment_allocations.invoice_id")),
        ("amount", Fate::Moved("payments.amount_minor")),
        ("currency", Fate::Moved("payments.currency")),
        ("received", Fate::Moved("payments.paid_at")),
        ("finance_transaction_id", Fate::Derived("whether a transaction shows the transfer already")),
        ("status", Fate::Moved("payments.status")),
        ("notes", Fate::Dropped("notes of the staff, for which the platform has no place")),
    ];

    type Legacy = Transfer;
    type Lookups = Lookups;
    type Rows = target::Rows;

    fn writes() -> Vec<TableShape> {
        let mut shapes = payments::payment_shapes();
        shapes.push(reference::currencies_shape());
        shapes
    }

    fn prepare(cx: &Prepare<'_>) -> Result<Lookups, PrepareError> {
        Ok(Lookups {
            rules: cx.lookup::<TransferRules>()?,
            transfers: cx.lookup::<Transfers>()?,
            allocations: cx.lookup::<Allocations>()?,
            payments: cx.standings::<payments::Payments>()?,
            plan: cx.plan(),
        })
    }

    fn transform(
        lookups: &Lookups,
        unit: &Unit<'_, Transfer>,
        draft: &mut Draft<target::Rows>,
    ) -> Result<i64, Refusal> {
        transform::transfer(lookups, unit.leader(), draft)
    }
}
