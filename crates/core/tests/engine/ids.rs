//! Ids that a plan takes from the target's sequences, beside a live site that takes some as well.
#![allow(clippy::print_stdout, reason = "says what was measured")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use jiff::Timestamp;
use replant_core::db::{Db, DbUrl, Role};
use replant_core::ledger::plan;
use replant_core::{Event, IdBlock, Settings, Stop};
use replant_testkit::conformance::Target;
use replant_testkit::state::{IdsInTexts, State, assert_same_state};

use crate::world::{Watch, World, chunks_of, count, ordinary, postgres, site, texts};

/// Keys of a step that is large enough to be felt.
const MANY: i64 = 600_000;

fn many() -> World {
    let world = World::new("");
    world.change(&format!(
        "INSERT INTO thing (id, name, qty) WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {MANY}) \
         SELECT id, 'thing ' || id, 1 FROM n"
    ));
    world
}

/// Plans the first step and no more.
fn planned(world: &World, url: &DbUrl) {
    let stop = Stop::default();
    let watch = Watch::new(|event| {
        if matches!(event, Event::Planning { step: "toy.things" }) {
            stop.request();
        }
    });
    let report = world.migration(url, Settings::default()).run(&stop, &watch).unwrap();
    assert!(!report.complete);
}

/// The ids of a step.
fn block(target: &Target, table: &str) -> IdBlock {
    let blocks = plan::blocks(&mut target.open()).unwrap();
    blocks.into_iter().find(|(name, _)| name == table).expect("it is planned").1
}

/// Takes ids as the site does, every 2 ms while `work` goes on. Returns the longest wait, and the ids.
fn beside<T>(url: &DbUrl, work: impl FnOnce() -> T) -> (Duration, BTreeSet<i64>, T) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let site = scope.spawn(|| {
            let mut db = Db::open(url, Role::Target).unwrap();
            let (mut longest, mut taken) = (Duration::ZERO, BTreeSet::new());
            while !over.load(Ordering::SeqCst) {
                let began = Instant::now();
                taken.insert(next(&mut db));
                longest = longest.max(began.elapsed());
                std::thread::sleep(Duration::from_millis(2));
            }
            (longest, taken)
        });
        let done = work();
        over.store(true, Ordering::SeqCst);
        let (longest, taken) = site.join().unwrap();
        (longest, taken, done)
    })
}

#[derive(diesel::QueryableByName)]
struct Id {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    id: i64,
}

fn next(db: &mut Db) -> i64 {
    let next = diesel::sql_query("SELECT nextval('items_id_seq') AS id");
    diesel::RunQueryDsl::get_result::<Id>(next, db).unwrap().id
}

/// Plans many keys beside the site; asserts that it did not wait, and that nobody has the id of another one.
#[track_caller]
fn nobody_waits(target: &Target, url: &DbUrl, most: Duration) {
    let world = many();
    let (longest, taken, ()) = beside(&target.url, || planned(&world, url));
    let ids = block(target, "items");
    let ranges = ids.ranges().count();
    println!("the longest wait for an id: {longest:?}; {} ids of the site; {ranges} ranges of ours", taken.len());
    assert!(longest < most, "an id took {longest:?}");
    assert_eq!(ids.ranges().map(|range| range.ids).sum::<u64>(), MANY.cast_unsigned());
    assert!(taken.iter().all(|id| ids.place(*id).is_none()), "an id was given twice");
    // What the site takes afterwards is new as well.
    let after = next(&mut target.open());
    assert!(ids.place(after).is_none() && !taken.contains(&after));
}

#[test]
fn a_large_plan_makes_nobody_wait_for_an_id() {
    let Some(target) = postgres() else { return };
    nobody_waits(&target, &target.url.clone(), Duration::from_millis(200));
    assert_eq!(count(&target, "replant_id_blocks WHERE target_table = 'items'"), 1, "taken at once");
}

#[test]
fn nor_does_one_that_does_not_get_the_lock_of_the_sequence() {
    let Some(target) = postgres() else { return };
    let mut idle = target.open();
    idle.batch_execute("BEGIN; SELECT nextval('items_id_seq')").unwrap();
    nobody_waits(&target, &target.url.clone(), Duration::from_millis(200));
    assert!(count(&target, "replant_id_blocks WHERE target_table = 'items'") > 1, "taken one by one");
    idle.batch_execute("COMMIT").unwrap();
}

#[test]
fn a_role_that_does_not_own_the_sequence_takes_ids_one_by_one() {
    let Some((target, address)) = crate::world::postgres_with_address() else { return };
    // Roles are those of the server, which other tests share.
    let role = format!("limited_{}", std::process::id());
    site(
        &target.url,
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA public TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; \
             GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}; \
             DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO {role}', current_database()); END $$"
        ),
    );
    let url: DbUrl = address.replace("postgres@", &format!("{role}@")).parse().unwrap();
    nobody_waits(&target, &url, Duration::from_millis(200));
}

/// The state, with ids told by their places.
fn state(target: &Target) -> State {
    State::but_for_ids(&mut target.open(), Timestamp::now(), IdsInTexts::default()).unwrap()
}

const SEQUENCES: [&str; 2] = ["items_id_seq", "parts_id_seq"];

/// Runs with sequences that were altered; the end is that of a run with ordinary ones, in as few ranges.
#[track_caller]
fn with_sequences(alter: &str, first: impl Fn(&Target)) {
    let world = World::new(&ordinary(2_400));
    let (Some(plain), Some(target)) = (postgres(), postgres()) else { return };
    world.complete(&plain, chunks_of(200));
    for sequence in SEQUENCES {
        site(&target.url, &format!("ALTER SEQUENCE {sequence} {alter}"));
    }
    first(&target);
    world.complete(&target, chunks_of(200));
    assert_same_state(alter, &state(&plain), &state(&target));
    assert_eq!(count(&target, "replant_id_blocks"), count(&plain, "replant_id_blocks"), "{alter}");
}

#[test]
fn a_sequence_that_counts_by_tens_costs_no_more() {
    with_sequences("INCREMENT BY 10", |_| {});
    with_sequences("INCREMENT BY 10 CACHE 20", |_| {});
}

#[test]
fn sessions_of_the_site_may_have_ids_in_store() {
    with_sequences("CACHE 5000", |target| {
        let mut db = target.open();
        let kept = next(&mut db);
        assert_eq!(next(&mut db), kept + 1);
    });
}

#[test]
fn what_lies_between_our_ids_is_not_ours() {
    let Some(target) = postgres() else { return };
    site(&target.url, "ALTER SEQUENCE items_id_seq INCREMENT BY 10");
    let world = World::new(&ordinary(1_200));
    world.complete(&target, chunks_of(200));
    let ids = block(&target, "items");
    let range = ids.ranges().next().unwrap();
    assert_eq!((range.ids, range.step_by, ids.ranges().count()), (1_200, 10, 1));
    assert!((1..10).all(|off| ids.place(range.first + off).is_none()));
    // A customer's own row between them is nobody's to take out: a replay leaves it.
    let theirs = range.first + 5;
    site(&target.url, &format!("INSERT INTO items (id, name, qty, colour) VALUES ({theirs}, 'between', 1, 'green')"));
    let replay = world.migration(&target.url, chunks_of(200)).replay(&[], &Stop::default(), &replant_core::Silent);
    assert!(replay.unwrap().complete);
    assert_eq!(texts(&target, &format!("SELECT name AS value FROM items WHERE id = {theirs}")), ["between"]);
}
