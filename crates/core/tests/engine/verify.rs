//! Verification: every row gets the verdict that it deserves, whoever has done what to it.

use std::sync::Mutex;

use replant_core::db::{Backend, DbUrl};
use replant_core::expectations::{self, Expectation};
use replant_core::ledger::verifications;
use replant_core::{Against, Difference, Migration, RowName, Settings, Silent, Stop, Verdict, Verified};
use replant_testkit::conformance::Target;
use serde_json::json;

use crate::later::catch_up;
use crate::replay::{mended, replay};
use crate::world::{World, child, chunks_of, count, on_both, ordinary, part, site, texts, thing};

/// Verifies, and returns what was found: verdict, table, row and columns, sorted.
pub(crate) fn verify(world: &World, target: &Target, against: Against) -> (Verified, Vec<Difference>) {
    verified(&world.migration(&target.url, chunks_of(13)), against)
}

/// The same, of a later state.
fn verify_later(world: &World, target: &Target) -> (Verified, Vec<Difference>) {
    let mut migration = world.migration(&target.url, chunks_of(13));
    migration.snapshot = |_| Ok(jiff::Timestamp::from_second(86_400).unwrap());
    verified(&migration, Against::Source)
}

fn verified(migration: &Migration<'_>, against: Against) -> (Verified, Vec<Difference>) {
    let found = Mutex::new(Vec::new());
    let push = |difference: &Difference| found.lock().unwrap().push(difference.clone());
    let verified = migration.verify(against, &push, &Stop::default(), &Silent).unwrap();
    assert!(verified.complete);
    let mut found = found.into_inner().unwrap();
    found.sort_by_key(|one| (one.verdict, one.table.clone(), format!("{:?}", one.row)));
    let told: usize = verified.steps.iter().map(|step| step.tally.those(|_| true) as usize).sum();
    assert_eq!(told, found.len(), "each is counted once");
    (verified, found)
}

/// What was found, a line each.
fn lines(found: &[Difference]) -> Vec<String> {
    let row = |row: &Option<RowName>| match row {
        Some(RowName::Id(id)) => id.to_string(),
        Some(RowName::Key(key)) => key.clone(),
        None => "-".to_owned(),
    };
    found
        .iter()
        .map(|one| format!("{} {} {} {}", one.verdict.as_str(), one.table, row(&one.row), one.columns.join(",")))
        .collect()
}

fn id(target: &Target, sql: &str) -> String {
    texts(target, &format!("SELECT CAST(({sql}) AS text) AS value")).remove(0)
}

#[test]
fn a_migration_that_nobody_touched_is_equal_on_all_sides() {
    for chunk in [7, 500] {
        on_both(|fresh| {
            let (world, target) = (World::new(&ordinary(120)), fresh());
            world.complete(&target, chunks_of(chunk));
            for against in [Against::Source, Against::Ledger] {
                let (verified, found) = verify(&world, &target, against);
                assert_eq!((lines(&found), verified.has_alarms(), verified.is_stale()), (vec![], false, false));
                let [things, parts] = &verified.steps[..] else { panic!("two steps") };
                let rows = (count(&target, "items") - 2 + count(&target, "labels"), count(&target, "parts"));
                assert_eq!((things.rows, things.equal), (rows.0 as u64, rows.0 as u64));
                assert_eq!((parts.rows, parts.equal), (rows.1 as u64, rows.1 as u64));
                assert_eq!(things.judged, (against == Against::Source).then_some(120));
                assert!(things.done && verified.money.iter().all(|money| money.written == money.stands));
                let sum: i128 = verified.money.iter().map(|money| money.written).sum();
                assert_eq!(sum.to_string(), id(&target, "SELECT sum(amount_minor) FROM parts"));
            }
            let noted = verifications::last(&mut target.open()).unwrap();
            assert_eq!(noted.iter().map(|one| one.against.as_str()).collect::<Vec<_>>(), ["ledger", "ledger"]);
        });
    }
}

