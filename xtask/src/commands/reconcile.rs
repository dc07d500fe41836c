//! `reconcile`: where both sides differ, for finance and support.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use reconciliation::reconcile::{
    Brand, BrandMoney, BrandMonth, BrandTotal, CreditOff, CreditTotals, CrossChargeTotals, Reconciliation, Section,
    Transfer, TransferTotal, reconcile,
};
use reconciliation::{ReportError, Sources};
use replant_cli::files::{Files, csv};
use replant_cli::output::{grouped, print, render, table};
use replant_cli::{Command, Context, Error, Exit, On, typed};
use serde::Serialize;

/// Write where both sides differ, for finance and support: one CSV and one JSON file a section
#[derive(Debug, Args)]
#[command(after_help = "\
Sections: cross_charges, brands, credits, transfers; docs/reconciliation.md tells how to read them.
Both databases are only read.

Examples:
  cargo xtask reconcile --env prod --out reconciliation
  cargo xtask reconcile --brand 13 --out acorn           by the legacy id
  cargo xtask reconcile --brand 'acorn coffee' --out acorn")]
pub(crate) struct Reconcile {
    #[command(flatten)]
    on: On,
    /// One brand, with its account: a legacy id or a name, in any case [default: all]
    #[arg(long, value_name = "BRAND")]
    brand: Option<String>,
    /// The folder; it is made where it is not there, and files of these names are replaced
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// How many differences of a section are shown: the files have all.
const WORST: usize = 30;

/// How many of the counters that are furthest off are shown.
const FURTHEST: usize = 10;

/// What `summary.json` says.
#[derive(Serialize)]
struct Summary<'a> {
    environment: &'a str,
    brand: Option<&'a Brand>,
    /// Whether every planned step is done.
    complete: bool,
    cross_charges: &'a CrossChargeTotals,
    brands: &'a [BrandTotal],
    credits: &'a CreditTotals,
    transfers: &'a [TransferTotal],
}

impl Command for Reconcile {
    const NAME: &'static str = "reconcile";

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let mut target = cx.ledger(&self.on.env)?;
        let mut legacy = cx.legacy(&self.on.env)?;
        let sources = Sources { legacy: &mut legacy, target: &mut target };
        let found = reconcile(sources, self.brand.as_deref()).map_err(|error| failed(error, &self.on.env))?;
        write(&found, &self.on.env, &self.out)?;
        print(text(&found));
        print(format!("\nAll lines: {}, as CSV and JSON, with summary.json", self.out.display()));
        warn_if_incomplete(found.complete, &self.on.env);
        Ok(Exit::Done)
    }
}

/// A report that could not be made, with what to do about it.
pub(super) fn failed(error: ReportError, environment: &str) -> Error {
    let what = error.to_string();
    match error {
        ReportError::Ledger(error) => error.into(),
        ReportError::Query { .. } => {
            let hint = "both databases are only read: run the same command again".to_owned();
            Error::Failed { what, hint }
        }
        ReportError::NoBrand => {
            let hint =
                "name a legacy brand id or a brand's whole name; without --brand all brands are shown".to_owned();
            Error::NotFound { what, hint }
        }
        ReportError::BrandNotThere { id, .. } => {
            Error::NotFound { what, hint: format!("`{}` says more", typed(&format!("trace brand {id}"), environment)) }
        }
        ReportError::SeveralBrands(_) => Error::NotFound { what, hint: "name one of them by its id".to_owned() },
        ReportError::NobodyThere => {
            let hint = format!(
                "look at the spelling; a migration that is under way may not have come to it: `{}`",
                typed("status", environment)
            );
            Error::NotFound { what, hint }
        }
    }
}

/// Says on standard error that figures are still to come.
pub(super) fn warn_if_incomplete(complete: bool, environment: &str) {
    if !complete {
        tracing::warn!("the migration is not complete, so neither is this: see `{}`", typed("status", environment));
    }
}

