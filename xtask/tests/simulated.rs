//! Simulated databases through the whole migration: nothing stops it, nothing is lost, and all of the sample's dirt is there.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../src/registry.rs"]
mod registry;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use replant_core::db::{Db, DbUrl};
use replant_core::ledger::{close, history};
use replant_core::{LedgerError, Settings};
use replant_testkit::conformance::{Subject, Target};
use replant_testkit::{mariadb, postgres};
use simulate::Simulation;
use tempfile::TempDir;

/// Codes that mean that the platform or the engine refused what the rules let through.
const NEVER: &[&str] = &["unforeseen", "constraint_violated"];

/// Rows by table and code: `user read`, `user +phone_invalid`, `user skipped:test_account`.
type Codes = BTreeMap<String, u64>;

/// Migrates, and counts what became of the rows. The money of every table and currency has to close.
fn migrated(legacy: DbUrl, target: &Target) -> Codes {
    let registry = registry::registry();
    let subject = Subject { registry: &registry, snapshot: reference::snapshot, legacy };
    let report = subject.run(target, Settings::default());
    assert!(report.complete);
    let mut db = target.open();
    for step in history::known_steps(&mut db).unwrap() {
        for (currency, flow) in close::money(&mut db, Some(&step.name)).unwrap().iter() {
            assert!(flow.balance(), "{} {currency}: {flow:?}", step.name);
        }
    }
    codes(&mut db)
}

fn codes(db: &mut Db) -> Codes {
    let mut counts = Codes::new();
    for step in history::known_steps(db).unwrap() {
        let mut count = |code: String| *counts.entry(format!("{} {code}", step.legacy_table)).or_default() += 1;
        history::lineage(db, &step, |row| {
            count("read".to_owned());
            if let Some(code) = &row.code {
                count(format!("{}:{code}", row.outcome));
            }
            row.repairs.iter().for_each(|repair| count(format!("+{repair}")));
            Ok::<_, LedgerError>(())
        })
        .unwrap();
    }
    counts
}

/// A simulation in SQLite, and its legacy rows by table.
fn simulated(simulation: &Simulation) -> (DbUrl, Target, BTreeMap<&'static str, u64>) {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let url = |name| DbUrl::sqlite(&folder.path().join(name));
    let (legacy, platform) = (url("legacy.db"), url("platform.db"));
    let made = simulation.into_databases(&legacy, &platform).unwrap();
    let rows = made.tables.into_iter().take_while(|(table, _)| *table != "meta").collect();
    (legacy, Target { url: platform, guard: Box::new(folder) }, rows)
}

#[track_caller]
fn assert_sound(codes: &Codes, rows: &BTreeMap<&'static str, u64>) {
    for (table, rows) in rows {
        assert_eq!(codes.get(&format!("{table} read")), Some(rows), "{table}");
    }
    let refused: Vec<_> = codes.iter().filter(|(code, _)| NEVER.iter().any(|never| code.contains(never))).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// The codes of the sample, by table.
fn of_the_sample() -> BTreeSet<String> {
    let text = fs::read_to_string(fixtures::sample().join("expected-counts.txt")).unwrap();
    let (_, legacy) = text.split_once("# Legacy rows by table").unwrap();
    let lines = legacy.lines().skip(1).filter_map(|line| line.split_once(' '));
    lines
        .flat_map(|(table, codes)| codes.split(' ').skip(1).map(move |code| format!("{table} {code}")))
        .filter_map(|code| Some(code.split_once('=')?.0.to_owned()))
        .filter(|code| code.contains('+') || code.contains(':'))
        .collect()
}

#[test]
fn five_seeds_pass_with_their_money_closed() {
    for seed in 1..=5 {
        let (legacy, target, rows) = simulated(&Simulation::new(20_000, seed));
        assert_eq!(rows.values().sum::<u64>(), 20_000);
        assert_sound(&migrated(legacy, &target), &rows);
    }
}

#[test]
fn every_code_of_the_sample_comes_up_at_100_000_rows() {
    for seed in [1, 2] {
        let (legacy, target, rows) = simulated(&Simulation::new(100_000, seed));
        let found = migrated(legacy, &target);
        assert_sound(&found, &rows);
        let missing: Vec<String> = of_the_sample().into_iter().filter(|code| !found.contains_key(code)).collect();
        assert!(missing.is_empty(), "seed {seed}: {}", missing.join(", "));
    }
}

#[test]
fn servers_end_as_sqlite_does() {
    let simulation = Simulation::new(20_000, 6);
    let (Some(legacy), Some(platform)) = (mariadb::database(), postgres::database()) else { return };
    simulation.into_databases(&legacy.url(), &platform.url()).unwrap();
    let on_servers = migrated(legacy.url(), &Target { url: platform.url(), guard: Box::new(()) });
    let (legacy, target, _) = simulated(&simulation);
    assert_eq!(migrated(legacy, &target), on_servers);
}

/// The built program's exit code, and all that it says.
fn xtask(args: &[&str]) -> (Option<i32>, String) {
    let end = Command::new(env!("CARGO_BIN_EXE_xtask")).arg("simulate").args(args).output().unwrap();
    (end.status.code(), String::from_utf8(end.stdout).unwrap() + &String::from_utf8(end.stderr).unwrap())
}

#[test]
fn the_command_makes_a_folder_once() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("csv");
    let args = ["--rows", "2k", "--seed", "3", "--into", out.to_str().unwrap()];
    let (code, said) = xtask(&args);
    assert!(code == Some(0) && said.contains("finance_transaction"), "{said}");
    assert!(out.join("legacy/user.csv").is_file() && out.join("platform/accounts.csv").is_file());
    let (code, said) = xtask(&args);
    assert!(code == Some(1) && said.contains("not empty"), "{said}");
}

#[test]
fn rates_go_through_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let legacy = fixtures::LEGACY.in_sqlite(folder.path()).sqlite_path().unwrap();
    let like = format!("sqlite://{}", legacy.display());
    fs::write(path("mine.toml"), "[user]\nduplicate = 0.25\n").unwrap();
    let (code, said) = xtask(&["--like", &like, "--rates", &path("mine.toml"), "--rates-out", &path("all.toml")]);
    assert_eq!(code, Some(0), "{said}");
    let rates = simulate::Rates::parse(&fs::read_to_string(path("all.toml")).unwrap()).unwrap();
    assert!(rates.user.duplicate == 0.25 && rates != simulate::Rates::default());

    fs::write(path("wrong.toml"), "[user]\nduplicates = 0.25\n").unwrap();
    let (code, said) = xtask(&["--rates", &path("wrong.toml"), "--into", &path("csv")]);
    assert!(code == Some(3) && said.contains("duplicates"), "{code:?} {said}");
}

#[test]
fn an_address_is_never_shown() {
    for args in [&["--into", "mysql://joe:hunter2@127.0.0.1:1/x"][..], &["--like", "mysql://joe:hunter2@127.0.0.1:1/x"]]
    {
        let (code, said) = xtask(args);
        assert!(code != Some(0) && !said.contains("hunter2"), "{said}");
    }
    let (code, said) = xtask(&[]);
    assert!(code == Some(3) && said.contains("--into"), "{code:?} {said}");
}
