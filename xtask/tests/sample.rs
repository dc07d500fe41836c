//! The whole sample through every domain: held against an independent reading of the rules, and against itself on other
//! databases, in other chunks and with other workers.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../src/registry.rs"]
mod registry;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use replant_core::db::{Db, DbUrl, Role};
use replant_core::ledger::history;
use replant_core::shape::{self, Use};
use replant_core::{LedgerError, Settings};
use replant_testkit::conformance::{Subject, Target};
use replant_testkit::state::assert_same_state;
use replant_testkit::{catalog, postgres, sample, schema};

fn on<T>(legacy: DbUrl, work: impl FnOnce(&Subject<'_>) -> T) -> T {
    let registry = registry::registry();
    work(&Subject { registry: &registry, snapshot: reference::snapshot, legacy })
}

fn on_sqlite<T>(work: impl FnOnce(&Subject<'_>) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    on(sample::sqlite_legacy_sample(folder.path()), work)
}

/// Codes that a later domain gives to rows of an earlier one.
const LATER: &[&str] = &["negative_balance_adjusted"];

/// `user 6300 +text_cleaned=182 merged:duplicate_email=179 migrated=6072 …` as a map; tables of no domain are left out.
fn expected_counts(tables: &BTreeSet<String>) -> BTreeMap<String, BTreeMap<String, u64>> {
    let text = fs::read_to_string(sample::folder().join("expected-counts.txt")).unwrap();
    let (_, legacy) = text.split_once("# Legacy rows by table").unwrap();
    let mut counts = BTreeMap::new();
    for line in legacy.lines().skip(1).filter(|line| !line.is_empty()) {
        let mut words = line.split(' ');
        let table = words.next().unwrap().to_owned();
        let mut by_code = BTreeMap::from([("read".to_owned(), words.next().unwrap().parse().unwrap())]);
        for word in words {
            let (code, count) = word.split_once('=').unwrap();
            if !LATER.contains(&code.trim_start_matches('+')) {
                by_code.insert(code.to_owned(), count.parse().unwrap());
            }
        }
        if tables.contains(&table) {
            counts.insert(table, by_code);
        }
    }
    counts
}

fn found_counts(db: &mut Db) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut counts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for step in history::known_steps(db).unwrap() {
        let by_code = counts.entry(step.legacy_table.clone()).or_default();
        let mut count = |code: String| *by_code.entry(code).or_default() += 1;
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

#[test]
fn every_count_is_that_of_the_independent_reading() {
    on_sqlite(|subject| {
        let target = Target::sqlite_sample();
        subject.run(&target, Settings::default());
        let found = found_counts(&mut target.open());
        assert_eq!(expected_counts(&found.keys().cloned().collect()), found);
    });
}

#[test]
fn the_platforms_tables_have_the_expected_rows() {
    on_sqlite(|subject| {
        let target = Target::sqlite_sample();
        subject.run(&target, Settings::default());
        let written: BTreeSet<&str> = subject.registry.shapes().1.iter().map(|table| table.name).collect();
        let text = fs::read_to_string(sample::folder().join("expected-counts.txt")).unwrap();
        let mut db = target.open();
        for line in text.lines().filter(|line| line.contains(" rows")) {
            let (table, rest) = line.split_once(": ").unwrap();
            if written.contains(table) {
                let rows = replant_testkit::dump::dump(&mut db, table).unwrap().rows.len();
                assert_eq!(rest.split(' ').next(), Some(rows.to_string().as_str()), "{table}");
            }
        }
    });
}

#[test]
fn sqlite_and_servers_end_alike() {
    let expected = on_sqlite(|subject| subject.state(&Target::sqlite_sample(), Settings::default()));
    if let Some(target) = Target::postgres_sample() {
        let found = on_sqlite(|subject| subject.state(&target, Settings::default()));
        assert_same_state("SQLite to PostgreSQL", &expected, &found);
    }
    if let (Some(target), Some(legacy)) = (Target::postgres_sample(), sample::mariadb_legacy_sample()) {
        let found = on(legacy.url(), |subject| subject.state(&target, Settings::default()));
        assert_same_state("MariaDB to PostgreSQL", &expected, &found);
    }
}

#[test]
fn every_step_conforms_on_sqlite() {
    on_sqlite(|subject| {
        subject.every_column_has_a_fate();
        subject.a_dry_run_leaves_nothing(&Target::sqlite_sample());
        subject.conforms(&Target::sqlite_sample);
    });
}

#[test]
fn every_step_conforms_on_postgres() {
    if let Some(target) = Target::postgres_sample() {
        on_sqlite(|subject| {
            subject.a_dry_run_leaves_nothing(&target);
            subject.conforms(&|| Target::postgres_sample().expect("the server is there"));
        });
    }
}

/// The hand-written `table!`s are what the databases have.
fn shapes_fit(db: &mut Db, side: Use) {
    let (reads, writes) = registry::registry().shapes();
    let mut expected = if side == Use::Read { reads } else { writes };
    // Narrow readings of a table name some of its columns; the widest is held against it whole.
    expected.sort_by_key(|table| (table.name, std::cmp::Reverse(table.columns.len())));
    for table in &expected {
        assert_eq!(shape::misfits(db, table, side).unwrap(), [], "{}", table.name);
    }
    expected.dedup_by_key(|table| table.name);
    for table in expected.iter().filter(|_| side == Use::Write) {
        let found: Vec<(String, bool)> = catalog::columns(db, table.name)
            .unwrap()
            .into_iter()
            .map(|c| (c.name, !c.required && c.key == 0))
            .collect();
        let declared: Vec<_> = table.columns.iter().map(|c| (c.name.to_owned(), c.nullable)).collect();
        assert_eq!(declared, found, "the columns of {}", table.name);
    }
}

#[test]
fn tables_are_declared_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut db = sample::new_sqlite(&folder.path().join("platform.db"));
    schema::create_platform(&mut db).unwrap();
    shapes_fit(&mut db, Use::Write);
    let mut db = Db::open(&sample::sqlite_legacy_sample(folder.path()), Role::Legacy).unwrap();
    shapes_fit(&mut db, Use::Read);
    if let Some(database) = postgres::database() {
        let mut db = database.open();
        schema::create_platform(&mut db).unwrap();
        shapes_fit(&mut db, Use::Write);
    }
    if let Some(database) = sample::mariadb_legacy_sample() {
        shapes_fit(&mut database.open(), Use::Read);
    }
}
