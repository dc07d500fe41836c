//! All that is known of one row, from either side.

use std::time::Duration;

use replant_core::db::DbUrl;
use replant_core::{
    AsLegacy, Key, LegacyNow, LegacySide, Outcome, Passport, RowState, TargetColumn, TargetRow, passport,
};
use replant_testkit::conformance::Target;
use serde_json::{Value, json};

use crate::later::catch_up;
use crate::replay::{mended, replay};
use crate::world::{World, chunks_of, count, fate, on_both, ordinary, part, site, thing};

fn ask(world: &World, target: &Target, table: &str, id: Key) -> Passport {
    let legacy = LegacySide::at(world.legacy.clone(), Duration::from_secs(5));
    passport(&world.registry, legacy, &mut target.open(), table, id).unwrap()
}

/// The one legacy row of a passport.
#[track_caller]
fn legacy(world: &World, target: &Target, table: &str, id: Key) -> AsLegacy {
    let mut found = ask(world, target, table, id).as_legacy;
    assert_eq!(found.len(), 1, "{found:?}");
    found.pop().unwrap()
}

#[track_caller]
fn column<'a>(row: &'a TargetRow, name: &str) -> &'a TargetColumn {
    row.columns.iter().find(|column| column.name == name).unwrap()
}

/// A column as it was written, as the migration left it, as it is now, and whether somebody else changed it.
#[track_caller]
fn told(row: &TargetRow, name: &str) -> (Option<Value>, Option<Value>, Option<Value>, bool) {
    let TargetColumn { written, left, now, changed, .. } = column(row, name).clone();
    (written, left, now, changed)
}

fn same(value: Value) -> (Option<Value>, Option<Value>, Option<Value>, bool) {
    (Some(value.clone()), Some(value.clone()), Some(value), false)
}

fn names(rows: &[TargetRow]) -> Vec<String> {
    rows.iter().map(|row| format!("{} {}", row.table, Value::Object(row.key.clone()))).collect()
}

fn keys(rows: &[AsLegacy]) -> Vec<Key> {
    rows.iter().map(|row| row.lineage.legacy_id).collect()
}

/// The `id` of the item that a thing became.
fn item(target: &Target, key: Key) -> i64 {
    fate(target, "toy.things", key).targets[0].1
}

#[test]
fn a_migrated_row_is_told_with_all_that_was_written_for_it() {
    on_both(|fresh| {
        let (world, target) = (World::new(&ordinary(40)), fresh());
        world.complete(&target, chunks_of(7));
        let seven = legacy(&world, &target, "thing", 7);
        let id = item(&target, 7);
        assert_eq!(
            (seven.step.as_str(), seven.lineage.outcome, seven.leader),
            ("toy.things", Outcome::Migrated, Some(7))
        );
        let LegacyNow::There { row } = &seven.now else { panic!("{:?}", seven.now) };
        assert_eq!((&row["name"], &row["qty"]), (&json!("  thing 7 "), &json!(2)));
        assert_eq!(seven.read_last.as_ref(), Some(row));
        assert!(seven.mended.is_none() && seven.quarantine.is_none() && seven.touched.is_empty());
        let repair = &seven.values_repaired[0];
        assert_eq!((repair.code.as_str(), repair.after.as_deref()), ("name_trimmed", Some("thing 7")));
        let label = |label: &str| format!("labels {}", json!({"item_id": id, "label": label}));
        assert_eq!(
            names(&seven.rows),
            [format!("items {}", json!({ "id": id })), label("a"), label("b"), label("of 2")],
            "parts without ids too"
        );
        assert_eq!((told(&seven.rows[0], "name"), seven.rows[0].leader), (same(json!("thing 7")), Some(7)));
        assert!(seven.rows.iter().all(|row| row.state == RowState::Stands && row.changes.is_empty()));

        // The other way round: the row stands in front, and the rest of its unit with the legacy row.
        let back = ask(&world, &target, "items", id);
        assert_eq!((keys(&back.as_target), back.as_legacy.len()), (vec![7], 0));
        assert_eq!(told(back.target.as_ref().unwrap(), "name"), same(json!("thing 7")));
        assert_eq!(names(&back.as_target[0].rows), [label("a"), label("b"), label("of 2")]);
        assert!(ask(&world, &target, "items", 1).is_empty(), "a row of the platform that nobody touched");
        assert!(ask(&world, &target, "thing", 4_711).is_empty() && ask(&world, &target, "nothing", 1).is_empty());
    });
}

