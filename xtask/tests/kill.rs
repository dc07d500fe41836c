//! Runs that are killed at random moments and started again end as a run that was left alone does.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::float_arithmetic,
    reason = "a test may fail, says what it did, and draws random moments"
)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use replant_core::db::{Db, DbUrl, Role};
use replant_testkit::sample;
use replant_testkit::state::{State, assert_same_state};

/// Kills on each backend. `REPLANT_KILLS` asks for others.
const KILLS: usize = 100;

struct Target {
    address: String,
    url: DbUrl,
    _guard: Box<dyn std::any::Any>,
}

fn sqlite() -> Target {
    let folder = tempfile::tempdir().unwrap();
    let url = sample::sqlite_platform_sample(folder.path());
    let address = format!("sqlite://{}", folder.path().join("platform.db").display());
    Target { address, url, _guard: Box::new(folder) }
}

fn postgres() -> Option<Target> {
    let database = sample::postgres_platform_sample()?;
    Some(Target { address: database.address().to_owned(), url: database.url(), _guard: Box::new(database) })
}

fn migrate(legacy: &Path, target: &Target) -> Child {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["migrate", "--env", "local"])
        .env("REPLANT__LEGACY__URL", format!("sqlite://{}", legacy.display()))
        .env("REPLANT__TARGET__URL", &target.address)
        .env("REPLANT__RUN__CHUNK_ROWS", "150")
        .env("REPLANT__RUN__CHUNK_MS", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

fn state(target: &Target, began: Timestamp) -> State {
    let mut db = Db::open(&target.url, Role::Target).unwrap();
    State::but_for_ids(&mut db, began).unwrap()
}

/// Kills after a random part of the time that a whole run takes, until enough were killed; compares at each end.
fn killed_runs_end_as_others(name: &str, fresh: &dyn Fn() -> Target) {
    let folder = tempfile::tempdir().unwrap();
    sample::sqlite_legacy_sample(folder.path());
    let legacy = folder.path().join("legacy.db");
    let began = Timestamp::now();
    let target = fresh();
    let clock = Instant::now();
    assert!(migrate(&legacy, &target).wait().unwrap().success());
    let first = clock.elapsed();
    let mut whole = first;
    let expected = state(&target, began);

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
    }
    println!("{name}: {kills} kills, {ends} runs came to their end");
}

fn ended_within(run: &mut Child, wait: Duration) -> bool {
    let clock = Instant::now();
    while clock.elapsed() < wait {
        if run.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

#[test]
fn on_sqlite() {
    killed_runs_end_as_others("SQLite", &sqlite);
}

#[test]
fn on_postgres() {
    if postgres().is_some() {
        killed_runs_end_as_others("PostgreSQL", &|| postgres().expect("the server is there"));
    }
}
