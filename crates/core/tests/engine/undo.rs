//! Taking back: the target stands as it stood before, but for what customers have made theirs, and a run after it ends as one that was
//! never taken back.

use replant_core::ledger::status;
use replant_core::{Against, Extent, Kept, RunError, Silent, Stop, Undo, Undone, Why};
use replant_testkit::conformance::Target;
use replant_testkit::dump::{self, TableDump};
use replant_testkit::state::assert_same_state;

use crate::later::catch_up;
use crate::rivals::stopped_at;
use crate::verify::verify;
use crate::world::{World, chunks_of, count, on_both, ordinary, site, state, texts, thing};

pub(crate) fn whole(only: &[&str]) -> Undo {
    let only = only.iter().map(|name| (*name).to_owned()).collect();
    Undo { extent: Extent::Whole(only), with_dependants: false, why: "a test".to_owned() }
}

fn undo(world: &World, target: &Target, what: &Undo) -> Result<Undone, RunError> {
    let migration = world.migration(&target.url, chunks_of(13));
    let would = migration.would_undo(what, &Stop::default(), &Silent)?;
    let done = migration.undo(what, &Stop::default(), &Silent)?;
    assert!(done.complete);
    // What was foreseen is what is done, but for what kept others until they went.
    for (would, done) in would.steps.iter().zip(&done.steps) {
        assert_eq!((would.step, would.rows), (done.step, done.rows), "{would:?} {done:?}");
    }
    Ok(done)
}

/// The tables of the platform. What the end of the toy adds to, it does not note.
fn platform(target: &Target) -> Vec<TableDump> {
    let mut tables = dump::dump_all(&mut target.open()).unwrap();
    tables.retain(|table| {
        !table.name.starts_with("replant") && table.name != "finishes" && !table.name.starts_with("__")
    });
    tables
}

fn kept(done: &Undone) -> Vec<&Kept> {
    done.steps.iter().flat_map(|step| &step.kept).collect()
}

#[test]
fn the_target_stands_as_before_and_a_run_after_it_as_if_nothing_had_been() {
    for chunk in [7, 500] {
        on_both(|fresh| {
            let (world, target) = (World::new(&ordinary(120)), fresh());
            let before = platform(&target);
            world.complete(&target, chunks_of(chunk));
            let migrated = state(&target);
            let done = undo(&world, &target, &whole(&[])).unwrap();
            assert_eq!(kept(&done), Vec::<&Kept>::new());
            assert_eq!(platform(&target), before);
            for table in
                ["outcomes", "repairs", "quarantine", "imprints", "seen", "moved", "changes", "money", "conflicts"]
            {
                assert_eq!(count(&target, &format!("replant_{table}")), 0, "{table}");
            }
            assert!(status::steps(&mut target.open()).unwrap().iter().all(|step| !step.done && step.chunks_done == 0));
            let (verified, found) = verify(&world, &target, Against::Source);
            assert!(found.is_empty() && !verified.has_alarms(), "{found:?}");

            world.complete(&target, chunks_of(chunk));
            let again = state(&target);
            let but_finishes = |mut state: replant_testkit::state::State| {
                state.tables.retain(|table| table.name != "finishes");
                state
            };
            assert_same_state("after an undo", &but_finishes(migrated), &but_finishes(again));
            let (_, found) = verify(&world, &target, Against::Source);
            assert!(found.is_empty(), "{found:?}");
        });
    }
}

