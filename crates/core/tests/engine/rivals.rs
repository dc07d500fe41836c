//! Several runs on one target, chunks that are stolen, owners that died, and a run that is asked to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use replant_core::db::DbUrl;
use replant_core::ledger::alive::Alive;
use replant_core::ledger::owner::Owner;
use replant_core::ledger::status;
use replant_core::{Event, Report, RunError, Settings, Stop};
use replant_testkit::conformance::Target;
use replant_testkit::state::assert_same_state;

use crate::world::{
    Watch, World, at_chunk, chunks_of, count, count_in, eventually, on_both, ordinary, postgres, site, sqlite, state,
    texts, totals,
};

fn read(reports: &[Report], place: usize) -> u64 {
    reports.iter().map(|report| report.steps[place].counts.read).sum()
}

fn together(world: &World, target: &Target, settings: &Settings, runs: usize) -> Vec<Report> {
    let url = target.url.clone();
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..runs)
            .map(|_| {
                scope.spawn(|| world.migration(&url, settings.clone()).run(&Stop::default(), &replant_core::Silent))
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap().unwrap_or_else(|error| panic!("a run fails: {error}"))).collect()
    })
}

#[test]
fn two_runs_share_a_postgres_target() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(200));
    world.gate(|_| std::thread::sleep(Duration::from_millis(1)));
    let expected = world.undisturbed(&|| postgres().unwrap());
    let reports = together(&world, &target, &chunks_of(5), 2);
    assert!(reports.iter().all(|report| report.complete));
    assert!(reports.iter().all(|report| report.steps[0].counts.read > 0), "both have worked");
    for (place, step) in ["toy.things", "toy.parts"].iter().enumerate() {
        assert_eq!(read(&reports, place), totals(&target, step).0.read, "{step}: every row once");
    }
    assert_eq!(count(&target, "finishes"), 1);
    assert_eq!(count(&target, "replant_frozen WHERE name LIKE 'toy.%'"), 1);
    assert_eq!(count(&target, "replant_runs WHERE state = 'done'"), 2);
    assert_same_state("two runs", &expected, &state(&target));
}

#[test]
fn leases_that_run_out_at_once_cost_work_and_nothing_else() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(120));
    world.gate(|_| std::thread::sleep(Duration::from_micros(300)));
    let expected = world.undisturbed(&|| postgres().unwrap());
    let reports = together(&world, &target, &Settings { lease: Duration::from_millis(1), ..chunks_of(10) }, 2);
    assert!(reports.iter().all(|report| report.complete));
    assert_eq!(read(&reports, 0), totals(&target, "toy.things").0.read, "every row once");
    assert_eq!(count(&target, "finishes"), 1);
    assert_same_state("short leases", &expected, &state(&target));
}

#[test]
fn a_chunk_that_is_stolen_is_not_written_by_the_one_who_lost_it() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(60));
    let expected = world.undisturbed(&|| postgres().unwrap());
    let (url, stolen) = (target.url.clone(), Arc::new(AtomicU32::new(0)));
    let times = Arc::clone(&stolen);
    world.gate(move |key| {
        // Twice: the thief dies with it, and the chunk comes free when its lease runs out.
        if key == 22 && times.fetch_add(1, Ordering::SeqCst) < 2 {
            site(
                &url,
                "UPDATE replant_chunks SET epoch = epoch + 1, owner = 'thief', lease_until = now() + interval '100 ms' \
                 WHERE step = 'toy.things' AND 22 BETWEEN lo AND hi",
            );
        }
    });
    let watch = Watch::new(|_| {});
    let report = world.watched(&target, chunks_of(10), &watch).unwrap();
    assert!(report.complete);
    assert_eq!(stolen.load(Ordering::SeqCst), 3);
    let lost = watch.heard.lock().unwrap().iter().filter(|event| matches!(event, Event::LeaseLost { .. })).count();
    assert_eq!(lost, 2);
    assert_eq!(read(&[report], 0), 60);
    assert_same_state("a stolen chunk", &expected, &state(&target));
}