#[test]
fn merged_rows_and_followers_lead_to_their_leader_and_back() {
    on_both(|fresh| {
        let own = thing(902, "thing 2~alone", "1", "alone");
        let rows = ordinary(120) + &thing(901, "thing 2~twice", "1", "label:again") + &own;
        let (world, target) = (World::new(&rows), fresh());
        world.complete(&target, chunks_of(7));
        let merged = legacy(&world, &target, "thing", 901);
        assert_eq!((merged.lineage.outcome, merged.leader), (Outcome::Merged, Some(2)));
        assert_eq!(merged.lineage.targets, [("items".to_owned(), item(&target, 2))]);
        assert!(names(&merged.rows).iter().any(|name| name.contains("again")), "{:?}", names(&merged.rows));
        assert_eq!(legacy(&world, &target, "thing", 2).merged, [901]);
        let back = ask(&world, &target, "items", item(&target, 2));
        assert_eq!(keys(&back.as_target), [2, 901]);
        assert!(back.as_target[1].rows.is_empty(), "they stand with its leader");

        // A follower that is a row of its own, and a further row of a leader.
        let alone = legacy(&world, &target, "thing", 902);
        assert_eq!((alone.lineage.outcome, alone.leader, alone.rows.len()), (Outcome::Migrated, Some(2), 1));
        assert_eq!(told(&alone.rows[0], "name"), same(json!("alone 902")));
        let back = ask(&world, &target, "items", alone.lineage.targets[0].1);
        assert_eq!((keys(&back.as_target), back.target.unwrap().leader), (vec![902], Some(2)));
        let leader = legacy(&world, &target, "thing", 21);
        assert_eq!((leader.lineage.targets.len(), leader.merged.len()), (3, 2), "{:?}", leader.lineage);
        for (_, id) in &leader.lineage.targets[1..] {
            let back = ask(&world, &target, "items", *id);
            assert_eq!((keys(&back.as_target), back.target.unwrap().leader), (vec![21], Some(21)));
        }
    });
}

#[test]
fn a_quarantined_row_tells_what_it_waits_for_and_a_mended_one_how_it_was_mended() {
    on_both(|fresh| {
        let rows = ordinary(20) + &thing(901, "thing 901", "'many'", "") + &part(9_001, "901", "5", "GBP");
        let (world, target) = (World::new(&rows), fresh());
        world.complete(&target, chunks_of(7));
        let waits = legacy(&world, &target, "part", 9_001);
        let cause = waits.quarantine.unwrap();
        assert_eq!((cause.root_step.as_str(), cause.root_key, waits.leader), ("toy.things", 901, None));
        assert!(waits.rows.is_empty());
        let broken = legacy(&world, &target, "thing", 901);
        assert_eq!(broken.quarantine.unwrap().root_key, 901);
        assert_eq!(broken.read_last.unwrap()["qty"]["raw"], json!("many"));
        // Its id was planned, and nobody has it.
        let planned = item(&target, 20) + 1;
        let nobody = ask(&world, &target, "items", planned);
        assert!(nobody.is_empty());
        assert_eq!(nobody.planned_for.map(|row| (row.step, row.key)), Some(("toy.things".to_owned(), 901)));

        replay(&world, &target, &[mended(&target, "toy.things", 901, json!({ "qty": 4 }))]);
        let mended = legacy(&world, &target, "thing", 901);
        assert_eq!(mended.lineage.outcome, Outcome::Migrated);
        let LegacyNow::There { row } = &mended.now else { panic!("{:?}", mended.now) };
        assert_eq!(row["qty"]["raw"], json!("many"), "the legacy database stays as it is");
        let mend = mended.mended.unwrap();
        assert_eq!((&mend.row["qty"], mend.set_aside), (&json!(4), None));
        assert_eq!(told(&mended.rows[0], "qty"), same(json!(4)));
    });
}

