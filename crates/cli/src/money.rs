//! Where the money went: read = migrated + merged + skipped + quarantined + repaired, exactly, from the ledger alone.
//!
//! Scripts get exact minor units; people read major units, rounded to what the currency has.

use std::collections::BTreeMap;

use replant_core::db::Db;
use replant_core::ledger::quarantine::{self, Largest};
use replant_core::ledger::{close, history};
use replant_core::{MoneyFlow, MoneyTotals};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

use crate::error::{Error, query_failed};
use crate::output::{grouped, render, table};

/// Where the money of a currency went, in minor units.
#[derive(Debug, Serialize)]
pub(crate) struct MoneyLine {
    /// The legacy table; none: of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<String>,
    currency: String,
    #[serde(flatten)]
    flow: MoneyFlow,
    balances: bool,
}

/// The decimals of each currency.
#[derive(Debug, Default)]
pub(crate) struct Exponents(BTreeMap<String, u32>);

impl Exponents {
    /// By code.
    pub(crate) fn new(exponents: BTreeMap<String, u32>) -> Self {
        Self(exponents)
    }

    /// An amount in minor units as people read it: `1,630,187.74`.
    pub(crate) fn major(&self, currency: &str, minor: Decimal) -> String {
        let exponent = self.0.get(currency).copied().unwrap_or(2);
        let whole = minor.round_dp_with_strategy(0, RoundingStrategy::MidpointNearestEven).normalize();
        let digits = whole.abs().to_string();
        let places = usize::try_from(exponent).unwrap_or_default();
        let digits = format!("{digits:0>width$}", width = places + 1);
        let (units, fraction) = digits.split_at(digits.len() - places);
        // More than fits is more than all money there is.
        let units = units.parse().map_or_else(|_| units.to_owned(), grouped);
        let sign = if whole.is_sign_negative() && !whole.is_zero() { "-" } else { "" };
        let point = if places > 0 { "." } else { "" };
        format!("{sign}{units}{point}{fraction}")
    }

    /// Amounts of several currencies: `GBP 1,204.50, JPY 700`.
    pub(crate) fn all(&self, amounts: &BTreeMap<String, Decimal>) -> String {
        let amounts: Vec<String> = amounts
            .iter()
            .filter(|(_, amount)| !amount.is_zero())
            .map(|(currency, amount)| format!("{currency} {}", self.major(currency, *amount)))
            .collect();
        if amounts.is_empty() { "-".to_owned() } else { amounts.join(", ") }
    }
}

/// Totals, by currency.
pub(crate) fn of_totals(totals: &MoneyTotals) -> Vec<MoneyLine> {
    lines(None, totals)
}

/// The money of all tables, by currency.
pub(crate) fn of_all(db: &mut Db) -> Result<Vec<MoneyLine>, Error> {
    Ok(lines(None, &close::money(db, None).map_err(query_failed)?))
}

/// The money of each table, by currency.
pub(crate) fn by_table(db: &mut Db) -> Result<Vec<MoneyLine>, Error> {
    let mut all = Vec::new();
    for step in history::known_steps(db)? {
        let totals = close::money(db, Some(&step.name)).map_err(query_failed)?;
        all.extend(lines(Some(&step.legacy_table), &totals));
    }
    Ok(all)
}

fn lines(of: Option<&str>, totals: &MoneyTotals) -> Vec<MoneyLine> {
    let lines = totals.iter().map(|(currency, flow)| MoneyLine {
        table: of.map(str::to_owned),
        currency: currency.to_string(),
        flow: MoneyFlow {
            read: flow.read.normalize(),
            migrated: flow.migrated.normalize(),
            merged: flow.merged.normalize(),
            skipped: flow.skipped.normalize(),
            quarantined: flow.quarantined.normalize(),
            repaired: flow.repaired.normalize(),
        },
        balances: flow.balance(),
    });
    lines.collect()
}

/// The lines as a table, in major units.
pub(crate) fn table_of(money: &[MoneyLine], exponents: &Exponents) -> String {
    if money.is_empty() {
        return "Money: no amounts were read.".to_owned();
    }
    let by_table = money.iter().any(|line| line.table.is_some());
    let first: &[&str] = if by_table { &["table", "money"] } else { &["money"] };
    let heads = ["read", "migrated", "merged", "skipped", "quarantined", "repaired", "in = out"];
    let mut table = table(&[first, &heads].concat());
    for MoneyLine { table: of, currency, flow, balances } in money {
        let amounts = [flow.read, flow.migrated, flow.merged, flow.skipped, flow.quarantined, flow.repaired];
        let mut cells: Vec<String> = of.iter().cloned().collect();
        cells.push(currency.clone());
        cells.extend(amounts.map(|amount| exponents.major(currency, amount)));
        cells.push(if *balances { "yes" } else { "NO" }.to_owned());
        table.add_row(cells);
    }
    render(table, first.len()..first.len() + 6)
}

/// The quarantined row that holds the most of a currency.
#[derive(Debug, Serialize)]
pub(crate) struct LargestRow {
    currency: String,
    /// The legacy table.
    table: String,
    #[serde(flatten)]
    row: Largest,
}

/// The quarantined rows that hold the most, one a currency: a typing error may be larger than all the rest.
pub(crate) fn largest(db: &mut Db) -> Result<Vec<LargestRow>, Error> {
    let steps = history::known_steps(db)?;
    let table_of = |step: &str| steps.iter().find(|known| known.name == step).map(|known| known.legacy_table.clone());
    let found = quarantine::largest(db)?.into_iter().map(|(currency, row)| {
        let table = table_of(&row.step).unwrap_or_else(|| row.step.clone());
        LargestRow { currency, table, row }
    });
    Ok(found.collect())
}

/// The largest rows as people read them.
pub(crate) fn largest_text(rows: &[LargestRow], exponents: &Exponents) -> String {
    let rows = rows.iter().map(|LargestRow { currency, table, row }| {
        format!("  {currency} {} in {table} {}", exponents.major(currency, row.amount), row.legacy_key)
    });
    let rows: Vec<String> = rows.collect();
    format!("The largest single quarantined row of each currency:\n{}", rows.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_major_units() {
        let exponents = [("GBP", 2), ("JPY", 0), ("KWD", 3)].map(|(code, exponent)| (code.to_owned(), exponent));
        let exponents = Exponents(exponents.into());
        for (currency, minor, expect) in [
            ("GBP", "163018774.00007", "1,630,187.74"),
            ("GBP", "-754035.74625", "-7,540.36"),
            ("GBP", "0", "0.00"),
            ("GBP", "-0.4", "0.00"),
            ("GBP", "5", "0.05"),
            ("GBP", "-5", "-0.05"),
            ("GBP", "100", "1.00"),
            ("JPY", "1234567", "1,234,567"),
            ("JPY", "0", "0"),
            ("KWD", "1234567", "1,234.567"),
            ("GBP", "1e3", "10.00"),
        ] {
            let minor = Decimal::from_scientific(minor).or_else(|_| minor.parse()).unwrap();
            assert_eq!(exponents.major(currency, minor), expect, "{currency} {minor}");
        }
        let all = BTreeMap::from([("JPY".to_owned(), Decimal::from(700)), ("GBP".to_owned(), Decimal::from(120_450))]);
        assert_eq!(exponents.all(&all), "GBP 1,204.50, JPY 700");
        assert_eq!(exponents.all(&BTreeMap::new()), "-");
    }
}
