//! A legacy database that changes under the run: the run goes on with the rows that are there, and what was never read is listed.

use replant_core::ledger::status;
use replant_core::{Event, Outcome, Silent, Stop};
use replant_testkit::conformance::Target;
use replant_testkit::state::{State, assert_same_state};

use crate::world::{Watch, World, child, chunks_of, count, fate, on_both, ordinary, part, quarantine, state, thing};

/// Runs while the legacy table is changed, once it is planned. Returns how many rows were said to have gone.
fn run_with(world: &World, target: &Target, chunk: u64, change: &str) -> usize {
    let gone = std::sync::atomic::AtomicUsize::new(0);
    let watch = Watch::new(|event| match event {
        Event::StepStarted { step: "toy.things", .. } => world.change(change),
        Event::SourceMoves { absent, .. } => {
            gone.fetch_add(*absent, std::sync::atomic::Ordering::Relaxed);
        }
        _ => {}
    });
    assert!(world.watched(target, chunks_of(chunk), &watch).expect("the run goes on").complete);
    gone.load(std::sync::atomic::Ordering::Relaxed)
}

fn unread(target: &Target) -> Vec<(String, u64)> {
    let codes = status::codes(&mut target.open()).unwrap();
    let unread = codes.into_iter().filter(|code| code.what == "unread");
    unread.map(|code| (code.code, code.count)).collect()
}

#[test]
fn a_row_that_goes_is_listed_and_its_children_wait_for_it() {
    on_both(|fresh| {
        let world = World::new(&(ordinary(60) + &thing(900, "lonely", "1", "") + &part(901, "900", "5", "GBP")));
        let target = fresh();
        let gone = run_with(&world, &target, 10, "DELETE FROM thing WHERE id = 900");
        assert_eq!((gone, unread(&target)), (1, vec![("gone_unread".to_owned(), 1)]));
        assert_eq!(count(&target, "items WHERE name = 'lonely'"), 0);
        let waits = quarantine(&target, "toy.parts").into_iter().find(|row| row.legacy_key == 901).unwrap();
        assert_eq!(
            (waits.code.as_str(), waits.root_step.as_str(), waits.root_key),
            ("parent_quarantined", "toy.things", 900)
        );

        // It is there again.
        world.change(&thing(900, "lonely", "1", ""));
        let done = world.migration(&target.url, chunks_of(10)).replay(&[], &Stop::default(), &Silent).unwrap();
        assert!(done.complete && done.steps.iter().all(|(_, done)| done.came_in == 1), "{done:?}");
        assert_eq!(unread(&target), []);
        let but_for_finishes = |mut state: State| {
            state.tables.retain(|table| table.name != "finishes");
            state
        };
        let expected = but_for_finishes(world.undisturbed(fresh));
        assert_same_state("a row that came back", &expected, &but_for_finishes(state(&target)));
    });
}

#[test]
fn a_leader_that_goes_leaves_its_followers_waiting() {
    on_both(|fresh| {
        let world = World::new(&(ordinary(20) + &thing(30, "led", "1", "") + &thing(31, "led~by", "1", "")));
        let target = fresh();
        assert_eq!(run_with(&world, &target, 10, "DELETE FROM thing WHERE id = 30"), 1);
        assert_eq!(fate(&target, "toy.things", 31).outcome, Outcome::Quarantined);
    });
}

#[test]
fn a_row_that_comes_or_stands_in_the_place_of_another_is_left_to_a_later_state() {
    // There is a gap between the keys: the new row stands in it.
    let rows = (1..=10).map(|id| child(id * 10, &format!("thing {id}"), "NULL", "1", "")).collect::<String>();
    on_both(|fresh| {
        let world = World::new(&rows);
        let target = fresh();
        assert_eq!(run_with(&world, &target, 5, "INSERT INTO thing VALUES (75, 'new', NULL, 1, '')"), 0);
        assert_eq!(count(&target, "items WHERE name = 'new'"), 0);

        let (world, target) = (World::new(&rows), fresh());
        assert_eq!(run_with(&world, &target, 5, "UPDATE thing SET id = 75 WHERE id = 70"), 1);
        assert_eq!((count(&target, "items WHERE name = 'thing 7'"), unread(&target)[0].1), (0, 1));
    });
}