#[test]
fn what_customers_and_later_states_did_is_told_column_by_column() {
    on_both(|fresh| {
        let (world, target) = (World::new(&ordinary(40)), fresh());
        world.complete(&target, chunks_of(7));
        site(
            &target.url,
            "UPDATE items SET colour = 'blue' WHERE name IN ('thing 2', 'thing 4');
             UPDATE items SET qty = 77 WHERE name = 'thing 4';
             DELETE FROM labels WHERE label = 'a';",
        );
        let two = &legacy(&world, &target, "thing", 2).rows[0];
        assert_eq!(told(two, "colour"), (Some(json!("red")), Some(json!("red")), Some(json!("blue")), true));
        assert_eq!(told(two, "name"), same(json!("thing 2")));
        let labels = legacy(&world, &target, "thing", 7).rows;
        let a = labels.iter().find(|row| row.key.get("label") == Some(&json!("a"))).unwrap();
        assert_eq!((a.state, &column(a, "label").written), (RowState::Removed, &Some(json!("a"))));
        assert_eq!(column(a, "label").now, None);

        world.change(
            "UPDATE thing SET qty = 9 WHERE id IN (2, 4);
             DELETE FROM thing WHERE id = 8;
             INSERT INTO thing VALUES (500, 'thing 500', NULL, 1, '');",
        );
        assert!(catch_up(&world, &target, 7, true).unwrap().complete);
        let passport = ask(&world, &target, "thing", 2);
        assert_eq!(passport.states.iter().map(|state| state.n).collect::<Vec<_>>(), [1, 2]);
        let two = &passport.as_legacy[0];
        assert_eq!((two.came.added_in, two.came.came_in, two.came.gone), (1, None, false));
        let row = &two.rows[0];
        assert_eq!((told(row, "qty"), column(row, "colour").changed), (same(json!(9)), true));
        let rewritten = &row.changes[0];
        assert_eq!((rewritten.what.as_str(), rewritten.generation), ("rewritten", 2));
        let side = |side: &Option<replant_core::Columns>| side.as_ref().unwrap()["qty"].clone();
        assert_eq!((side(&rewritten.before), side(&rewritten.after)), (json!(3), json!(9)));
        assert!(row.kept.is_empty());
        let four = &legacy(&world, &target, "thing", 4).rows[0];
        assert_eq!((&four.kept[0].columns, four.kept[0].generation), (&vec!["qty".to_owned()], 2));
        assert_eq!(told(four, "qty"), (Some(json!(3)), Some(json!(3)), Some(json!(77)), true));
        let gone = legacy(&world, &target, "thing", 8);
        assert_eq!(
            (&gone.now, gone.came.gone, gone.lineage.code.as_deref()),
            (&LegacyNow::Gone, true, Some("source_gone"))
        );
        assert_eq!(gone.read_last.unwrap()["name"], json!("thing 8"));
        assert_eq!(gone.rows[0].state, RowState::Stands);
        // A key that a later state added has an id of another block.
        assert_eq!(legacy(&world, &target, "thing", 500).came.added_in, 2);
        let back = ask(&world, &target, "items", item(&target, 500));
        assert_eq!(keys(&back.as_target), [500]);
        let back = ask(&world, &target, "items", item(&target, 2));
        assert_eq!((keys(&back.as_target), back.target.unwrap().changes.len()), (vec![2], 1));

        site(&target.url, "DELETE FROM labels WHERE item_id = (SELECT id FROM items WHERE name = 'thing 40')");
        site(&target.url, "DELETE FROM parts WHERE item_id = (SELECT id FROM items WHERE name = 'thing 40')");
        let id = item(&target, 40);
        site(&target.url, "DELETE FROM items WHERE name = 'thing 40'");
        let removed = ask(&world, &target, "items", id);
        assert_eq!((keys(&removed.as_target), removed.target.unwrap().state), (vec![40], RowState::Removed));
    });
}