/// What a crash of the server makes of the claim of the chunk with thing 22, and of what was cut off for it, when neither had
/// reached the disk: the chunk is free again, as it was before, and what was cut off is not there.
const TAKEN_BACK: &str = "
WITH mine AS (SELECT * FROM replant_chunks WHERE step = 'toy.things' AND 22 BETWEEN lo AND hi AND state = 'claimed'),
     rest AS (DELETE FROM replant_chunks c USING mine WHERE c.step = mine.step AND c.state = 'free'
                 AND c.lo = (SELECT min(lo) FROM replant_chunks n WHERE n.step = mine.step AND n.lo > mine.hi) RETURNING c.hi, c.keys)
UPDATE replant_chunks c SET state = 'free', epoch = c.epoch - 1, token = NULL, hi = rest.hi, keys = c.keys + rest.keys
  FROM mine, rest WHERE c.id = mine.id";

#[test]
fn a_claim_that_a_crash_of_the_server_took_back_closes_nothing() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(60));
    let expected = world.undisturbed(&|| postgres().unwrap());
    let (url, times) = (target.url.clone(), Arc::new(AtomicU32::new(0)));
    let count_times = Arc::clone(&times);
    world.gate(move |key| {
        if key == 22 && count_times.fetch_add(1, Ordering::SeqCst) < 3 {
            site(&url, TAKEN_BACK);
        }
    });
    let watch = Watch::new(|_| {});
    // Chunks are cut off ranges of forty, and never of the same size twice.
    let settings = Settings {
        chunk_time: Duration::from_millis(3),
        chunk_rows: 10,
        chunk_most: 40,
        readers: 1,
        writers: 1,
        ..chunks_of(10)
    };
    let report = world.watched(&target, settings, &watch).unwrap_or_else(|error| panic!("the run fails: {error}"));
    assert!(report.complete);
    assert!(watch.any(|event| matches!(event, Event::LeaseLost { .. })), "a claim that was taken back is noticed");
    assert_eq!(read(&[report], 0), 60);
    assert_same_state("claims that were taken back", &expected, &state(&target));
}

#[test]
fn a_step_whose_chunks_are_not_its_keys_is_not_called_done() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(60));
    let url = target.url.clone();
    let watch = at_chunk(4, || {
        site(
            &url,
            "UPDATE replant_chunks SET keys = keys - 1, rows_read = rows_read - 1, migrated = migrated - 1 \
                 WHERE id = (SELECT min(id) FROM replant_chunks WHERE state = 'done' AND migrated > 0)",
        )
    });
    let error = world.watched(&target, Settings { writers: 1, ..chunks_of(10) }, &watch).expect_err("a row is missing");
    let said = error.to_string();
    assert!(said.contains("toy.things") && said.contains("its chunks have 59 keys and read 59 rows"), "{said}");
    assert_eq!(count(&target, "replant_steps WHERE state = 'done'"), 0);
}

fn running_runs(db: &mut replant_core::db::Db) -> Vec<String> {
    use diesel::RunQueryDsl;
    #[derive(diesel::QueryableByName)]
    struct Run {
        #[diesel(sql_type = diesel::sql_types::Text)]
        id: String,
    }
    let runs: Vec<Run> = diesel::sql_query("SELECT id FROM replant_runs WHERE state = 'running'").load(db).unwrap();
    runs.into_iter().map(|run| run.id).collect()
}

