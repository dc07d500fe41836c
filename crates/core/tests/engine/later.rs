//! Later states of the legacy database: the target ends as if the last one had been the first, with all that has gone.

use std::sync::{Mutex, Once};

use diesel::connection::SimpleConnection;
use jiff::Timestamp;
use replant_core::ledger::generations;
use replant_core::ledger::history;
use replant_core::ledger::mends::{self, SetAside};
use replant_core::{CatchUp, Event, Key, Outcome, RunError, Settings, Silent, Stop};
use replant_testkit::conformance::Target;
use serde_json::json;

use crate::replay::{mended, replay};
use crate::world::{
    Watch, World, chunks_of, count, fate, on_both, ordinary, part, postgres, site, texts, thing, totals,
};

const AT: fn(i64) -> Timestamp = |n| Timestamp::from_second(n * 86_400).unwrap();

/// Catches up with the legacy database as it is, which is of the nth day.
pub(crate) fn catch_up(world: &World, target: &Target, chunk: u64, later: bool) -> Result<CatchUp, RunError> {
    let mut migration = world.migration(&target.url, chunks_of(chunk));
    if later {
        migration.snapshot = |_| Ok(AT(1));
    }
    migration.catch_up(&Vec::new(), &Stop::default(), &Silent)
}

/// What stands in the target, by names, and what became of each legacy row.
pub(crate) fn told(target: &Target) -> Vec<String> {
    let mut told = Vec::new();
    for sql in [
        "SELECT 'item ' || i.name || ' ' || i.qty || ' ' || coalesce(i.colour, '-') || ' of ' || coalesce(p.name, '-') AS value
           FROM items i LEFT JOIN items p ON p.id = i.parent_id",
        "SELECT 'label ' || i.name || ' ' || l.label AS value FROM labels l JOIN items i ON i.id = l.item_id",
        "SELECT 'part ' || i.name || ' ' || p.amount_minor || ' ' || p.currency AS value FROM parts p JOIN items i ON i.id = p.item_id",
        "SELECT 'repair ' || step || ' ' || legacy_key || ' ' || code || ' ' || coalesce(value_after, '-') AS value FROM replant_repairs",
        "SELECT 'waits ' || step || ' ' || legacy_key || ' ' || root_step || ' ' || root_key || ' ' || legacy_row AS value FROM replant_quarantine",
    ] {
        told.extend(texts(target, sql));
    }
    let mut db = target.open();
    for step in history::known_steps(&mut db).unwrap() {
        history::lineage(&mut db, &step, |row| {
            // What has gone keeps its outcome.
            let code = row.code.filter(|code| code != "source_gone");
            told.push(format!("{} {} {} {code:?}", row.legacy_table, row.legacy_id, row.outcome));
            Ok::<_, replant_core::LedgerError>(())
        })
        .unwrap();
    }
    told.sort();
    told
}

/// What one later day brings. Of those that have gone thing 42 leads one that is new.
const LATER: &str = "
    UPDATE thing SET name = 'renamed 2', qty = '9' WHERE id = 2;
    UPDATE thing SET note = 'label:a;label:c' WHERE id = 27;
    UPDATE thing SET name = NULL WHERE id = 28;
    UPDATE thing SET qty = 1 WHERE id = 11;
    UPDATE thing SET name = 'thing 1~joined', note = 'label:joined' WHERE id = 44;
    UPDATE thing SET name = 'thing 23 alone' WHERE id = 23;
    UPDATE part SET amount = '77.5' WHERE id = 8;
    UPDATE part SET thing_id = 4 WHERE id = 10;
    DELETE FROM part WHERE id = 12;
    DELETE FROM thing WHERE id IN (42, 47);";

fn added() -> String {
    [
        thing(-7, "before all", "1", "label:first"),
        thing(1_000, "after all", "2", ""),
        thing(1_001, "thing 42~new", "1", "label:by a new one"),
        part(1_000, "1000", "5", "GBP"),
        part(1_001, "2", "6", "EUR"),
    ]
    .concat()
}

