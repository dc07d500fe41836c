//! Connections that are lost, servers that crash, locks that others hold: the run goes on by itself, to the same end.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use replant_core::db::{Backend, Db, DbUrl, Role};
use replant_core::{Event, Offline, Retries, Settings};
use replant_testkit::catalog;
use replant_testkit::conformance::Target;
use replant_testkit::servers::{self, Kind, Server};
use replant_testkit::state::assert_same_state;

use crate::world::{
    Watch, World, at_chunk, chunks_of, count, eventually, ordinary, postgres, site, sqlite, state, target_ddl, texts,
    totals,
};

const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// When sessions are ended.
#[derive(Default)]
struct Cuts {
    over: AtomicBool,
    /// Whether they are left alone for a while.
    paused: Mutex<bool>,
}

/// Ends every other session of the database again and again, each time after another wait, until it is told to stop.
fn terminate_until(url: &DbUrl, cuts: &Cuts, seed: u64, most: u32) -> u32 {
    let mut killer = Db::open(url, Role::Target).unwrap();
    let mut random = seed;
    let mut times = 0;
    while !cuts.over.load(Ordering::SeqCst) && times < most {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_micros(500 + (random >> 33) % 40_000));
        let paused = cuts.paused.lock().unwrap();
        if !*paused {
            killer.batch_execute(TERMINATE).unwrap();
            times += 1;
        }
    }
    times
}

#[test]
fn a_run_whose_connections_are_cut_again_and_again_comes_to_the_same_end() {
    let Some(_) = servers::available(Kind::Postgres) else { return };
    let world = World::new(&ordinary(200));
    let expected = world.undisturbed(&|| postgres().unwrap());
    for seed in 1..=4 {
        // A sequence gives nothing back: a plan that is made twice has other ids, and the states could not be compared.
        let target = cut_again_and_again(&world, seed, true, None);
        assert_same_state(&format!("cuts, seed {seed}"), &expected, &state(&target));
    }
}

#[test]
fn a_plan_whose_connection_is_cut_is_made_again() {
    let Some(undisturbed) = postgres() else { return };
    let world = World::new(&ordinary(200));
    world.complete(&undisturbed, Settings::default());
    let parts = |target: &Target| {
        texts(
            target,
            "SELECT i.name || ' ' || p.amount_minor || ' ' || p.currency AS value FROM parts p JOIN items i ON i.id = p.item_id ORDER BY p.id",
        )
    };
    for seed in 11..=13 {
        let target = cut_again_and_again(&world, seed, false, None);
        assert_eq!(parts(&undisturbed), parts(&target));
        for step in ["toy.things", "toy.parts"] {
            assert_eq!(totals(&undisturbed, step), totals(&target, step), "{step}");
        }
    }
}

#[test]
fn an_offline_run_whose_connections_are_cut_has_every_constraint_at_its_end() {
    let Some(undisturbed) = postgres() else { return };
    let world = World::new(&ordinary(200));
    world.complete(&undisturbed, Settings::default());
    let constraints = |target: &Target| catalog::constraints(&mut target.open()).unwrap();
    for seed in 21..=24 {
        let target = cut_again_and_again(&world, seed, true, Some(Offline { least_rows: 0 }));
        assert_same_state(&format!("offline cuts, seed {seed}"), &state(&undisturbed), &state(&target));
        catalog::assert_same_constraints("offline cuts", &constraints(&undisturbed), &constraints(&target));
    }
}

fn cut_again_and_again(world: &World, seed: u64, spare_the_plan: bool, offline: Option<Offline>) -> Target {
    let target = postgres().unwrap();
    let (url, under_way, cuts) = (target.url.clone(), AtomicBool::new(false), Cuts::default());
    let watch = Watch::new(|event| match event {
        Event::ChunkDone { .. } => under_way.store(true, Ordering::SeqCst),
        Event::Planning { .. } if spare_the_plan => *cuts.paused.lock().unwrap() = true,
        Event::Preparing { .. } => *cuts.paused.lock().unwrap() = false,
        _ => {}
    });
    let times = std::thread::scope(|scope| {
        let (url, under_way, cuts) = (&url, &under_way, &cuts);
        let killer = scope.spawn(move || {
            eventually("the first chunk", || under_way.load(Ordering::SeqCst));
            terminate_until(url, cuts, seed, 30)
        });
        let settings = Settings { lease: Duration::from_millis(300), offline, ..chunks_of(4) };
        let report = world.watched(&target, settings, &watch);
        cuts.over.store(true, Ordering::SeqCst);
        under_way.store(true, Ordering::SeqCst);
        let times = killer.join().unwrap();
        let report = report.unwrap_or_else(|error| panic!("the run fails after {times} cuts: {error}"));
        assert!(report.complete);
        times
    });
    assert!(times >= 5, "the run was over after {times} cuts");
    assert_eq!(count(&target, "finishes"), 1);
    assert_eq!(count(&target, "replant_runs WHERE state <> 'done'"), 0);
    target
}

