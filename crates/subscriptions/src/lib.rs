#![doc = include_str!("../README.md")]

mod conflicts;
mod legacy;
mod native;
mod schema;
mod target;
mod transform;

use std::sync::Arc;

use reference::Currencies;
use replant_clean::Snapshot;
use replant_core::prelude::*;
use replant_core::{StepPlan, shape_of};
use settlement::{Transaction, Transactions};

use crate::conflicts::Conflicts;
use crate::native::Native;

/// The domain.
pub fn domain() -> Domain {
    Domain::new("subscriptions").step::<Subscriptions>()
}

/// Legacy `subscription` to platform `subscriptions`.
pub struct Subscriptions;

/// What the step knows before its first chunk.
pub struct Lookups {
    users: Arc<Standings>,
    currencies: Arc<Currencies>,
    transactions: Arc<Transactions>,
    conflicts: Conflicts,
    plan: Arc<StepPlan>,
    snapshot: Snapshot,
}

impl Step for Subscriptions {
    const NAME: &'static str = "subscriptions.subscriptions";
    const ABOUT: &'static str = "subscriptions; of several active ones to a plan one stays, unpaid ones are past due";
    const AFTER: &'static [&'static str] = &[users::Accounts::NAME, brands::Brands::NAME];
    const TARGET: &'static str = "subscriptions";
    const FATES: &'static [(&'static str, Fate)] = &[
        ("id", Fate::Derived("the lineage; a subscription gets an id of the platform's own")),
        ("user_id", Fate::Moved("subscriptions.account_id")),
        ("plan", Fate::Moved("subscriptions.plan")),
        ("trees_per_month", Fate::Moved("subscriptions.trees_per_cycle")),
        ("amount", Fate::Moved("subscriptions.amount_minor")),
        ("currency", Fate::Moved("subscriptions.currency")),
        ("interval", Fate::Moved("subscriptions.cycle")),
        ("status", Fate::Moved("subscriptions.status")),
        ("started_when", Fate::Moved("subscriptions.started_at")),
        ("next_billing_when", Fate::Moved("subscriptions.next_billing_at")),
        ("cancelled_when", Fate::Moved("subscriptions.cancelled_at")),
        ("gateway_ref", Fate::Moved("subscriptions.gateway_ref")),
    ];

    type Legacy = legacy::Subscription;
    type Lookups = Lookups;
    type Rows = target::Rows;

    fn reads() -> Vec<TableShape> {
        vec![Transaction::shape()]
    }

    fn writes() -> Vec<TableShape> {
        vec![shape_of::<schema::subscriptions::table>("subscriptions"), reference::currencies_shape()]
    }

    fn prepare(cx: &Prepare<'_>) -> Result<Lookups, PrepareError> {
        let users = cx.standings::<users::Accounts>()?;
        let currencies = cx.lookup::<Currencies>()?;
        let snapshot = Snapshot(cx.snapshot());
        let conflicts = Conflicts::read(cx, &cx.frozen::<Native>()?, &users, &currencies.0, snapshot)?;
        let transactions = cx.lookup::<Transactions>()?;
        Ok(Lookups { users, currencies, transactions, conflicts, plan: cx.plan(), snapshot })
    }

    fn transform(
        lookups: &Lookups,
        unit: &Unit<'_, legacy::Subscription>,
        draft: &mut Draft<target::Rows>,
    ) -> Result<i64, Refusal> {
        transform::subscription(lookups, unit.leader(), draft)
    }
}