/// What `plan` says that a later state has of each step: rows that are new, gone and changed.
fn foreseen(world: &World, target: &Target, chunk: u64) -> Vec<(u64, u64, u64)> {
    let mut migration = world.migration(&target.url, chunks_of(chunk));
    migration.snapshot = |_| Ok(AT(2));
    let mut plan = migration.plan().unwrap();
    migration.read_through(&mut plan).unwrap();
    let later = plan.steps.iter().filter_map(|step| step.later);
    later.map(|later| (later.added, later.gone, later.changed.unwrap())).collect()
}

#[test]
fn a_later_state_ends_as_if_it_had_been_the_first() {
    for chunk in [7, 500] {
        on_both(|fresh| {
            let (world, target) = (World::new(&ordinary(60)), fresh());
            world.complete(&target, chunks_of(chunk));
            assert_eq!(count(&target, "items WHERE name = 'thing 47'"), 1);
            world.change(&(LATER.to_owned() + &added()));
            assert_eq!(foreseen(&world, &target, chunk), [(3, 2, 6), (2, 1, 2)]);
            let done = catch_up(&world, &target, chunk, true).unwrap();
            assert!(done.complete && done.generation == 2, "{done:?}");
            let things = done.steps[0].1;
            assert_eq!((things.added, things.gone, things.back, things.moved.read), (3, 2, 0, 2), "{things:?}");

            // What has gone is there in the other one.
            let other = World::new(&(ordinary(60) + &LATER.replace("DELETE", "-- DELETE") + "\n" + &added()));
            let expected = fresh();
            other.complete(&expected, chunks_of(chunk));
            let (expected, found) = (told(&expected), told(&target));
            let only =
                |a: &[String], b: &[String]| a.iter().filter(|line| !b.contains(line)).cloned().collect::<Vec<_>>();
            assert_eq!((only(&expected, &found), only(&found, &expected)), (vec![], vec![]));
            for step in ["toy.things", "toy.parts"] {
                assert!(totals(&target, step).1.imbalance().is_none());
            }

            let gone = |step: &str, key: Key| fate(&target, step, key).code;
            let codes = [gone("toy.things", 42), gone("toy.things", 47), gone("toy.parts", 12), gone("toy.parts", 13)];
            assert_eq!(
                codes,
                [Some("source_gone"), Some("source_gone"), Some("source_gone"), None]
                    .map(|code| code.map(str::to_owned))
            );

            // The same state again changes nothing.
            assert_eq!(foreseen(&world, &target, chunk), [(0, 0, 0), (0, 0, 0)]);
            let again = catch_up(&world, &target, chunk, true).unwrap();
            assert!(
                again.steps.iter().all(|(_, done)| !done.rejudged.changed() && done.added + done.gone == 0),
                "{again:?}"
            );
            assert_eq!(told(&target), found);
            let generations = generations::all(&mut target.open()).unwrap();
            assert!(generations.len() == 2 && generations.iter().all(|one| one.ended_at.is_some()), "{generations:?}");

            // What has gone comes back, and what was refused is good again.
            let good = "UPDATE thing SET name = 'thing 28 again' WHERE id = 28;";
            world.change(&(thing(47, "  thing 47 ", "5", "label:a;label:b") + &part(12, "12", "12.084", "EUR") + good));
            let back = catch_up(&world, &target, chunk, true).unwrap();
            assert_eq!((back.steps[0].1.back, back.steps[1].1.back), (1, 1), "{back:?}");
            assert_eq!(count(&target, "items WHERE name = 'thing 47' AND qty = 5"), 1);
            assert_eq!(count(&target, "parts p JOIN items i ON i.id = p.item_id WHERE i.name = 'thing 28 again'"), 1);
        });
    }
}

#[test]
fn an_older_state_is_refused_and_so_is_a_run_on_a_later_one() {
    let world = World::new(&ordinary(20));
    on_both(|fresh| {
        let target = fresh();
        world.complete(&target, chunks_of(10));
        catch_up(&world, &target, 10, true).unwrap();
        let older = catch_up(&world, &target, 10, false).expect_err("an older state");
        assert!(matches!(older, RunError::OtherSnapshot { .. }), "{older}");
        let mut migration = world.migration(&target.url, Settings::default());
        migration.snapshot = |_| Ok(AT(2));
        let run = migration.run(&Stop::default(), &Silent).expect_err("a later state");
        assert!(matches!(run, RunError::OtherSnapshot { .. }), "{run}");
    });
}

