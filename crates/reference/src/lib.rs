#![doc = include_str!("../README.md")]

mod cells;
mod money;
mod schema;

use diesel::prelude::*;
use jiff::Timestamp;
use replant_clean as clean;
use replant_core::db::Db;
use replant_core::prelude::*;
use schema::{countries, currencies, meta};

pub use cells::{text, word};
pub use money::{Amount, KnownCurrency, Price, PriceCells, faulty};

/// Reads when the legacy database was frozen.
///
/// # Errors
/// There is no such time, or it cannot be read: in words for the operator.
pub fn snapshot(legacy: &mut Db) -> Result<Timestamp, String> {
    let found: Option<String> = meta::table
        .find("snapshot_at")
        .select(meta::value)
        .first(legacy)
        .optional()
        .map_err(|_| "table `meta` is missing or has other columns than `name` and `value`".to_owned())?;
    let text = found.ok_or("table `meta` has no row `snapshot_at`")?;
    text.trim().parse().map_err(|_| "`snapshot_at` in table `meta` is no UTC time like 2024-03-20T23:40:00Z".to_owned())
}

/// The platform's currencies with their exponents.
pub struct Currencies(pub clean::Currencies);

impl Lookup for Currencies {
    fn build(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        let rows: Vec<(String, i16)> =
            cx.target("currencies", |db| currencies::table.select((currencies::code, currencies::exponent)).load(db))?;
        Ok(Self(clean::Currencies::new(rows)))
    }
}

/// The platform's countries with their names.
pub struct Countries(pub clean::Countries);

impl Lookup for Countries {
    fn build(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        let rows: Vec<(String, String)> =
            cx.target("countries", |db| countries::table.select((countries::code, countries::name)).load(db))?;
        Ok(Self(clean::Countries::new(rows)))
    }
}

/// The shapes of the platform's tables that the lookups read: a step that uses one names it among what it needs.
pub fn currencies_shape() -> TableShape {
    replant_core::shape_of::<currencies::table>("currencies")
}

/// See [`currencies_shape`].
pub fn countries_shape() -> TableShape {
    replant_core::shape_of::<countries::table>("countries")
}
