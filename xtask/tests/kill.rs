//! Runs that are killed at random moments and started again end as a run that was left alone does.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::float_arithmetic,
    reason = "a test may fail, says what it did, and draws random moments"
)]

mod world;

use std::time::Instant;

use jiff::Timestamp;
use replant_testkit::catalog;
use replant_testkit::state::assert_same_state;

use world::{Target, catalogue, ended_within, migrate, offline_postgres, postgres, sqlite, state};

/// Kills on each backend. `REPLANT_KILLS` asks for others.
const KILLS: usize = 100;

/// Kills after a random part of the time that a whole run takes, until enough were killed; compares at each end.
fn killed_runs_end_as_others(name: &str, undisturbed: &dyn Fn() -> Target, fresh: &dyn Fn() -> Target) {
    let folder = tempfile::tempdir().unwrap();
    fixtures::LEGACY.in_sqlite(folder.path());
    let legacy = folder.path().join("legacy.db");
    let began = Timestamp::now();
    let target = undisturbed();
    let clock = Instant::now();
    assert!(migrate(&legacy, &target).wait().unwrap().success());
    let first = clock.elapsed();
    let mut whole = first;
    let expected = state(&target, began);
    let constraints = catalogue(&target);

    let wanted = std::env::var("REPLANT_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let seed = fastrand::u64(..);
    println!("{name}: {wanted} kills, seed {seed}, a whole run takes {first:?}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut kills, mut ends) = (0, 0);
    while kills < wanted {
        let target = fresh();
        loop {
            let clock = Instant::now();
            let mut run = migrate(&legacy, &target);
            if !ended_within(&mut run, whole.mul_f64(random.f64() * 1.2)) {
                run.kill().unwrap();
                run.wait().unwrap();
                kills += 1;
                continue;
            }
            assert!(run.wait().unwrap().success(), "{name}: a run after {kills} kills fails (seed {seed})");
            ends += 1;
            // The first run may have been slowed down by other tests: most kills are to hit a run in its midst.
            whole = whole.min(clock.elapsed().max(first / 3));
            break;
        }
        assert_same_state(&format!("{name}, after {kills} kills, seed {seed}"), &expected, &state(&target, began));
        let what = format!("the constraints of {name}, after {kills} kills, seed {seed}");
        catalog::assert_same_constraints(&what, &constraints, &catalogue(&target));
    }
    println!("{name}: {kills} kills, {ends} runs came to their end");
}

#[test]
fn on_sqlite() {
    killed_runs_end_as_others("SQLite", &sqlite, &sqlite);
}

#[test]
fn on_postgres() {
    if postgres().is_some() {
        let fresh = || postgres().expect("the server is there");
        killed_runs_end_as_others("PostgreSQL", &fresh, &fresh);
    }
}

#[test]
fn on_postgres_offline() {
    if postgres().is_some() {
        let (live, offline) =
            (|| postgres().expect("the server is there"), || offline_postgres().expect("so is it now"));
        killed_runs_end_as_others("PostgreSQL offline", &live, &offline);
    }
}
