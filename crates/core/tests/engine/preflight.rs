//! What is looked at before anything is written: a clear error with names, no ledger, no secret.

mod columns;
mod objects;
mod pooler;
mod rights;
mod server;

use diesel::connection::SimpleConnection;
use replant_core::db::{Db, DbUrl, Role};
use replant_core::{Event, RunError, Settings, ledger};
use replant_testkit::conformance::Target;
use replant_testkit::servers::{self, Kind};

use crate::world::{Watch, World, chunks_of, on_both, ordinary, postgres, site, sqlite, target_ddl};

/// Runs into a refusal: it names `named`, nothing was written, and the run hears of nothing.
fn refused(world: &World, target: &Target, named: &[&str]) -> RunError {
    let watch = Watch::new(|_| {});
    let error = world.watched(target, Settings::default(), &watch).expect_err("it is refused");
    let text = error.to_string();
    for name in named {
        assert!(text.contains(name), "{name} is not named: {text}");
    }
    assert!(matches!(error, RunError::Preflight { .. }), "{error:?}");
    assert_eq!(error.kind(), replant_core::Kind::Refused);
    assert!(!ledger::exists(&mut target.open()).unwrap(), "nothing was written");
    assert!(!watch.any(|event| matches!(event, Event::Planning { .. })));
    error
}

#[test]
fn a_legacy_table_that_is_not_as_it_must_be_is_named() {
    for (change, named) in [
        ("DROP TABLE part", "table `part` is missing"),
        ("ALTER TABLE thing DROP COLUMN note", "column `thing.note` is missing"),
        (
            "ALTER TABLE thing DROP COLUMN qty; ALTER TABLE thing ADD COLUMN qty DATETIME",
            "column `thing.qty` is datetime, where Integer was expected",
        ),
    ] {
        let world = World::new(&ordinary(20));
        world.change(change);
        on_both(|fresh| {
            let error = refused(&world, &fresh(), &["legacy", named]);
            assert!(world.migration(&fresh().url, Settings::default()).plan().is_err(), "{error}");
        });
    }
}

#[test]
fn a_target_table_that_is_not_as_it_must_be_is_named() {
    let world = World::new(&ordinary(20));
    for (old, new, named) in [
        ("CREATE TABLE parts", "CREATE TABLE pieces", "table `parts` is missing"),
        ("currency TEXT NOT NULL)", "money TEXT)", "column `parts.currency` is missing"),
        ("amount_minor BIGINT NOT NULL CHECK (amount_minor >= 0)", "amount_minor TEXT", "`parts.amount_minor` is text"),
        ("parent_id BIGINT REFERENCES items", "parent_id BIGINT NOT NULL", "`items.parent_id` forbids NULL"),
        (
            "currency TEXT NOT NULL)",
            "currency TEXT NOT NULL, vat TEXT NOT NULL)",
            "`parts.vat` is unknown to Replant and must be filled",
        ),
    ] {
        on_both(|fresh| {
            let target = fresh();
            let ddl = target_ddl(target.url.backend());
            assert!(ddl.contains(old), "{old}");
            site(&target.url, "DROP TABLE parts; DROP TABLE labels; DROP TABLE items; DROP TABLE finishes");
            // What the changed schema no longer takes is of no matter here.
            let (tables, _) = ddl.split_once("INSERT").unwrap();
            site(&target.url, &tables.replace(old, new));
            refused(&world, &target, &["target", named]);
        });
    }
}

#[test]
fn an_interval_is_no_integer() {
    let Some(target) = postgres() else { return };
    site(&target.url, "ALTER TABLE items DROP COLUMN qty; ALTER TABLE items ADD COLUMN qty interval");
    refused(&World::new(&ordinary(20)), &target, &["`items.qty` is interval"]);
}

#[test]
fn a_sequence_that_lags_behind_its_table_is_named() {
    let world = World::new(&ordinary(20));
    for rows in [
        "INSERT INTO items (id, name, qty, colour) VALUES (900, 'by hand', 1, 'red')",
        // The sequence was never asked: it says 1 and means that 1 comes next.
        "DELETE FROM items; ALTER TABLE items ALTER COLUMN id RESTART; INSERT INTO items (id, name, qty, colour) VALUES (1, 'by hand', 1, 'red')",
    ] {
        let Some(target) = postgres() else { return };
        site(&target.url, rows);
        refused(&world, &target, &["the sequence of `items.id`", "setval"]);
    }
}

#[test]
fn another_snapshot_than_the_first_is_refused() {
    let world = World::new(&ordinary(20));
    on_both(|fresh| {
        let target = fresh();
        world.complete(&target, chunks_of(10));
        let mut migration = world.migration(&target.url, Settings::default());
        migration.snapshot = |_| Ok(jiff::Timestamp::MAX);
        let error = migration.run(&replant_core::Stop::default(), &replant_core::Silent).expect_err("another snapshot");
        assert!(matches!(error, RunError::OtherSnapshot { .. }));
    });
}

/// A password that must not be seen, whatever becomes of it.
const SECRET: &str = "throwaway-secret";

fn hides_the_secret(error: &RunError) {
    let shown = format!("{error} {error:?} {}", error.hint());
    assert!(!shown.contains(SECRET) && !shown.contains("postgres://"), "{shown}");
}

#[test]
fn a_user_without_rights_is_told_what_is_missing_and_no_secret() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(20));
    let server = servers::available(Kind::Postgres).unwrap();
    let role = format!("weak_{}", std::process::id());
    let mut db = target.open();
    db.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'")).unwrap();
    let address = |database: &str| {
        server.url(database).replace("postgres://postgres@", &format!("postgres://{role}:{SECRET}@")).parse::<DbUrl>()
    };
    let name = crate::world::texts(&target, "SELECT current_database()::text AS value").remove(0);
    let run = |url: DbUrl| {
        let migration = world.migration(&url, Settings::default());
        let error = migration.run(&replant_core::Stop::default(), &replant_core::Silent).expect_err("it is refused");
        hides_the_secret(&error);
        assert!(!ledger::exists(&mut Db::open(&target.url, Role::Target).unwrap()).unwrap());
        error
    };

    let error = run(address(&name).unwrap());
    assert!(error.to_string().contains("lacks a right"), "{error}");
    db.batch_execute(&format!(
        "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}; GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}"
    ))
    .unwrap();
    let error = run(address(&name).unwrap());
    assert!(matches!(error, RunError::Preflight { .. }), "{error:?}");
    assert!(error.to_string().contains("lacks a right: CREATE on the database"), "{error}");
    assert!(error.to_string().contains("lacks a right: DELETE on `items`"), "{error}");

    let error = run(address("no_such_database").unwrap());
    assert!(error.to_string().contains("the server has no database of that name"), "{error}");
    let nobody = format!("postgres://{role}:{SECRET}@127.0.0.1:1/{name}").parse().unwrap();
    let error = run(nobody);
    assert_eq!(error.kind(), replant_core::Kind::Unavailable, "{error}");
    db.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).unwrap();
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let world = World::new("");
    let target = sqlite();
    for settings in [
        Settings { readers: 0, ..Settings::default() },
        Settings { chunk_rows: 0, ..Settings::default() },
        Settings { legacy_pool: 2, ..Settings::default() },
        Settings { target_pool: 3, ..Settings::default() },
    ] {
        assert!(matches!(world.run(&target, settings), Err(RunError::Settings(_))));
    }
}
