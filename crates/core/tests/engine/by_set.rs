//! Foreign keys checked by sets: beside others who delete and change parents it ends, and waits, as the server's own check does.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use replant_core::db::{Db, DbUrl, Role};
use replant_core::{ForeignKeys, Key, Offline, RunError, Settings, Silent, Stop};
use replant_testkit::conformance::Target;
use replant_testkit::state::{State, assert_same_state};

use crate::world::{
    World, at_chunk, chunks_of, count, count_in, eventually, ordinary, postgres, site, state, texts, thing,
};

const BOTH: [ForeignKeys; 2] = [ForeignKeys::BySet, ForeignKeys::ByRow];

/// One writer, so that chunks come in their order.
fn checked(how: ForeignKeys) -> Settings {
    Settings { foreign_keys: how, readers: 1, writers: 1, ..chunks_of(20) }
}

/// A target whose server can be told to check by sets; none where the test is skipped. An older one goes by row.
fn able() -> Option<Target> {
    let target = postgres()?;
    let version: i32 = texts(&target, "SELECT current_setting('server_version_num') AS value")[0].parse().unwrap();
    if version >= 150_000 {
        return Some(target);
    }
    let world = World::new(&ordinary(20));
    world.complete(&target, checked(ForeignKeys::Auto));
    assert_eq!(by_set(&target), 0);
    None
}

/// Chunks whose foreign keys were checked by sets.
fn by_set(target: &Target) -> i64 {
    count(target, "replant_chunks WHERE by_set")
}

/// Things first, so that their items are there.
fn with_items(world: &World, how: ForeignKeys) -> Option<Target> {
    let target = able()?;
    world.complete(&target, Settings { only: vec!["toy.things".to_owned()], ..checked(how) });
    Some(target)
}

fn item(target: &Target, name: &str) -> Key {
    texts(target, &format!("SELECT id::text AS value FROM items WHERE name = '{name}'"))[0].parse().unwrap()
}

/// As [`World::complete`], on a thread of its own.
fn complete(world: &World, url: &DbUrl, how: ForeignKeys) {
    let report = world.migration(url, checked(how)).run(&Stop::default(), &Silent);
    assert!(report.unwrap_or_else(|error| panic!("the run fails: {error}")).complete);
}

/// Does something on a target of its own each way; both are to end the same.
fn alike(what: &str, run: impl Fn(&Target, ForeignKeys)) {
    let states = BOTH.map(|how| {
        let target = able()?;
        run(&target, how);
        Some(state(&target))
    });
    let [Some(set), Some(row)] = states else { return };
    assert_same_state(what, &row, &set);
}

#[test]
fn by_sets_and_by_row_come_out_the_same() {
    // Parents in the same chunk, in an earlier one, and none.
    let rows = ordinary(200) + &thing(900, "lonely", "1", "label:no such label, it is far too long to be one");
    let world = World::new(&rows);
    let Some(target) = able() else { return };
    world.complete(&target, checked(ForeignKeys::BySet));
    assert!(by_set(&target) > 10);
    assert_eq!(count(&target, "replant_steps WHERE orphans = 0"), 2, "each step has looked for rows without a parent");
    let Some(row) = able() else { return };
    world.complete(&row, checked(ForeignKeys::ByRow));
    assert_eq!((by_set(&row), count(&row, "replant_steps WHERE orphans IS NULL")), (0, 2));
    assert_same_state("by sets", &state(&row), &state(&target));
}

/// When another session ends the transaction in which it did something to a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Committed before the children are written.
    Before,
    /// Committed while they wait.
    Commit,
    /// Taken back while they wait.
    Rollback,
    /// Committed when they are written.
    After,
}

