//! The platform in SQLite agrees with the platform in PostgreSQL, which decides: tables, columns, types, indexes, and
//! what every single constraint refuses.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod rows;

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::Error::{DatabaseError, RollbackTransaction};
use diesel::sql_types::Text;
use replant_core::db::Db;
use replant_testkit::{Database, catalog, postgres, sample, schema};
use rows::{ANOTHER, GOOD, MISTYPED, REFUSED, TAKEN, Values};

struct Both {
    postgres: Db,
    sqlite: Db,
    _database: Database,
    _folder: tempfile::TempDir,
}

fn both() -> Option<Both> {
    let database = postgres::database()?;
    let folder = tempfile::tempdir().unwrap();
    let mut both = Both {
        postgres: database.open(),
        sqlite: sample::new_sqlite(&folder.path().join("platform.db")),
        _database: database,
        _folder: folder,
    };
    for db in [&mut both.postgres, &mut both.sqlite] {
        schema::create_platform(db).unwrap();
    }
    Some(both)
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(db: &mut Db, sql: &str) -> BTreeSet<String> {
    diesel::sql_query(sql).load(db).unwrap().into_iter().map(|Line { line }| line).collect()
}

#[test]
fn tables_columns_and_types_agree() {
    let Some(mut both) = both() else { return };
    let tables = catalog::tables(&mut both.postgres).unwrap();
    assert_eq!(tables, catalog::tables(&mut both.sqlite).unwrap());
    assert_eq!(tables.len(), 16);
    for table in tables {
        let expected = catalog::columns(&mut both.postgres, &table).unwrap().into_iter();
        let expected: Vec<_> =
            expected.map(|column| (column.name, in_sqlite(&column.kind), column.required, column.key)).collect();
        let found = catalog::columns(&mut both.sqlite, &table).unwrap();
        let is_row_id = |column: &catalog::Column| {
            column.key == 1 && column.kind == "integer" && found.iter().filter(|other| other.key > 0).count() == 1
        };
        let kind = |column: &catalog::Column| {
            if is_row_id(column) { "bigint".to_owned() } else { column.kind.clone() }
        };
        let found: Vec<_> = found
            .iter()
            .map(|column| (column.name.clone(), kind(column), column.required || is_row_id(column), column.key))
            .collect();
        assert_eq!(found, expected, "{table}");
    }
}

fn in_sqlite(kind: &str) -> String {
    match kind {
        "timestamp with time zone" => "timestamptz".to_owned(),
        kind => kind.replace("character(", "char("),
    }
}

#[test]
fn checks_indexes_and_foreign_keys_agree() {
    let Some(mut both) = both() else { return };
    let indexes = lines(
        &mut both.postgres,
        "SELECT replace(replace(i.indexdef, 'USING btree ', ''), 'public.', '') AS line FROM pg_indexes i \
         WHERE schemaname = 'public' AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conname = i.indexname)",
    );
    // As PostgreSQL prints them.
    let unprinted: BTreeSet<String> =
        indexes.into_iter().map(|sql| sql.replace("WHERE (", "WHERE ").replace("'::text)", "'")).collect();
    assert_eq!(
        unprinted,
        lines(&mut both.sqlite, "SELECT sql AS line FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    );

    let keys = "SELECT conrelid::regclass || '.' || attname || ' -> ' || confrelid::regclass AS line \
                FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1] WHERE contype = 'f'";
    let keys = lines(&mut both.postgres, keys);
    let found = "SELECT t.name || '.' || k.\"from\" || ' -> ' || k.\"table\" AS line FROM sqlite_master t, pragma_foreign_key_list(t.name) k WHERE t.type = 'table'";
    assert_eq!(keys, lines(&mut both.sqlite, found));

    let checks = lines(
        &mut both.postgres,
        "SELECT conname::text AS line FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace",
    );
    let sql = lines(&mut both.sqlite, "SELECT sql AS line FROM sqlite_master WHERE type = 'table'")
        .into_iter()
        .collect::<String>();
    let words: BTreeSet<String> = sql.split_whitespace().map(str::to_owned).collect();
    let found: BTreeSet<String> = words
        .into_iter()
        .filter(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with("_check"))
        .collect();
    assert_eq!(found, checks);
}

fn insert(table: &str, changes: &[&[(&str, &str)]]) -> String {
    let (_, good) = GOOD.iter().find(|(name, _)| *name == table).unwrap();
    let mut row = good.to_vec();
    for (column, value) in changes.iter().copied().flatten() {
        row.iter_mut().find(|(name, _)| name == column).unwrap_or_else(|| panic!("{table} has no {column}")).1 = value;
    }
    let (columns, values): (Vec<&str>, Vec<&str>) = row.into_iter().unzip();
    format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), values.join(", "))
}

fn second(table: &str, changes: &[(&str, &str)]) -> String {
    let (_, another) = ANOTHER.iter().find(|(name, _)| *name == table).unwrap();
    insert(table, &[another, changes])
}

/// Both databases with a good row in each table, and a second payment for allocations to refer to.
fn both_filled() -> Option<Both> {
    let mut both = both()?;
    for db in [&mut both.postgres, &mut both.sqlite] {
        for (table, _) in GOOD {
            db.batch_execute(&insert(table, &[])).unwrap_or_else(|error| panic!("{table}: {error}"));
        }
        db.batch_execute(&insert("payments", &[&[("id", "3"), ("gateway_ref", "'pi_3'")]])).unwrap();
    }
    Some(both)
}

/// Inserts and rolls back: the error if the row is refused.
fn attempt(db: &mut Db, sql: &str) -> Option<diesel::result::Error> {
    let attempted = db.transaction::<(), _, _>(|db| db.batch_execute(sql).and(Err(RollbackTransaction)));
    attempted.err().filter(|error| !matches!(error, RollbackTransaction))
}

/// The constraint that refused, as PostgreSQL calls it: SQLite names checks, and columns for the rest.
fn constraint_of(error: &diesel::result::Error) -> Option<String> {
    let DatabaseError(_, information) = error else {
        return None;
    };
    information.constraint_name().map(str::to_owned)
}

fn refused_by_sqlite(error: &diesel::result::Error, constraint: &str, table: &str) -> bool {
    let text = error.to_string();
    match constraint.rsplit_once('_').map(|(_, kind)| kind.trim_end_matches(|c: char| c.is_ascii_digit())) {
        Some("check") => text == format!("CHECK constraint failed: {constraint}"),
        Some("fkey") => text == "FOREIGN KEY constraint failed",
        _ => text.starts_with(&format!("UNIQUE constraint failed: {table}.")),
    }
}

#[test]
fn both_take_good_rows() {
    let Some(mut both) = both_filled() else {
        return;
    };
    let seconds = GOOD.iter().map(|(table, _)| (*table, &[] as Values));
    for (table, changes) in seconds.chain(TAKEN.iter().copied()) {
        for db in [&mut both.postgres, &mut both.sqlite] {
            let backend = db.backend();
            let refused = attempt(db, &second(table, changes));
            assert!(refused.is_none(), "{backend}: {table} {changes:?}: {}", refused.unwrap());
        }
    }
}

fn check_refused(both: &mut Both, constraint: &str, table: &str, sql: &str) {
    let error =
        attempt(&mut both.postgres, sql).unwrap_or_else(|| panic!("PostgreSQL takes what {constraint} refuses: {sql}"));
    assert_eq!(constraint_of(&error).as_deref(), Some(constraint), "PostgreSQL: {error}: {sql}");
    let error =
        attempt(&mut both.sqlite, sql).unwrap_or_else(|| panic!("SQLite takes what {constraint} refuses: {sql}"));
    assert!(refused_by_sqlite(&error, constraint, table), "SQLite: {constraint} should refuse, not {error}: {sql}");
}

#[test]
fn both_refuse_bad_rows_by_the_same_constraint() {
    let Some(mut both) = both_filled() else {
        return;
    };
    for (constraint, table, changes) in REFUSED {
        check_refused(&mut both, constraint, table, &second(table, changes));
    }

    let keys = "SELECT conname || ' ' || conrelid::regclass || ' ' || attname AS line \
                FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1] WHERE contype = 'f'";
    let keys = lines(&mut both.postgres, keys);
    for key in &keys {
        let [constraint, table, column] = key.split(' ').collect::<Vec<_>>()[..] else { panic!("{key}") };
        let nowhere = match column {
            "currency" | "country_code" => "'ZZ'",
            _ => "77",
        };
        let closed: &[(&str, &str)] = if column == "merged_into" { &[("status", "'closed'")] } else { &[] };
        let (_, another) = ANOTHER.iter().find(|(name, _)| *name == table).unwrap();
        check_refused(&mut both, constraint, table, &insert(table, &[another, closed, &[(column, nowhere)]]));
    }

    let every = "SELECT conname::text AS line FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n' \
                 UNION SELECT indexrelid::regclass::text FROM pg_index WHERE indisunique AND indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)";
    let by_key = keys.iter().map(|key| key.split(' ').next().unwrap());
    let tried: BTreeSet<String> =
        REFUSED.iter().map(|(constraint, ..)| *constraint).chain(by_key).map(str::to_owned).collect();
    assert_eq!(tried, lines(&mut both.postgres, every), "every constraint is tried");
}

#[test]
fn both_refuse_null_where_a_column_is_required() {
    let Some(mut both) = both_filled() else {
        return;
    };
    for (table, _) in GOOD {
        for column in catalog::columns(&mut both.postgres, table).unwrap().into_iter().filter(|column| column.required)
        {
            let sql = second(table, &[(&column.name, "NULL")]);
            assert!(
                attempt(&mut both.postgres, &sql)
                    .is_some_and(|error| error.to_string().contains("null value in column")),
                "{sql}"
            );
            let is_row_id = column.name == "id";
            let expected = format!("NOT NULL constraint failed: {table}.{}", column.name);
            // SQLite gives a row a new id then.
            assert_eq!(
                attempt(&mut both.sqlite, &sql).map(|error| error.to_string()),
                (!is_row_id).then_some(expected),
                "{sql}"
            );
        }
    }
}

#[test]
fn both_refuse_what_is_not_of_the_type() {
    let Some(mut both) = both_filled() else {
        return;
    };
    for (table, column, value) in MISTYPED {
        let sql = second(table, &[(column, value)]);
        let error = attempt(&mut both.postgres, &sql).unwrap_or_else(|| panic!("PostgreSQL takes {sql}"));
        assert_eq!(constraint_of(&error), None, "PostgreSQL: {error}: {sql}");
        let error = attempt(&mut both.sqlite, &sql).unwrap_or_else(|| panic!("SQLite takes {sql}"));
        let text = error.to_string();
        let by_type = text.starts_with("CHECK constraint failed: ") || text == "datatype mismatch";
        assert!(by_type, "SQLite: {text}: {sql}");
    }
}

/// Every column of SQLite holds its type, whatever list of literals a test thought of: no blob and no fraction gets in.
#[test]
fn sqlite_holds_the_storage_class_of_every_column() {
    let folder = tempfile::tempdir().unwrap();
    let mut db = sample::new_sqlite(&folder.path().join("platform.db"));
    schema::create_platform(&mut db).unwrap();
    db.batch_execute("PRAGMA foreign_keys = off").unwrap();
    for (table, columns) in GOOD {
        for (column, _) in *columns {
            for value in ["x'61'", "'a' || char(0)", "0.5"] {
                let kind = catalog::columns(&mut db, table)
                    .unwrap()
                    .into_iter()
                    .find(|found| found.name == *column)
                    .unwrap()
                    .kind;
                // A number becomes text in a column of text, and is a real in one of reals.
                let is_fine =
                    value == "0.5" && (kind == "text" || kind.starts_with("char") || kind == "double precision");
                let refused = attempt(&mut db, &second(table, &[(column, value)])).map(|error| error.to_string());
                let by_type = refused
                    .as_ref()
                    .is_some_and(|text| text.starts_with("CHECK constraint failed: ") || text == "datatype mismatch");
                assert!(by_type || is_fine, "{table}.{column} takes {value}: {refused:?}");
            }
        }
    }
}
