//! A target with a life of its own: triggers that refuse, drop or fail, columns that hold less than they should.

use replant_core::{Event, Settings};
use replant_testkit::conformance::Target;
use replant_testkit::state::assert_same_state;

use crate::world::{
    Watch, World, chunks_of, count, fate, ordinary, part, postgres, quarantine, site, sqlite, state, texts, thing,
    totals,
};

/// A trigger on a table: `body` is that of its function, for each row.
fn trigger(table: &str, when: &str, body: &str) -> String {
    format!(
        "CREATE FUNCTION of_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$; \
         CREATE TRIGGER of_{table} {when} ON {table} FOR EACH ROW EXECUTE FUNCTION of_{table}();"
    )
}

/// Things 1 to 40, each with a part; number 7 is what the site does not want, and 13 as well.
fn things() -> String {
    let name = |id: i64| if id == 7 || id == 13 { format!("unwanted {id}") } else { format!("thing {id}") };
    (1..=40).map(|id| thing(id, &name(id), "1", "label:some") + &part(id, &id.to_string(), "1.00", "GBP")).collect()
}

/// Both unwanted things are quarantined for that reason, alone and with what hangs on them; all else is in the target.
#[track_caller]
fn only_unwanted_ones_are_out(target: &Target, reason: &str) {
    let out = quarantine(target, "toy.things");
    let found: Vec<(i64, &str)> = out.iter().map(|row| (row.legacy_key, row.code.as_str())).collect();
    assert_eq!(found, [(7, "constraint_violated"), (13, "constraint_violated")], "{reason}");
    for row in &out {
        assert!(row.reason.contains(reason), "{} does not say {reason}", row.reason);
        assert!(!row.reason.contains("unwanted"), "{} holds a value", row.reason);
    }
    assert_eq!(quarantine(target, "toy.parts").len(), 2);
    let (counts, _) = totals(target, "toy.things");
    assert_eq!((counts.read, counts.migrated, counts.quarantined), (40, 38, 2));
    // The ledger says of no row that it is there which is not.
    assert_eq!(count(target, "items WHERE name LIKE 'thing %'"), 38);
    assert_eq!(count(target, "items WHERE name LIKE 'unwanted %'"), 0);
    assert_eq!(count(target, "labels l WHERE NOT EXISTS (SELECT 1 FROM items i WHERE i.id = l.item_id)"), 0);
    assert_eq!(count(target, "parts"), 38);
    assert_eq!(
        texts(
            target,
            &format!("SELECT name AS value FROM items WHERE id = {}", fate(target, "toy.things", 8).targets[0].1)
        ),
        ["thing 8"]
    );
}

#[test]
fn what_a_trigger_refuses_waits_in_quarantine_alone() {
    let Some(_) = postgres() else { return };
    let world = World::new(&things());
    let unwanted = "IF NEW.name LIKE 'unwanted%' THEN";
    let of_item = "IF EXISTS (SELECT FROM items WHERE id = NEW.item_id AND name LIKE 'unwanted%') THEN";
    let by_items = "a trigger of `items`";
    for (what, sql, reason) in [
        ("drops", trigger("items", "BEFORE INSERT", &format!("{unwanted} RETURN NULL; END IF;")), by_items),
        (
            "raises",
            trigger("items", "BEFORE INSERT", &format!("{unwanted} RAISE EXCEPTION 'no % here', NEW.name; END IF;")),
            by_items,
        ),
        (
            "raises as a check does",
            trigger(
                "items",
                "BEFORE INSERT",
                &format!("{unwanted} RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation'; END IF;"),
            ),
            by_items,
        ),
        (
            "raises a code of its own",
            trigger("items", "AFTER INSERT", &format!("{unwanted} RAISE SQLSTATE 'MT001'; END IF;")),
            by_items,
        ),
        (
            "divides by zero",
            trigger("items", "AFTER INSERT", &format!("{unwanted} PERFORM 1 / (NEW.qty - 1); END IF;")),
            by_items,
        ),
        (
            "refuses what belongs to the row",
            trigger("labels", "BEFORE INSERT", &format!("{of_item} RAISE EXCEPTION 'no'; END IF;")),
            "a trigger of `labels`",
        ),
        (
            "drops what belongs to the row",
            trigger("labels", "BEFORE INSERT", &format!("{of_item} RETURN NULL; END IF;")),
            "of `labels`",
        ),
        (
            "asks when all is there",
            trigger("items", "", "")
                .replace(
                    "CREATE TRIGGER of_items  ON items",
                    "CREATE CONSTRAINT TRIGGER of_items AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED",
                )
                .replace("BEGIN", &format!("BEGIN {unwanted} RAISE EXCEPTION 'no'; END IF;")),
            by_items,
        ),
    ] {
        let target = postgres().unwrap();
        site(&target.url, &sql);
        world.complete(&target, chunks_of(15));
        println!("{what}");
        only_unwanted_ones_are_out(&target, reason);
    }
}