#[test]
fn what_customers_have_made_theirs_stays_and_is_named() {
    on_both(|fresh| {
        let (world, target) = (World::new(&ordinary(60)), fresh());
        world.complete(&target, chunks_of(13));
        let id = |name: &str| {
            texts(&target, &format!("SELECT CAST(id AS text) AS value FROM items WHERE name = '{name}'")).remove(0)
        };
        site(&target.url, "UPDATE items SET qty = 70 WHERE name = 'thing 2'");
        site(&target.url, "DELETE FROM labels WHERE item_id = (SELECT id FROM items WHERE name = 'thing 8')");
        site(
            &target.url,
            &format!(
                "INSERT INTO items (name, parent_id, qty, colour) VALUES ('a child', {}, 1, 'pink')",
                id("thing 4")
            ),
        );
        site(&target.url, &format!("INSERT INTO labels (item_id, label) VALUES ({}, 'by hand')", id("thing 6")));
        let part = texts(&target, "SELECT CAST(min(id) AS text) AS value FROM parts p").remove(0);
        site(&target.url, &format!("UPDATE parts SET currency = 'EUR' WHERE id = {part}"));
        let gone = texts(&target, "SELECT CAST(max(id) AS text) AS value FROM parts").remove(0);
        site(&target.url, &format!("DELETE FROM parts WHERE id = {gone}"));

        let done = undo(&world, &target, &whole(&[])).unwrap();
        let mut whys: Vec<(Why, &str)> = kept(&done).iter().map(|kept| (kept.why, kept.table.as_str())).collect();
        whys.sort_unstable();
        assert_eq!(
            whys,
            [
                (Why::Changed, "items"),
                (Why::Changed, "labels"),
                (Why::Changed, "parts"),
                (Why::Removed, "parts"),
                (Why::PointedTo, "items"),
                (Why::PointedTo, "items"),
                (Why::Needed, "items"),
            ],
            "{:?}",
            kept(&done)
        );
        let stays = "SELECT name AS value FROM items WHERE name LIKE 'thing%' ORDER BY name";
        let stay = texts(&target, stays);
        assert!(
            ["thing 2", "thing 4", "thing 6", "thing 8"].iter().all(|name| stay.contains(&(*name).to_owned())),
            "{stay:?}"
        );
        assert_eq!(count(&target, "items WHERE name = 'a child'"), 1);
        assert_eq!(count(&target, "labels WHERE label = 'by hand'"), 1);
        // A currency is none of the site's to change; all else is.
        let (_, found) = verify(&world, &target, Against::Source);
        assert!(found.iter().all(|one| !one.verdict.is_alarm() || one.columns == ["currency"]), "{found:?}");

        // A second time nothing more goes.
        let again = undo(&world, &target, &whole(&[])).unwrap();
        assert!(again.steps.iter().all(|step| step.rows == 0), "{again:?}");
        assert_eq!(kept(&again).len(), kept(&done).len(), "what stays is told again");

        world.complete(&target, chunks_of(13));
        assert_eq!(texts(&target, "SELECT CAST(qty AS text) AS value FROM items WHERE name = 'thing 2'"), ["70"]);
        assert_eq!(count(&target, &format!("parts WHERE id = {gone}")), 0, "what was removed stays away");
        assert_eq!(count(&target, &format!("parts WHERE id = {part} AND currency = 'EUR'")), 1);
        assert_eq!(count(&target, "labels WHERE item_id = (SELECT id FROM items WHERE name = 'thing 8')"), 0);
        let (_, found) = verify(&world, &target, Against::Source);
        assert!(
            found.iter().all(|one| !one.verdict.is_stale()) && found.iter().any(|one| one.columns == ["qty"]),
            "{found:?}"
        );
        // As a run that was never taken back, but for what customers did.
        let other = fresh();
        world.complete(&other, chunks_of(13));
        let names = "SELECT name AS value FROM items WHERE name LIKE 'thing%' ORDER BY name";
        assert_eq!(texts(&target, names), texts(&other, names));
        assert_eq!(count(&target, "parts"), count(&other, "parts") - 1);
    });
}

#[test]
fn a_step_goes_without_those_that_build_on_it_only_if_it_is_said() {
    on_both(|fresh| {
        let (world, target) = (World::new(&ordinary(40)), fresh());
        world.complete(&target, chunks_of(13));
        let refused = undo(&world, &target, &whole(&["toy.things"])).unwrap_err();
        assert!(matches!(&refused, RunError::BuiltUpon { steps } if steps.contains("toy.parts")), "{refused}");
        let items = count(&target, "items");
        let done = undo(&world, &target, &whole(&["toy.parts"])).unwrap();
        assert!(kept(&done).is_empty(), "{done:?}");
        assert_eq!((count(&target, "parts"), count(&target, "items")), (0, items));
        let migrated = world.undisturbed(fresh);
        world.complete(&target, chunks_of(13));
        let all = Undo { with_dependants: true, ..whole(&["toy.things"]) };
        assert!(kept(&undo(&world, &target, &all).unwrap()).is_empty());
        assert_eq!((count(&target, "items"), count(&target, "parts")), (2, 0));
        world.complete(&target, chunks_of(13));
        assert_eq!(
            migrated.tables.iter().find(|table| table.name == "items"),
            state(&target).tables.iter().find(|table| table.name == "items")
        );
    });
}

