//! Payments, refunds and what they settle, as the platform will have them.

use diesel::prelude::*;
use replant_core::prelude::*;
use serde::Serialize;
use settlement::State;

use crate::allocation::NewAllocation;
use crate::schema::{payments, refunds};

/// What became of a payment, once its refunds are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// The money is yet to come.
    Pending,
    /// The money came and stayed.
    Succeeded,
    /// It did not come.
    Failed,
    /// All of it went back.
    Refunded,
    /// Some of it went back.
    PartiallyRefunded,
}

impl Status {
    /// That of a payment of which `refunded` minor units went back, if there are refunds at all.
    pub(crate) fn of(state: State, minor: i64, refunded: Option<i64>) -> Self {
        match (state, refunded) {
            (State::Pending, _) => Self::Pending,
            (State::Failed, _) => Self::Failed,
            (State::Succeeded, None) => Self::Succeeded,
            (State::Refunded, None) => Self::Refunded,
            (State::Succeeded | State::Refunded, Some(refunded)) if refunded == minor => Self::Refunded,
            (State::Succeeded | State::Refunded, Some(_)) => Self::PartiallyRefunded,
        }
    }
}

/// Why money went back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// A refund of the legacy database.
    Refund,
    /// The legacy payment says that it was refunded, and no refund tells more.
    LegacyStatus,
    /// A bank transfer was sent back.
    Reversal,
}

/// A row of `payments`.
#[derive(Debug, Clone, PartialEq, Eq, Insertable, Serialize)]
#[diesel(table_name = payments, treat_none_as_default_value = false)]
pub struct NewPayment {
    /// The id, from the step's block.
    pub id: i64,
    /// Who paid.
    pub account_id: i64,
    /// A [`settlement::Method`].
    pub method: &'static str,
    /// A [`Status`].
    pub status: &'static str,
    /// In minor units of the currency; positive.
    pub amount_minor: i64,
    /// One that the platform has.
    pub currency: String,
    /// Who took the money, in lower case; not empty.
    pub gateway: Option<String>,
    /// The gateway's name for it; not empty. One gateway has it once.
    pub gateway_ref: Option<String>,
    /// The subscription that it pays.
    pub subscription_id: Option<i64>,
    /// When it was made.
    pub paid_at: Instant,
}

impl NewPayment {
    fn carried(&self) -> Option<Money> {
        Some(Money { currency: Currency::new(&self.currency)?, minor: self.amount_minor })
    }
}

replant_core::insert!(
    NewPayment => payments,
    money = NewPayment::carried,
    order = |row| row.account_id,
    together = [[amount_minor, currency], [gateway, gateway_ref]],
    fixed = [account_id, method, amount_minor, currency, gateway, gateway_ref, subscription_id, paid_at],
    summed = [amount_minor, currency, account_id]
);

/// A row of `refunds`.
#[derive(Debug, Clone, PartialEq, Eq, Insertable, Serialize)]
#[diesel(table_name = refunds, treat_none_as_default_value = false)]
pub struct NewRefund {
    /// The id, from the step's block.
    pub id: i64,
    /// The payment that is given back.
    pub payment_id: i64,
    /// In minor units of the payment's currency; positive.
    pub amount_minor: i64,
    /// A [`Reason`].
    pub reason: &'static str,
    /// When it was given back.
    pub refunded_at: Instant,
    /// The currency of money that a legacy row brought; none where the payment's row brought it.
    #[diesel(skip_insertion)]
    #[serde(skip)]
    pub carries: Option<Currency>,
}

impl NewRefund {
    /// A payment that goes back as a whole when it was made, of which no legacy row of its own tells.
    pub fn of_whole(id: i64, payment: &NewPayment, reason: Reason) -> Self {
        let (payment_id, amount_minor, refunded_at) = (payment.id, payment.amount_minor, payment.paid_at);
        Self { id, payment_id, amount_minor, reason: reason.into(), refunded_at, carries: None }
    }

    fn carried(&self) -> Option<Money> {
        Some(Money { currency: self.carries?, minor: self.amount_minor })
    }
}

replant_core::insert!(NewRefund => refunds, money = NewRefund::carried, fixed = [payment_id, amount_minor, refunded_at]);

replant_core::rows! {
    /// What a chunk of payments writes.
    pub struct Rows { payments: NewPayment, refunds: NewRefund, allocations: NewAllocation }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refunds_decide_the_status_of_money_that_came_in() {
        use State::{Failed, Pending, Refunded, Succeeded};
        for (state, refunded, expect) in [
            (Pending, None, Status::Pending),
            (Failed, None, Status::Failed),
            (Succeeded, None, Status::Succeeded),
            (Succeeded, Some(99), Status::PartiallyRefunded),
            (Succeeded, Some(100), Status::Refunded),
            (Refunded, None, Status::Refunded),
            (Refunded, Some(1), Status::PartiallyRefunded),
            (Refunded, Some(100), Status::Refunded),
        ] {
            assert_eq!(Status::of(state, 100, refunded), expect, "{state:?} {refunded:?}");
        }
        assert_eq!(<&str>::from(Status::PartiallyRefunded), "partially_refunded");
        assert_eq!(<&str>::from(Reason::LegacyStatus), "legacy_status");
    }
}
