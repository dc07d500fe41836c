//! Plantings as the platform will have them.

use diesel::prelude::*;
use replant_core::prelude::*;
use serde::Serialize;

use crate::schema::plantings;

/// How a planting came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// Bought.
    Purchase,
    /// Bought for somebody else.
    Gift,
    /// Part of a subscription.
    Subscription,
    /// Ordered by a program.
    Api,
    /// Charged within a group of brands.
    CrossCharge,
}

/// How far a planting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// The trees are not in the ground.
    Pending,
    /// They are.
    Planted,
}

/// A row of `plantings`.
#[derive(Debug, Clone, PartialEq, Eq, Insertable, Serialize)]
#[diesel(table_name = plantings, treat_none_as_default_value = false)]
pub struct NewPlanting {
    /// The id, from the step's block.
    pub id: i64,
    /// Of the user, else of the brand.
    pub account_id: i64,
    /// The brand, if it is there.
    pub brand_id: Option<i64>,
    /// The project.
    pub project_id: i64,
    /// The payment, if it was migrated.
    pub payment_id: Option<i64>,
    /// A [`Kind`].
    pub kind: &'static str,
    /// A [`Status`].
    pub status: &'static str,
    /// More than none.
    pub trees: i32,
    /// In minor units of the currency; not negative. There is a currency where there is a cost.
    pub cost_minor: Option<i64>,
    /// One that the platform has.
    pub currency: Option<String>,
    /// Normalised.
    pub recipient_email: Option<String>,
    /// Whose address that is, if somebody's.
    pub recipient_account_id: Option<i64>,
    /// Not empty.
    pub message: Option<String>,
    /// When it was planted.
    pub planted_at: Instant,
}

impl NewPlanting {
    /// The cost that the row carries.
    fn cost(&self) -> Option<Money> {
        Some(Money { currency: Currency::new(self.currency.as_deref()?)?, minor: self.cost_minor? })
    }
}

replant_core::insert!(NewPlanting => plantings, money = NewPlanting::cost, order = |row| row.account_id,
    together = [[cost_minor, currency]],
    fixed = [account_id, brand_id, project_id, payment_id, kind, cost_minor, currency, planted_at],
    summed = [cost_minor, currency, account_id]);

replant_core::rows! {
    /// What a chunk of plantations writes.
    pub struct Rows { plantings: NewPlanting }
}

#[cfg(test)]
impl Rows {
    /// The plantings, in the order in which they were written.
    pub(crate) fn written(&self) -> &[NewPlanting] {
        self.plantings.rows()
    }
}