#[test]
fn a_chunk_goes_alone_and_comes_again_with_the_same_ids() {
    on_both(|fresh| {
        let (world, target) = (World::new(&ordinary(60)), fresh());
        world.complete(&target, chunks_of(13));
        let before = platform(&target);
        let parts =
            texts(&target, "SELECT CAST(min(id) AS text) AS value FROM replant_chunks WHERE step = 'toy.parts'")
                .remove(0);
        let chunk = |id: &str| Undo { extent: Extent::Chunk(id.parse().unwrap()), ..whole(&[]) };
        let done = undo(&world, &target, &chunk(&parts)).unwrap();
        let rows: u64 = done.steps.iter().map(|step| step.rows).sum();
        assert!(rows > 0 && kept(&done).is_empty(), "{done:?}");
        world.complete(&target, chunks_of(13));
        assert_eq!(platform(&target), before);

        // Rows of other steps point to some of its rows: these stay.
        let things =
            texts(&target, "SELECT CAST(min(id) AS text) AS value FROM replant_chunks WHERE step = 'toy.things'")
                .remove(0);
        let done = undo(&world, &target, &chunk(&things)).unwrap();
        assert!(!kept(&done).is_empty() && kept(&done).iter().all(|kept| kept.why == Why::Needed), "{done:?}");
        world.complete(&target, chunks_of(13));
        assert_eq!(platform(&target), before);
        let (_, found) = verify(&world, &target, Against::Source);
        assert!(found.is_empty(), "{found:?}");
    });
}

#[test]
fn a_run_goes_alone_and_what_others_have_done_stands() {
    let world = World::new(&ordinary(60));
    on_both(|fresh| {
        let undisturbed = fresh();
        world.complete(&undisturbed, chunks_of(5));
        for n in [1, 4, 9] {
            let target = fresh();
            stopped_at(&world, &target, 5, n);
            let before = platform(&target);
            world.complete(&target, chunks_of(5));
            let runs = texts(&target, "SELECT id AS value FROM replant_runs ORDER BY started_at");
            let run = |place: usize| Undo { extent: Extent::Run(runs[place].clone()), ..whole(&[]) };
            let done = undo(&world, &target, &run(1)).unwrap();
            assert!(kept(&done).is_empty(), "{done:?}");
            assert_eq!(platform(&target), before);
            world.complete(&target, chunks_of(5));
            assert_eq!(platform(&target), platform(&undisturbed), "stopped at chunk {n}");

            // What others have built on the first run keeps what it needs of it.
            let done = undo(&world, &target, &run(0)).unwrap();
            assert!(kept(&done).iter().all(|kept| kept.why == Why::Needed), "{done:?}");
            world.complete(&target, chunks_of(5));
            let (_, found) = verify(&world, &target, Against::Source);
            assert!(found.is_empty(), "{found:?}");
        }
    });
}

#[test]
fn what_later_states_have_written_goes_as_well() {
    on_both(|fresh| {
        let (world, target) = (World::new(&ordinary(40)), fresh());
        let before = platform(&target);
        world.complete(&target, chunks_of(13));
        world.change(
            &(thing(99, "late", "1", "label:late")
                + "UPDATE thing SET qty = 9 WHERE id = 2; UPDATE thing SET name = NULL WHERE id = 4;"),
        );
        assert!(catch_up(&world, &target, 13, true).unwrap().complete);
        let done = undo(&world, &target, &whole(&[])).unwrap();
        assert!(kept(&done).is_empty());
        assert_eq!(platform(&target), before);
    });
}