/// What is left when parts are written beside a session that does `sql` to an item of theirs, and whether they waited for it.
fn beside(world: &World, how: ForeignKeys, sql: &str, end: End) -> Option<(State, bool)> {
    const HELD: Duration = Duration::from_millis(600);
    let target = with_items(world, how)?;
    let url = target.url.clone();
    // Nothing else points to it.
    let id = item(&target, "thing 8");
    site(&url, &format!("DELETE FROM labels WHERE item_id = {id}"));
    let sql = sql.replace("{id}", &id.to_string());
    let mut other = target.open();
    other.batch_execute(&format!("BEGIN; {sql}")).unwrap();
    if end == End::Before {
        other.batch_execute("COMMIT").unwrap();
    }
    let mut looker = target.open();
    let waits = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waited = std::thread::scope(|scope| {
        let run = scope.spawn(|| complete(world, &url, how));
        let mut waited = false;
        if matches!(end, End::Commit | End::Rollback) {
            let began = Instant::now();
            while began.elapsed() < HELD {
                waited |= count_in(&mut looker, waits) > 0;
                std::thread::sleep(Duration::from_millis(5));
            }
            other.batch_execute(if end == End::Commit { "COMMIT" } else { "ROLLBACK" }).unwrap();
        }
        run.join().unwrap();
        waited
    });
    if end == End::After {
        other.batch_execute("COMMIT").unwrap();
    }
    let some = count(&target, "replant_chunks WHERE by_set AND step = 'toy.parts'") > 0;
    assert_eq!(some, how == ForeignKeys::BySet);
    Some((state(&target), waited))
}

#[test]
fn whatever_becomes_of_a_parent_the_end_and_the_waiting_are_those_of_by_row() {
    let world = World::new(&ordinary(60));
    let deleted = "DELETE FROM items WHERE id = {id}";
    let again = format!("{deleted}; INSERT INTO items (id, name, qty, colour) VALUES ({{id}}, 'again', 1, 'red')");
    let races = [
        (deleted, true),
        ("UPDATE items SET id = -1 WHERE id = {id}", true),
        (&again, true),
        ("UPDATE items SET colour = 'red' WHERE id = {id}", false),
        ("SELECT FROM items WHERE id = {id} FOR UPDATE", true),
        ("SELECT FROM items WHERE id = {id} FOR NO KEY UPDATE", false),
    ];
    for (sql, blocks) in races {
        for end in [End::Before, End::Commit, End::Rollback] {
            let [set, row] = BOTH.map(|how| beside(&world, how, sql, end));
            let (Some((set, set_waited)), Some((row, row_waited))) = (set, row) else { return };
            let what = format!("{sql}, {end:?}");
            assert_same_state(&what, &row, &set);
            let waits = blocks && end != End::Before;
            assert_eq!((set_waited, row_waited), (waits, waits), "{what}: whether by sets and by row waited");
        }
    }
}

#[test]
fn a_parent_that_is_not_committed_is_none() {
    let world = World::new(&ordinary(60));
    let gone = "DELETE FROM items WHERE id = {id}; COMMIT; BEGIN; INSERT INTO items (id, name, qty, colour) VALUES ({id}, 'again', 1, 'red')";
    for end in [End::Before, End::After] {
        let [set, row] = BOTH.map(|how| beside(&world, how, gone, end));
        let (Some((set, _)), Some((row, _))) = (set, row) else { return };
        assert_same_state(&format!("a parent, committed {end:?}"), &row, &set);
    }
}

#[test]
fn a_parent_that_is_checked_stays_until_the_children_are_committed() {
    let world = World::new(&ordinary(60));
    for how in BOTH {
        let Some(target) = with_items(&world, how) else { return };
        let id = item(&target, "thing 8");
        // The chunk is held after its rows are written: its money goes into the ledger last.
        let mut holder = target.open();
        holder.batch_execute("BEGIN; LOCK TABLE replant.replant_money IN SHARE MODE").unwrap();
        let held = Barrier::new(2);
        let url = target.url.clone();
        std::thread::scope(|scope| {
            let run = scope.spawn(|| complete(&world, &url, how));
            scope.spawn(|| {
                let mut db = Db::open(&url, Role::Target).unwrap();
                let waits = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
                eventually("the chunk waits", || count_in(&mut db, waits) > 0);
                held.wait();
            });
            held.wait();
            let refused = |sql: String| {
                let mut db = target.open();
                db.batch_execute("SET lock_timeout = '50ms'").unwrap();
                db.batch_execute(&sql).is_err()
            };
            assert!(refused(format!("DELETE FROM items WHERE id = {id}")), "{how:?}: it is locked");
            assert!(refused(format!("UPDATE items SET id = -1 WHERE id = {id}")), "{how:?}: so is its key");
            assert!(!refused(format!("UPDATE items SET colour = 'blue' WHERE id = {id}")), "{how:?}: the rest is not");
            holder.batch_execute("COMMIT").unwrap();
            run.join().unwrap();
        });
        let gone = Db::open(&target.url, replant_core::db::Role::Target).unwrap();
        let mut gone = gone;
        assert!(
            gone.batch_execute(&format!("DELETE FROM items WHERE id = {id}")).is_err(),
            "{how:?}: parts point to it"
        );
    }
}

