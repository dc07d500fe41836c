//! Amounts as reports show them: minor units for scripts, decimals for people.

use diesel::prelude::*;
use replant_clean::{Currencies, CurrencyCode};
use replant_core::db::Db;
use rust_decimal::Decimal;

use crate::error::{Reading, ReportError};
use crate::schema::target::currencies;

/// How many decimals each currency of the platform has.
pub(crate) struct Decimals(Currencies);

impl Decimals {
    pub(crate) fn read(target: &mut Db) -> Result<Self, ReportError> {
        let rows: Vec<(String, i16)> = currencies::table
            .select((currencies::code, currencies::exponent))
            .load(target)
            .reading("the platform's currencies")?;
        Ok(Self(Currencies::new(rows)))
    }

    /// Minor units in major ones; a currency that the platform does not have is shown in its minor units.
    pub(crate) fn shown(&self, minor: i64, currency: &str) -> String {
        let exponent = CurrencyCode::new(currency).and_then(|code| self.0.exponent(code)).unwrap_or(0);
        Decimal::from_i128_with_scale(minor.into(), exponent).to_string()
    }

    #[cfg(test)]
    pub(crate) fn of(rows: &[(&str, i16)]) -> Self {
        Self(Currencies::new(rows.iter().map(|(code, exponent)| ((*code).to_owned(), *exponent))))
    }
}