/// What a site does to a target, and what a verification says of it.
const DONE: &[(&str, &str)] = &[
    ("UPDATE items SET qty = 70 WHERE name = 'thing 1'", "changed_since items {thing 1} qty"),
    ("UPDATE items SET name = 'thing tw' WHERE name = 'thing 2'", "changed_since items {thing tw} name"),
    ("UPDATE labels SET weight = 9", ""),
    (
        "DELETE FROM labels WHERE label = 'b' AND item_id = (SELECT id FROM items WHERE name = 'thing 7')",
        "removed_since labels {\"item_id\":{thing 7},\"label\":\"b\"} ",
    ),
    (
        "INSERT INTO labels (item_id, label) SELECT id, 'by hand' FROM items WHERE name = 'thing 8'",
        "added_since labels {\"item_id\":{thing 8},\"label\":\"by hand\"} ",
    ),
    (
        "UPDATE parts SET amount_minor = amount_minor + 1 WHERE id = (SELECT min(id) FROM parts)",
        "unexpected parts {first part} amount_minor",
    ),
    (
        "UPDATE items SET parent_id = (SELECT id FROM items WHERE name = 'thing 4') WHERE name = 'thing 13'",
        "unexpected items {thing 13} parent_id",
    ),
    ("DELETE FROM items WHERE name = 'other native'", ""),
];

#[test]
fn what_customers_do_is_told_from_what_nothing_explains() {
    on_both(|fresh| {
        let (world, target) = (World::new(&ordinary(60)), fresh());
        world.complete(&target, chunks_of(13));
        let gone = id(&target, "SELECT max(id) + 1 FROM items WHERE name = 'thing 10'");
        let mut expected = Vec::new();
        for (sql, verdict) in DONE {
            site(&target.url, sql);
            let mut line = (*verdict).to_owned();
            for n in ["thing 1", "thing tw", "thing 7", "thing 8", "thing 13"] {
                let of_name = format!("{{{n}}}");
                if line.contains(&of_name) {
                    line = line.replace(&of_name, &id(&target, &format!("SELECT id FROM items WHERE name = '{n}'")));
                }
            }
            line = line.replace("{first part}", &id(&target, "SELECT min(id) FROM parts"));
            expected.extend((!line.is_empty()).then_some(line));
        }
        // Thing 11 was quarantined: a row with its id is nobody's.
        site(&target.url, &format!("INSERT INTO items (id, name, qty, colour) VALUES ({gone}, 'nobody', 1, 'red')"));
        expected.push(format!("unexplained items {gone} "));
        let (verified, found) = verify(&world, &target, Against::Source);
        let mut told = lines(&found);
        told.sort();
        expected.sort();
        assert_eq!(told, expected);
        assert!(verified.has_alarms() && !verified.is_stale());
        let money: Vec<_> = verified.money.iter().filter(|money| money.written != money.stands).collect();
        let [cent] = &money[..] else { panic!("a cent is missing: {money:?}") };
        assert_eq!((cent.stands - cent.written, cent.owners.len()), (1, 1));
        // Values are told to whoever asks, as they are and as they should be.
        let changed = found.iter().find(|one| one.columns == ["qty"]).unwrap();
        assert_eq!((changed.expected["qty"].as_i64(), changed.found["qty"].as_i64()), (Some(3), Some(70)));
        assert_eq!(changed.legacy_key, Some(1));
    });
}

#[test]
fn a_source_or_a_rule_that_says_otherwise_is_stale_until_it_is_caught_up_with() {
    on_both(|fresh| {
        let (world, target) = (World::new(&ordinary(40)), fresh());
        world.complete(&target, chunks_of(13));
        world.change(
            "UPDATE thing SET name = 'other 2' WHERE id = 2; UPDATE thing SET qty = 8 WHERE id = 4; UPDATE thing SET name = NULL WHERE id = 8;
             UPDATE thing SET qty = 1 WHERE id = 11; DELETE FROM thing WHERE id = 12; UPDATE thing SET note = 'label:new' WHERE id = 14;",
        );
        world.change(&(thing(77, "late", "1", "") + &part(777, "77", "1", "EUR")));
        site(&target.url, "UPDATE items SET colour = 'pink' WHERE name = 'thing 4'");
        site(&target.url, "UPDATE items SET name = 'other 2' WHERE name = 'thing 2'");
        let (verified, found) = verify(&world, &target, Against::Source);
        let told: Vec<(Verdict, Option<i64>, String)> =
            found.iter().map(|one| (one.verdict, one.legacy_key, one.table.clone())).collect();
        let has = |verdict, key, table: &str| told.contains(&(verdict, Some(key), table.to_owned()));
        assert!(has(Verdict::StaleAndChanged, 4, "items"), "{told:?}");
        assert!(has(Verdict::Stale, 8, "items") && has(Verdict::Stale, 8, "labels"), "{told:?}");
        assert!(has(Verdict::Stale, 11, "items") && has(Verdict::Stale, 14, "labels"), "{told:?}");
        // Part 8 waits for thing 8 only when that is gone.
        assert!(!told.iter().any(|(_, key, table)| *key == Some(2) && table == "items"), "it is healed: {told:?}");
        assert!(verified.is_stale() && !verified.has_alarms(), "{:?}", verified.findings);
        assert_eq!((verified.steps[0].behind, verified.steps[1].behind), ((1, 1), (1, 0)));

        assert!(catch_up(&world, &target, 13, true).unwrap().complete);
        let (verified, found) = verify_later(&world, &target);
        assert_eq!(lines(&found).iter().filter(|line| !line.contains("colour")).count(), 0, "{found:?}");
        assert!(!verified.is_stale() && !verified.has_alarms());
    });
}

