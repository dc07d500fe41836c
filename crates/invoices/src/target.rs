//! Invoices as the platform will have them.

use diesel::prelude::*;
use replant_core::prelude::*;
use serde::{Serialize, Serializer};

use crate::schema::invoices;

/// Whether an invoice is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// Not, or in part, or nobody knows.
    Open,
    /// In full.
    Paid,
}

/// A row of `invoices`.
#[derive(Debug, Clone, Insertable, Serialize)]
#[diesel(table_name = invoices, treat_none_as_default_value = false)]
pub struct NewInvoice {
    /// The id, from the step's block.
    pub id: i64,
    /// The account of the invoice's user.
    pub account_id: i64,
    /// `MT-` and digits; unique.
    pub number: String,
    /// In minor units of the currency; positive.
    pub total_minor: i64,
    /// One that the platform has.
    pub currency: String,
    /// The day of issue.
    #[serde(serialize_with = "day")]
    pub issued_on: jiff_diesel::Date,
    /// Not before the day of issue.
    #[serde(serialize_with = "optional_day")]
    pub due_on: Option<jiff_diesel::Date>,
    /// A [`Status`].
    pub status: &'static str,
}

impl NewInvoice {
    /// The total that the row carries.
    fn total(&self) -> Option<Money> {
        Some(Money { currency: Currency::new(&self.currency)?, minor: self.total_minor })
    }
}

fn day<S: Serializer>(day: &jiff_diesel::Date, serializer: S) -> Result<S::Ok, S::Error> {
    day.to_jiff().serialize(serializer)
}

fn optional_day<S: Serializer>(day: &Option<jiff_diesel::Date>, serializer: S) -> Result<S::Ok, S::Error> {
    day.map(jiff_diesel::Date::to_jiff).serialize(serializer)
}

replant_core::insert!(NewInvoice => invoices, money = NewInvoice::total, together = [[total_minor, currency], [issued_on, due_on]],
    fixed = [account_id, number, total_minor, currency, issued_on], summed = [total_minor, currency, account_id]);

replant_core::rows! {
    /// What a chunk of invoices writes.
    pub struct Rows { invoices: NewInvoice }
}
