//! Targets with the sample's platform, and the program as a process that migrates the sample into them.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use replant_core::db::{Db, DbUrl, Role};
use replant_testkit::dump::{self, TableDump};
use replant_testkit::state::State;
use replant_testkit::{Database, Restricted, catalog};

pub(crate) struct Target {
    address: String,
    pub(crate) url: DbUrl,
    /// Settings beside the addresses.
    vars: &'static [(&'static str, &'static str)],
    _guard: Box<dyn std::any::Any>,
}

impl Target {
    /// A database that holds the sample's platform.
    pub(crate) fn of(database: Database) -> Self {
        Self { address: database.address().to_owned(), url: database.url(), vars: &[], _guard: Box::new(database) }
    }

    /// A database in a file.
    pub(crate) fn in_file(path: &Path, guard: impl Sized + 'static) -> Self {
        let address = format!("sqlite://{}", path.display());
        Self { address, url: DbUrl::sqlite(path), vars: &[], _guard: Box::new(guard) }
    }

    /// The same, which the program is told to use as somebody else. Tests look into it as before.
    pub(crate) fn used_by(self, role: &Restricted) -> Self {
        Self { address: role.address().to_owned(), ..self }
    }

    /// The same, with these settings beside the addresses.
    pub(crate) fn with(self, vars: &'static [(&'static str, &'static str)]) -> Self {
        Self { vars, ..self }
    }

    /// A connection that may see and do all.
    pub(crate) fn open(&self) -> Db {
        Db::open(&self.url, Role::Target).unwrap()
    }
}

/// A target that nobody else writes to loses foreign keys and indexes for a load, however small.
const OFFLINE: &[(&str, &str)] = &[("REPLANT__TARGET__LIVE", "false"), ("REPLANT__OFFLINE__LEAST_ROWS", "1")];

pub(crate) fn sqlite() -> Target {
    let folder = tempfile::tempdir().unwrap();
    let url = fixtures::PLATFORM.in_sqlite(folder.path());
    let address = format!("sqlite://{}", folder.path().join("platform.db").display());
    Target { address, url, vars: &[], _guard: Box::new(folder) }
}

pub(crate) fn postgres() -> Option<Target> {
    Some(Target::of(fixtures::PLATFORM.in_postgres()?))
}

pub(crate) fn offline_postgres() -> Option<Target> {
    Some(Target { vars: OFFLINE, ..postgres()? })
}

pub(crate) fn migrate(legacy: &Path, target: &Target) -> Child {
    program(&["migrate", "--env", "local"], legacy, target).spawn().expect("the program starts")
}

/// The program, with chunks so small that there are many moments to disturb it at.
pub(crate) fn program(args: &[&str], legacy: &Path, target: &Target) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_xtask"));
    program
        .args(args)
        .env("REPLANT__LEGACY__URL", format!("sqlite://{}", legacy.display()))
        .env("REPLANT__TARGET__URL", &target.address)
        .env("REPLANT__RUN__CHUNK_ROWS", "150")
        .env("REPLANT__RUN__CHUNK_MS", "0")
        .envs(target.vars.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    program
}

/// Whether a process ends within a time.
pub(crate) fn ended_within(run: &mut Child, wait: Duration) -> bool {
    let clock = Instant::now();
    while clock.elapsed() < wait {
        if run.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

pub(crate) fn state(target: &Target, began: Timestamp) -> State {
    State::but_for_ids(&mut target.open(), began, fixtures::IDS).unwrap()
}

pub(crate) fn catalogue(target: &Target) -> Vec<String> {
    catalog::constraints(&mut target.open()).unwrap()
}

/// What the platform holds.
pub(crate) fn platform(target: &Target) -> Vec<TableDump> {
    let mut tables = dump::dump_all(&mut target.open()).unwrap();
    tables.retain(|table| !table.name.starts_with("replant_") && !table.name.starts_with("__"));
    tables
}

/// Fails with some rows of each table that only one of two platforms has.
#[track_caller]
pub(crate) fn assert_same_platform(what: &str, expected: &[TableDump], found: &[TableDump]) {
    for (expected, found) in expected.iter().zip(found) {
        let only = |a: &TableDump, b: &TableDump| -> Vec<String> {
            let others: BTreeSet<&Vec<Option<String>>> = b.rows.iter().collect();
            a.rows.iter().filter(|row| !others.contains(row)).take(3).map(|row| format!("{row:?}")).collect()
        };
        assert_eq!(
            (only(expected, found), only(found, expected)),
            (vec![], vec![]),
            "{what}: {} of {:?}",
            expected.name,
            expected.columns
        );
    }
    assert_eq!(expected.len(), found.len());
}
