//! Legacy subscriptions as they truly are.

use diesel::prelude::*;
use reference::PriceCells;
use replant_core::db::MultiBackend;
use replant_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::schema::subscription;

/// A row of `subscription`.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = subscription, check_for_backend(MultiBackend))]
pub struct Subscription {
    /// The key.
    pub id: Key,
    /// Whose it is; 0 is NULL.
    pub user_id: Cell<i64>,
    /// What was subscribed to; absent is the standard plan.
    pub plan: Cell<String>,
    /// Trees a month, whatever the interval.
    pub trees_per_month: Cell<i64>,
    /// What an interval costs: `0.60`, `£0.60`, `60p`.
    pub amount: Cell<String>,
    /// A currency: a code or a symbol.
    pub currency: Cell<String>,
    /// `month`, `1m`, `annual`.
    pub interval: Cell<String>,
    /// `active`, `live`, `hold`, `ended`.
    pub status: Cell<String>,
    /// London wall time.
    pub started_when: Cell<Wall>,
    /// London wall time, also to come.
    pub next_billing_when: Cell<Wall>,
    /// London wall time; of some that are said to be active too.
    pub cancelled_when: Cell<Wall>,
    /// What the payment gateway calls it. Not unique.
    pub gateway_ref: Cell<String>,
}

replant_core::legacy!(Subscription => subscription, "subscription", key = id);

impl Subscription {
    /// The cells of its price.
    pub(crate) fn price(&self) -> PriceCells<'_> {
        PriceCells { amount: &self.amount, amount_column: "amount", currency: &self.currency }
    }
}
