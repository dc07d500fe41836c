//! Fixture cases: a folder of data each, whose name tells the story, run on every database that there is.
//!
//! ```text
//! <folder>/<case>/<legacy>/TABLE.csv   legacy rows; columns that are left out are NULL
//!                 <target>/TABLE.csv   what the target holds before
//!                 expected/lineage.csv what becomes of every legacy row, as `lineage --out` writes it
//!                 expected/repairs.csv every repair: legacy_table,legacy_id,code,column,before,after
//!                 expected/TABLE.csv   all rows of a target table after, in the columns that it names
//! ```
//! `<legacy>` and `<target>` are the names of the schemas. A file that is not under `expected` is not looked at.
//! `REPLANT_BLESS=1` writes the files that are under `expected` anew, in their columns: to be read before it is committed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use replant_core::db::{Db, DbUrl, Role};
use replant_core::ledger::history;
use replant_core::{LedgerError, Migration, ReadSnapshot, Registry, Settings, Silent, Stop};

use crate::load::{load_dir, load_tables};
use crate::sample::Sample;
use crate::state::State;
use crate::{dump, mariadb, postgres, sqlite};

/// Rows under a header.
#[derive(Debug, PartialEq, Eq)]
struct Csv {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

const LINEAGE: [&str; 6] = ["legacy_table", "legacy_id", "outcome", "code", "targets", "repairs"];
const REPAIRS: [&str; 6] = ["legacy_table", "legacy_id", "code", "column", "before", "after"];

/// One side of a case: its tables, and those that hold the rows of the sample in every case.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The tables.
    pub sample: &'a Sample,
    /// Tables that every case has as the sample has them.
    pub common: &'a [&'a str],
}

/// The cases of a folder, and what moves their rows.
pub struct Cases<'a> {
    /// The folder with a folder a case.
    pub folder: &'a Path,
    /// The domains.
    pub registry: &'a Registry,
    /// Reads the legacy snapshot's time.
    pub snapshot: ReadSnapshot,
    /// The legacy side.
    pub legacy: Side<'a>,
    /// The target.
    pub target: Side<'a>,
}

