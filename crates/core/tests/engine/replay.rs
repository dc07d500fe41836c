//! Rows that were quarantined, mended and judged again: the target ends as that of a run over the mended source.

use diesel::connection::SimpleConnection;
use replant_core::ledger::mends::Mend;
use replant_core::{Key, Outcome, Replay, RunError, Silent, Stop};
use replant_testkit::conformance::Target;
use replant_testkit::state::{IdsInTexts, State, assert_same_state};
use serde_json::{Value, json};

use crate::world::{World, child, chunks_of, count, fate, on_both, ordinary, part, quarantine, site, thing, totals};

const THINGS: i64 = 210;

/// The quarantined row with other cells.
pub(crate) fn mended(target: &Target, step: &str, key: Key, cells: Value) -> Mend {
    let entry = quarantine(target, step).into_iter().find(|row| row.legacy_key == key);
    let entry = entry.unwrap_or_else(|| panic!("{step} {key} is quarantined"));
    let mut row: Value = serde_json::from_str(&entry.legacy_row).unwrap();
    row.as_object_mut().unwrap().extend(cells.as_object().unwrap().clone());
    let table = step.rsplit('.').next().unwrap().trim_end_matches('s').to_owned();
    Mend { table, key, row }
}

pub(crate) fn replay(world: &World, target: &Target, mends: &[Mend]) -> Replay {
    let migration = world.migration(&target.url, chunks_of(13));
    migration.replay(mends, &Stop::default(), &Silent).unwrap_or_else(|error| panic!("the replay fails: {error}"))
}

/// The state without what each finish adds to.
fn state(target: &Target) -> State {
    let began = "2000-01-01T00:00:00Z".parse().unwrap();
    let mut state = State::but_for_ids(&mut target.open(), began, IdsInTexts::default()).unwrap();
    state.tables.retain(|table| table.name != "finishes");
    state
}

#[test]
fn mended_rows_come_in_with_all_that_waited_for_them() {
    let broken = [
        thing(901, "thing 903", "'many'", "box;label:late"),
        thing(902, "thing 903~near", "1", "label:near"),
        child(903, "  ", "NULL", "1", ""),
        thing(904, "native", "1", ""),
        part(9_001, "901", "x", "EUR"),
        part(9_002, "901", "0.125", "EUR"),
        part(9_003, "902", "7", "GBP"),
        part(9_004, "903", "7", "GBP"),
    ]
    .concat();
    let whole = [
        thing(901, "thing 903", "5", "box;label:late"),
        thing(902, "thing 903~near", "1", "label:near"),
        child(903, "thing 1~again", "NULL", "1", "label:again"),
        thing(904, "no native", "1", ""),
        part(9_001, "901", "2.5", "EUR"),
        part(9_002, "901", "0.125", "EUR"),
        part(9_003, "902", "7", "GBP"),
        part(9_004, "903", "7", "GBP"),
    ]
    .concat();
    on_both(|fresh| {
        let (world, target) = (World::new(&(ordinary(THINGS) + &broken)), fresh());
        world.complete(&target, chunks_of(13));
        let mends = [
            mended(&target, "toy.things", 901, json!({"qty": 5})),
            mended(&target, "toy.things", 903, json!({"name": "thing 1~again", "note": "label:again"})),
            mended(&target, "toy.things", 904, json!({"name": "no native"})),
            mended(&target, "toy.parts", 9_001, json!({"amount": "2.5"})),
        ];
        let done = replay(&world, &target, &mends);
        assert!(done.complete);
        let things = done.steps[0].1;
        assert_eq!((things.came_in, things.taken_out, things.kept), (4, 0, 0), "{things:?}");
        // The leader of the row that follows it now.
        assert!(things.rewritten > 0, "{things:?}");

        let other = World::new(&(ordinary(THINGS) + &whole));
        let expected = fresh();
        other.complete(&expected, chunks_of(13));
        assert_same_state("a replay", &state(&expected), &state(&target));

        let again = replay(&world, &target, &[]);
        assert!(again.steps.iter().all(|(_, done)| !done.changed()), "{again:?}");
        assert_same_state("a second replay", &state(&expected), &state(&target));
    });
}

#[test]
fn a_replay_takes_in_what_a_mended_target_admits() {
    on_both(|fresh| {
        let (world, target) = (World::new(&(thing(1, "native", "1", "") + &part(1, "1", "5", "GBP"))), fresh());
        world.complete(&target, chunks_of(13));
        assert_eq!((quarantine(&target, "toy.things").len(), quarantine(&target, "toy.parts").len()), (1, 1));
        target.open().batch_execute("UPDATE items SET name = 'renamed' WHERE name = 'native'").unwrap();
        let done = replay(&world, &target, &[]);
        assert!(done.steps.iter().all(|(_, done)| done.came_in == 1), "{done:?}");
        assert!(quarantine(&target, "toy.things").is_empty() && quarantine(&target, "toy.parts").is_empty());
    });
}

#[test]
fn a_row_whose_verdict_falls_is_taken_out_unless_a_customer_points_to_it() {
    on_both(|fresh| {
        let (world, target) = (World::new(&(ordinary(40) + &thing(41, "thing 41", "1", "label:mine"))), fresh());
        world.complete(&target, chunks_of(13));
        let before = (totals(&target, "toy.things").0, totals(&target, "toy.parts").0);
        site(
            &target.url,
            "INSERT INTO parts (item_id, amount_minor, currency) SELECT id, 1, 'GBP' FROM items WHERE name = 'thing 5'",
        );
        // The source is mended, and what was right is wrong now.
        world.change("UPDATE thing SET name = NULL WHERE id IN (1, 5, 41)");
        let done = replay(&world, &target, &[]);
        // Thing 1 has parts of ours, which wait for it now, and another thing that followed it.
        let fates = [1, 5, 41].map(|key| fate(&target, "toy.things", key).outcome);
        assert_eq!(fates, [Outcome::Quarantined, Outcome::Migrated, Outcome::Quarantined]);
        assert_eq!(fate(&target, "toy.parts", 1).code.as_deref(), Some("parent_quarantined"));
        assert_eq!(
            (count(&target, "items WHERE name = 'thing 1'"), count(&target, "items WHERE name = 'thing 5'")),
            (0, 1)
        );
        assert_eq!(done.steps[0].1.taken_out, 2, "{done:?}");
        assert_eq!(count(&target, "labels WHERE label = 'mine'"), 0);
        let after = (totals(&target, "toy.things").0, totals(&target, "toy.parts").0);
        // Thing 3, which followed thing 1, stands for itself now.
        assert_eq!((after.0.read, after.0.migrated), (before.0.read, before.0.migrated - 1));
        assert!(after.1.migrated < before.1.migrated, "{after:?}");
        let again = replay(&world, &target, &[]);
        assert!(again.steps.iter().all(|(_, done)| !done.changed()), "{again:?}");
    });
}

#[test]
fn a_migration_that_is_not_done_is_not_replayed() {
    let world = World::new(&thing(1, "one", "1", ""));
    on_both(|fresh| {
        let target = fresh();
        let migration = world.migration(&target.url, chunks_of(13));
        let refused = migration.replay(&[], &Stop::default(), &Silent);
        assert!(matches!(refused, Err(RunError::NotDone("toy.things"))), "{refused:?}");
    });
}