/// A PostgreSQL server of one's own with a target in it.
fn own_server() -> Option<(Server, Target)> {
    servers::available(Kind::Postgres)?;
    let server = Server::start(Kind::Postgres).unwrap();
    let database = server.database().unwrap();
    database.open().batch_execute(&target_ddl(Backend::Postgres)).unwrap();
    let target = Target { url: database.url(), guard: Box::new(database) };
    Some((server, target))
}

#[test]
fn a_commit_that_is_done_though_its_connection_was_lost_is_not_done_twice() {
    let Some((server, target)) = own_server() else { return };
    let world = World::new(&ordinary(120));
    let expected = world.undisturbed(&|| postgres().unwrap());
    let main: DbUrl = server.url("postgres").parse().unwrap();
    let url = target.url.clone();
    site(&url, "ALTER DATABASE replant_0 SET synchronous_commit = on");
    // With a standby that never answers, a commit is done on the server and its client waits: there the session ends.
    let wait = |standby: &str| {
        site(&main, &format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'"));
        site(&main, "SELECT pg_reload_conf()");
    };
    let cut = AtomicI64::new(0);
    let watch = at_chunk(3, || wait("nobody"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut killer = Db::open(&main, Role::Target).unwrap();
            while cut.load(Ordering::SeqCst) < 10 {
                let sql = "SELECT count(pg_terminate_backend(pid)) AS count FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
                let ended: Counted = diesel::sql_query(sql).get_result(&mut killer).unwrap();
                cut.fetch_add(ended.count, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(3));
            }
            wait("");
        });
        let report = world.watched(&target, chunks_of(4), &watch);
        assert!(report.unwrap_or_else(|error| panic!("the run fails: {error}")).complete);
    });
    assert!(watch.any(|event| matches!(event, Event::Retrying { .. })));
    assert_same_state("commits whose answers were lost", &expected, &state(&target));
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[test]
fn an_operator_is_told_that_commits_wait_for_a_standby() {
    let Some((server, target)) = own_server() else { return };
    let world = World::new(&ordinary(60));
    let expected = world.undisturbed(&|| postgres().unwrap());
    let main: DbUrl = server.url("postgres").parse().unwrap();
    site(&target.url, "ALTER DATABASE replant_0 SET synchronous_commit = on");
    let wait = |standby: &str| {
        site(&main, &format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'"));
        site(&main, "SELECT pg_reload_conf()");
    };
    let (chunks, told) = (AtomicU32::new(0), AtomicBool::new(false));
    let watch = Watch::new(|event| match event {
        Event::ChunkDone { .. } if chunks.fetch_add(1, Ordering::SeqCst) == 2 => wait("nobody"),
        Event::Throttled { reason, .. } if reason.contains("standby") && !told.swap(true, Ordering::SeqCst) => wait(""),
        _ => {}
    });
    let report = world.watched(&target, chunks_of(10), &watch).unwrap_or_else(|error| panic!("the run fails: {error}"));
    assert!(report.complete && told.load(Ordering::SeqCst));
    assert_same_state("a standby that was away", &expected, &state(&target));
}

#[test]
fn a_server_that_crashes_and_recovers_in_mid_run_is_waited_for() {
    let Some((_server, target)) = own_server() else { return };
    waits_for_a_server_that_crashes(&target);
}

/// A run into a target whose server crashes and recovers now and then.
pub(crate) fn waits_for_a_server_that_crashes(target: &Target) {
    let world = World::new(&ordinary(120));
    let expected = world.undisturbed(&|| postgres().unwrap());
    let url = target.url.clone();
    let chunks = AtomicU32::new(0);
    let watch = Watch::new(|event| {
        if matches!(event, Event::ChunkDone { .. }) && chunks.fetch_add(1, Ordering::SeqCst) % 40 == 5 {
            // A backend that is killed takes the whole server through recovery.
            let mut db = Db::open(&url, Role::Target).unwrap();
            let sql = "SELECT pg_backend_pid()::bigint AS count";
            let pid = diesel::sql_query(sql).get_result::<Counted>(&mut db).unwrap().count;
            assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
        }
    });
    let report = world.watched(target, chunks_of(4), &watch).unwrap_or_else(|error| panic!("the run fails: {error}"));
    assert!(report.complete);
    assert!(watch.any(|event| matches!(event, Event::Retrying { .. })));
    assert_same_state("a crash of the server", &expected, &state(target));
}

/// Holds what `sql` takes, from the second chunk on and `until` something is so, on a connection of its own.
fn held(world: &World, target: &Target, settings: Settings, sql: &str, until: &(dyn Fn(&Watch<'_>) -> bool + Sync)) {
    let url = target.url.clone();
    let (begin, begun) = (AtomicBool::new(false), AtomicBool::new(false));
    let watch = at_chunk(2, || {
        begin.store(true, Ordering::SeqCst);
        eventually("the lock is held", || begun.load(Ordering::SeqCst));
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            eventually("the second chunk", || begin.load(Ordering::SeqCst));
            let mut other = Db::open(&url, Role::Target).unwrap();
            other.batch_execute(sql).unwrap();
            begun.store(true, Ordering::SeqCst);
            eventually("an end of the lock", || until(&watch));
            other.batch_execute("COMMIT").unwrap();
        });
        let report = world.watched(target, settings, &watch);
        assert!(report.unwrap_or_else(|error| panic!("the run fails: {error}")).complete);
    });
}

#[test]
fn a_lock_of_another_session_is_waited_for() {
    let world = World::new(&ordinary(60));
    let lite = sqlite();
    let a_while = |_: &Watch<'_>| {
        std::thread::sleep(Duration::from_millis(700));
        true
    };
    held(&world, &lite, chunks_of(7), "BEGIN IMMEDIATE", &a_while);
    assert_same_state("SQLite", &world.undisturbed(&sqlite), &state(&lite));
    let Some(pg) = postgres() else { return };
    held(&world, &pg, chunks_of(7), "BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE", &a_while);
    assert_same_state("PostgreSQL", &world.undisturbed(&|| postgres().unwrap()), &state(&pg));
}