fn write(found: &Reconciliation, environment: &str, folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::io(format!("make the folder {}", folder.display())))?;
    let Reconciliation { complete, brand, cross_charges, brands, credits, transfers } = found;
    let mut files = Files::default();
    section(&mut files, folder, "cross_charges", cross_charges)?;
    section(&mut files, folder, "brands", brands)?;
    section(&mut files, folder, "credits", credits)?;
    section(&mut files, folder, "transfers", transfers)?;
    let summary = Summary {
        environment,
        brand: brand.as_ref(),
        complete: *complete,
        cross_charges: &cross_charges.totals,
        brands: &brands.totals,
        credits: &credits.totals,
        transfers: &transfers.totals,
    };
    files.add(folder.join("summary.json"), &json(&summary))?;
    files.appear()
}

fn section<L, T>(files: &mut Files, folder: &Path, name: &str, section: &Section<L, T>) -> Result<(), Error>
where
    L: Serialize + Default,
    T: Serialize,
{
    files.add(folder.join(format!("{name}.csv")), &csv(&section.lines))?;
    files.add(folder.join(format!("{name}.json")), &json(section))
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("a report has a JSON form");
    text.push(b'\n');
    text
}

fn text(found: &Reconciliation) -> String {
    let Reconciliation { brand, cross_charges, brands, credits, transfers, complete: _ } = found;
    let mut parts = Vec::new();
    if let Some(brand) = brand {
        parts.push(format!("{} alone, with account {}.", brand.brand, brand.account_id));
    }
    parts.push(months(&cross_charges.lines, &cross_charges.totals));
    parts.push(money(&brands.lines, &brands.totals));
    parts.push(counters(&credits.lines, &credits.totals));
    parts.push(shown_transfers(&transfers.lines, &transfers.totals));
    parts.join("\n\n")
}

/// Says where the differences are that are not shown.
fn more(lines: usize, shown: usize, file: &str) -> String {
    match lines > shown {
        true => format!("\n… the worst {shown}; {file} has all {}", grouped(lines as u64)),
        false => String::new(),
    }
}

fn id(legacy: Option<i64>) -> String {
    legacy.map_or_else(|| "native".to_owned(), |id| id.to_string())
}

fn months(lines: &[BrandMonth], totals: &CrossChargeTotals) -> String {
    let mut text = format!(
        "Cross-charges: trees charged and planted, by brand and London month. {} of {} months differ.",
        totals.differing, totals.lines
    );
    if totals.differing > 0 {
        // The platform's own are in no difference: mostly there are none to be shown.
        let native = totals.native_trees_charged != 0 || totals.native_trees_planted != 0;
        let mut heads = vec!["brand", "name", "month", "charged", "planted", "difference"];
        if native {
            heads.extend(["native charged", "native planted"]);
        }
        let columns = heads.len();
        let mut table = table(&heads);
        let mut add = |mut cells: Vec<String>, numbers: [i64; 5]| {
            cells.extend(numbers.iter().map(i64::to_string));
            cells.truncate(columns);
            table.add_row(cells);
        };
        let differing = || lines.iter().filter(|line| line.difference != 0);
        let mut worst: Vec<&BrandMonth> = differing().collect();
        // A stable sort: of differences as large, the order is that of the file.
        worst.sort_by_key(|line| std::cmp::Reverse(line.difference.abs()));
        for line in worst.iter().take(WORST) {
            let numbers = [
                line.trees_charged,
                line.trees_planted,
                line.difference,
                line.native_trees_charged,
                line.native_trees_planted,
            ];
            add(vec![id(line.legacy_brand_id), line.brand.clone(), line.month.clone()], numbers);
        }
        for (name, sums) in [("all that differ", &CrossChargeTotals::of(differing())), ("all", totals)] {
            let numbers = [
                sums.trees_charged,
                sums.trees_planted,
                sums.difference,
                sums.native_trees_charged,
                sums.native_trees_planted,
            ];
            add(vec![name.to_owned(), String::new(), String::new()], numbers);
        }
        text += &format!("\n\n{}{}\n", render(table, 3..8), more(worst.len(), WORST, "cross_charges.csv"));
    }
    text += &format!(
        "\nCharged and not planted: {} trees. Planted and not charged: {}.",
        totals.charged_not_planted, totals.planted_not_charged
    );
    if let Some(trees) = totals.planted_without_brand.filter(|trees| *trees > 0) {
        text += &format!(" Planted as a cross-charge without a brand: {trees}.");
    }
    text
}