#[test]
fn a_table_that_is_half_there_stops_a_catch_up() {
    let world = World::new(&ordinary(400));
    on_both(|fresh| {
        let target = fresh();
        world.complete(&target, chunks_of(100));
        world.change("CREATE TABLE IF NOT EXISTS away AS SELECT * FROM part; DELETE FROM part WHERE id > 250");
        let stopped = catch_up(&world, &target, 100, true).expect_err("half a table");
        assert!(matches!(stopped, RunError::ManyGone { table: "part", .. }), "{stopped}");
        assert_eq!(generations::all(&mut target.open()).unwrap().len(), 1);
        let mut migration = world.migration(&target.url, chunks_of(100));
        migration.snapshot = |_| Ok(AT(1));
        let before = count(&target, "parts");
        let expected = vec![("part".to_owned(), 1_000)];
        assert!(migration.catch_up(&expected, &Stop::default(), &Silent).unwrap().complete);
        assert_eq!(count(&target, "parts"), before);
        world.change("DELETE FROM part; INSERT INTO part SELECT * FROM away; DROP TABLE away");
    });
}

#[test]
fn what_customers_changed_since_stays_in_later_states() {
    on_both(|fresh| {
        let (world, target) = (
            World::new(&(1..=9).map(|id| thing(id, &format!("thing {id}"), "3", "label:mine")).collect::<String>()),
            fresh(),
        );
        world.complete(&target, chunks_of(4));
        site(
            &target.url,
            "UPDATE items SET qty = 70 WHERE name = 'thing 1'; DELETE FROM labels WHERE item_id IN (SELECT id FROM items WHERE name = 'thing 2')",
        );
        // Of a dump that was restored every row is as it was, and yet another one.
        site(&target.url, "UPDATE items SET id = id; UPDATE labels SET item_id = item_id");
        world.change("UPDATE thing SET name = 'other ' || id, qty = 4");
        let done = catch_up(&world, &target, 4, true).unwrap();
        assert!(done.steps[0].1.rejudged.conflicts > 0, "{done:?}");
        assert_eq!(
            texts(
                &target,
                "SELECT name || ' ' || qty AS value FROM items WHERE name LIKE 'other%' ORDER BY name LIMIT 2"
            ),
            ["other 1 70", "other 2 4"]
        );
        assert_eq!(count(&target, "labels l JOIN items i ON i.id = l.item_id WHERE i.name = 'other 2'"), 0);
        let again = catch_up(&world, &target, 4, true).unwrap();
        assert!(again.steps.iter().all(|(_, done)| !done.rejudged.changed()), "{again:?}");
    });
}

