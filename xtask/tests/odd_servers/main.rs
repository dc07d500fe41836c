//! The sample on servers that are not as one would set them up: other versions, another language, rights and no more,
//! settings of the role, sequences and encodings of other kinds. Each run ends as one on an ordinary server does, or is
//! refused before anything is written.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may fail, and says what it did")]

#[path = "../expected/mod.rs"]
mod expected;
#[path = "../world/mod.rs"]
mod world;

mod addresses;
mod keys;
mod language;
mod legacy;
mod live;
mod refusals;
mod settings;
mod tls;
mod versions;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use jiff::Timestamp;
use replant_core::db::{Db, DbUrl, Role};
use replant_core::diesel;
use replant_testkit::Restricted;
use replant_testkit::state::{State, assert_same_state};

use world::Target;

const PATIENCE: Duration = Duration::from_secs(120);

/// The legacy sample, which runs only read.
fn legacy() -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        fixtures::LEGACY.in_sqlite(folder.path());
        folder
    });
    folder.path().join("legacy.db")
}

/// The legacy sample for a test that changes it: its file in a folder, opened.
fn copy_of_legacy(folder: &Path) -> (PathBuf, Db) {
    let file = folder.join("legacy.db");
    std::fs::copy(legacy(), &file).unwrap();
    let db = Db::open(&DbUrl::sqlite(&file), Role::Target).unwrap();
    (file, db)
}

fn began() -> Timestamp {
    static BEGAN: OnceLock<Timestamp> = OnceLock::new();
    *BEGAN.get_or_init(Timestamp::now)
}

/// The program, whose output is kept.
fn program(args: &[&str], target: &Target) -> Command {
    program_from(&legacy(), args, target)
}

/// The same, from another legacy file.
fn program_from(legacy: &Path, args: &[&str], target: &Target) -> Command {
    began();
    let mut program = world::program(args, legacy, target);
    program.stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

fn migrate(target: &Target) -> Output {
    program(&["migrate", "--env", "local"], target).output().unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// What a run leaves that nothing has disturbed.
fn ordinary() -> &'static State {
    static ORDINARY: OnceLock<State> = OnceLock::new();
    ORDINARY.get_or_init(|| {
        let target = world::postgres().expect("who asks has a server");
        let end = migrate(&target);
        assert!(end.status.success(), "{}", words(&end));
        world::state(&target, began())
    })
}

/// Holds a run that is over against the rules, and against an ordinary one to the row.
#[track_caller]
fn assert_ends_as_ordinary(what: &str, target: &Target, end: &Output) {
    assert!(end.status.success(), "{what}: {}: {}", end.status, words(end));
    let mut db = target.open();
    expected::assert_ends_as_expected(&mut db);
    expected::assert_money_as_expected(&mut db);
    assert_same_state(what, ordinary(), &world::state(target, began()));
}

/// A target with the sample on the shared server, and a role that has the rights that it needs and no more.
fn restricted() -> Option<(Target, Restricted)> {
    let database = fixtures::PLATFORM.in_postgres()?;
    let role = database.restricted_role(&["accounts"]).unwrap();
    Some((Target::of(database).used_by(&role), role))
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// The answer to `SELECT … AS number`; none where the query fails, as before there is a ledger.
fn number(db: &mut Db, sql: &str) -> Option<i64> {
    diesel::sql_query(sql).get_result::<Number>(db).ok().map(|found| found.number)
}

/// Waits until a run has done so many chunks.
fn until_done(target: &Target, chunks: i64) {
    let mut db = target.open();
    eventually("the first chunks", || {
        number(&mut db, "SELECT count(*) AS number FROM replant.replant_chunks WHERE state = 'done'") >= Some(chunks)
    });
}

#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let clock = Instant::now();
    while !is_so() {
        assert!(clock.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