#[test]
fn a_defect_of_writing_is_told_from_what_a_customer_did() {
    on_both(|fresh| {
        let rows: String =
            (1..=20).map(|id| thing(id, &format!("thing {id}"), "1", if id % 5 == 0 { "lie" } else { "" })).collect();
        let (world, target) = (World::new(&rows), fresh());
        world.complete(&target, chunks_of(13));
        site(&target.url, "UPDATE items SET qty = 4 WHERE name = 'thing 5'");
        let (verified, found) = verify(&world, &target, Against::Source);
        let told: Vec<(Verdict, Vec<String>)> = found.iter().map(|one| (one.verdict, one.columns.clone())).collect();
        let colour = || vec!["colour".to_owned()];
        match target.url.backend() {
            // Somebody has had thing 5 in hand since.
            Backend::Postgres => {
                let expected = [
                    (Verdict::Defect, colour()),
                    (Verdict::Defect, colour()),
                    (Verdict::Defect, colour()),
                    (Verdict::Changed, vec!["qty".to_owned(), "colour".to_owned()]),
                ];
                assert_eq!(told, expected);
                assert!(verified.has_alarms());
            }
            // Which transaction wrote a row, SQLite does not tell.
            _ => assert!(told.iter().all(|(verdict, _)| *verdict == Verdict::Changed) && told.len() == 4, "{told:?}"),
        }
    });
}

#[test]
fn what_replays_and_later_states_have_made_of_rows_is_equal() {
    on_both(|fresh| {
        let notes = "rename:1=renamed";
        let rows = ordinary(60) + &thing(500, "who renames", "1", notes) + &child(501, "child", "2", "1", "label:x");
        let (world, target) = (World::new(&rows), fresh());
        world.complete(&target, chunks_of(13));
        let (_, found) = verify(&world, &target, Against::Source);
        assert_eq!(lines(&found), Vec::<String>::new());
        site(&target.url, "UPDATE items SET name = 'renamed again' WHERE id = 1");
        let (verified, found) = verify(&world, &target, Against::Source);
        assert_eq!(lines(&found), ["changed_since items 1 name"]);
        assert!(!verified.has_alarms());
        site(&target.url, "UPDATE items SET name = 'renamed' WHERE id = 1");
        replay(&world, &target, &[mended(&target, "toy.things", 11, json!({"qty": 5, "note": "label:mended"}))]);
        let (_, found) = verify(&world, &target, Against::Source);
        assert_eq!(lines(&found), Vec::<String>::new());
        world.change("UPDATE thing SET qty = 9 WHERE id < 30; UPDATE thing SET note = 'label:late' WHERE id = 501");
        assert!(catch_up(&world, &target, 13, true).unwrap().complete);
        let (_, found) = verify_later(&world, &target);
        assert_eq!(lines(&found), Vec::<String>::new());
    });
}

#[test]
fn a_restored_dump_knows_no_transaction_of_ours() {
    let Some(target) = crate::world::postgres() else { return };
    let world = World::new(&ordinary(40));
    world.complete(&target, chunks_of(13));
    // As a restored server has it: other rows, and the ledger's numbers of transactions that are long gone.
    site(
        &target.url,
        "UPDATE items SET qty = qty; UPDATE parts SET currency = currency; UPDATE labels SET label = label",
    );
    site(&target.url, "UPDATE items SET qty = 5 WHERE name = 'thing 1'");
    let (verified, found) = verify(&world, &target, Against::Source);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].verdict == Verdict::Changed && !verified.has_alarms());
}