/// A chunk of things waits for a lock for 50 ms, where a session of Replant would wait for 30 s.
const IMPATIENT: &str = "
CREATE FUNCTION impatient() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('lock_timeout', '50ms', true); RETURN NULL; END $$;
CREATE TRIGGER impatient BEFORE INSERT ON items FOR EACH STATEMENT EXECUTE FUNCTION impatient();";

#[test]
fn a_lock_that_is_not_to_be_had_in_time_is_tried_again_and_the_chunk_is_cut_in_the_end() {
    let Some(fresh) = postgres() else { return };
    let world = World::new(&ordinary(60));
    let expected = world.undisturbed(&|| postgres().unwrap());
    let lock = "BEGIN; LOCK TABLE labels IN ACCESS EXCLUSIVE MODE";
    let blames = |reason: &str| reason.contains("a lock was not to be had in time");

    site(&fresh.url, IMPATIENT);
    // With one writer: of several the others may be done before the lock is held.
    let alone = |rows| Settings { writers: 1, ..chunks_of(rows) };
    held(&world, &fresh, alone(7), lock, &|watch| {
        watch.any(|event| matches!(event, Event::Retrying { reason, .. } if blames(reason)))
    });
    assert_same_state("tried again", &expected, &state(&fresh));

    let fresh = postgres().unwrap();
    site(&fresh.url, IMPATIENT);
    let once = Retries { times: 1, first_wait: Duration::from_millis(1), longest_wait: Duration::from_millis(1) };
    let settings = Settings { retries: once, ..alone(12) };
    held(&world, &fresh, settings, lock, &|watch| {
        watch.any(|event| matches!(event, Event::Cut { reason, .. } if blames(reason)))
    });
    assert_same_state("cut", &expected, &state(&fresh));
}

#[test]
fn a_chunk_that_loses_a_deadlock_is_tried_again() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(60));
    let expected = world.undisturbed(&|| postgres().unwrap());
    let mut db = target.open();
    db.batch_execute(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = ''50ms''', current_database()); END $$",
    )
    .unwrap();
    let url = target.url.clone();
    let begin = AtomicBool::new(false);
    let watch = at_chunk(2, || {
        begin.store(true, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(100));
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            eventually("the second chunk", || begin.load(Ordering::SeqCst));
            let mut other = Db::open(&url, Role::Target).unwrap();
            // It waits for a long time before it looks for a deadlock: the chunk finds it first, and loses.
            other
                .batch_execute("SET deadlock_timeout = '10s'; BEGIN; LOCK TABLE labels IN SHARE ROW EXCLUSIVE MODE")
                .unwrap();
            eventually("a chunk waits for the labels", || count_waiting(&url) > 0);
            other.batch_execute("LOCK TABLE items IN SHARE ROW EXCLUSIVE MODE; COMMIT").unwrap();
        });
        let settings = Settings { writers: 1, ..chunks_of(4) };
        let report = world.watched(&target, settings, &watch);
        assert!(report.unwrap_or_else(|error| panic!("the run fails: {error}")).complete);
    });
    let sql = "SELECT deadlocks AS count FROM pg_stat_database WHERE datname = current_database()";
    eventually("the server has broken a deadlock", || {
        diesel::sql_query(sql).get_result::<Counted>(&mut target.open()).unwrap().count > 0
    });
    assert_same_state("a deadlock", &expected, &state(&target));
}

fn count_waiting(url: &DbUrl) -> i64 {
    crate::world::count_in(
        &mut Db::open(url, Role::Target).unwrap(),
        "pg_locks WHERE NOT granted AND relation = 'labels'::regclass",
    )
}
