//! What else may stand on the tables of a target: policies, triggers, rules, partitions; and its sequences.

use replant_core::{Event, Finding, PointerRule, Settings};

use super::refused;
use super::rights::User;
use crate::world::{Watch, World, count, on_both, ordinary, postgres, site, sqlite};

#[test]
fn row_security_that_hides_rows_is_refused() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(20));
    let user = User::new(&target, "secured");
    user.sql("ALTER TABLE items ENABLE ROW LEVEL SECURITY;");
    let found = user.findings(&world);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].refuses() && found[0].what.contains("row-level security of `items`"), "{found:?}");
    // A policy that shows something is no better than none.
    user.sql("CREATE POLICY few ON items USING (id > 1);");
    assert!(user.findings(&world)[0].refuses());
    user.sql("ALTER ROLE {me} BYPASSRLS;");
    assert_eq!(user.findings(&world), []);
    user.sql("ALTER ROLE {me} NOBYPASSRLS;");
    user.sql("ALTER TABLE items OWNER TO {me};");
    assert_eq!(user.findings(&world), [], "policies do not hold for an owner");
    user.sql("ALTER TABLE items FORCE ROW LEVEL SECURITY;");
    assert_eq!(user.findings(&world).len(), 1, "but where they are forced");
    user.sql("ALTER TABLE items OWNER TO postgres;");
}

#[test]
fn triggers_are_told_by_name_once() {
    let world = World::new(&ordinary(20));
    on_both(|fresh| {
        let target = fresh();
        site(
            &target.url,
            match target.url.backend() {
                replant_core::db::Backend::Sqlite => {
                    "CREATE TRIGGER touch AFTER INSERT ON items BEGIN SELECT 1; END;
                     CREATE TRIGGER aside AFTER INSERT ON finishes BEGIN SELECT 1; END;"
                }
                _ => {
                    "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
                     CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION keep();
                     CREATE TRIGGER off BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION keep();
                     ALTER TABLE items DISABLE TRIGGER off;
                     CREATE TRIGGER aside BEFORE INSERT ON finishes FOR EACH ROW EXECUTE FUNCTION keep();"
                }
            },
        );
        let plan = world.migration(&target.url, Settings::default()).plan().unwrap();
        let told: Vec<&Finding> = plan.findings.iter().filter(|one| one.what.contains("triggers of `items`")).collect();
        assert_eq!(told.len(), 1, "{:?}", plan.findings);
        assert!(!told[0].refuses() && told[0].what.ends_with(": `touch`"), "{:?}", plan.findings);
        let by_row = plan.findings.iter().find(|one| one.what.contains("checked by row"));
        assert_eq!(plan.findings.len(), 1 + usize::from(by_row.is_some()), "{:?}", plan.findings);
        let watch = Watch::new(|_| {});
        assert!(world.watched(&target, Settings::default(), &watch).unwrap().complete);
        let heard = watch.heard.lock().unwrap();
        assert_eq!(heard.iter().filter(|event| matches!(event, Event::Noted { .. })).count(), plan.findings.len());
    });
}

#[test]
fn a_rule_is_refused() {
    let world = World::new(&ordinary(20));
    for rule in ["ON INSERT TO items DO ALSO NOTIFY items", "ON DELETE TO labels DO INSTEAD NOTHING"] {
        let Some(target) = postgres() else { return };
        site(&target.url, &format!("CREATE RULE aside AS {rule}"));
        refused(&world, &target, &["has a rule, `aside`", "DROP RULE aside"]);
    }
}

#[test]
fn a_view_is_no_table_to_write_into() {
    let world = World::new(&ordinary(20));
    let Some(target) = postgres() else { return };
    site(&target.url, "ALTER TABLE labels RENAME TO stickers; CREATE VIEW labels AS SELECT * FROM stickers");
    refused(&world, &target, &["`labels` is a view, where rows are to be written"]);
}