#[test]
fn a_living_run_whose_sessions_are_all_ended_is_never_taken_for_dead() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(120));
    world.gate(|_| std::thread::sleep(Duration::from_millis(10)));
    let expected = world.undisturbed(&|| postgres().unwrap());
    let (url, over) = (target.url.clone(), AtomicBool::new(false));
    let dead = std::thread::scope(|scope| {
        // Who looks is of another machine: the process of the run may not be asked.
        let looks = scope.spawn(|| {
            let mut db = replant_core::db::Db::open(&url, replant_core::db::Role::Target).unwrap();
            let mut dead = 0;
            while !over.load(Ordering::SeqCst) {
                if replant_core::ledger::exists(&mut db).unwrap_or(false) {
                    let running = running_runs(&mut db);
                    let living = replant_core::ledger::alive::living(&mut db, &running).unwrap();
                    let still = running_runs(&mut db);
                    dead += running.iter().filter(|run| still.contains(run) && !living.contains(run)).count();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            dead
        });
        scope.spawn(|| {
            let mut db = replant_core::db::Db::open(&url, replant_core::db::Role::Target).unwrap();
            while !over.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(300));
                // One that has not begun yet may end, and be started again.
                if !replant_core::ledger::exists(&mut db).unwrap() || running_runs(&mut db).is_empty() {
                    continue;
                }
                site(
                    &url,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                      WHERE datname = current_database() AND application_name LIKE 'replant %'",
                );
            }
        });
        let report = world.run(&target, chunks_of(10));
        over.store(true, Ordering::SeqCst);
        assert!(report.unwrap_or_else(|error| panic!("the run fails: {error}")).complete);
        looks.join().unwrap()
    });
    assert_eq!(dead, 0, "a living run was taken for dead");
    assert_same_state("sessions that were ended", &expected, &state(&target));
}

/// Runs until the n-th chunk is done, then asks to stop.
pub(crate) fn stopped_at(world: &World, target: &Target, chunk_rows: u64, n: u32) -> Report {
    let stop = Stop::default();
    let watch = at_chunk(n, || stop.request());
    let report = world.migration(&target.url, chunks_of(chunk_rows)).run(&stop, &watch).unwrap();
    assert!(!report.complete);
    // Of the last chunks all may be under way: then the step is done nevertheless.
    assert!(n > 4 || watch.any(|event| matches!(event, Event::StepStopped { .. })));
    report
}

#[test]
fn a_run_that_is_asked_to_stop_finishes_what_is_under_way_and_another_goes_on() {
    let world = World::new(&ordinary(60));
    on_both(|fresh| {
        let expected = world.undisturbed(fresh);
        for n in [1, 4, 9] {
            let target = fresh();
            let first = stopped_at(&world, &target, 5, n);
            let mut db = target.open();
            assert_eq!(
                count_in(&mut db, "replant_chunks WHERE state = 'claimed'"),
                0,
                "what was under way is finished"
            );
            assert_eq!(texts(&target, "SELECT state AS value FROM replant_runs"), ["stopped"]);
            let done: u64 = status::steps(&mut db).unwrap().iter().map(|step| step.counts.read).sum();
            assert_eq!(first.steps.iter().map(|step| step.counts.read).sum::<u64>(), done);
            let second = world.complete(&target, chunks_of(5));
            assert_eq!(read(&[first, second], 0), 60);
            assert_same_state(&format!("stopped at chunk {n}"), &expected, &state(&target));
        }
    });
}

#[test]
fn the_chunks_of_a_dead_owner_come_free_when_a_run_begins() {
    let world = World::new(&ordinary(60));
    on_both(|fresh| {
        let expected = world.undisturbed(fresh);
        let target = fresh();
        stopped_at(&world, &target, 5, 2);
        dies_with_two(&target.url, "a-host:1:00000000");
        let watch = Watch::new(|_| {});
        assert!(world.watched(&target, chunks_of(5), &watch).unwrap().complete);
        assert!(watch.any(|event| *event == Event::Reaped { chunks: 2 }));
        assert_eq!(
            texts(&target, "SELECT state || ' ' || reason AS value FROM replant_runs WHERE id LIKE 'a-host%'"),
            ["stopped killed"]
        );
        assert_same_state("a dead owner", &expected, &state(&target));
    });
}

