//! Legacy cells that hold what their column cannot say: the row waits in quarantine, whole.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use replant_core::Settings;
use replant_core::db::{Db, DbUrl, MultiBackend, Role};
use replant_core::prelude::*;
use replant_testkit::mariadb;
use serde::{Deserialize, Serialize};

use crate::world::{World, chunks_of, count, on_both, quarantine, thing, totals};

fn quarantined_as(cells: &str, column: &str, raw: &str) {
    let mut rows = thing(1, "good", "1", "");
    rows += &format!("INSERT INTO thing (id, name, qty, note, parent_id) VALUES {cells};");
    let world = World::new(&rows);
    on_both(|fresh| {
        let target = fresh();
        world.complete(&target, chunks_of(10));
        assert_eq!(totals(&target, "toy.things").0.migrated, 1, "{cells}");
        let found = quarantine(&target, "toy.things").remove(0);
        assert_eq!((found.legacy_key, found.code.as_str()), (2, "unforeseen"), "{cells}");
        assert!(found.reason.contains(&format!("`{column}`")), "{cells}: {}", found.reason);
        let whole: serde_json::Value = serde_json::from_str(&found.legacy_row).unwrap();
        assert_eq!(whole[column]["raw"], raw, "{cells}: {whole}");
        assert_eq!(whole.as_object().unwrap().len(), 5, "{whole}");
        assert!(!found.reason.contains(raw), "a reason holds no value: {}", found.reason);
    });
}

#[test]
fn a_text_where_a_number_should_be_is_kept() {
    quarantined_as("(2, 'a', 'a dozen', '', NULL)", "qty", "a dozen");
}

#[test]
fn bytes_that_are_no_text_are_kept() {
    quarantined_as("(2, x'c3a9ff', 1, '', NULL)", "name", "\\xc3a9ff");
    quarantined_as("(2, CAST(x'61ff62' AS TEXT), 1, '', NULL)", "name", "\\x61ff62");
    quarantined_as("(2, 'a', CAST(x'61ff62' AS TEXT), '', NULL)", "qty", "\\x61ff62");
}

#[test]
fn a_number_that_does_not_fit_is_kept() {
    quarantined_as("(2, 'a', 4294967297, '', NULL)", "qty", "4294967297");
    quarantined_as("(2, 'a', 1.5, '', NULL)", "qty", "1.5");
    quarantined_as("(2, 'a', 1, '', 1e30)", "parent_id", "1.0e+30");
}

diesel::table! {
    odd (id) {
        id -> BigInt,
        at -> Timestamp,
        big -> BigInt,
        small -> Integer,
        word -> Text,
    }
}

#[derive(Debug, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = odd, check_for_backend(MultiBackend))]
struct Odd {
    id: Key,
    at: Cell<Wall>,
    big: Cell<i64>,
    small: Cell<i32>,
    word: Cell<String>,
}

replant_core::legacy!(Odd => odd, "odd", key = id);

/// The rows of `odd` in a new MariaDB database; none where the test is skipped.
fn odd(rows: &str) -> Option<Vec<Odd>> {
    let database = mariadb::database()?;
    let mut db = database.open();
    db.batch_execute(
        "SET sql_mode = ''; CREATE TABLE odd (id BIGINT PRIMARY KEY, at DATETIME, big BIGINT UNSIGNED, small INT UNSIGNED, word VARCHAR(40))",
    )
    .unwrap();
    db.batch_execute(&format!("INSERT INTO odd VALUES {rows}")).unwrap();
    let mut legacy = Db::open(&database.url(), Role::Legacy).unwrap();
    Some(Odd::page(&mut legacy, None, 100).unwrap())
}

fn raw<T>(cell: &Cell<T>) -> Option<&str> {
    match cell {
        Cell::Bad(unfit) => Some(&unfit.raw),
        Cell::Good(_) | Cell::Null => None,
    }
}

#[test]
fn dates_of_mariadb_that_are_none_are_kept() {
    let rows = "(1, '0000-00-00 00:00:00', 1, 1, ''), (2, '2020-00-12 00:00:00', 1, 1, ''), (3, '2020-02-29 12:30:00', 1, 1, 'ä'), (4, NULL, NULL, NULL, NULL)";
    let Some(rows) = odd(rows) else { return };
    assert_eq!(raw(&rows[0].at), Some("0000-00-00 00:00:00"));
    assert_eq!(raw(&rows[1].at), Some("2020-00-12 00:00:00"));
    assert!(rows[2].at.good().is_some());
    assert_eq!(rows[2].word.good().map(String::as_str), Some("ä"));
    assert!(matches!((&rows[3].at, &rows[3].big, &rows[3].word), (Cell::Null, Cell::Null, Cell::Null)));
}