#[test]
fn partitions_are_told() {
    let world = World::new(&ordinary(20));
    let Some(target) = postgres() else { return };
    site(
        &target.url,
        "DROP TABLE parts;
         CREATE TABLE parts (id BIGINT NOT NULL PRIMARY KEY, item_id BIGINT NOT NULL REFERENCES items, amount_minor BIGINT NOT NULL,
           currency TEXT NOT NULL) PARTITION BY RANGE (id);
         CREATE SEQUENCE parts_ids OWNED BY parts.id; ALTER TABLE parts ALTER COLUMN id SET DEFAULT nextval('parts_ids');
         CREATE TABLE parts_1 PARTITION OF parts DEFAULT;
         CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER touch BEFORE INSERT ON parts_1 FOR EACH ROW EXECUTE FUNCTION keep();",
    );
    let plan = world.migration(&target.url, Settings::default()).plan().unwrap();
    let found: Vec<&str> = plan.findings.iter().map(|finding| finding.what.as_str()).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().any(|what| what.contains("`parts` are checked by row")), "{found:?}");
    assert!(found.iter().any(|what| what.contains("`parts` is partitioned")), "{found:?}");
    assert!(found.iter().any(|what| what.contains("touch on parts_1")), "{found:?}");
}

#[test]
fn a_sequence_that_cannot_give_ids_is_refused() {
    let world = World::new(&ordinary(20));
    for (change, named, mends) in [
        ("CYCLE", "begins again at its end", true),
        ("INCREMENT BY -1 MINVALUE -1000", "counts downwards", false),
        ("MAXVALUE 15", "has 13 ids left, and 20 rows are to come", true),
    ] {
        let Some(target) = postgres() else { return };
        site(&target.url, &format!("ALTER SEQUENCE items_id_seq {change}"));
        let error = refused(&world, &target, &["the sequence of `items.id`", named]);
        if mends {
            let replant_core::RunError::Preflight { findings } = error else { unreachable!() };
            site(&target.url, findings[0].mend.as_deref().expect("a statement"));
            world.migration(&target.url, Settings::default()).plan().expect("what is said mends it");
        }
    }
}

#[test]
fn a_sequence_that_counts_by_ten_is_told_and_used() {
    let world = World::new(&ordinary(20));
    let Some(target) = postgres() else { return };
    site(&target.url, "ALTER SEQUENCE items_id_seq INCREMENT BY 10");
    let plan = world.migration(&target.url, Settings::default()).plan().unwrap();
    assert!(plan.findings.len() == 1 && plan.findings[0].what.contains("counts by 10"), "{:?}", plan.findings);
    world.complete(&target, Settings::default());
    assert!(count(&target, "items WHERE id % 10 = 2") > 10);
}

#[test]
fn the_ids_that_are_needed_are_counted_not_told_by_the_keys() {
    // Keys far apart need as many ids as there are.
    let mut rows = ordinary(20);
    rows += &crate::world::thing(9_000_000_000, "far away", "1", "");
    let world = World::new(&rows);
    let Some(target) = postgres() else { return };
    site(&target.url, "ALTER SEQUENCE items_id_seq MAXVALUE 24");
    world.complete(&target, Settings::default());
}

#[test]
fn a_setting_for_a_column_that_points_nowhere_is_refused() {
    let world = World::new(&ordinary(20));
    on_both(|fresh| {
        let pointers = [("wishes.item".to_owned(), PointerRule::Follow)].into_iter().collect();
        let settings = Settings { pointers, ..Settings::default() };
        let error = world.migration(&fresh().url, settings).plan().expect_err("it is refused");
        assert!(error.to_string().contains("names `wishes.item`, which is no column of a foreign key"), "{error}");
        let pointers = [("labels.item_id".to_owned(), PointerRule::Leave)].into_iter().collect();
        world.migration(&fresh().url, Settings { pointers, ..Settings::default() }).plan().unwrap();
    });
}

#[test]
fn a_disk_without_room_is_refused_where_its_size_is_set() {
    let world = World::new(&ordinary(20));
    let target = sqlite();
    let plan = world.migration(&target.url, Settings { disk_gb: Some(1), ..Settings::default() }).plan().unwrap();
    let forecast = plan.forecast.expect("a plan has one");
    assert_eq!((forecast.rows, forecast.wal_bytes), (44, 44 * 410), "things and parts");
    assert!(forecast.database_bytes > 0);
    let full = Settings { disk_gb: Some(0), ..Settings::default() };
    let error = world.run(&target, full).expect_err("it is refused");
    assert!(error.to_string().contains("the disk of 0 GB has no room"), "{error}");
    world.complete(&target, Settings::default());
    let plan = world.migration(&target.url, Settings::default()).plan().unwrap();
    assert_eq!(plan.forecast.map(|forecast| forecast.rows), Some(0), "nothing is left");
}