#[test]
fn what_the_target_refused_is_offered_again_and_nothing_else_is_touched() {
    on_both(|fresh| {
        let (world, target) = (World::new(&(ordinary(20) + &thing(21, "native", "1", "label:late"))), fresh());
        let report = world.complete(&target, chunks_of(5));
        assert!(report.complete);
        assert_eq!(fate(&target, "toy.things", 21).outcome, Outcome::Quarantined);
        site(&target.url, "UPDATE items SET qty = 70 WHERE name = 'thing 1'");
        world.change("UPDATE thing SET qty = 4 WHERE id = 1");
        assert_eq!(catch_up(&world, &target, 5, true).unwrap().steps[0].1.rejudged.conflicts, 1);

        let ledger = || {
            let mut all = texts(
                &target,
                "SELECT id || ' ' || epoch || ' ' || CAST(done_at AS text) || ' ' || waits AS value FROM replant_chunks",
            );
            for table in ["replant_conflicts", "replant_changes", "replant_quarantine", "replant_outcomes"] {
                all.push(format!("{table} {}", count(&target, table)));
            }
            all
        };
        let before = (ledger(), told(&target));
        for _ in 0..2 {
            let again = catch_up(&world, &target, 5, true).unwrap();
            assert!(again.complete && again.steps.iter().all(|(_, done)| !done.rejudged.changed()), "{again:?}");
            assert_eq!(again.steps[0].1.rejudged.refused, 1);
            assert_eq!((ledger(), told(&target)), before);
        }

        site(&target.url, "UPDATE items SET name = 'theirs' WHERE name = 'native'");
        let now = catch_up(&world, &target, 5, true).unwrap();
        assert_eq!((now.steps[0].1.rejudged.came_in, now.steps[0].1.rejudged.refused), (1, 0), "{now:?}");
        assert_eq!(count(&target, "labels WHERE label = 'late'"), 1);
        let waiting = || count(&target, "replant_chunks WHERE waits AND step = 'toy.things'");
        assert_eq!(waiting(), 0);

        // What a customer does instead is settled as well.
        world.change("UPDATE thing SET name = 'other native' WHERE id = 8");
        assert_eq!((catch_up(&world, &target, 5, true).unwrap().steps[0].1.rejudged.kept, waiting()), (1, 1));
        site(&target.url, "UPDATE items SET name = 'theirs too' WHERE name = 'other native'");
        site(&target.url, "UPDATE items SET name = 'other native' WHERE name = 'thing 8'");
        let now = catch_up(&world, &target, 5, true).unwrap();
        assert_eq!((now.steps[0].1.rejudged.kept, waiting()), (0, 0), "{now:?}");
    });
}

#[test]
fn a_table_of_which_much_says_something_else_stops_a_catch_up() {
    let world = World::new(&ordinary(1_800));
    on_both(|fresh| {
        let target = fresh();
        world.complete(&target, chunks_of(600));
        world.change("UPDATE part SET amount = amount + 1");
        let before = texts(&target, "SELECT CAST(sum(amount_minor) AS text) AS value FROM parts");
        let stopped = catch_up(&world, &target, 600, true).expect_err("all amounts are others");
        assert!(matches!(stopped, RunError::ManyChanged { table: "part", .. }), "{stopped}");
        assert_eq!(generations::all(&mut target.open()).unwrap().len(), 1);
        assert_eq!(texts(&target, "SELECT CAST(sum(amount_minor) AS text) AS value FROM parts"), before);
        let mut migration = world.migration(&target.url, chunks_of(600));
        migration.snapshot = |_| Ok(AT(1));
        let expected = vec![("part".to_owned(), 5_000)];
        assert!(migration.catch_up(&expected, &Stop::default(), &Silent).unwrap().complete);
        assert_ne!(texts(&target, "SELECT CAST(sum(amount_minor) AS text) AS value FROM parts"), before);
        world.change("UPDATE part SET amount = amount - 1");
    });
}

#[test]
fn a_legacy_table_that_has_lost_a_column_stops_a_catch_up() {
    on_both(|fresh| {
        let (world, target) = (World::new(&ordinary(20)), fresh());
        world.complete(&target, chunks_of(10));
        let before = told(&target);
        world.change("ALTER TABLE thing DROP COLUMN note");
        let stopped = catch_up(&world, &target, 10, true).expect_err("a column is missing");
        assert!(stopped.to_string().contains("`thing.note` is missing"), "{stopped}");
        assert_eq!((told(&target), generations::all(&mut target.open()).unwrap().len()), (before, 1));
        world.change("ALTER TABLE thing ADD COLUMN note TEXT");
        assert!(catch_up(&world, &target, 10, true).unwrap().complete);
    });
}