impl Cases<'_> {
    /// Runs every case from SQLite to SQLite and, where there are servers, from MariaDB to PostgreSQL.
    ///
    /// # Panics
    /// A case ends otherwise than expected, or there is none.
    pub fn run(&self) {
        let entries = fs::read_dir(self.folder).unwrap_or_else(|error| panic!("{}: {error}", self.folder.display()));
        let mut cases: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
        cases.sort();
        assert!(!cases.is_empty(), "{} has no case", self.folder.display());
        let mut wrong = Vec::new();
        for case in &cases {
            let folder = tempfile::tempdir().expect("a temporary folder can be made");
            let (legacy, target) = (folder.path().join("legacy.db"), folder.path().join("target.db"));
            drop(sqlite::create(&legacy));
            drop(sqlite::create(&target));
            let (legacy, target) = (DbUrl::sqlite(&legacy), DbUrl::sqlite(&target));
            wrong.extend(self.one(case, "SQLite", &legacy, &target));
            if let Some(target) = postgres::database() {
                let source = mariadb::database();
                let legacy = source.as_ref().map_or(legacy, crate::Database::url);
                let from = if source.is_some() { "MariaDB to PostgreSQL" } else { "SQLite to PostgreSQL" };
                wrong.extend(self.one(case, from, &legacy, &target.url()));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    fn one(&self, case: &Path, on: &str, legacy: &DbUrl, target: &DbUrl) -> Vec<String> {
        let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.legacy.fill(legacy, case);
        self.target.fill(target, case);
        let began = Timestamp::now();
        let migration = Migration {
            registry: self.registry,
            snapshot: self.snapshot,
            legacy: legacy.clone(),
            target: target.clone(),
            settings: Settings::default(),
        };
        if let Err(error) = migration.run(&Stop::default(), &Silent) {
            return vec![format!("{name} on {on}: {error}")];
        }
        let mut db = Db::open(target, Role::Target).expect("the throwaway target can be opened");
        let mut wrong = Vec::new();
        for file in fs::read_dir(case.join("expected")).expect("a case has an expected folder") {
            let file = file.expect("readable").path();
            let table = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let expected = read(&file);
            let found = match table.as_str() {
                "lineage" => lineage(&mut db),
                "repairs" => repairs(&mut db),
                _ => rows(&mut db, began, &table, &expected.header),
            };
            if std::env::var_os("REPLANT_BLESS").is_some() {
                write(&file, &found);
            } else if sorted(&expected) != sorted(&found) {
                wrong.push(format!("{name} on {on}: {table}.csv\n{}", difference(&expected, &found)));
            }
        }
        wrong
    }
}

impl Side<'_> {
    fn fill(&self, url: &DbUrl, case: &Path) {
        let mut db = Db::open(url, Role::Target).expect("the throwaway database can be opened");
        // A legacy file that an earlier run of the case has filled stays as it is.
        if self.sample.create(&mut db).is_err() {
            return;
        }
        load_tables(&mut db, self.sample.folder(), self.common).unwrap_or_else(|error| panic!("{error:?}"));
        let own = case.join(self.sample.schema().name);
        if own.exists() {
            load_dir(&mut db, &own).unwrap_or_else(|error| panic!("{}: {error:?}", case.display()));
        }
    }
}

fn text(value: Option<String>) -> String {
    value.unwrap_or_else(|| "\\N".to_owned())
}

fn header(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn lineage(db: &mut Db) -> Csv {
    let mut rows = Vec::new();
    for step in history::known_steps(db).expect("the ledger can be read") {
        history::lineage(db, &step, |row| {
            let targets: Vec<String> = row.targets.iter().map(|(table, id)| format!("{table}:{id}")).collect();
            rows.push(vec![
                row.legacy_table,
                row.legacy_id.to_string(),
                row.outcome.to_string(),
                row.code.unwrap_or_default(),
                targets.join(";"),
                row.repairs.join(";"),
            ]);
            Ok::<_, LedgerError>(())
        })
        .expect("the ledger can be read");
    }
    Csv { header: header(&LINEAGE), rows }
}

fn repairs(db: &mut Db) -> Csv {
    let tables: BTreeMap<String, String> = history::known_steps(db)
        .expect("the ledger can be read")
        .into_iter()
        .map(|step| (step.name, step.legacy_table))
        .collect();
    let mut rows = Vec::new();
    for (step, table) in &tables {
        for (key, repair) in history::all_repairs(db, step).expect("the ledger can be read") {
            rows.push(vec![
                table.clone(),
                key.to_string(),
                repair.code,
                repair.column,
                text(repair.before),
                text(repair.after),
            ]);
        }
    }
    Csv { header: header(&REPAIRS), rows }
}

fn rows(db: &mut Db, began: Timestamp, table: &str, columns: &[String]) -> Csv {
    let state = State::of(db, began).expect("the state can be read");
    let dump: &dump::TableDump = state
        .tables
        .iter()
        .find(|dump| dump.name == table)
        .unwrap_or_else(|| panic!("the target has no table {table}"));
    let columns: Vec<String> = if columns.is_empty() { dump.columns.clone() } else { columns.to_vec() };
    let place = |column: &String| {
        dump.columns.iter().position(|c| c == column).unwrap_or_else(|| panic!("{table} has no column {column}"))
    };
    let places: Vec<usize> = columns.iter().map(place).collect();
    let rows = dump.rows.iter().map(|row| places.iter().map(|place| text(row[*place].clone())).collect()).collect();
    Csv { header: columns, rows }
}

fn read(file: &Path) -> Csv {
    let mut reader = csv::Reader::from_path(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let header = reader.headers().expect("a CSV has a header").iter().map(str::to_owned).collect();
    let rows = reader
        .records()
        .map(|row| {
            row.unwrap_or_else(|error| panic!("{}: {error}", file.display())).iter().map(str::to_owned).collect()
        })
        .collect();
    Csv { header, rows }
}

fn write(file: &Path, csv: &Csv) {
    let mut writer = csv::WriterBuilder::new().from_path(file).expect("the expected file can be written");
    for row in std::iter::once(&csv.header).chain(&csv.rows) {
        writer.write_record(row).expect("the expected file can be written");
    }
}

fn sorted(csv: &Csv) -> Vec<&Vec<String>> {
    let mut rows: Vec<_> = csv.rows.iter().collect();
    rows.sort();
    rows
}

fn difference(expected: &Csv, found: &Csv) -> String {
    let only = |a: &Csv, b: &Csv, sign: &str| -> Vec<String> {
        a.rows.iter().filter(|row| !b.rows.contains(row)).map(|row| format!("  {sign} {}", row.join(","))).collect()
    };
    let mut lines = only(expected, found, "expected");
    lines.extend(only(found, expected, "found   "));
    if lines.is_empty() {
        lines.push("  a row stands there more often in one than in the other".to_owned());
    }
    lines.join("\n")
}