#[test]
fn a_cascade_takes_what_was_written_by_sets() {
    let world = World::new(&ordinary(60));
    alike("a cascade", |target, how| {
        site(
            &target.url,
            "ALTER TABLE parts DROP CONSTRAINT parts_item_id_fkey, \
             ADD CONSTRAINT parts_item_id_fkey FOREIGN KEY (item_id) REFERENCES items ON DELETE CASCADE ON UPDATE CASCADE",
        );
        let url = target.url.clone();
        let watch = at_chunk(5, || {
            site(
                &url,
                "DELETE FROM labels USING items i WHERE i.id = item_id AND i.name IN ('thing 8', 'thing 10');
                   UPDATE items SET id = -1 WHERE name = 'thing 8'; DELETE FROM items WHERE name = 'thing 10'",
            );
        });
        assert!(world.watched(target, checked(how), &watch).unwrap().complete);
        assert_eq!(count(target, "parts p WHERE NOT EXISTS (SELECT FROM items i WHERE i.id = p.item_id)"), 0);
    });
}

#[test]
fn a_key_that_is_added_meanwhile_is_checked_from_then_on() {
    added_meanwhile(0);
}

#[test]
fn few_rows_beside_many_parents_are_looked_at_as_well() {
    added_meanwhile(5_000);
}

fn added_meanwhile(other_parents: usize) {
    let world = World::new(&ordinary(60));
    alike("a new key", |target, how| {
        site(
            &target.url,
            &format!(
                "CREATE TABLE monies (code TEXT PRIMARY KEY, region TEXT NOT NULL DEFAULT 'here', UNIQUE (code, region)); \
                 INSERT INTO monies VALUES ('EUR'), ('GBP'); \
                 INSERT INTO monies SELECT 'X' || n FROM generate_series(1, {other_parents}) n"
            ),
        );
        let url = target.url.clone();
        let watch = at_chunk(5, || {
            site(
                &url,
                "ALTER TABLE parts ADD FOREIGN KEY (currency) REFERENCES monies ON DELETE NO ACTION; \
                 CREATE TABLE spare (code TEXT); BEGIN; SET session_replication_role = replica; DELETE FROM monies WHERE code = 'EUR'; COMMIT",
            );
        });
        // What was there before has lost its parent, by the hand of a superuser: the end of the step says so.
        match (how, world.watched(target, checked(how), &watch)) {
            (ForeignKeys::ByRow, report) => assert!(report.unwrap().complete),
            (_, Err(RunError::Finish { step: "toy.parts", source })) => {
                let said = source.to_string();
                assert!(said.contains("rows of `parts`") && said.contains("against `parts_currency_fkey`"), "{said}");
                assert!(count(target, "replant_steps WHERE orphans > 0 AND state = 'planned'") == 1);
                site(&target.url, "INSERT INTO monies VALUES ('EUR')");
                world.complete(target, checked(how));
                assert_eq!(count(target, "replant_steps WHERE orphans = 0 AND state = 'done'"), 2);
                site(
                    &target.url,
                    "BEGIN; SET session_replication_role = replica; DELETE FROM monies WHERE code = 'EUR'; COMMIT",
                );
            }
            (_, other) => panic!("orphans are no end of a step: {other:?}"),
        }
        assert!(count(target, "replant_quarantine WHERE reason LIKE '%parts_currency_fkey%'") > 0);
    });
}