#[test]
fn who_catches_up_beside_another_one_is_told_so() {
    on_both(|fresh| {
        let (world, target) = (World::new(&ordinary(20)), fresh());
        world.complete(&target, chunks_of(10));
        world.change("UPDATE thing SET qty = 4 WHERE id = 1");
        let (told, once) = (Mutex::new(Vec::new()), Once::new());
        let watch = Watch::new(|event| {
            let beside = || {
                let mut other = world.migration(&target.url, chunks_of(10));
                other.snapshot = |_| Ok(AT(1));
                let all = [
                    other.catch_up(&Vec::new(), &Stop::default(), &Silent).map(|_| ()),
                    other.replay(&[], &Stop::default(), &Silent).map(|_| ()),
                    other.run(&Stop::default(), &Silent).map(|_| ()),
                ];
                told.lock().unwrap().extend(all.map(|end| end.expect_err("one at a time").to_string()));
            };
            if matches!(event, Event::ChunkRejudged { .. }) {
                once.call_once(beside);
            }
        });
        let mut migration = world.migration(&target.url, chunks_of(10));
        migration.snapshot = |_| Ok(AT(1));
        assert!(migration.catch_up(&Vec::new(), &Stop::default(), &watch).unwrap().complete);
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 3);
        let says_so =
            |told: &String| told.contains("another run works") || told.contains("is being brought to a later");
        assert!(told.iter().all(says_so), "{told:?}");
        assert_eq!(count(&target, "items WHERE name = 'thing 1' AND qty = 4"), 1);
    });
}

#[test]
fn a_lock_that_stays_ends_a_catch_up_which_goes_on_later() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(20));
    world.complete(&target, chunks_of(5));
    world.change("UPDATE thing SET qty = 4 WHERE id IN (1, 8, 14)");
    let mut holder = target.open();
    holder.batch_execute("BEGIN; UPDATE items SET colour = colour WHERE name = 'thing 8'").unwrap();
    let mut settings = chunks_of(5);
    settings.retries.times = 2;
    let mut migration = world.migration(&target.url, settings);
    migration.snapshot = |_| Ok(AT(1));
    let failed = migration.catch_up(&Vec::new(), &Stop::default(), &Silent).expect_err("a customer holds a row");
    assert!(failed.to_string().contains("lock"), "{failed}");
    holder.batch_execute("COMMIT").unwrap();
    let done = migration.catch_up(&Vec::new(), &Stop::default(), &Silent).unwrap();
    assert!(done.complete && done.generation == 2, "{done:?}");
    assert_eq!(count(&target, "items WHERE name IN ('thing 1', 'thing 8', 'thing 14') AND qty = 4"), 3);
}

#[test]
fn a_mend_is_set_aside_once_its_row_reads_otherwise() {
    on_both(|fresh| {
        let broken = [901, 902].map(|id| thing(id, &format!("thing {id}"), "'many'", "")).concat();
        let (world, target) = (World::new(&(ordinary(20) + &broken)), fresh());
        world.complete(&target, chunks_of(10));
        let mend = |key: Key, qty: i64| mended(&target, "toy.things", key, json!({ "qty": qty }));
        replay(&world, &target, &[mend(901, 4), mend(902, 4)]);
        let named = |name: &str, qty: i64| count(&target, &format!("items WHERE name = '{name}' AND qty = {qty}"));
        assert_eq!((named("thing 901", 4), named("thing 902", 4)), (1, 1));

        world.change("UPDATE thing SET note = 'label:since' WHERE id = 901");
        assert_eq!(foreseen(&world, &target, 10), [(0, 0, 1), (0, 0, 0)]);
        let done = catch_up(&world, &target, 10, true).unwrap();
        assert_eq!(done.set_aside, [SetAside { table: "thing".to_owned(), key: 901 }]);
        assert_eq!((fate(&target, "toy.things", 901).outcome, named("thing 901", 4)), (Outcome::Quarantined, 0));
        assert_eq!(named("thing 902", 4), 1);

        // Mended again it holds for what the row says now, and a mend of a mend for what was mended first.
        let mut migration = world.migration(&target.url, chunks_of(10));
        migration.snapshot = |_| Ok(AT(1));
        assert!(migration.replay(&[mend(901, 5)], &Stop::default(), &Silent).unwrap().complete);
        assert_eq!((named("thing 901", 5), mends::aside(&mut target.open()).unwrap()), (1, vec![]));
        let again = catch_up(&world, &target, 10, true).unwrap();
        assert!(
            again.set_aside.is_empty() && again.steps.iter().all(|(_, done)| !done.rejudged.changed()),
            "{again:?}"
        );
        world.change("DELETE FROM thing WHERE id = 902");
        assert!(catch_up(&world, &target, 10, true).unwrap().set_aside.is_empty());
        assert_eq!(named("thing 902", 4), 1, "what is gone counts as it was mended");
    });
}
