//! The sample arrives whole in all three databases, and the same in each.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use diesel::connection::SimpleConnection;
use flate2::read::GzDecoder;
use replant_core::db::{Db, Role};
use replant_testkit::dump::{assert_same, differences, dump, dump_all};
use replant_testkit::load::load_dir;
use replant_testkit::schema::{create_legacy, create_platform};
use replant_testkit::{mariadb, postgres, sample};

/// Rows of each file, by a reading of their own.
fn rows_of(side: &str) -> BTreeMap<String, usize> {
    let files = fs::read_dir(sample::folder().join(side)).unwrap().map(|entry| entry.unwrap().path());
    let count = |path: &Path| {
        csv::Reader::from_reader(GzDecoder::new(File::open(path).unwrap()))
            .into_byte_records()
            .map(Result::unwrap)
            .count()
    };
    files.map(|path| (path.file_name().unwrap().to_str().unwrap().replace(".csv.gz", ""), count(&path))).collect()
}

fn rows_in(db: &mut Db) -> BTreeMap<String, usize> {
    dump_all(db).unwrap().into_iter().map(|table| (table.name, table.rows.len())).collect()
}

#[test]
fn sqlite_has_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let legacy = sample::sqlite_legacy_sample(folder.path());
    let platform = sample::sqlite_platform_sample(folder.path());
    assert_eq!(rows_in(&mut Db::open(&legacy, Role::Legacy).unwrap()), rows_of("legacy"));
    assert_eq!(rows_in(&mut Db::open(&platform, Role::Target).unwrap()), rows_of("platform"));
    assert!(rows_of("legacy").values().sum::<usize>() > 60_000);
}

#[test]
fn the_platform_is_the_same_in_postgres_and_sqlite() {
    let Some(database) = sample::postgres_platform_sample() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let platform = sample::sqlite_platform_sample(folder.path());
    let in_postgres = dump_all(&mut database.open()).unwrap();
    let in_sqlite = dump_all(&mut Db::open(&platform, Role::Target).unwrap()).unwrap();
    assert_eq!(
        in_postgres.iter().map(|table| table.rows.len()).sum::<usize>(),
        rows_of("platform").values().sum::<usize>()
    );
    assert_same(&in_postgres, &in_sqlite);
}

#[test]
fn the_legacy_database_is_the_same_in_mariadb_and_sqlite() {
    let Some(database) = sample::mariadb_legacy_sample() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let legacy = sample::sqlite_legacy_sample(folder.path());
    let in_mariadb = dump_all(&mut database.open()).unwrap();
    let in_sqlite = dump_all(&mut Db::open(&legacy, Role::Legacy).unwrap()).unwrap();
    assert_eq!(
        in_mariadb.iter().map(|table| table.rows.len()).sum::<usize>(),
        rows_of("legacy").values().sum::<usize>()
    );
    assert_same(&in_mariadb, &in_sqlite);
}

#[test]
fn new_ids_come_after_the_loaded_ones() {
    let folder = tempfile::tempdir().unwrap();
    let platform = sample::sqlite_platform_sample(folder.path());
    let mut databases = vec![Db::open(&platform, Role::Target).unwrap()];
    let in_postgres = sample::postgres_platform_sample();
    databases.extend(in_postgres.as_ref().map(replant_testkit::Database::open));
    for mut db in databases {
        let before = dump(&mut db, "brands").unwrap().rows.len();
        let last = dump(&mut db, "projects").unwrap().rows.last().unwrap()[0].clone().unwrap();
        db.batch_execute("INSERT INTO projects (slug, name, active) VALUES ('new', 'New', true)").unwrap();
        let after = dump(&mut db, "projects").unwrap().rows.last().unwrap()[0].clone().unwrap();
        assert_eq!(after.parse::<i64>().unwrap(), last.parse::<i64>().unwrap() + 1);
        db.batch_execute(
            "INSERT INTO brands (account_id, name, billing_mode, currency) VALUES (1000, 'B', 'card', 'GBP')",
        )
        .unwrap();
        assert_eq!(before, 0, "a table without rows keeps its first id");
        assert_eq!(dump(&mut db, "brands").unwrap().rows[0][0].as_deref(), Some("1"));
    }
}

#[test]
fn a_difference_names_table_key_column_and_values() {
    let folder = tempfile::tempdir().unwrap();
    let platform = sample::sqlite_platform_sample(folder.path());
    let mut db = Db::open(&platform, Role::Target).unwrap();
    let before = dump_all(&mut db).unwrap();
    db.batch_execute(
        "UPDATE accounts SET display_name = 'O''Neill' WHERE id = 1000; DELETE FROM refunds WHERE id = 40; \
         INSERT INTO project_species VALUES (500, 'Zea mays')",
    )
    .unwrap();
    let found = differences(&before, &dump_all(&mut db).unwrap());
    let expected = [
        "accounts id=1000: display_name 'Oliver Szabó' | 'O''Neill'",
        "project_species project_id=500,species=Zea mays: the row is right only",
        "refunds id=40: the row is left only",
    ];
    assert_eq!(found, expected);
}

/// A folder with these files, loaded.
fn load(db: &mut Db, files: &[(&str, &str)]) -> Result<usize, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let loaded = load_dir(db, folder.path()).map_err(|error| {
        let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
        format!("{error}{cause}").replace(&format!("{}/", folder.path().display()), "")
    })?;
    Ok(loaded.iter().map(|(_, rows)| rows).sum())
}