fn dies_with_two(url: &DbUrl, owner: &str) {
    let end = match url.sqlite_path() {
        Some(_) => "NULL",
        None => "now() + interval '1 hour'",
    };
    site(
        url,
        &format!(
            "INSERT INTO replant_runs (id, environment, version, snapshot_at, started_at, state) \
             SELECT '{owner}', environment, version, snapshot_at, started_at, 'running' FROM replant_runs; \
             UPDATE replant_chunks SET state = 'claimed', owner = '{owner}', epoch = epoch + 1, lease_until = {end} \
             WHERE id IN (SELECT id FROM replant_chunks WHERE state = 'free' AND step = 'toy.things' ORDER BY lo LIMIT 2)"
        ),
    );
}

#[test]
fn the_chunks_of_a_living_owner_are_left_to_it() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(60));
    let expected = world.undisturbed(&|| postgres().unwrap());
    stopped_at(&world, &target, 5, 2);
    let owner = Owner::of_this_process();
    let alive = Alive::session(target.open(), &owner).unwrap();
    dies_with_two(&target.url, owner.as_str());
    let (url, over) = (target.url.clone(), AtomicBool::new(false));
    let watch = Watch::new(|_| {});
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let left = || {
                count_in(
                    &mut replant_core::db::Db::open(&url, replant_core::db::Role::Target).unwrap(),
                    "replant_chunks WHERE state <> 'done' AND step = 'toy.things'",
                )
            };
            eventually("only the chunks of the other are left", || left() == 2);
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(left(), 2);
            assert!(!over.load(Ordering::SeqCst), "it waits for them");
            site(&url, "UPDATE replant_chunks SET lease_until = now() WHERE state = 'claimed'");
        });
        let report = world.watched(&target, chunks_of(5), &watch);
        over.store(true, Ordering::SeqCst);
        assert!(report.unwrap().complete);
    });
    assert!(!watch.any(|event| matches!(event, Event::Reaped { .. })));
    drop(alive);
    assert_same_state("a living owner", &expected, &state(&target));
}

#[test]
fn a_sqlite_target_has_one_run_at_a_time() {
    let world = World::new(&ordinary(60));
    let target = sqlite();
    let held = std::sync::Mutex::new(String::new());
    let (url, settings) = (target.url.clone(), chunks_of(5));
    let watch =
        at_chunk(2, || match world.migration(&url, settings.clone()).run(&Stop::default(), &replant_core::Silent) {
            Err(RunError::Held(error)) => *held.lock().unwrap() = error.to_string(),
            other => panic!("the second run is not refused: {other:?}"),
        });
    assert!(world.watched(&target, chunks_of(5), &watch).unwrap().complete);
    let owner = texts(&target, "SELECT id AS value FROM replant_runs");
    assert_eq!(owner.len(), 1, "the second run has not begun");
    assert!(held.lock().unwrap().contains(&owner[0]), "the error names the holder");
    let again = world.complete(&target, chunks_of(5));
    assert!(again.steps.iter().all(|step| step.already_done));
    assert_same_state("one after the other", &world.undisturbed(&sqlite), &state(&target));
}

#[test]
fn a_chunk_whose_claim_was_never_heard_of_is_taken_up_by_its_own_run() {
    // The answer to a claim is lost with its connection: the ledger says that this run holds the chunk, and the run's
    // own heart renews the lease.
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(60));
    let expected = world.undisturbed(&|| postgres().unwrap());
    let (url, stop) = (target.url.clone(), Stop::default());
    let watch = at_chunk(1, || {
        site(
            &url,
            "UPDATE replant_chunks SET state = 'claimed', epoch = epoch + 1, lease_until = now() + interval '1 hour', \
             owner = (SELECT id FROM replant_runs) WHERE step = 'toy.things' AND state = 'free' AND hi >= 60",
        );
    });
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| send.send(world.migration(&url, chunks_of(4)).run(&stop, &watch)));
        let ended = receive.recv_timeout(Duration::from_secs(10));
        stop.request();
        assert!(ended.expect("the run does not wait for itself").unwrap().complete);
    });
    assert_same_state("a claim that was never heard of", &expected, &state(&target));
}
