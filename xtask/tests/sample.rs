//! The whole sample through every domain: held against an independent reading of the rules, and against itself on other
//! databases, in other chunks and with other workers.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod expected;
#[path = "../src/registry.rs"]
mod registry;

use std::collections::BTreeSet;
use std::fs;

use diesel::connection::SimpleConnection;
use replant_core::db::{Db, DbUrl, Role};
use replant_core::ledger::history;
use replant_core::ledger::history::KnownStep;
use replant_core::shape::{self, ColumnShape, Kind, Use};
use replant_core::{AnyStep, Fate, LedgerError, Outcome, Settings, diesel};
use replant_testkit::conformance::{Subject, Target};
use replant_testkit::state::assert_same_state;
use replant_testkit::{catalog, postgres, sqlite};

fn on<T>(legacy: DbUrl, work: impl FnOnce(&Subject<'_>) -> T) -> T {
    let registry = registry::registry();
    work(&Subject { registry: &registry, snapshot: reference::snapshot, legacy })
}

fn on_sqlite<T>(work: impl FnOnce(&Subject<'_>) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    on(fixtures::LEGACY.in_sqlite(folder.path()), work)
}

/// Sizes of chunks, in rows: with 4, 1 and 2 workers each, in turn.
const CHUNKS: &[u64] = &[50, 1_000, 50_000, 300];

#[test]
fn the_sample_ends_as_an_independent_reading_of_the_rules_says() {
    on_sqlite(|subject| {
        let target = fixtures::PLATFORM.sqlite_target();
        subject.run(&target, Settings::default());
        expected::assert_ends_as_expected(&mut target.open());
    });
}

#[test]
fn the_money_of_the_sample_goes_where_it_went_before() {
    on_sqlite(|subject| {
        let target = fixtures::PLATFORM.sqlite_target();
        subject.run(&target, Settings::default());
        let found = expected::flows(&mut target.open());
        let file = expected::money_file();
        if std::env::var_os("REPLANT_BLESS").is_some() {
            fs::write(&file, &found).unwrap();
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), found);
    });
}

/// What the cases of all domains expect: `user +phone_invalid`, `user quarantined:email_invalid`.
fn codes_of_cases() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for domain in fs::read_dir(fixtures::sample().parent().unwrap()).unwrap() {
        for case in fs::read_dir(domain.unwrap().path()).unwrap() {
            let lineage = case.unwrap().path().join("expected/lineage.csv");
            let Ok(mut reader) = csv::Reader::from_path(lineage) else { continue };
            for row in reader.records().map(Result::unwrap) {
                codes.insert(format!("{} {}:{}", &row[0], &row[2], &row[3]));
                codes.extend(row[5].split(';').map(|repair| format!("{} +{repair}", &row[0])));
            }
        }
    }
    codes
}

#[test]
fn every_code_has_a_case_in_each_table_that_it_comes_up_in() {
    let cases = codes_of_cases();
    let codes = expected::counts().into_keys().filter(|key| key.contains('+') || key.contains(':'));
    let missing: Vec<String> = codes.filter(|code| !cases.contains(code)).collect();
    assert!(missing.is_empty(), "no case for {}", missing.join(", "));
}

#[test]
fn sqlite_and_servers_end_alike() {
    let expected = on_sqlite(|subject| subject.state(&fixtures::PLATFORM.sqlite_target(), Settings::default()));
    if let Some(target) = fixtures::PLATFORM.postgres_target() {
        let found = on_sqlite(|subject| subject.state(&target, Settings::default()));
        assert_same_state("SQLite to PostgreSQL", &expected, &found);
    }
    if let (Some(target), Some(legacy)) = (fixtures::PLATFORM.postgres_target(), fixtures::LEGACY.in_mariadb()) {
        let found = on(legacy.url(), |subject| subject.state(&target, Settings::default()));
        assert_same_state("MariaDB to PostgreSQL", &expected, &found);
    }
}