const ACCOUNTS: &str = "id,kind,email,display_name,marketing_consent,status,merged_into,created_at,updated_at\n\
    1,person,a@x.org,\"A, \"\"B\"\"\nC\",t,closed,2,2024-01-01 00:00:00+00,2024-01-01 00:00:00.5+00\n\
    2,person,b@x.org,\\,f,active,\\N,2024-01-01 00:00:00+00,2024-01-01 00:00:00+00\n";

fn platforms(check: impl Fn(&mut Db)) {
    let folder = tempfile::tempdir().unwrap();
    let mut lite = sample::new_sqlite(&folder.path().join("platform.db"));
    create_platform(&mut lite).unwrap();
    check(&mut lite);
    if let Some(database) = postgres::database() {
        let mut db = database.open();
        create_platform(&mut db).unwrap();
        check(&mut db);
    }
}

#[test]
fn some_columns_in_any_order_load() {
    platforms(|db| {
        assert_eq!(load(db, &[("accounts.csv", ACCOUNTS), ("notes.txt", "not for us")]), Ok(2));
        let accounts = dump(db, "accounts").unwrap();
        let cell = |row: usize, name: &str| {
            accounts.rows[row][accounts.columns.iter().position(|column| column == name).unwrap()].as_deref()
        };
        assert_eq!(cell(0, "display_name"), Some("A, \"B\"\nC"));
        assert_eq!(cell(0, "merged_into"), Some("2"), "a row may refer to a later one");
        assert_eq!(cell(0, "updated_at"), Some("2024-01-01 00:00:00.500000"));
        assert_eq!(cell(0, "marketing_consent"), Some("1"));
        assert_eq!(cell(1, "display_name"), Some("\\"));
        assert_eq!(cell(1, "phone"), None);
    });
}

#[test]
fn an_error_names_file_and_line_and_leaves_nothing() {
    let refused = |db: &mut Db, files: &[(&str, &str)], expected: &[&str]| {
        let error = load(db, files).unwrap_err();
        assert!(expected.iter().any(|start| error.starts_with(start)), "{error}");
        assert!(dump(db, "accounts").unwrap().rows.is_empty() && dump(db, "currencies").unwrap().rows.is_empty());
    };
    platforms(|db| {
        // The row on line 2 has a line break in it.
        let repeated =
            format!("{ACCOUNTS}3,person,b@x.org,C,t,active,\\N,2024-01-01 00:00:00+00,2024-01-01 00:00:00+00\n");
        refused(
            db,
            &[("currencies.csv", "code,exponent\nGBP,2\n"), ("accounts.csv", &repeated)],
            &["accounts.csv:5: the database refuses the row: "],
        );
        refused(
            db,
            &[("currencies.csv", "code,exponent\nGBP,2\nEUR,5\n")],
            &["currencies.csv:3: the database refuses the row: "],
        );
        refused(
            db,
            &[("currencies.csv", "code,exponent\nGBP,two\n")],
            &["currencies.csv:2: the database refuses the row: "],
        );
        refused(
            db,
            &[("currencies.csv", "code,exponent\nGBP,2,3\n")],
            &["read currencies.csv: CSV error: record 1 (line: 2"],
        );
        refused(
            db,
            &[("currencies.csv", "code,digits\nGBP,2\n")],
            &["currencies.csv:1: the table has no column `digits`"],
        );
        refused(db, &[("coins.csv", "code\nGBP\n")], &["coins.csv: the database has no such table"]);
        let local = ACCOUNTS.replace("00:00:00.5+00", "00:00:00.5");
        if matches!(db, Db::Lite(_)) {
            refused(db, &[("accounts.csv", &local)], &["accounts.csv:2: column `updated_at` wants a time like"]);
        }
        let orphan = ACCOUNTS.replace("closed,2", "closed,9");
        refused(
            db,
            &[("accounts.csv", &orphan)],
            &[
                "accounts.csv:2: the database refuses the row: ",
                "accounts.csv: 1 rows refer to no row of `accounts`, first the one of rowid 1",
            ],
        );
    });
}

#[test]
fn mariadb_takes_what_the_legacy_database_holds_and_bends_nothing() {
    let Some(database) = mariadb::database() else {
        return;
    };
    let mut db = database.open();
    create_legacy(&mut db).unwrap();
    let users = "id,email,notes,created_when,credits\n1,NULL,\"a\t\\\r\nb\",0000-00-00 00:00:00,19.99\n2,\\N,,2024-01-01 10:00:00,\\N\n";
    assert_eq!(load(&mut db, &[("user.csv", users)]), Ok(2));
    let user = dump(&mut db, "user").unwrap();
    let cells =
        |row: usize| -> Vec<Option<&str>> { [0, 1, 16, 13, 10].map(|place| user.rows[row][place].as_deref()).to_vec() };
    assert_eq!(cells(0), [Some("1"), Some("NULL"), Some("a\t\\\r\nb"), Some("0000-00-00 00:00:00"), Some("19.99")]);
    assert_eq!(cells(1), [Some("2"), None, Some(""), Some("2024-01-01 10:00:00"), None]);

    let bent =
        load(&mut db, &[("brand.csv", "id,created_when\n1,2024-01-01 10:00:00\n2,2023-02-31 10:00:00\n")]).unwrap_err();
    assert!(bent.starts_with("brand.csv:3: "), "{bent}");
    let twice = load(&mut db, &[("project.csv", "id,name\n1,A\n1,B\n")]).unwrap_err();
    assert!(twice.starts_with("project.csv:"), "{twice}");
}
