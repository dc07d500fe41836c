//! Trees that a brand was charged for against trees that were planted for it, by London month (rules: Cross-charges).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;
use jiff::tz::TimeZone;
use replant_core::Instant;
use replant_core::db::Db;
use serde::Serialize;

use super::scope::Scope;
use crate::error::{Reading, ReportError};
use crate::known::Known;
use crate::read::{PAGE, pages};
use crate::schema::target::{cross_charges as c, plantings as p};

/// The trees of a brand in a month.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BrandMonth {
    /// The legacy brand; none where the platform's own staff entered it.
    pub legacy_brand_id: Option<i64>,
    /// The brand on the platform.
    pub brand_id: i64,
    /// Its name.
    pub brand: String,
    /// `2023-07`, a month of London.
    pub month: String,
    /// Trees of the migrated cross-charges of that period.
    pub trees_charged: i64,
    /// Trees of the migrated plantings of kind `cross_charge` of that month.
    pub trees_planted: i64,
    /// Charged less planted: above zero, trees were charged that nobody planted.
    pub difference: i64,
    /// Trees of cross-charges that the platform made itself. They are in no difference.
    pub native_trees_charged: i64,
    /// Trees of such plantings that the platform made itself. They are in no difference.
    pub native_trees_planted: i64,
}

/// All months of all brands, and their sums.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CrossChargeTotals {
    /// Lines.
    pub lines: usize,
    /// Lines where both sides differ.
    pub differing: usize,
    /// Over all lines.
    pub trees_charged: i64,
    /// Over all lines.
    pub trees_planted: i64,
    /// Over all lines, charged less planted.
    pub difference: i64,
    /// Of the lines with more charged than planted, how many more.
    pub charged_not_planted: i64,
    /// Of the lines with more planted than charged, how many more.
    pub planted_not_charged: i64,
    /// Over all lines.
    pub native_trees_charged: i64,
    /// Over all lines.
    pub native_trees_planted: i64,
    /// Trees of migrated plantings of kind `cross_charge` that have no brand, and so no line. None where one brand was
    /// asked for.
    pub planted_without_brand: Option<i64>,
}

impl CrossChargeTotals {
    /// The sums of lines.
    pub fn of<'a>(lines: impl IntoIterator<Item = &'a BrandMonth>) -> Self {
        let mut totals = Self::default();
        for line in lines {
            totals.lines += 1;
            totals.differing += usize::from(line.difference != 0);
            totals.trees_charged += line.trees_charged;
            totals.trees_planted += line.trees_planted;
            totals.difference += line.difference;
            totals.charged_not_planted += line.difference.max(0);
            totals.planted_not_charged += (-line.difference).max(0);
            totals.native_trees_charged += line.native_trees_charged;
            totals.native_trees_planted += line.native_trees_planted;
        }
        totals
    }
}

#[derive(Default)]
struct Trees {
    charged: i64,
    planted: i64,
    native_charged: i64,
    native_planted: i64,
}

/// By the place of the brand in the scope, then the month.
type Months = BTreeMap<(usize, String), Trees>;

pub(super) fn cross_charges(
    target: &mut Db,
    known: &Known,
    scope: &Scope,
) -> Result<(Vec<BrandMonth>, CrossChargeTotals), ReportError> {
    let mut months = Months::new();
    charged(target, known, scope, &mut months)?;
    let without_brand = planted(target, known, scope, &mut months)?;
    let lines: Vec<BrandMonth> = months
        .into_iter()
        .map(|((place, month), trees)| {
            let brand = &scope.brands[place];
            BrandMonth {
                legacy_brand_id: brand.legacy_brand_id,
                brand_id: brand.brand_id,
                brand: brand.brand.clone(),
                month,
                trees_charged: trees.charged,
                trees_planted: trees.planted,
                difference: trees.charged - trees.planted,
                native_trees_charged: trees.native_charged,
                native_trees_planted: trees.native_planted,
            }
        })
        .collect();
    let planted_without_brand = (!scope.one).then_some(without_brand);
    let totals = CrossChargeTotals { planted_without_brand, ..CrossChargeTotals::of(&lines) };
    Ok((lines, totals))
}

fn charged(target: &mut Db, known: &Known, scope: &Scope, months: &mut Months) -> Result<(), ReportError> {
    let migrated = known.targets(target, "cross_charge", "cross_charges")?;
    // A DATE as both databases write it; diesel has no portable form of it.
    let period = || sql::<Text>("CAST(period AS TEXT)");
    let rows: Vec<(i64, i64, String, i32)> = c::table
        .select((c::id, c::brand_id, period(), c::trees))
        .load(target)
        .reading("the platform's cross-charges")?;
    for (id, brand_id, period, trees) in rows {
        let Some(place) = scope.place(brand_id) else { continue };
        let month = period.get(..7).unwrap_or(&period).to_owned();
        let entry = months.entry((place, month)).or_default();
        match migrated.contains(id) {
            true => entry.charged += i64::from(trees),
            false => entry.native_charged += i64::from(trees),
        }
    }
    Ok(())
}

/// Returns the trees of migrated plantings that have no brand.
fn planted(target: &mut Db, known: &Known, scope: &Scope, months: &mut Months) -> Result<i64, ReportError> {
    let migrated = known.targets(target, "plantation", "plantings")?;
    let mut without_brand = 0;
    pages(
        target,
        "the platform's plantings",
        |db, after| {
            p::table
                .filter(p::kind.eq("cross_charge"))
                .filter(p::id.gt(after))
                .order(p::id)
                .limit(PAGE)
                .select((p::id, p::brand_id, p::planted_at, p::trees))
                .load::<(i64, Option<i64>, Instant, i32)>(db)
        },
        |row| row.0,
        |(id, brand_id, planted_at, trees)| {
            let (trees, migrated) = (i64::from(trees), migrated.contains(id));
            match brand_id {
                None if migrated => without_brand += trees,
                None => {}
                Some(brand_id) => {
                    let Some(place) = scope.place(brand_id) else { return };
                    let entry = months.entry((place, london_month(planted_at))).or_default();
                    match migrated {
                        true => entry.planted += trees,
                        false => entry.native_planted += trees,
                    }
                }
            }
        },
    )?;
    Ok(without_brand)
}

static LONDON: LazyLock<TimeZone> =
    LazyLock::new(|| TimeZone::get("Europe/London").expect("the bundled time zones include Europe/London"));

/// The month that London had at an instant: `2023-07`.
fn london_month(at: Instant) -> String {
    LONDON.to_datetime(at.0).strftime("%Y-%m").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_when_it_does_in_london() {
        let month = |text: &str| london_month(Instant(text.parse().unwrap()));
        // Summer: an hour ahead of UTC.
        assert_eq!(month("2023-06-30T22:59:59Z"), "2023-06");
        assert_eq!(month("2023-06-30T23:00:00Z"), "2023-07");
        assert_eq!(month("2023-12-31T23:59:59Z"), "2023-12");
        assert_eq!(month("2024-01-01T00:00:00Z"), "2024-01");
    }
}