#[test]
fn every_step_conforms_on_sqlite() {
    on_sqlite(|subject| {
        subject.every_column_has_a_fate();
        subject.a_dry_run_leaves_nothing(&fixtures::PLATFORM.sqlite_target());
        subject.conforms(&|| fixtures::PLATFORM.sqlite_target(), CHUNKS);
    });
}

#[test]
fn every_step_conforms_on_postgres() {
    if let Some(target) = fixtures::PLATFORM.postgres_target() {
        on_sqlite(|subject| {
            subject.a_dry_run_leaves_nothing(&target);
            subject.conforms(&|| fixtures::PLATFORM.postgres_target().expect("the server is there"), CHUNKS);
        });
    }
}

fn known(db: &mut Db, step: &dyn AnyStep) -> KnownStep {
    history::known_steps(db).unwrap().into_iter().find(|known| known.name == step.name()).unwrap()
}

/// A migrated row of its own for each column that goes anywhere, but for those in which what cannot be read is as good as
/// nothing: times, which have rules for that, and `meta`, which is asked where a user is not there.
fn rows_to_break(step: &dyn AnyStep, done: &Target) -> Vec<(&'static str, i64)> {
    let db = &mut done.open();
    let (table, key) = step.legacy_shape();
    let dropped = |name| step.fates().iter().any(|(column, fate)| *column == name && matches!(fate, Fate::Dropped(_)));
    let goes_anywhere = |column: &ColumnShape| {
        column.kind != Kind::Wall && ![key, "meta"].contains(&column.name) && !dropped(column.name)
    };
    let mut columns = table.columns.iter().filter(|column| goes_anywhere(column));
    let known = known(db, step);
    let mut rows = Vec::new();
    history::lineage(db, &known, |row| {
        if row.outcome == Outcome::Migrated {
            rows.extend(columns.next().map(|column| (column.name, row.legacy_id)));
        }
        Ok::<_, LedgerError>(())
    })
    .unwrap();
    assert!(columns.next().is_none(), "{} has too few rows", step.name());
    rows
}

#[test]
fn a_cell_that_cannot_be_read_keeps_its_row_out() {
    let done = fixtures::PLATFORM.sqlite_target();
    on_sqlite(|subject| subject.run(&done, Settings::default()));
    for step in registry::registry().steps() {
        let rows = rows_to_break(step, &done);
        on_sqlite(|subject| {
            let legacy = &mut Db::open(&subject.legacy, Role::Target).unwrap();
            for (column, key) in &rows {
                let table = step.legacy_table();
                legacy.batch_execute(&format!("UPDATE \"{table}\" SET \"{column}\" = x'FF' WHERE id = {key}")).unwrap();
            }
            let target = fixtures::PLATFORM.sqlite_target();
            subject.run(&target, Settings::default());
            let db = &mut target.open();
            let known = known(db, step);
            for (column, key) in rows {
                let end = history::of_legacy(db, &known, key).unwrap().unwrap();
                assert_eq!(
                    end.code.as_deref(),
                    Some("unforeseen"),
                    "{column} of row {key} of {}: {end:?}",
                    step.name()
                );
            }
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
    let mut db = sqlite::create(&folder.path().join("platform.db"));
    fixtures::PLATFORM.create(&mut db).unwrap();
    shapes_fit(&mut db, Use::Write);
    let mut db = Db::open(&fixtures::LEGACY.in_sqlite(folder.path()), Role::Legacy).unwrap();
    shapes_fit(&mut db, Use::Read);
    if let Some(database) = postgres::database() {
        let mut db = database.open();
        fixtures::PLATFORM.create(&mut db).unwrap();
        shapes_fit(&mut db, Use::Write);
    }
    if let Some(database) = fixtures::LEGACY.in_mariadb() {
        shapes_fit(&mut database.open(), Use::Read);
    }
}
