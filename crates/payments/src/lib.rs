#![doc = include_str!("../README.md")]

mod allocation;
mod schema;
mod target;
mod transform;

use std::sync::Arc;

use replant_core::prelude::*;
use replant_core::{StepPlan, shape_of};
use settlement::{Allocations, PAYMENTS_STEP, Transaction, TransactionRules, Transactions, Transfer};

pub use allocation::NewAllocation;
pub use target::{NewPayment, NewRefund, Reason, Status};

/// The domain.
pub fn domain() -> Domain {
    Domain::new("payments").step::<Payments>()
}

/// The platform's tables that payments are written to, as `table!` declares them.
pub fn payment_shapes() -> Vec<TableShape> {
    vec![
        shape_of::<schema::payments::table>("payments"),
        shape_of::<schema::refunds::table>("refunds"),
        shape_of::<schema::payment_allocations::table>("payment_allocations"),
    ]
}

/// Legacy `finance_transaction` to platform `payments` and `refunds`.
pub struct Payments;

/// What the step knows before its first chunk.
pub struct Lookups {
    rules: Arc<TransactionRules>,
    transactions: Arc<Transactions>,
    allocations: Arc<Allocations>,
    subscriptions: Arc<Standings>,
    plan: Arc<StepPlan>,
}

impl Step for Payments {
    const NAME: &'static str = PAYMENTS_STEP;
    const ABOUT: &'static str = "payments with their refunds; they settle invoices";
    const AFTER: &'static [&'static str] =
        &[users::Accounts::NAME, brands::Brands::NAME, invoices::Invoices::NAME, subscriptions::Subscriptions::NAME];
    const TARGET: &'static str = "payments";
    const ALSO: &'static [&'static str] = &["refunds"];
    const PARTS: &'static [(&'static str, &'static str)] = &[("payment_allocations", "payment_id")];
    const FATES: &'static [(&'static str, Fate)] = &[
        ("id", Fate::Derived("the lineage; of doubles with one status the lowest id stays")),
        ("user_id", Fate::Moved("payments.account_id")),
        ("brand_id", Fate::Derived("payments.account_id, where neither the user nor an e-mail tells it")),
        ("type", Fate::Moved("payments.method")),
        ("amount", Fate::Moved("payments.amount_minor, refunds.amount_minor")),
        ("currency", Fate::Moved("payments.currency")),
        ("status", Fate::Moved("payments.status")),
        ("gateway", Fate::Moved("payments.gateway")),
        ("gateway_ref", Fate::Moved("payments.gateway_ref")),
        ("parent_id", Fate::Moved("refunds.payment_id")),
        ("subscription_id", Fate::Moved("payments.subscription_id")),
        ("invoice_no", Fate::Moved("payment_allocations.invoice_id")),
        ("tx_when", Fate::Moved("payments.paid_at, refunds.refunded_at")),
        ("created_when", Fate::Derived("payments.paid_at, refunds.refunded_at where `tx_when` is unknown")),
        ("meta", Fate::Derived("payments.account_id, where the user is not there: by the e-mail in it")),
    ];

    type Legacy = Transaction;
    type Lookups = Lookups;
    type Rows = target::Rows;

    fn reads() -> Vec<TableShape> {
        vec![Transfer::shape()]
    }

    fn writes() -> Vec<TableShape> {
        let mut shapes = payment_shapes();
        shapes.push(reference::currencies_shape());
        shapes
    }

    fn prepare(cx: &Prepare<'_>) -> Result<Lookups, PrepareError> {
        Ok(Lookups {
            rules: cx.lookup::<TransactionRules>()?,
            transactions: cx.lookup::<Transactions>()?,
            allocations: cx.lookup::<Allocations>()?,
            subscriptions: cx.standings::<subscriptions::Subscriptions>()?,
            plan: cx.plan(),
        })
    }

    fn followers(lookups: &Lookups) -> Option<&Followers> {
        Some(lookups.transactions.followers())
    }

    fn transform(
        lookups: &Lookups,
        unit: &Unit<'_, Transaction>,
        draft: &mut Draft<target::Rows>,
    ) -> Result<i64, Refusal> {
        transform::transaction(lookups, unit, draft)
    }
}