#[test]
fn constraints_and_sequences_that_do_not_hold_are_named() {
    let Some(target) = crate::world::postgres() else { return };
    let world = World::new(&ordinary(40));
    world.complete(&target, chunks_of(13));
    site(
        &target.url,
        "ALTER TABLE parts DROP CONSTRAINT parts_item_id_fkey; UPDATE parts SET item_id = item_id + 100000 WHERE id = (SELECT min(id) FROM parts);
         ALTER TABLE parts ADD CONSTRAINT parts_item_id_fkey FOREIGN KEY (item_id) REFERENCES items NOT VALID;
         ALTER TABLE items DROP CONSTRAINT items_name_key; SELECT setval(pg_get_serial_sequence('items', 'id'), 1);",
    );
    let (verified, found) = verify(&world, &target, Against::Source);
    assert_eq!(found.iter().map(|one| one.verdict).collect::<Vec<_>>(), [Verdict::Unexpected]);
    let said: Vec<String> = verified.findings.iter().map(ToString::to_string).collect();
    for part in [
        "parts_item_id_fkey` of `parts` is not validated",
        "the sequence of `items.id` stands at",
        "items_name_key` of `items`, which was there",
    ] {
        assert!(said.iter().any(|line| line.contains(part)), "{part}: {said:?}");
    }
    assert!(verified.has_alarms());
}

#[test]
fn a_run_that_stopped_half_way_can_be_verified() {
    on_both(|fresh| {
        let (world, target) = (World::new(&ordinary(60)), fresh());
        let stop = Stop::default();
        let watch = crate::world::at_chunk(2, || stop.request());
        let migration = world.migration(&target.url, Settings { readers: 1, writers: 1, ..chunks_of(7) });
        assert!(!migration.run(&stop, &watch).unwrap().complete);
        let (verified, found) = verify(&world, &target, Against::Source);
        assert_eq!(lines(&found), Vec::<String>::new());
        assert!(verified.steps.iter().all(|step| !step.done && step.judged.is_none()));
        assert!(verified.steps[0].rows > 0);
    });
}

#[test]
fn what_the_source_lacks_is_no_reason_to_fail() {
    let (world, target) = (World::new(&ordinary(30)), crate::world::sqlite());
    world.complete(&target, chunks_of(13));
    let mut migration = world.migration(&target.url, chunks_of(13));
    migration.legacy = DbUrl::sqlite(std::path::Path::new("/nowhere/legacy.db"));
    let verified = migration.verify(Against::Ledger, &|_| {}, &Stop::default(), &Silent).unwrap();
    assert!(verified.complete && !verified.has_alarms());
}

#[test]
fn expectations_of_anybodys_own_are_held_against_the_target() {
    on_both(|fresh| {
        let target = fresh();
        site(&target.url, "INSERT INTO items (name, qty, colour) VALUES ('it''s', 7, 'red')");
        let line = |line, table: &str, id: &str, column: &str, value: Option<&str>| Expectation {
            line,
            table: table.to_owned(),
            id: id.to_owned(),
            column: column.to_owned(),
            value: value.map(str::to_owned),
        };
        let all = [
            line(2, "items", "3", "name", Some("it's")),
            line(3, "items", "3", "qty", Some("7")),
            line(4, "items", "3", "parent_id", None),
            line(5, "items", "3", "qty", Some("8")),
            line(6, "items", "1", "parent_id", Some("3")),
            line(7, "items", "99", "qty", Some("1")),
        ];
        let unmet = expectations::unmet(&mut target.open(), &all).unwrap();
        let found: Vec<(u64, Option<Option<&str>>)> =
            unmet.iter().map(|one| (one.line, one.found.as_ref().map(Option::as_deref))).collect();
        assert_eq!(found, [(5, Some(Some("7"))), (6, Some(None)), (7, None)]);
        let wrong = |one| expectations::unmet(&mut target.open(), &[one]).unwrap_err().to_string();
        assert!(wrong(line(9, "nothing", "1", "qty", None)).starts_with("line 9: the target has no table"));
        assert!(wrong(line(9, "items", "1", "size", None)).contains("no column `size`"));
        assert!(wrong(line(9, "labels", "1", "label", None)).contains("one column"));
        if target.url.backend() == Backend::Postgres {
            assert!(wrong(line(9, "items", "1", "qty", Some("many"))).contains("line 9: its value"));
        }
    });
}
