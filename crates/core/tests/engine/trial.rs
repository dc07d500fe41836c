//! Rows that are judged to be looked at: what they would become, and nothing is written.

use replant_core::{Key, KeyRange, Outcome, RunError, Selection, Silent, Trial};
use replant_testkit::conformance::Target;
use replant_testkit::state::assert_same_state;

use crate::world::{World, chunks_of, on_both, ordinary, quarantine, state};

fn judge(world: &World, target: &Target, table: &str, selection: &Selection) -> Result<Vec<Trial>, RunError> {
    world.migration(&target.url, chunks_of(13)).judge(table, selection, &Silent)
}

fn keys(trials: &[Trial]) -> Vec<Vec<Key>> {
    trials.iter().map(|trial| trial.rows.iter().map(|row| row.key).collect()).collect()
}

#[test]
fn rows_are_judged_with_their_unit_and_nothing_is_written() {
    on_both(|fresh| {
        let target = fresh();
        let world = World::new(&ordinary(200));
        world.complete(&target, chunks_of(13));
        let before = state(&target);
        let one = |key: Key| KeyRange { lo: key, hi: key };
        // A follower shows the unit of its leader; a row that is asked for twice is shown once.
        let ranges = Selection::Keys(vec![one(3), KeyRange { lo: 7, hi: 9 }, one(7)]);
        let trials = judge(&world, &target, "thing", &ranges).unwrap();
        assert_eq!(keys(&trials), [vec![1, 3], vec![7], vec![8], vec![9]]);
        let outcomes: Vec<Outcome> = trials[0].rows.iter().map(|row| row.outcome).collect();
        assert_eq!(outcomes, [Outcome::Migrated, Outcome::Merged]);
        assert_eq!((trials[3].rows[0].outcome, trials[3].written.len()), (Outcome::Skipped, 0));
        let item = trials[1].written.iter().find(|(batch, _)| *batch == "items").map(|(_, row)| row).unwrap();
        assert_eq!((item["name"].as_str(), item["id"].as_i64()), (Some("thing 7"), trials[1].rows[0].target));
        assert_eq!(trials[1].rows[0].legacy["name"].as_str(), Some("  thing 7 "));
        assert!(!trials[1].repairs.is_empty(), "the blanks are a repair");
        let (table, id, stands) = &trials[1].stands[0];
        assert_eq!((table.as_str(), Some(*id)), ("items", trials[1].rows[0].target));
        assert_eq!(stands.as_ref().and_then(|row| row["name"].as_str()), Some("thing 7"));

        let code = quarantine(&target, "toy.things")[0].code.clone();
        let with_code = judge(&world, &target, "toy.things", &Selection::Code(code.clone())).unwrap();
        assert!(!with_code.is_empty());
        assert!(with_code.iter().flat_map(|trial| &trial.rows).any(|row| row.code == Some(code.as_str())));
        assert_eq!(judge(&world, &target, "part", &Selection::Sample(20)).unwrap().len(), 20);
        assert_same_state("after trials", &before, &state(&target));
    });
}

#[test]
fn what_cannot_be_judged_is_told() {
    on_both(|fresh| {
        let target = fresh();
        let world = World::new(&ordinary(20));
        let all = Selection::Sample(5);
        assert!(matches!(judge(&world, &target, "thing", &all), Err(RunError::NotDone("toy.things"))));
        let Err(RunError::Settings(what)) = judge(&world, &target, "thong", &all) else { panic!("it is unknown") };
        assert!(what.contains("`thong`") && what.contains("thing, part"), "{what}");
    });
}
