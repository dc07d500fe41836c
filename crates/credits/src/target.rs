//! Credit entries as the platform will have them.

use diesel::prelude::*;
use replant_core::prelude::*;
use serde::Serialize;

use crate::schema::credit_entries;

/// What credit was given or taken for. The platform has one more, `prelaunch_import`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// Bought.
    Topup,
    /// Used for trees.
    Spend,
    /// Given back.
    Refund,
    /// Given.
    Promo,
    /// Put right.
    Adjustment,
}

/// A row of `credit_entries`.
#[derive(Debug, Clone, PartialEq, Eq, Insertable, Serialize)]
#[diesel(table_name = credit_entries, treat_none_as_default_value = false)]
pub struct NewCreditEntry {
    /// The id, from the step's block.
    pub id: i64,
    /// The account of the entry's user.
    pub account_id: i64,
    /// One that the platform has.
    pub currency: String,
    /// In minor units of the currency; not zero.
    pub delta_minor: i64,
    /// A [`Reason`].
    pub reason: &'static str,
    /// When.
    pub occurred_at: Instant,
}

impl NewCreditEntry {
    /// The money that the row carries.
    fn delta(&self) -> Option<Money> {
        Some(Money { currency: Currency::new(&self.currency)?, minor: self.delta_minor })
    }
}

replant_core::insert!(NewCreditEntry => credit_entries, money = NewCreditEntry::delta, order = |row| row.account_id,
    together = [[delta_minor, currency]],
    fixed = [account_id, currency, delta_minor, reason, occurred_at], summed = [delta_minor, currency, account_id]);

replant_core::rows! {
    /// What a chunk of credit entries writes.
    pub struct Rows { entries: NewCreditEntry }
}
