//! What an independent reading of the rules says about the sample, and the same of a target.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use replant_core::LedgerError;
use replant_core::db::Db;
use replant_core::ledger::{close, history};
use replant_testkit::dump::{self, TableDump};

/// `user 6300 +text_cleaned=182 merged:duplicate_email=179 migrated=6072 …` as `user text_cleaned` and so on.
pub(crate) fn counts() -> BTreeMap<String, u64> {
    let text = fs::read_to_string(fixtures::sample().join("expected-counts.txt")).unwrap();
    let (_, legacy) = text.split_once("# Legacy rows by table").unwrap();
    let mut counts = BTreeMap::new();
    for line in legacy.lines().skip(1).filter(|line| !line.is_empty()) {
        let mut words = line.split(' ');
        let table = words.next().unwrap();
        counts.insert(format!("{table} read"), words.next().unwrap().parse().unwrap());
        for word in words {
            let (code, count) = word.split_once('=').unwrap();
            counts.insert(format!("{table} {code}"), count.parse().unwrap());
        }
    }
    counts
}

fn found_counts(db: &mut Db) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for step in history::known_steps(db).unwrap() {
        let mut count = |code: String| *counts.entry(format!("{} {code}", step.legacy_table)).or_default() += 1;
        history::lineage(db, &step, |row| {
            count("read".to_owned());
            count(match &row.code {
                Some(code) => format!("{}:{code}", row.outcome),
                None => row.outcome.to_string(),
            });
            row.repairs.iter().for_each(|repair| count(format!("+{repair}")));
            Ok::<_, LedgerError>(())
        })
        .unwrap();
    }
    counts
}

/// `payments: 23082 rows; amount_minor AUD 1524010, CAD 2362510` as `payments rows`, `payments amount_minor AUD`, …
fn platform() -> BTreeMap<String, i128> {
    let text = fs::read_to_string(fixtures::sample().join("expected-counts.txt")).unwrap();
    let mut expected = BTreeMap::new();
    for line in text.lines().filter(|line| line.contains(" rows") && !line.starts_with('#')) {
        let (table, rest) = line.split_once(": ").unwrap();
        let (rows, sums) = rest.split_once("; ").unwrap_or((rest, ""));
        expected.insert(format!("{table} rows"), rows.trim_end_matches(" rows").parse().unwrap());
        if let Some((column, sums)) = sums.split_once(' ') {
            for sum in sums.split(", ") {
                let (currency, sum) = sum.split_once(' ').unwrap();
                expected.insert(format!("{table} {column} {currency}"), sum.parse().unwrap());
            }
        }
    }
    expected
}

/// The same of a target. Refunds and allocations are in the currency of their payment.
fn found_platform(db: &mut Db, expected: &BTreeMap<String, i128>) -> BTreeMap<String, i128> {
    let mut found: BTreeMap<String, i128> = BTreeMap::new();
    let tables: BTreeSet<&str> = expected.keys().map(|key| key.split(' ').next().unwrap()).collect();
    let payments = dump::dump(db, "payments").unwrap();
    let at = |dump: &TableDump, name: &str| dump.columns.iter().position(|column| column == name);
    let (id, currency) = (at(&payments, "id").unwrap(), at(&payments, "currency").unwrap());
    let of_payment: BTreeMap<&str, &str> =
        payments.rows.iter().map(|row| (row[id].as_deref().unwrap(), row[currency].as_deref().unwrap())).collect();
    for table in tables {
        let dump = dump::dump(db, table).unwrap();
        found.insert(format!("{table} rows"), dump.rows.len() as i128);
        let column =
            expected.keys().find_map(|key| key.strip_prefix(table)?.split(' ').find(|c| c.ends_with("_minor")));
        let Some(amount) = column.and_then(|column| at(&dump, column)) else { continue };
        let (own, payment) = (at(&dump, "currency"), at(&dump, "payment_id"));
        for row in &dump.rows {
            let Some(minor) = row[amount].as_ref() else { continue };
            let currency = match own {
                Some(own) => row[own].as_deref().unwrap(),
                None => of_payment[row[payment.unwrap()].as_deref().unwrap()],
            };
            let sum = found.entry(format!("{table} {} {currency}", column.unwrap())).or_default();
            *sum += minor.parse::<i128>().unwrap();
        }
    }
    found
}

/// Where the money of each table and currency went, as it is committed for review.
pub(crate) fn flows(db: &mut Db) -> String {
    let mut lines = String::new();
    for step in history::known_steps(db).unwrap() {
        for (currency, flow) in close::money(db, Some(&step.name)).unwrap().iter() {
            assert!(flow.balance(), "{} {currency}: {flow:?}", step.name);
            let amounts = [flow.read, flow.migrated, flow.merged, flow.skipped, flow.quarantined, flow.repaired]
                .map(|a| a.normalize());
            let [read, migrated, merged, skipped, quarantined, repaired] = amounts;
            writeln!(
                lines,
                "{} {currency}: read {read} = migrated {migrated} + merged {merged} + skipped {skipped} + quarantined {quarantined} + repaired {repaired}",
                step.legacy_table
            )
            .unwrap();
        }
    }
    lines
}

#[track_caller]
fn assert_same<T: PartialEq + std::fmt::Debug>(expected: &BTreeMap<String, T>, found: &BTreeMap<String, T>) {
    let keys: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let wrong: Vec<String> = keys
        .into_iter()
        .filter(|key| expected.get(*key) != found.get(*key))
        .map(|key| format!("{key}: expected {:?}, found {:?}", expected.get(key), found.get(key)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Holds the ledger and the platform of a whole run against the independent reading of the rules.
#[track_caller]
pub(crate) fn assert_ends_as_expected(db: &mut Db) {
    assert_same(&counts(), &found_counts(db));
    let platform = platform();
    assert_same(&platform, &found_platform(db, &platform));
}

/// Holds where the money of a whole run went against what was reviewed.
#[track_caller]
pub(crate) fn assert_money_as_expected(db: &mut Db) {
    assert_eq!(fs::read_to_string(money_file()).unwrap(), flows(db));
}

pub(crate) fn money_file() -> PathBuf {
    fixtures::sample().join("expected-money.txt")
}