#[test]
fn keys_of_several_columns_and_of_texts_are_checked_by_sets() {
    let world = World::new(&ordinary(60));
    alike("keys of several columns", |target, how| {
        site(
            &target.url,
            "CREATE TABLE monies (code CHAR(3) PRIMARY KEY); INSERT INTO monies VALUES ('EUR');
             ALTER TABLE parts ALTER COLUMN currency TYPE CHAR(3), ADD FOREIGN KEY (currency) REFERENCES monies;
             CREATE TABLE prices (minor BIGINT, code CHAR(3), PRIMARY KEY (minor, code));
             INSERT INTO prices SELECT n, 'EUR' FROM generate_series(0, 100000) n WHERE n % 1000 <> 0;
             ALTER TABLE parts ADD FOREIGN KEY (currency, amount_minor) REFERENCES prices (code, minor);",
        );
        world.complete(target, checked(how));
        assert_eq!(by_set(target) > 0, how == ForeignKeys::BySet);
        assert!(
            count(target, "parts") > 0
                && count(target, "replant_quarantine WHERE reason LIKE '%monies%' OR reason LIKE '%currency%'") > 0
        );
    });
}

#[test]
fn a_shorter_column_of_the_parent_cuts_no_key() {
    let world = World::new(&ordinary(40));
    for how in BOTH {
        let Some(target) = able() else { return };
        site(
            &target.url,
            "CREATE TABLE monies (code VARCHAR(2) PRIMARY KEY); INSERT INTO monies VALUES ('EU'), ('GB');
             ALTER TABLE parts ALTER COLUMN currency TYPE VARCHAR(10), ADD FOREIGN KEY (currency) REFERENCES monies",
        );
        world.complete(&target, checked(how));
        assert_eq!(count(&target, "parts"), 0, "{how:?}: EUR is not EU");
    }
}

#[test]
fn what_the_server_answers_for_is_not_looked_at_when_a_step_ends() {
    let world = World::new(&ordinary(60));
    let Some(target) = able() else { return };
    site(&target.url, "ALTER TABLE labels DISABLE TRIGGER ALL");
    let url = target.url.clone();
    let watch = at_chunk(2, || {
        // Nothing keeps it: labels are not checked at all.
        site(&url, "BEGIN; SET session_replication_role = replica; DELETE FROM items WHERE name = 'thing 7'; COMMIT");
    });
    assert!(world.watched(&target, checked(ForeignKeys::Auto), &watch).unwrap().complete);
    assert!(count(&target, "labels l WHERE NOT EXISTS (SELECT FROM items i WHERE i.id = l.item_id)") > 0);
    assert!(count(&target, "replant_chunks WHERE by_set AND step = 'toy.things'") > 0);
}

