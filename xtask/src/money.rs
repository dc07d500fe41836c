//! Where the money went: read = migrated + merged + skipped + quarantined + repaired, exactly, from the ledger alone.

use replant_core::db::Db;
use replant_core::ledger::{close, history};
use replant_core::{MoneyFlow, MoneyTotals};
use serde::Serialize;

use crate::error::{Error, query_failed};
use crate::report::{render, table};

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

/// The lines as a table.
pub(crate) fn table_of(money: &[MoneyLine]) -> String {
    if money.is_empty() {
        return "Money: no amounts were read.".to_owned();
    }
    let by_table = money.iter().any(|line| line.table.is_some());
    let first: &[&str] = if by_table { &["table", "minor units of"] } else { &["minor units of"] };
    let heads = ["read", "migrated", "merged", "skipped", "quarantined", "repaired", "in = out"];
    let mut table = table(&[first, &heads].concat());
    for MoneyLine { table: of, currency, flow, balances } in money {
        let amounts = [flow.read, flow.migrated, flow.merged, flow.skipped, flow.quarantined, flow.repaired];
        let mut cells: Vec<String> = of.iter().cloned().collect();
        cells.push(currency.clone());
        cells.extend(amounts.map(|amount| amount.to_string()));
        cells.push(if *balances { "yes" } else { "NO" }.to_owned());
        table.add_row(cells);
    }
    render(table, first.len()..first.len() + 6)
}
