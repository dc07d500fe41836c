#![doc = include_str!("../README.md")]

mod balances;
mod doubles;
mod legacy;
mod prelaunch;
mod schema;
mod target;
mod transform;

use std::sync::Arc;

use reference::Currencies;
use replant_clean::Snapshot;
use replant_core::prelude::*;
use replant_core::{StepPlan, shape_of};

use crate::doubles::Doubles;

/// The domain.
pub fn domain() -> Domain {
    Domain::new("credits").step::<Entries>()
}

/// Legacy `credit_entry` to platform `credit_entries`.
pub struct Entries;

/// What the step knows before its first chunk.
pub struct Lookups {
    users: Arc<Standings>,
    currencies: Arc<Currencies>,
    doubles: Doubles,
    plan: Arc<StepPlan>,
    snapshot: Snapshot,
    first_written: FirstWritten,
}

impl Step for Entries {
    const NAME: &'static str = "credits.entries";
    const ABOUT: &'static str = "credit entries; they replace the pre-launch ones, and no account is left below zero";
    const AFTER: &'static [&'static str] = &[users::Accounts::NAME];
    const TARGET: &'static str = "credit_entries";
    const FATES: &'static [(&'static str, Fate)] = &[
        ("id", Fate::Derived("the lineage; an entry gets an id of the platform's own")),
        ("user_id", Fate::Moved("credit_entries.account_id")),
        ("delta", Fate::Moved("credit_entries.delta_minor")),
        ("currency", Fate::Moved("credit_entries.currency")),
        ("reason", Fate::Moved("credit_entries.reason")),
        ("ref_type", Fate::Derived("which entries are double posts; the platform does not keep what one was made for")),
        ("ref_id", Fate::Derived("which entries are double posts; the platform does not keep what one was made for")),
        ("created_when", Fate::Moved("credit_entries.occurred_at")),
    ];

    type Legacy = legacy::CreditEntry;
    type Lookups = Lookups;
    type Rows = target::Rows;

    fn writes() -> Vec<TableShape> {
        vec![shape_of::<schema::credit_entries::table>("credit_entries"), reference::currencies_shape()]
    }

    fn prepare(cx: &Prepare<'_>) -> Result<Lookups, PrepareError> {
        let users = cx.standings::<users::Accounts>()?;
        let currencies = cx.lookup::<Currencies>()?;
        let snapshot = Snapshot(cx.snapshot());
        let doubles = Doubles::read(cx, &users, &currencies.0, snapshot)?;
        Ok(Lookups {
            users,
            currencies,
            doubles,
            plan: cx.plan(),
            snapshot,
            first_written: cx.first_written(|| cx.before())?,
        })
    }

    fn transform(
        lookups: &Lookups,
        unit: &Unit<'_, legacy::CreditEntry>,
        draft: &mut Draft<target::Rows>,
    ) -> Result<i64, Refusal> {
        transform::entry(lookups, unit.leader(), draft)
    }

    fn finish(lookups: &Lookups, tx: &mut Tx<'_>) -> Result<(), FinishError> {
        prelaunch::remove(tx, &lookups.users)?;
        balances::adjust(tx, &lookups.users, &lookups.currencies.0, lookups.snapshot.0)?;
        Ok(())
    }
}
