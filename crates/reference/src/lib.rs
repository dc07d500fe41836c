#![doc = include_str!("../README.md")]

mod cells;
mod money;
mod schema;
mod values;

use std::collections::BTreeMap;

use diesel::prelude::*;
use jiff::{SignedDuration, Timestamp};
use replant_clean as clean;
use replant_core::db::Db;
use replant_core::prelude::*;
use schema::{accounts, countries, currencies, meta, payments, plantings};

pub use cells::{text, word};
pub use money::{Amount, KnownCurrency, Price, PriceCells, faulty};
pub use values::{
    created_when, currency, due_date, future_london, known_date, known_london, known_utc, last_login, london_day, phone,
};

/// Reads when the legacy database was frozen, and sees that it speaks of the world that the rules know.
///
/// # Errors
/// There is no such time, it cannot be read or has yet to come, or the application ran in another time zone than London's:
/// in words for the operator.
pub fn snapshot(legacy: &mut Db) -> Result<Timestamp, String> {
    let mut value = |name: &str| -> Result<Option<String>, String> {
        let found = meta::table.find(name).select(meta::value).first(legacy).optional();
        found.map_err(|_| "table `meta` is missing or has other columns than `name` and `value`".to_owned())
    };
    let (at, zone) = (value("snapshot_at")?, value("app_timezone")?);
    frozen_at(at.as_deref(), zone.as_deref(), Timestamp::now())
}

/// How far the clock of the machine that wrote the snapshot may be ahead of this one's.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// What `snapshot_at` and `app_timezone` of `meta` say, at the time `now`.
fn frozen_at(at: Option<&str>, zone: Option<&str>, now: Timestamp) -> Result<Timestamp, String> {
    let text = at.ok_or("table `meta` has no row `snapshot_at`")?;
    let at: Timestamp = text
        .trim()
        .parse()
        .map_err(|_| "`snapshot_at` in table `meta` is no UTC time like 2024-03-20T23:40:00Z".to_owned())?;
    if at.duration_since(now) > AHEAD {
        return Err(
            "`snapshot_at` in table `meta` has yet to come: it must say when this copy of the legacy database \
                    was made, in UTC (or the clock of this machine is wrong)"
                .to_owned(),
        );
    }
    match zone.map(str::trim) {
        None | Some(values::ZONE) => Ok(at),
        Some(_) => {
            Err("`app_timezone` in table `meta` is not Europe/London: the rules read every DATETIME as London's \
                        time, so those of this database would all be wrong. Where the row is not true, correct it"
                .to_owned())
        }
    }
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

/// How many decimals the platform's currencies have, by code: for reports.
///
/// # Errors
/// The table cannot be read.
pub fn exponents(platform: &mut Db) -> QueryResult<BTreeMap<String, u32>> {
    let rows: Vec<(String, i16)> = currencies::table.select((currencies::code, currencies::exponent)).load(platform)?;
    Ok(rows.into_iter().filter_map(|(code, exponent)| Some((code, u32::try_from(exponent).ok()?))).collect())
}

/// How many accounts, plantings and payments the platform has: what who is about to write into it knows it by.
///
/// # Errors
/// A table cannot be read.
pub fn rows_there(platform: &mut Db) -> QueryResult<[(&'static str, u64); 3]> {
    let accounts: i64 = accounts::table.count().get_result(platform)?;
    let plantings: i64 = plantings::table.count().get_result(platform)?;
    let payments: i64 = payments::table.count().get_result(platform)?;
    Ok([("accounts", accounts), ("plantings", plantings), ("payments", payments)].map(|(t, n)| (t, n.cast_unsigned())))
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2024-03-21T12:00:00Z";

    fn frozen(at: Option<&str>, zone: Option<&str>) -> Result<String, String> {
        frozen_at(at, zone, NOW.parse().expect("a time")).map(|at| at.to_string())
    }

    #[test]
    fn a_snapshot_is_a_time_that_has_passed() {
        let london = Some("Europe/London");
        for at in ["2024-03-20T23:40:00Z", NOW, "2024-03-22T12:00:00Z", " 2017-01-01T00:00:00Z "] {
            assert_eq!(frozen(Some(at), london).as_deref(), Ok(at.trim()), "{at}");
        }
        for at in ["2024-03-22T12:00:01Z", "2042-01-01T00:00:00Z"] {
            assert!(frozen(Some(at), london).is_err_and(|said| said.contains("has yet to come")), "{at}");
        }
        assert!(frozen(Some("2024-03-20 23:40:00"), london).is_err_and(|said| said.contains("no UTC time")));
        assert!(frozen(None, london).is_err_and(|said| said.contains("no row `snapshot_at`")));
    }

    #[test]
    fn the_application_ran_in_london() {
        for zone in [None, Some("Europe/London"), Some(" Europe/London\n")] {
            assert!(frozen(Some(NOW), zone).is_ok(), "{zone:?}");
        }
        for zone in ["America/New_York", "UTC", "GB", "", "europe/paris"] {
            let said = frozen(Some(NOW), Some(zone)).expect_err("another zone");
            assert!(said.contains("not Europe/London"), "{said}");
            assert!(zone.is_empty() || !said.contains(&format!("`{zone}`")), "{said}");
        }
    }
}
