//! The cases of `fixtures/reconciliation`: small databases, migrated whole, and what the reports then say of them.
//!
//! ```text
//! fixtures/reconciliation/<case>/legacy/TABLE.csv, platform/TABLE.csv   as for every domain
//!     expected/<section>.json                 a section of the reconciliation
//!     expected/brand-<BRAND>/<section>.json   the same for one brand
//!     expected/statements/<EMAIL>.json        the statement of an address
//! ```
//! `REPLANT_BLESS=1` writes the files that are under `expected` anew: to be read before they are committed.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use reconciliation::Sources;
use reconciliation::reconcile::reconcile;
use reconciliation::statement::statement;
use replant_core::db::{Db, DbUrl, Role};
use replant_core::{Migration, Registry, Settings, Silent, Stop};
use replant_testkit::load::load_dir;
use replant_testkit::{mariadb, postgres, sqlite};
use serde_json::Value;

fn registry() -> Registry {
    Registry::default()
        .domain(users::domain())
        .domain(projects::domain())
        .domain(brands::domain())
        .domain(invoices::domain())
        .domain(subscriptions::domain())
        .domain(payments::domain())
        .domain(bank_transfers::domain())
        .domain(plantations::domain())
        .domain(cross_charges::domain())
        .domain(credits::domain())
}

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/reconciliation");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    let mut wrong = Vec::new();
    for case in &cases {
        let folder = tempfile::tempdir().unwrap();
        let (legacy, platform) = (folder.path().join("legacy.db"), folder.path().join("platform.db"));
        drop(sqlite::create(&legacy));
        drop(sqlite::create(&platform));
        wrong.extend(one(case, "SQLite", &DbUrl::sqlite(&legacy), &DbUrl::sqlite(&platform)));
        if let Some(target) = postgres::database() {
            let source = mariadb::database();
            if source.is_none() {
                drop(sqlite::create(&legacy));
            }
            let legacy = source.as_ref().map_or(DbUrl::sqlite(&legacy), replant_testkit::Database::url);
            wrong.extend(one(case, "servers", &legacy, &target.url()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Fills, migrates, and holds every expected file against what the reports say.
fn one(case: &Path, on: &str, legacy: &DbUrl, target: &DbUrl) -> Vec<String> {
    let name = case.file_name().unwrap().to_string_lossy();
    fill(legacy, case, "legacy", &["meta"]);
    fill(target, case, "platform", &["currencies", "countries"]);
    let began = Timestamp::now();
    let migration = Migration {
        registry: &registry(),
        snapshot: reference::snapshot,
        legacy: legacy.clone(),
        target: target.clone(),
        settings: Settings::default(),
    };
    if let Err(error) = migration.run(&Stop::default(), &Silent) {
        return vec![format!("{name} on {on}: {error}")];
    }
    let mut legacy = Db::open(legacy, Role::Legacy).unwrap();
    let mut target = Db::open(target, Role::Target).unwrap();
    let mut wrong = Vec::new();
    for file in files(&case.join("expected")) {
        let sources = Sources { legacy: &mut legacy, target: &mut target };
        let found = scrubbed(report(sources, &case.join("expected"), &file), began);
        if std::env::var_os("REPLANT_BLESS").is_some() {
            fs::write(&file, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
            continue;
        }
        let expected: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        if expected != found {
            let found = serde_json::to_string_pretty(&found).unwrap();
            wrong.push(format!("{name} on {on}: {} found\n{found}", file.display()));
        }
    }
    wrong
}

fn fill(url: &DbUrl, case: &Path, side: &str, common: &[&str]) {
    let mut db = Db::open(url, Role::Target).unwrap();
    match side {
        "legacy" => fixtures::LEGACY.create(&mut db).unwrap(),
        _ => fixtures::PLATFORM.create(&mut db).unwrap(),
    }
    let folder = tempfile::tempdir().unwrap();
    for table in common {
        let file = format!("{table}.csv.gz");
        fs::copy(fixtures::sample().join(side).join(&file), folder.path().join(&file)).unwrap();
    }
    load_dir(&mut db, folder.path()).unwrap();
    if case.join(side).exists() {
        load_dir(&mut db, &case.join(side)).unwrap_or_else(|error| panic!("{}: {error:?}", case.display()));
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// The report that a file under `expected` asks for by its name.
fn report(sources: Sources<'_>, expected: &Path, file: &Path) -> Value {
    let name = file.file_stem().unwrap().to_string_lossy().into_owned();
    let folder = file.parent().unwrap().strip_prefix(expected).unwrap().to_string_lossy().into_owned();
    match (folder.as_str(), folder.strip_prefix("brand-")) {
        ("statements", _) => match statement(sources, &name) {
            Ok(statement) => serde_json::to_value(statement).unwrap(),
            Err(error) => Value::String(error.to_string()),
        },
        (_, brand) => match reconcile(sources, brand) {
            Ok(found) => serde_json::to_value(found).unwrap()[&name].take(),
            Err(error) => Value::String(error.to_string()),
        },
    }
}

/// Without the times of the run itself.
fn scrubbed(value: Value, began: Timestamp) -> Value {
    match value {
        Value::String(text) if text.parse::<Timestamp>().is_ok_and(|at| at >= began) => {
            Value::String("while it ran".to_owned())
        }
        Value::Array(values) => values.into_iter().map(|value| scrubbed(value, began)).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, scrubbed(value, began))).collect(),
        other => other,
    }
}