fn money(lines: &[BrandMoney], totals: &[BrandTotal]) -> String {
    let mut text = "Brands: what they paid, were charged and were invoiced, by account and currency.".to_owned();
    if lines.is_empty() {
        return text + " There is nothing to show.";
    }
    let heads =
        ["brand", "name", "currency", "paid, net", "cross-charged", "of it open", "invoiced", "settled", "open"];
    let mut table = table(&heads);
    let mut worst: Vec<&BrandMoney> = lines.iter().collect();
    worst.sort_by_key(|line| {
        std::cmp::Reverse(line.cross_charge_open_minor.unsigned_abs() + line.open_minor.unsigned_abs())
    });
    for line in worst.iter().take(WORST) {
        let brand = if line.legacy_brand_ids.is_empty() { "native" } else { &line.legacy_brand_ids };
        table.add_row([
            brand,
            &line.brands,
            &line.currency,
            &line.net_paid,
            &line.cross_charged,
            &line.cross_charge_open,
            &line.invoiced,
            &line.allocated,
            &line.open,
        ]);
    }
    for total in totals {
        table.add_row([
            "all",
            "",
            &total.currency,
            &total.net_paid,
            &total.cross_charged,
            &total.cross_charge_open,
            &total.invoiced,
            &total.allocated,
            &total.open,
        ]);
    }
    text += &format!("\n\n{}{}", render(table, 3..9), more(lines.len(), WORST, "brands.csv"));
    text
}

fn counters(lines: &[CreditOff], totals: &CreditTotals) -> String {
    let mut text = format!(
        "Credit: the old counter (user.credits) against the true credit. {} of {} accounts are off by more than a \
         penny: {} too high, {} too low; {} of them never had an entry.",
        totals.off, totals.compared, totals.counter_too_high, totals.counter_too_low, totals.off_without_entries
    );
    if lines.is_empty() {
        return text;
    }
    let mut furthest: Vec<&CreditOff> = lines.iter().collect();
    furthest.sort_by_key(|line| (std::cmp::Reverse(line.off.abs()), line.account_id));
    let mut table = table(&["account", "users", "counter", "true credit", "off"]);
    for line in furthest.iter().take(FURTHEST) {
        let credit = if line.credit.is_empty() { "-" } else { &line.credit };
        table.add_row([
            &line.account_id.to_string(),
            &line.legacy_user_ids,
            &line.counter.to_string(),
            credit,
            &line.off.to_string(),
        ]);
    }
    text += &format!("\n\n{}{}", render(table, 2..5), more(lines.len(), FURTHEST, "credits.csv"));
    text
}

fn shown_transfers(lines: &[Transfer], totals: &[TransferTotal]) -> String {
    let mut accounts: Vec<i64> = lines.iter().map(|line| line.account_id).collect();
    accounts.dedup();
    let mut text = format!(
        "Bank transfers that no list showed: {} payments of {} accounts.",
        grouped(lines.len() as u64),
        grouped(accounts.len() as u64)
    );
    if !totals.is_empty() {
        let mut table = table(&["currency", "transfers", "amount", "settles invoices"]);
        for total in totals {
            table.add_row([&total.currency, &total.transfers.to_string(), &total.amount, &total.settled]);
        }
        text += &format!("\n\n{}", render(table, 1..4));
    }
    text
}
