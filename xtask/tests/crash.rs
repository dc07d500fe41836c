//! A server that crashes again and again, and comes back without what it had not flushed: the run goes on, or is started
//! again, and ends as one that nothing has disturbed, with every key in one chunk and every row in one place.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may fail, and says what it did")]

mod world;

use std::collections::HashSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use jiff::Timestamp;
use replant_core::db::Db;
use replant_core::ledger::history;
use replant_core::{LedgerError, diesel};
use replant_testkit::Database;
use replant_testkit::servers::{self, Kind, Server, ServerOptions};
use replant_testkit::state::assert_same_state;

use world::{Target, program, state};

/// Crashes in all. `REPLANT_CRASHES` asks for others.
const CRASHES: usize = 3;
/// Crashes of one target at the most: a run gives up after some tries.
const OF_ONE_TARGET: usize = 6;
/// The most chunks that are done from the start, or the last crash, to the next.
const CHUNKS: i64 = 30;
/// The longest time between a claim that is seen and the crash, and for which the server is away.
const MIDST_MS: u64 = 100;
/// So much longer a chunk takes where the program was built for debugging: sizes of chunks are to be free to change.
const SLOWNESS: u64 = if cfg!(debug_assertions) { 8 } else { 1 };
const PATIENCE: Duration = Duration::from_secs(120);

/// Exit code of a run whose database went away.
const UNAVAILABLE: i32 = 4;

/// What the server has not flushed it loses, and it flushes late: a commit that does not wait for the disk is lost unless
/// one that does comes after it. The system itself does not crash: what it was given is there, on the disk or not.
const LATE: &[&str] = &["wal_writer_delay=10s", "checkpoint_timeout=1h", "max_wal_size=4GB", "fsync=off"];

/// A run whose chunks change their size with the time that they take, with another aim and other threads each time.
fn start(random: &mut fastrand::Rng, legacy: &Path, target: &Target) -> Child {
    let set = |program: &mut Command, name: &str, value: u64| {
        program.env(format!("REPLANT__RUN__{name}"), value.to_string());
    };
    let mut run = program(&["migrate", "--env", "local"], legacy, target);
    set(&mut run, "CHUNK_MS", SLOWNESS * random.u64(20..=200));
    set(&mut run, "CHUNK_ROWS", random.u64(200..=1_000));
    set(&mut run, "READERS", random.u64(1..=4));
    set(&mut run, "WRITERS", random.u64(1..=3));
    set(&mut run, "LEASE_SECONDS", 5);
    run.stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// How far a run is, and how far the server with what it should flush.
#[derive(QueryableByName, Default)]
struct Seen {
    #[diesel(sql_type = BigInt)]
    done: i64,
    #[diesel(sql_type = BigInt)]
    claimed: i64,
    /// Grows with each claim.
    #[diesel(sql_type = BigInt)]
    claims: i64,
    #[diesel(sql_type = BigInt)]
    inserted: i64,
    #[diesel(sql_type = BigInt)]
    flushed: i64,
}

impl Seen {
    fn now(db: &mut Db) -> Self {
        const SQL: &str = "
            SELECT count(*) FILTER (WHERE state = 'done') AS done, count(*) FILTER (WHERE state = 'claimed') AS claimed,
                   coalesce(sum(epoch), 0)::bigint AS claims, (pg_current_wal_insert_lsn() - '0/0')::bigint AS inserted,
                   (pg_current_wal_flush_lsn() - '0/0')::bigint AS flushed
              FROM replant.replant_chunks";
        // The ledger may not be there yet.
        diesel::sql_query(SQL).get_result(db).unwrap_or_default()
    }

    /// Whether a chunk was claimed since `before`, and nothing of what came then is flushed.
    fn has_a_claim_that_may_be_lost(&self, before: &Self) -> bool {
        self.claimed > 0 && self.claims > before.claims && self.flushed <= before.inserted
    }
}

/// When the server crashes.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// At any time between the claim of a chunk and its close.
    Claimed,
    /// At once after a claim that the crash undoes.
    Unflushed,
}

