//! Subscriptions as the platform will have them.

use diesel::prelude::*;
use replant_core::prelude::*;
use serde::Serialize;

use crate::schema::subscriptions;

/// How often is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Cycle {
    /// Every month.
    Month,
    /// Every year.
    Year,
}

/// What a subscription is at S.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// Trees are planted.
    Active,
    /// The customer wants a rest.
    Paused,
    /// A payment is owed.
    PastDue,
    /// It is over.
    Cancelled,
}

/// A row of `subscriptions`.
#[derive(Debug, Clone, PartialEq, Eq, Insertable, Serialize)]
#[diesel(table_name = subscriptions, treat_none_as_default_value = false)]
pub struct NewSubscription {
    /// The id, from the step's block.
    pub id: i64,
    /// The account of the subscription's user.
    pub account_id: i64,
    /// Not empty. An account has one active subscription to a plan.
    pub plan: String,
    /// More than none.
    pub trees_per_cycle: i32,
    /// What a cycle costs, in minor units of the currency; not negative.
    pub amount_minor: i64,
    /// One that the platform has.
    pub currency: String,
    /// A [`Cycle`].
    pub cycle: &'static str,
    /// A [`Status`].
    pub status: &'static str,
    /// Unique.
    pub gateway_ref: Option<String>,
    /// When it began.
    pub started_at: Instant,
    /// When the next payment is due, also before S.
    pub next_billing_at: Option<Instant>,
    /// When it ended: of cancelled ones alone, and not before it began.
    pub cancelled_at: Option<Instant>,
}

impl NewSubscription {
    /// The money that the row carries.
    fn amount(&self) -> Option<Money> {
        Some(Money { currency: Currency::new(&self.currency)?, minor: self.amount_minor })
    }
}

replant_core::insert!(NewSubscription => subscriptions, money = NewSubscription::amount, order = |row| row.account_id,
    together = [[amount_minor, currency], [status, account_id, plan, started_at, cancelled_at]],
    fixed = [account_id, started_at], summed = [amount_minor, currency, account_id]);

replant_core::rows! {
    /// What a chunk of subscriptions writes.
    pub struct Rows { subscriptions: NewSubscription }
}