#[test]
fn numbers_of_mariadb_that_do_not_fit_are_kept() {
    let rows = "(1, NULL, 9223372036854775807, 2147483647, ''), (2, NULL, 18446744073709551615, 1, ''), (3, NULL, 1, 4294967295, '')";
    let Some(rows) = odd(rows) else { return };
    assert_eq!((rows[0].big.good(), rows[0].small.good()), (Some(&i64::MAX), Some(&i32::MAX)));
    assert_eq!(raw(&rows[1].big), Some("18446744073709551615"));
    assert_eq!(raw(&rows[2].small), Some("4294967295"));
    let named = |row: &Odd| row.big.reference("big").ok().flatten();
    assert_eq!(rows.iter().map(named).collect::<Vec<_>>(), [Some(i64::MAX), Some(-1), Some(1)]);
}

#[test]
fn a_number_of_sqlite_beyond_every_key_names_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("legacy.db");
    std::fs::write(&file, "").unwrap();
    let url = DbUrl::sqlite(&file);
    let mut db = Db::open(&url, Role::Target).unwrap();
    // The type of the true schema turns a text into a REAL; one without keeps it as it is.
    for (affinity, expect) in [("BIGINT UNSIGNED", i64::MIN), ("", -1)] {
        db.batch_execute(&format!(
            "DROP TABLE IF EXISTS odd; CREATE TABLE odd (id INTEGER PRIMARY KEY, at TEXT, big {affinity}, small INTEGER, word TEXT);
             INSERT INTO odd (id, big) VALUES (1, '18446744073709551615'), (2, CAST('18446744073709551615' AS BLOB)),
               (3, 18446744073709551615), (4, CAST('7' AS BLOB)), (5, 7), (6, 0), (7, NULL)",
        ))
        .unwrap();
        let mut legacy = Db::open(&url, Role::Legacy).unwrap();
        let rows = Odd::page(&mut legacy, None, 100).unwrap();
        let named: Vec<_> = rows.iter().map(|row| row.big.reference("big").map_err(|bad| bad.column)).collect();
        let (real, blob) = (Ok(Some(i64::MIN)), Ok(Some(-1)));
        assert_eq!(named, [Ok(Some(expect)), blob, real, Err("big"), Ok(Some(7)), Ok(None), Ok(None)], "{affinity:?}");
    }
}

#[test]
fn keys_beyond_what_a_key_can_be_are_refused_when_the_step_is_planned() {
    let Some(database) = mariadb::database() else { return };
    database
        .open()
        .batch_execute(
            "CREATE TABLE thing (id BIGINT UNSIGNED PRIMARY KEY, name TEXT, parent_id BIGINT, qty INT, note TEXT);
             CREATE TABLE part (id BIGINT PRIMARY KEY, thing_id BIGINT, amount TEXT, currency TEXT);
             CREATE TABLE knob (id BIGINT PRIMARY KEY, value TEXT NOT NULL);
             INSERT INTO thing VALUES (1, 'a', NULL, 1, ''), (18446744073709551615, 'b', NULL, 1, '')",
        )
        .unwrap();
    let mut world = World::new("");
    world.legacy = database.url();
    on_both(|fresh| {
        let target = fresh();
        let error = world.run(&target, Settings::default()).expect_err("a key is no key");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("thing") && !shown.contains("throwaway-secret"), "{shown}");
    });
    database.open().batch_execute("DELETE FROM thing WHERE id > 1").unwrap();
    on_both(|fresh| {
        world.complete(&fresh(), Settings::default());
    });
}

#[test]
fn rows_that_weigh_much_come_in_smaller_chunks() {
    let note = |id: i64| if id <= 700 { "x".repeat(40_000) } else { String::new() };
    let rows: String = (1..=1_000).map(|id| thing(id, &format!("thing {id}"), "1", &note(id))).collect();
    let world = World::new(&rows);
    let target = crate::world::sqlite();
    let settings = Settings {
        chunk_rows: 1_000,
        chunk_time: std::time::Duration::from_secs(60),
        queue_bytes: 4 << 20,
        ..Settings::default()
    };
    world.complete(&target, settings);
    // A chunk may have a megabyte, and ends behind the page that is more: its first one, of 256 rows.
    let first = "replant_chunks WHERE step = 'toy.things' AND lo = 1";
    assert_eq!(count(&target, &format!("{first} AND rows_read = 256")), 1);
    let heavy = "replant_chunks WHERE step = 'toy.things' AND lo > 256 AND lo <= 700";
    assert_eq!(count(&target, &format!("{heavy} AND rows_read > 256")), 0);
    assert!(count(&target, heavy) >= 2, "{} chunks", count(&target, heavy));
    assert_eq!(totals(&target, "toy.things").0.migrated, 1_000);
}