#[test]
fn what_a_trigger_of_sqlite_refuses_waits_in_quarantine_alone() {
    let world = World::new(&things());
    for what in ["RAISE(ABORT, 'no')", "RAISE(IGNORE)"] {
        let target = sqlite();
        site(
            &target.url,
            &format!(
                "CREATE TRIGGER of_items BEFORE INSERT ON items WHEN NEW.name LIKE 'unwanted%' BEGIN SELECT {what}; END"
            ),
        );
        world.complete(&target, chunks_of(15));
        only_unwanted_ones_are_out(&target, "of `items`");
    }
}

#[test]
fn a_value_that_no_constraint_names_waits_in_quarantine() {
    let Some(target) = postgres() else { return };
    let world = World::new(&things());
    site(&target.url, "DELETE FROM items; ALTER TABLE items ALTER COLUMN name TYPE varchar(9)");
    world.complete(&target, chunks_of(15));
    only_unwanted_ones_are_out(&target, "does not fit its column");
}

#[test]
fn a_row_that_no_partition_takes_waits_in_quarantine() {
    let Some(target) = postgres() else { return };
    let world = World::new(&things());
    // As many have a place as come first.
    site(
        &target.url,
        "DROP TABLE parts; CREATE SEQUENCE part_ids;
         CREATE TABLE parts (id BIGINT NOT NULL DEFAULT nextval('part_ids'), item_id BIGINT NOT NULL REFERENCES items,
           amount_minor BIGINT NOT NULL, currency TEXT NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id);
         ALTER SEQUENCE part_ids OWNED BY parts.id;
         CREATE TABLE first_parts PARTITION OF parts FOR VALUES FROM (1) TO (31)",
    );
    world.complete(&target, chunks_of(15));
    let out = quarantine(&target, "toy.parts");
    assert_eq!(out.iter().map(|row| row.legacy_key).collect::<Vec<_>>(), (31..=40).collect::<Vec<_>>());
    assert!(
        out.iter().all(|row| row.reason == "refused by `parts`, no partition of which takes it"),
        "{:?}",
        out[0].reason
    );
    assert_eq!(count(&target, "parts"), 30);
}

#[test]
fn a_change_that_a_trigger_refuses_is_found() {
    let Some(_) = postgres() else { return };
    let rows: String = (1..=30)
        .map(|id| {
            let name = if id == 17 { "unwanted".to_owned() } else { format!("renamed {id}") };
            let note = if id % 10 == 7 { format!("rename:{}={name}", id / 10 + 1) } else { String::new() };
            thing(id, &format!("thing {id}"), "1", &note)
        })
        .collect();
    let world = World::new(&rows);
    for body in ["RAISE EXCEPTION 'no'; END IF;", "RETURN NULL; END IF;"] {
        let target = postgres().unwrap();
        site(&target.url, "INSERT INTO items (name, qty, colour) VALUES ('third native', 1, 'green')");
        site(&target.url, &trigger("items", "BEFORE UPDATE", &format!("IF NEW.name = 'unwanted' THEN {body}")));
        world.complete(&target, chunks_of(30));
        let out: Vec<i64> = quarantine(&target, "toy.things").iter().map(|row| row.legacy_key).collect();
        assert_eq!(out, [17], "{body}");
        assert_eq!(
            texts(&target, "SELECT name AS value FROM items WHERE id <= 3 ORDER BY id"),
            ["renamed 7", "other native", "renamed 27"]
        );
    }
}

#[test]
fn what_no_row_can_mend_stops_the_run_and_says_where() {
    let Some(target) = postgres() else { return };
    let world = World::new(&things());
    site(&target.url, &trigger("items", "AFTER INSERT", "PERFORM current_setting('app.user_id');"));
    let error = world.run(&target, Settings::default()).expect_err("the trigger lacks its setting").to_string();
    for said in ["toy.things", "a trigger of `items`", "SQLSTATE 42704"] {
        assert!(error.contains(said), "{error} does not say {said}");
    }
    assert_eq!(count(&target, "items"), 2, "nothing was moved, nothing quarantined");
    assert!(quarantine(&target, "toy.things").is_empty());
    site(&target.url, "DROP TRIGGER of_items ON items");
    world.complete(&target, Settings::default());
    assert_same_state("mended", &world.undisturbed(&|| postgres().unwrap()), &state(&target));
}

#[test]
fn many_refusals_of_a_trigger_cost_no_row() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(400));
    site(&target.url, &trigger("items", "BEFORE INSERT", "IF NEW.id % 11 = 0 THEN RAISE EXCEPTION 'eleven'; END IF;"));
    let watch = Watch::new(|_| {});
    assert!(world.watched(&target, chunks_of(200), &watch).unwrap().complete);
    assert!(!watch.any(|event| matches!(event, Event::Retrying { .. } | Event::Cut { .. })));
    let (counts, _) = totals(&target, "toy.things");
    assert!(counts.balance() && counts.quarantined > 30);
    assert_eq!(count(&target, "items WHERE id > 2 AND id % 11 = 0"), 0);
}
