//! Cross-charges as the platform will have them.

use diesel::prelude::*;
use replant_core::prelude::*;
use serde::{Serialize, Serializer};

use crate::schema::cross_charges;

/// A row of `cross_charges`.
#[derive(Debug, Clone, Insertable, Serialize)]
#[diesel(table_name = cross_charges, treat_none_as_default_value = false)]
pub struct NewCharge {
    /// The id, from the step's block.
    pub id: i64,
    /// The brand that is charged.
    pub brand_id: i64,
    /// The first day of the month.
    #[serde(serialize_with = "day")]
    pub period: jiff_diesel::Date,
    /// Positive.
    pub trees: i32,
    /// In minor units of the currency; not negative.
    pub unit_price_minor: i64,
    /// `trees` times `unit_price_minor`.
    pub total_minor: i64,
    /// One that the platform has.
    pub currency: String,
    /// Not empty; one charge for each brand, month and cost centre.
    pub cost_centre: String,
    /// As it was written.
    pub invoice_number: Option<String>,
}

impl NewCharge {
    /// The money of a charge is its total.
    fn total(&self) -> Option<Money> {
        Some(Money { currency: Currency::new(&self.currency)?, minor: self.total_minor })
    }
}

fn day<S: Serializer>(day: &jiff_diesel::Date, serializer: S) -> Result<S::Ok, S::Error> {
    day.to_jiff().serialize(serializer)
}

replant_core::insert!(NewCharge => cross_charges, money = NewCharge::total,
    together = [[trees, unit_price_minor, total_minor, currency], [brand_id, period, cost_centre]],
    fixed = [brand_id, period, trees, unit_price_minor, total_minor, currency], summed = [total_minor, currency, brand_id]);

replant_core::rows! {
    /// What a chunk of cross-charges writes.
    pub struct Rows { charges: NewCharge }
}