#[test]
fn what_a_set_would_not_check_as_the_server_does_is_left_to_the_server() {
    let world = World::new(&ordinary(40));
    let parent = "FOREIGN KEY (item_id) REFERENCES items";
    let key = |form: &str| {
        format!(
            "ALTER TABLE parts DROP CONSTRAINT parts_item_id_fkey, ADD CONSTRAINT parts_item_id_fkey {parent} {form}"
        )
    };
    let keep =
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER touch";
    for (sql, why) in [
        (key("DEFERRABLE"), "the foreign key `parts_item_id_fkey` is deferrable"),
        (key("DEFERRABLE INITIALLY DEFERRED"), "is deferrable"),
        (key("MATCH FULL"), "is not MATCH SIMPLE"),
        (key("NOT VALID"), "is not validated"),
        ("ALTER TABLE parts DISABLE TRIGGER ALL".to_owned(), "is not checked as usual"),
        (
            "CREATE TABLE shelves (id BIGINT PRIMARY KEY); ALTER TABLE parts ADD COLUMN shelf INTEGER REFERENCES shelves".to_owned(),
            "unequal types",
        ),
        (
            format!("{keep} BEFORE INSERT ON parts FOR EACH ROW EXECUTE FUNCTION keep()"),
            "the trigger `touch` fires on INSERT",
        ),
        (
            format!(
                "{keep} AFTER INSERT ON parts EXECUTE FUNCTION keep(); ALTER TABLE parts ENABLE REPLICA TRIGGER touch"
            ),
            "fires on INSERT",
        ),
        (
            format!("{keep} AFTER INSERT ON parts EXECUTE FUNCTION keep(); ALTER TABLE parts DISABLE TRIGGER touch"),
            "fires on INSERT",
        ),
        ("ALTER TABLE parts ADD UNIQUE (amount_minor, id) DEFERRABLE".to_owned(), "fires on INSERT"),
        (
            "CREATE TABLE shelves (id BIGINT PRIMARY KEY) PARTITION BY HASH (id);
             CREATE TABLE all_shelves PARTITION OF shelves FOR VALUES WITH (MODULUS 1, REMAINDER 0);
             ALTER TABLE parts ADD COLUMN shelf BIGINT REFERENCES shelves"
                .to_owned(),
            "leads to a partitioned table",
        ),
        (
            "CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
             CREATE TABLE monies (code TEXT COLLATE blind PRIMARY KEY); INSERT INTO monies VALUES ('eur'), ('gbp');
             ALTER TABLE parts ALTER COLUMN currency TYPE TEXT COLLATE blind, ADD FOREIGN KEY (currency) REFERENCES monies"
                .to_owned(),
            "compares texts by a collation of its own",
        ),
        (
            "CREATE TABLE shelves (id BIGINT PRIMARY KEY); INSERT INTO shelves VALUES (1);
             ALTER TABLE parts ADD COLUMN shelf BIGINT NOT NULL DEFAULT 1 REFERENCES shelves"
                .to_owned(),
            "has the column `shelf`, which the server fills",
        ),
        (
            "CREATE DOMAIN region AS BIGINT DEFAULT 1; CREATE TABLE regions (id region PRIMARY KEY); INSERT INTO regions VALUES (1);
             ALTER TABLE parts ADD COLUMN region region REFERENCES regions"
                .to_owned(),
            "has the column `region`, which the server fills",
        ),
    ] {
        let Some(target) = able() else { return };
        site(&target.url, &sql);
        let plan = world.migration(&target.url, checked(ForeignKeys::Auto)).plan().unwrap();
        let told =
            plan.findings.iter().find(|found| found.what.starts_with("foreign keys of `parts` are checked by row"));
        assert!(told.is_some_and(|told| told.what.contains(why) && !told.refuses()), "{sql}: {:?}", plan.findings);
        let Err(RunError::Preflight { findings }) = world.migration(&target.url, checked(ForeignKeys::BySet)).plan()
        else {
            panic!("{sql}: sets were insisted on")
        };
        assert!(findings.iter().any(|found| found.refuses() && found.what.contains(why)), "{sql}: {findings:?}");
        let report = world.complete(&target, checked(ForeignKeys::Auto));
        assert!(report.steps[1].counts.migrated > 0);
        assert_eq!(count(&target, "replant_chunks WHERE by_set AND step = 'toy.parts'"), 0, "{sql}");
        assert!(count(&target, "replant_chunks WHERE by_set AND step = 'toy.things'") > 0, "{sql}: of the other table");
    }
}

#[test]
fn a_trigger_on_changes_alone_is_in_nobodys_way() {
    let world = World::new(&ordinary(40));
    let Some(target) = able() else { return };
    site(
        &target.url,
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER touch BEFORE UPDATE ON parts FOR EACH ROW EXECUTE FUNCTION keep()",
    );
    world.complete(&target, checked(ForeignKeys::BySet));
    assert!(count(&target, "replant_chunks WHERE by_set AND step = 'toy.parts'") > 0);
}

#[test]
fn an_offline_load_that_drops_its_keys_has_none_to_check() {
    let world = World::new(&ordinary(200));
    let Some(target) = able() else { return };
    let settings = Settings { offline: Some(Offline { least_rows: 1 }), ..checked(ForeignKeys::Auto) };
    world.complete(&target, settings);
    let Some(row) = able() else { return };
    world.complete(&row, checked(ForeignKeys::ByRow));
    assert_same_state("offline", &state(&row), &state(&target));
}
