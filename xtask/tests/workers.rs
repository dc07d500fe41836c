//! Several processes that do one migration end as one does, also where one of them is killed and one is stopped for longer
//! than its lease.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may fail, and says what it did")]

mod world;

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use jiff::Timestamp;
use replant_core::db::{Db, Role};
use replant_core::diesel;
use replant_testkit::state::assert_same_state;

use world::{Target, migrate, postgres, program, state};

/// Seconds without a sign of life after which a chunk is anybody's.
const LEASE: u64 = 1;

fn start(args: &[&str], legacy: &Path, target: &Target) -> Child {
    program(args, legacy, target).env("REPLANT__RUN__LEASE_SECONDS", LEASE.to_string()).spawn().expect("it starts")
}

/// The process that begins the run, and as many as join it.
fn crew(workers: usize, legacy: &Path, target: &Target) -> Vec<Child> {
    let first = start(&["migrate", "--env", "local"], legacy, target);
    let others = (1..workers).map(|_| start(&["work", "--env", "local", "--wait", "60"], legacy, target));
    std::iter::once(first).chain(others).collect()
}

#[derive(diesel::QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    found: i64,
}

/// Waits until so many processes have each done a chunk, and all of them together so many.
fn until_done(target: &Target, owners: i64, chunks: i64) {
    let mut db = Db::open(&target.url, Role::Target).unwrap();
    let began = Instant::now();
    let mut count = |sql: &str| {
        // The ledger may not be there yet.
        diesel::sql_query(sql).get_result::<Found>(&mut db).map_or(0, |found| found.found)
    };
    loop {
        let of = "FROM replant.replant_chunks WHERE state = 'done'";
        let (by, done) = (
            count(&format!("SELECT count(DISTINCT owner) AS found {of}")),
            count(&format!("SELECT count(*) AS found {of}")),
        );
        if by >= owners && done >= chunks {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{by} processes have done {done} chunks in a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(process: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &process.id().to_string()]).status().unwrap().success());
}

/// What is done to processes in the midst of a run, by their places.
#[derive(Debug)]
struct Harm {
    killed: Option<usize>,
    stopped: Option<usize>,
}

fn a_crew_ends_as_one_process(workers: usize, harm: &Harm) {
    let Some(alone) = postgres() else { return };
    let folder = tempfile::tempdir().unwrap();
    fixtures::LEGACY.in_sqlite(folder.path());
    let legacy = folder.path().join("legacy.db");
    let began = Timestamp::now();
    assert!(migrate(&legacy, &alone).wait().unwrap().success());

    let together = postgres().expect("the server is there");
    let mut crew = crew(workers, &legacy, &together);
    until_done(&together, i64::try_from(workers).unwrap(), 60);
    if let Some(place) = harm.stopped {
        signal(&crew[place], "-STOP");
    }
    if let Some(place) = harm.killed {
        crew[place].kill().unwrap();
    }
    if let Some(place) = harm.stopped {
        std::thread::sleep(Duration::from_secs(2 * LEASE));
        signal(&crew[place], "-CONT");
    }
    for (place, process) in crew.iter_mut().enumerate() {
        let end = process.wait().unwrap();
        assert!(end.success() || harm.killed == Some(place), "process {place} of {workers} ends with {end}: {harm:?}");
    }
    let what = format!("{workers} processes, {harm:?}");
    assert_same_state(&what, &state(&alone, began), &state(&together, began));
    println!("{what}: as one process");
}

#[test]
fn one_that_is_stopped_and_goes_on() {
    a_crew_ends_as_one_process(1, &Harm { killed: None, stopped: Some(0) });
}

#[test]
fn two_undisturbed() {
    a_crew_ends_as_one_process(2, &Harm { killed: None, stopped: None });
}

#[test]
fn two_of_which_the_first_is_killed() {
    a_crew_ends_as_one_process(2, &Harm { killed: Some(0), stopped: None });
}

#[test]
fn two_of_which_one_is_stopped() {
    a_crew_ends_as_one_process(2, &Harm { killed: None, stopped: Some(1) });
}

#[test]
fn four_of_which_one_is_killed_and_one_is_stopped() {
    for (killed, stopped) in [(1, 0), (0, 3), (2, 1)] {
        a_crew_ends_as_one_process(4, &Harm { killed: Some(killed), stopped: Some(stopped) });
    }
}