#[test]
fn a_row_of_the_platform_tells_what_was_done_to_it() {
    on_both(|fresh| {
        let rows = ordinary(20) + &thing(901, "thing 901", "1", "swap:1=swapped;rename:2=renamed");
        let (world, target) = (World::new(&rows), fresh());
        world.complete(&target, chunks_of(7));
        let native = ask(&world, &target, "items", 1);
        let row = native.target.unwrap();
        assert_eq!((row.leader, keys(&native.as_target)), (None, vec![]));
        assert_eq!((row.changes[0].what.as_str(), row.changes[0].step.as_str()), ("swapped", "toy.things"));
        assert_eq!(row.changes[0].before.as_ref().unwrap()["name"], json!("native"));
        assert_eq!(told(&row, "name"), (None, Some(json!("swapped")), Some(json!("swapped")), false));
        assert_eq!(told(&row, "parent_id"), (None, None, Some(Value::Null), false));
        site(&target.url, "UPDATE items SET name = 'mine' WHERE id = 1");
        let row = ask(&world, &target, "items", 1).target.unwrap();
        assert_eq!(told(&row, "name"), (None, Some(json!("swapped")), Some(json!("mine")), true));
        // From the legacy row it is told as what was changed for its sake, and no more of it.
        let touched = legacy(&world, &target, "thing", 901).touched;
        assert_eq!(names(&touched), ["items {\"id\":2}"], "the amendment names no legacy row");
        assert_eq!(touched[0].columns.len(), 1);
        let back = ask(&world, &target, "items", 2);
        assert_eq!(back.target.unwrap().changes[0].legacy_key, Some(901));
    });
}

#[test]
fn a_secret_is_never_shown() {
    on_both(|fresh| {
        let (world, target) = (World::new(&ordinary(20)), fresh());
        world.complete(&target, chunks_of(7));
        let part_of = |key: Key| fate(&target, "toy.parts", key).targets[0].1;
        let id = part_of(4);
        site(&target.url, &format!("UPDATE parts SET currency = 'XSC' WHERE id = {id}"));
        world.change("UPDATE part SET amount = '7.00' WHERE id = 1");
        assert!(catch_up(&world, &target, 7, true).unwrap().complete);
        for (table, key) in [("part", 1), ("part", 4), ("parts", part_of(1)), ("parts", id)] {
            let passport = ask(&world, &target, table, key);
            assert!(!passport.is_empty());
            let text = serde_json::to_string(&passport).unwrap();
            for secret in ["GBP", "XSC"] {
                assert!(!text.contains(secret), "{table} {key}: {text}");
            }
        }
        let row = &legacy(&world, &target, "part", 1).rows[0];
        let currency = column(row, "currency");
        assert!(currency.secret && !currency.changed && currency.now == currency.written, "{currency:?}");
        assert_eq!(currency.now.as_ref().and_then(Value::as_str).map(str::len), Some(32));
        // What moves there is a hash as well, the same one.
        let LegacyNow::There { row: now } = legacy(&world, &target, "part", 1).now else { panic!("it is there") };
        assert_eq!(Some(&now["currency"]), currency.now.as_ref());
        assert!(column(&legacy(&world, &target, "part", 4).rows[0], "currency").changed, "hashes are compared");
    });
}

#[test]
fn a_legacy_database_that_is_not_there_fails_nothing() {
    on_both(|fresh| {
        let (world, target) = (World::new(&ordinary(20)), fresh());
        world.complete(&target, chunks_of(7));
        let missing = DbUrl::sqlite("/nowhere/legacy.db".as_ref());
        for (side, why) in [
            (LegacySide::at(missing, Duration::from_secs(5)), "does not exist"),
            (LegacySide::unknown("nobody says where it is"), "nobody says"),
        ] {
            let found =
                passport(&world.registry, side, &mut target.open(), "thing", 7).unwrap().as_legacy.pop().unwrap();
            let LegacyNow::Unknown { why: told } = &found.now else { panic!("{:?}", found.now) };
            assert!(told.contains(why), "{told}");
            assert_eq!((found.read_last.unwrap()["qty"].clone(), found.rows.len()), (json!(2), 4));
        }
        world.change("ALTER TABLE thing DROP COLUMN note");
        let found = legacy(&world, &target, "thing", 7);
        assert!(
            matches!(&found.now, LegacyNow::Unknown { why } if why.contains("could not be read")),
            "{:?}",
            found.now
        );
        assert_eq!(count(&target, "items WHERE name = 'thing 7'"), 1);
    });
}
