//! A legacy database that changes under the run: the step fails, nothing is half-written, and it goes on once mended.

use replant_core::{ChunkError, Event, RunError};
use replant_testkit::state::assert_same_state;

use crate::world::{Watch, World, child, chunks_of, count, on_both, ordinary, state, thing};

/// Changes the legacy table once it is planned, and mends it when the run has failed.
fn changes(what: &str, change: &str, mend: &str) {
    let world = World::new(&ordinary(60));
    on_both(|fresh| {
        let expected = world.undisturbed(fresh);
        let target = fresh();
        let watch = Watch::new(|event| {
            if matches!(event, Event::StepStarted { step: "toy.things", .. }) {
                world.change(change);
            }
        });
        let error = world.watched(&target, chunks_of(10), &watch).expect_err(what);
        assert!(
            matches!(
                error,
                RunError::Chunk { step: "toy.things", lo: 21, hi: 30, source: ChunkError::SourceChanged { .. } }
            ),
            "{what}: {error}"
        );
        assert_eq!(count(&target, "replant_chunks WHERE step = 'toy.things' AND lo = 21 AND state = 'free'"), 1);
        assert_eq!(
            count(&target, "items WHERE name IN ('thing 21', 'thing 22', 'thing 28')"),
            0,
            "nothing of the chunk"
        );
        world.change(mend);
        world.complete(&target, chunks_of(10));
        assert_same_state(what, &expected, &state(&target));
    });
}

#[test]
fn a_row_that_goes_stops_the_step() {
    changes("a row less", "DELETE FROM thing WHERE id = 28", &thing(28, "thing 28", "3", ""));
}

#[test]
fn a_row_that_comes_or_stands_in_the_place_of_another_stops_the_step() {
    // The number of rows is the one that was planned. There is a gap between the keys: the new row stands in it.
    let world =
        World::new(&(1..=10).map(|id| child(id * 10, &format!("thing {id}"), "NULL", "1", "")).collect::<String>());
    on_both(|fresh| {
        let expected = world.undisturbed(fresh);
        let target = fresh();
        for (change, mend) in [
            ("UPDATE thing SET id = 75 WHERE id = 70", "UPDATE thing SET id = 70 WHERE id = 75"),
            ("INSERT INTO thing VALUES (75, 'new', NULL, 1, '')", "DELETE FROM thing WHERE id = 75"),
        ] {
            let watch = Watch::new(|event| {
                if matches!(event, Event::StepStarted { step: "toy.things", .. }) {
                    world.change(change);
                }
            });
            let error = world.watched(&target, chunks_of(5), &watch).expect_err(change);
            assert!(
                matches!(error, RunError::Chunk { lo: 60, hi: 100, source: ChunkError::SourceChanged { .. }, .. }),
                "{error}"
            );
            world.change(mend);
        }
        world.complete(&target, chunks_of(5));
        assert_same_state("another row", &expected, &state(&target));
    });
}