#[test]
fn what_was_done_to_rows_that_were_there_is_put_back() {
    on_both(|fresh| {
        let (world, target) = (World::new(&(ordinary(20) + &thing(50, "who swaps", "1", "swap:2=swapped"))), fresh());
        let before = platform(&target);
        world.complete(&target, chunks_of(13));
        assert_eq!(count(&target, "items WHERE name = 'swapped' AND colour = 'blue'"), 1);
        undo(&world, &target, &whole(&[])).unwrap();
        assert_eq!(platform(&target), before);
        world.complete(&target, chunks_of(13));
        assert_eq!(count(&target, "items WHERE name = 'swapped' AND colour = 'blue'"), 1);
        // What somebody has changed of it since is theirs.
        site(&target.url, "UPDATE items SET colour = 'gold' WHERE name = 'swapped'");
        undo(&world, &target, &whole(&[])).unwrap();
        assert_eq!(
            texts(&target, "SELECT name || ' ' || colour AS value FROM items WHERE id = 2"),
            ["other native gold"]
        );
    });
}

#[test]
fn what_nothing_keeps_any_more_goes_the_next_time() {
    on_both(|fresh| {
        let (world, target) = (World::new(&ordinary(40)), fresh());
        let before = platform(&target);
        world.complete(&target, chunks_of(13));
        site(
            &target.url,
            "INSERT INTO items (name, parent_id, qty, colour) SELECT 'a child', id, 1, 'pink' FROM items WHERE name = 'thing 4'",
        );
        let done = undo(&world, &target, &whole(&[])).unwrap();
        assert_eq!(kept(&done).iter().map(|kept| kept.why).collect::<Vec<_>>(), [Why::PointedTo]);
        site(&target.url, "DELETE FROM items WHERE name = 'a child'");
        let done = undo(&world, &target, &whole(&[])).unwrap();
        assert!(kept(&done).is_empty() && done.steps.iter().map(|step| step.rows).sum::<u64>() > 0, "{done:?}");
        assert_eq!(platform(&target), before);
    });
}

#[test]
fn rows_that_a_server_would_let_go_without_a_word_keep_what_they_point_to() {
    let Some(target) = crate::world::postgres() else { return };
    let world = World::new(&ordinary(40));
    world.complete(&target, chunks_of(13));
    // A table that no step knows.
    site(
        &target.url,
        "CREATE TABLE receipts (id BIGINT PRIMARY KEY, part_id BIGINT REFERENCES parts ON DELETE CASCADE, item_id BIGINT REFERENCES items ON DELETE SET NULL);
         INSERT INTO receipts SELECT 1, min(id), NULL FROM parts; INSERT INTO receipts SELECT 2, NULL, id FROM items WHERE name = 'thing 4';",
    );
    let done = undo(&world, &target, &whole(&[])).unwrap();
    let whys: Vec<Why> = kept(&done).iter().map(|kept| kept.why).collect();
    assert_eq!(whys.iter().filter(|why| **why == Why::PointedTo).count(), 2, "{whys:?}");
    assert_eq!(count(&target, "receipts r JOIN parts p ON p.id = r.part_id"), 1);
    assert_eq!(count(&target, "receipts r JOIN items i ON i.id = r.item_id"), 1);
}

#[test]
fn a_unit_that_stays_keeps_what_was_done_for_it() {
    on_both(|fresh| {
        let rows = ordinary(20) + &thing(50, "who swaps", "1", "swap:2=swapped");
        let (world, target) = (World::new(&rows), fresh());
        world.complete(&target, chunks_of(500));
        site(&target.url, "UPDATE items SET qty = 70 WHERE name = 'who swaps'");
        undo(&world, &target, &whole(&[])).unwrap();
        assert_eq!(count(&target, "items WHERE name = 'swapped' AND colour = 'blue'"), 1);
        assert_eq!(count(&target, "items WHERE name = 'who swaps' AND qty = 70"), 1);
        world.complete(&target, chunks_of(500));
        let (_, found) = verify(&world, &target, Against::Source);
        assert_eq!(found.iter().map(|one| one.columns.clone()).collect::<Vec<_>>(), [["qty"]]);
    });
}
