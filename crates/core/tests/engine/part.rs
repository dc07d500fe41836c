//! Runs that do a part of a step and leave the rest to a later one.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use replant_core::{Key, KeyRange, Report, RunError, Settings, Silent, Stop, Subset};
use replant_testkit::conformance::Target;
use replant_testkit::state::assert_same_state;

use crate::world::{World, chunks_of, on_both, ordinary, state};

fn part(only: &str, subset: Subset) -> Settings {
    Settings { only: vec![only.to_owned()], subset: Some(subset), ..chunks_of(13) }
}

fn run(world: &World, target: &Target, settings: Settings) -> Report {
    world.run(target, settings).unwrap()
}

fn keys(ranges: &[(Key, Key)]) -> Subset {
    Subset::Keys(ranges.iter().map(|(lo, hi)| KeyRange { lo: *lo, hi: *hi }).collect())
}

#[derive(QueryableByName)]
struct Covered {
    #[diesel(sql_type = BigInt)]
    lo: Key,
    #[diesel(sql_type = BigInt)]
    hi: Key,
}

/// The ranges of a step that are done.
fn done(target: &Target, step: &str) -> Vec<(Key, Key)> {
    let sql = format!("SELECT lo, hi FROM replant_chunks WHERE step = '{step}' AND state = 'done' ORDER BY lo");
    let found: Vec<Covered> = diesel::sql_query(sql).load(&mut target.open()).unwrap();
    found.into_iter().map(|chunk| (chunk.lo, chunk.hi)).collect()
}

#[test]
fn parts_and_then_the_rest_come_out_as_a_whole_run() {
    on_both(|fresh| {
        let world = World::new(&ordinary(200));
        let whole = fresh();
        world.complete(&whole, chunks_of(13));

        let target = fresh();
        let report = run(&world, &target, part("toy.things", Subset::First(20)));
        assert_eq!((report.complete, report.part, report.steps.len()), (false, true, 1));
        assert_eq!(done(&target, "toy.things"), [(1, 13), (14, 20)]);
        // Stopped before its end, a part is not done.
        let stop = Stop::default();
        stop.request();
        let settings = part("toy.things", Subset::First(5));
        let report = world.migration(&target.url, settings).run(&stop, &Silent).unwrap();
        assert_eq!((report.complete, report.part), (false, false));
        // The next ones, and a follower (of 141) with its unit; what is done already, and keys that nobody has, are no work.
        run(&world, &target, part("toy.things", Subset::First(5)));
        run(&world, &target, part("toy.things", keys(&[(143, 143), (3, 9), (180, 182), (7_000, 8_000)])));
        assert_eq!(done(&target, "toy.things"), [(1, 13), (14, 20), (21, 25), (141, 141), (180, 182)]);
        // A step that others come before takes them in whole.
        let report = run(&world, &target, part("toy.parts", keys(&[(30, 60), (90, 91)])));
        assert_eq!((report.complete, report.steps.len()), (false, 2));
        assert_eq!(done(&target, "toy.parts"), [(30, 39), (40, 52), (53, 60), (90, 91)]);
        let Err(RunError::Settings(what)) = world.run(&target, part("toy.parts", keys(&[(7_000, 8_000)]))) else {
            panic!("nobody has these keys")
        };
        assert!(what.contains("`part`") && what.contains("between 1 and 600"), "{what}");
        // More than there is: all of it, to the end of the step.
        let report = run(&world, &target, part("toy.parts", Subset::First(100_000)));
        assert!(report.complete, "{report:?}");
        world.complete(&target, chunks_of(13));
        assert_same_state("in parts", &state(&whole), &state(&target));
    });
}