/// Waits for the moment once some more chunks are done, for as long as the run goes on.
fn comes(moment: Moment, run: &mut Child, target: &Target, random: &mut fastrand::Rng) -> bool {
    let mut db = target.open();
    let mut before = Seen::now(&mut db);
    let enough = before.done + random.i64(..CHUNKS);
    let clock = Instant::now();
    while run.try_wait().unwrap().is_none() {
        let seen = Seen::now(&mut db);
        let is_it = match moment {
            Moment::Claimed => seen.claimed > 0,
            Moment::Unflushed => seen.has_a_claim_that_may_be_lost(&before),
        };
        if seen.done >= enough && is_it {
            if matches!(moment, Moment::Claimed) {
                std::thread::sleep(Duration::from_millis(random.u64(..MIDST_MS)));
            }
            return true;
        }
        before = seen;
        assert!(clock.elapsed() < PATIENCE, "{moment:?}: the run does not get on in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

fn crash(server: &mut Server, random: &mut fastrand::Rng) {
    server.crash().unwrap();
    std::thread::sleep(Duration::from_millis(random.u64(..MIDST_MS)));
    server.start_again().unwrap();
}

#[derive(QueryableByName)]
struct Chunk {
    #[diesel(sql_type = Text)]
    step: String,
    #[diesel(sql_type = BigInt)]
    lo: i64,
    #[diesel(sql_type = BigInt)]
    hi: i64,
    #[diesel(sql_type = BigInt)]
    keys: i64,
    #[diesel(sql_type = BigInt)]
    rows_read: i64,
    #[diesel(sql_type = Text)]
    state: String,
}

#[derive(QueryableByName)]
struct Planned {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    legacy_rows: i64,
}

/// The chunks of each step have each of its keys once, and the ledger has each row once.
fn every_key_is_done_once(db: &mut Db) {
    let chunks: Vec<Chunk> =
        diesel::sql_query("SELECT step, lo, hi, keys, rows_read, state FROM replant.replant_chunks ORDER BY step, lo")
            .load(db)
            .unwrap();
    let planned: Vec<Planned> =
        diesel::sql_query("SELECT name, legacy_rows FROM replant.replant_steps").load(db).unwrap();
    assert!(!planned.is_empty());
    for Planned { name, legacy_rows } in &planned {
        let own: Vec<&Chunk> = chunks.iter().filter(|chunk| chunk.step == *name).collect();
        for pair in own.windows(2) {
            assert!(
                pair[0].hi < pair[1].lo,
                "{name}: {}..={} and {}..={}",
                pair[0].lo,
                pair[0].hi,
                pair[1].lo,
                pair[1].hi
            );
        }
        assert!(own.iter().all(|chunk| chunk.state == "done"), "{name}: a chunk is not done");
        assert_eq!(own.iter().map(|chunk| chunk.keys).sum::<i64>(), *legacy_rows, "{name}: keys of its chunks");
        assert_eq!(own.iter().map(|chunk| chunk.rows_read).sum::<i64>(), *legacy_rows, "{name}: rows of its chunks");
    }
    for step in history::known_steps(db).unwrap() {
        let (mut legacy, mut lines) = (HashSet::new(), 0);
        let mut targets = HashSet::new();
        history::lineage(db, &step, |row| {
            lines += 1;
            assert!(legacy.insert(row.legacy_id), "{}: row {} is there twice", step.name, row.legacy_id);
            if row.outcome == replant_core::Outcome::Migrated {
                for target in row.targets {
                    assert!(targets.insert(target.clone()), "{}: two rows became {target:?}", step.name);
                }
            }
            Ok::<_, LedgerError>(())
        })
        .unwrap();
        let rows = planned.iter().find(|planned| planned.name == step.name).map(|planned| planned.legacy_rows);
        assert_eq!(Some(lines), rows, "{}", step.name);
    }
}

struct Crashes {
    server: Server,
    random: fastrand::Rng,
    seed: u64,
    done: usize,
    wanted: usize,
}

impl Crashes {
    /// Runs into one target until it is done, with crashes on the way.
    fn run_into(&mut self, legacy: &Path, target: &Target) {
        let before = self.done;
        let mut run = start(&mut self.random, legacy, target);
        let mut starts = 1;
        loop {
            let more = self.done < self.wanted && self.done - before < OF_ONE_TARGET;
            let moment = if self.random.u8(..3) == 0 { Moment::Claimed } else { Moment::Unflushed };
            if more && comes(moment, &mut run, target, &mut self.random) {
                crash(&mut self.server, &mut self.random);
                self.done += 1;
                if self.random.u8(..5) == 0 {
                    // The machine of the run goes down as well.
                    run.kill().unwrap();
                }
            }
            if more && run.try_wait().unwrap().is_none() {
                continue;
            }
            let end = run.wait_with_output().unwrap();
            if end.status.success() {
                let done = Seen::now(&mut target.open()).done;
                println!("{} crashes, {starts} starts, {done} chunks", self.done - before);
                return;
            }
            let words = String::from_utf8_lossy(&end.stderr);
            let may_end = end.status.code().is_none_or(|code| code == UNAVAILABLE);
            assert!(may_end, "after {} crashes, seed {}: {}: {words}", self.done, self.seed, end.status);
            assert!(starts < 3 * OF_ONE_TARGET, "the run does not come to its end: {words}");
            run = start(&mut self.random, legacy, target);
            starts += 1;
        }
    }
}

fn copy(server: &Server, template: &Database) -> Target {
    Target::of(server.clone_of(template).unwrap())
}

#[test]
fn a_server_that_crashes_in_the_midst_of_a_run_costs_nothing_and_doubles_nothing() {
    let Some(server) = servers::own(Kind::Postgres, &ServerOptions::new().durable().settings(LATE)) else { return };
    let folder = tempfile::tempdir().unwrap();
    fixtures::LEGACY.in_sqlite(folder.path());
    let legacy = folder.path().join("legacy.db");
    let template = fixtures::PLATFORM.on(&server);
    let began = Timestamp::now();
    let undisturbed = copy(&server, &template);
    assert!(start(&mut fastrand::Rng::new(), &legacy, &undisturbed).wait().unwrap().success());
    every_key_is_done_once(&mut undisturbed.open());
    let expected = state(&undisturbed, began);

    let wanted = std::env::var("REPLANT_CRASHES").ok().and_then(|crashes| crashes.parse().ok()).unwrap_or(CRASHES);
    let seed = fastrand::u64(..);
    println!("{wanted} crashes, seed {seed}");
    let mut crashes = Crashes { server, random: fastrand::Rng::with_seed(seed), seed, done: 0, wanted };
    while crashes.done < wanted {
        let target = copy(&crashes.server, &template);
        crashes.run_into(&legacy, &target);
        every_key_is_done_once(&mut target.open());
        assert_same_state(&format!("after {} crashes, seed {seed}", crashes.done), &expected, &state(&target, began));
    }
}
