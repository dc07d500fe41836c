//! Loads of an offline target: the same rows as on a live one, and every foreign key and index back, exactly.

use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use replant_core::constraints::{self, Presence};
use replant_core::db::{Db, DbUrl, Role};
use replant_core::{Building, Event, Offline, OfflineError, RunError, Settings, Silent, Stop};
use replant_testkit::conformance::Target;
use replant_testkit::state::assert_same_state;
use replant_testkit::{Database, catalog, postgres as server};

use crate::refusals;
use crate::world::{
    Watch, World, at_chunk, child, chunks_of, count, fate, ordinary, part, postgres, site, state, target_ddl, thing,
};

/// What an exact return has to get right, beside the toy's own foreign keys.
const MORE: &str = r#"
CREATE TABLE "Odd ""name""" (id BIGINT PRIMARY KEY, "a'b" TEXT);
ALTER TABLE items ADD COLUMN "Odd'col" BIGINT REFERENCES "Odd ""name""" (id) DEFERRABLE INITIALLY DEFERRED;
COMMENT ON CONSTRAINT items_parent_id_fkey ON items IS 'it''s a \ tree';
CREATE INDEX "Parts by ""item""" ON parts (item_id DESC NULLS LAST, currency COLLATE "C" text_pattern_ops) INCLUDE (amount_minor)
  WITH (fillfactor = 71) WHERE amount_minor > 0;
CREATE INDEX parts_lower ON parts (lower(currency));
COMMENT ON INDEX parts_lower IS 'for the shop';
CREATE INDEX items_colour ON items USING hash (colour);
CREATE INDEX parts_clustered ON parts (item_id); ALTER TABLE parts CLUSTER ON parts_clustered;
CREATE INDEX parts_with_statistics ON parts ((amount_minor + 1)); ALTER INDEX parts_with_statistics ALTER COLUMN 1 SET STATISTICS 7;
CREATE TABLE records (id BIGINT PRIMARY KEY, part_id BIGINT REFERENCES parts ON DELETE CASCADE);
ALTER TABLE labels ADD COLUMN item_too BIGINT; ALTER TABLE labels ADD CONSTRAINT not_checked FOREIGN KEY (item_too) REFERENCES items NOT VALID;
"#;

fn target() -> Option<(Target, Database)> {
    let database = server::database()?;
    database.open().batch_execute(&target_ddl(replant_core::db::Backend::Postgres)).unwrap();
    database.open().batch_execute(MORE).unwrap();
    Some((Target { url: database.url(), guard: Box::new(()) }, database))
}

fn offline(chunk_rows: u64) -> Settings {
    Settings { offline: Some(Offline { least_rows: 0 }), ..chunks_of(chunk_rows) }
}

fn catalogue(target: &Target) -> Vec<String> {
    catalog::constraints(&mut target.open()).unwrap()
}

fn missing(target: &Target) -> Vec<String> {
    missing_at(&target.url)
}

fn missing_at(url: &DbUrl) -> Vec<String> {
    let list = constraints::list(&mut Db::open(url, Role::Target).unwrap()).unwrap();
    list.into_iter().filter(|one| one.presence == Presence::Missing).map(|one| one.name).collect()
}

fn stopped_at(world: &World, target: &Target, n: u32) {
    let stop = Stop::default();
    let watch = at_chunk(n, || stop.request());
    assert!(!world.migration(&target.url, offline(5)).run(&stop, &watch).unwrap().complete);
}

#[test]
fn an_offline_load_ends_as_a_live_one_and_all_is_back() {
    let Some((live, _live)) = target() else { return };
    let (dark, _dark) = target().unwrap();
    let world = World::new(&ordinary(200));
    let before = catalogue(&dark);
    world.complete(&live, chunks_of(5));
    let (seen, url) = (std::sync::Mutex::new(Vec::new()), dark.url.clone());
    let watch = Watch::new(|event| {
        if let Event::Dropped { step, foreign_keys, indexes } = event {
            seen.lock().unwrap().push((*step, *foreign_keys, *indexes, missing_at(&url)));
        }
    });
    assert!(world.watched(&dark, offline(5), &watch).unwrap().complete);
    // What cannot come back exactly was left alone.
    let expected = [
        ("toy.things", 3, 1, vec!["items_Odd'col_fkey", "items_colour", "items_parent_id_fkey", "labels_item_id_fkey"]),
        ("toy.parts", 1, 2, vec!["Parts by \"item\"", "parts_item_id_fkey", "parts_lower"]),
    ];
    let expected = expected.map(|(step, keys, indexes, names)| {
        (step, keys, indexes, names.into_iter().map(str::to_owned).collect::<Vec<_>>())
    });
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(catalogue(&dark), before);
    assert_eq!(missing(&dark), [""; 0]);
    assert_same_state("offline", &state(&live), &state(&dark));
    let list = constraints::list(&mut dark.open()).unwrap();
    assert!(list.len() == 7 && list.iter().all(|one| one.presence == Presence::Restored && one.restored_at.is_some()));
}

#[test]
fn what_foreign_keys_would_have_refused_is_quarantined_as_on_a_live_target() {
    let Some(live) = postgres() else { return };
    let (dark, few) = (postgres().unwrap(), postgres().unwrap());
    let (mut sql, _) = refusals::rows(40, 4);
    let first = 100_000;
    // A row that points to nothing, and rows that point to it; one of its unique name that comes in for it; parts of all.
    let mut things = vec![
        child(first, "orphan", "9999999", "1", "box;label:x"),
        thing(first + 1, "orphan~2", "1", "label:y"),
        thing(first + 7, "orphan two", "1", ""),
        child(first + 8, "taken", "9999999", "1", ""),
        thing(first + 60, "taken", "1", "label:z"),
    ];
    // One that two constraints refuse, in another chunk: which is named depends on what else is wrong in its own.
    things.extend((0..40).map(|n| thing(2 * first + n, &format!("filler {n}"), "1", "")));
    things.push(child(2 * first + 50, "native", "9999999", "1", ""));
    // New ids follow the two native ones by the place of the key.
    let place = 7 * 40 + 3;
    things.push(child(first + 20, "child of an orphan", &place.to_string(), "1", ""));
    things.push(child(first + 90, "child of that", &(place + 4).to_string(), "1", ""));
    sql.extend(things);
    for key in 1..=(first + 90) {
        if key <= 280 || key >= first {
            sql += &part(key, &key.to_string(), "1.00", "GBP");
        }
    }
    let world = World::new(&sql);
    world.complete(&live, chunks_of(40));
    let rows = std::sync::Mutex::new(0);
    let watch = Watch::new(|event| {
        if let Event::Expelled { step: "toy.things", rows: out } = event {
            *rows.lock().unwrap() += out;
        }
    });
    assert!(world.watched(&dark, offline(40), &watch).unwrap().complete);
    assert!(*rows.lock().unwrap() > 0, "some came in at first");
    for key in [first, first + 8, first + 20, first + 90] {
        assert_eq!(fate(&dark, "toy.things", key).code.as_deref(), Some("constraint_violated"), "{key}");
    }
    assert_eq!(fate(&dark, "toy.things", first + 60).code, None, "the name was to be had");
    assert_same_state("orphans", &state(&live), &state(&dark));
    assert_eq!(catalogue(&live), catalogue(&dark));
    // Two rows of one name now stand in two chunks, and the first to commit has it: one worker commits in the order of keys.
    world.complete(&few, Settings { readers: 1, writers: 1, ..offline(7) });
    assert_same_state("in small chunks", &state(&live), &state(&few));
}

#[test]
fn a_row_that_points_to_nothing_and_changed_others_stops_the_step_and_says_so() {
    let Some(dark) = postgres() else { return };
    let world = World::new(&(ordinary(20) + &child(900, "orphan", "9999999", "1", "rename:1=renamed")));
    let before = catalogue(&dark);
    let Err(RunError::Entangled { orphans, .. }) = world.run(&dark, offline(20)) else {
        panic!("it is not refused");
    };
    assert!(orphans.contains("900") && orphans.contains("items_parent_id_fkey"), "{orphans}");
    assert!(missing(&dark).contains(&"items_parent_id_fkey".to_owned()));
    let Err(OfflineError::Orphans(found)) = constraints::restore_all(&dark.url, Building::default()) else {
        panic!("it is not refused");
    };
    assert_eq!((&*found[0].table, &*found[0].name, found[0].rows), ("items", "items_parent_id_fkey", 1));
    assert_eq!(found[0].keys.len(), 1);
    site(
        &dark.url,
        "INSERT INTO items (id, name, qty, colour) VALUES (9999999, 'found', 1, 'green'); \
         SELECT setval(pg_get_serial_sequence('items', 'id'), 9999999)",
    );
    world.complete(&dark, offline(20));
    assert_eq!(catalogue(&dark), before);
}

#[test]
fn a_run_that_ended_early_leaves_a_record_and_all_can_be_brought_back() {
    let Some((live, _live)) = target() else { return };
    let world = World::new(&ordinary(60));
    world.complete(&live, chunks_of(5));
    let before = catalogue(&live);
    for n in [1, 6] {
        let (dark, _dark) = target().unwrap();
        stopped_at(&world, &dark, n);
        assert_eq!(missing(&dark).len(), 4);
        assert_eq!(constraints::restore_all(&dark.url, Building::default()).unwrap(), 4);
        assert_eq!((catalogue(&dark), missing(&dark).len()), (before.clone(), 0));
        assert_eq!(constraints::restore_all(&dark.url, Building::default()).unwrap(), 0);
        // Some of it is there when it goes on: what is to come is less than half of that.
        world.complete(&dark, offline(5));
        assert_eq!(catalogue(&dark), before);
        assert_same_state("brought back", &state(&live), &state(&dark));
    }
}

#[test]
fn a_target_that_is_live_again_gets_its_constraints_back_before_anything_else() {
    let Some((live, _live)) = target() else { return };
    let (dark, _dark) = target().unwrap();
    let world = World::new(&ordinary(60));
    world.complete(&live, chunks_of(5));
    stopped_at(&world, &dark, 3);
    let (left, url) = (std::sync::Mutex::new(None), dark.url.clone());
    let watch = at_chunk(1, || *left.lock().unwrap() = Some(missing_at(&url)));
    assert!(world.watched(&dark, chunks_of(5), &watch).unwrap().complete);
    assert_eq!(*left.lock().unwrap(), Some(Vec::new()));
    assert!(watch.any(|event| matches!(event, Event::Restored { built: 4, .. })));
    assert_eq!(catalogue(&dark), catalogue(&live));
    assert_same_state("live again", &state(&live), &state(&dark));
}

#[test]
fn a_run_that_stopped_offline_goes_on_offline() {
    let Some((live, _live)) = target() else { return };
    let (dark, _dark) = target().unwrap();
    let world = World::new(&ordinary(60));
    world.complete(&live, chunks_of(5));
    stopped_at(&world, &dark, 3);
    let (kept, url) = (missing(&dark), dark.url.clone());
    let watch = Watch::new(|event| match event {
        Event::ChunkDone { step: "toy.things", .. } => assert_eq!(missing_at(&url), kept),
        Event::Dropped { step, .. } => assert_eq!(*step, "toy.parts"),
        _ => {}
    });
    assert!(world.watched(&dark, offline(5), &watch).unwrap().complete);
    assert_eq!(catalogue(&dark), catalogue(&live));
    assert_same_state("goes on", &state(&live), &state(&dark));
}

#[test]
fn runs_that_share_an_offline_target_drop_and_build_once() {
    let Some((live, _live)) = target() else { return };
    let (dark, _dark) = target().unwrap();
    let world = World::new(&ordinary(200));
    world.gate(|_| std::thread::sleep(std::time::Duration::from_micros(300)));
    world.complete(&live, chunks_of(5));
    std::thread::scope(|scope| {
        let url = &dark.url;
        let run = || world.migration(url, offline(5)).run(&Stop::default(), &Silent).unwrap();
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(run)).collect();
        assert!(runs.into_iter().all(|run| run.join().unwrap().complete));
    });
    assert_eq!(count(&dark, "replant_constraints"), 7);
    assert_eq!(count(&dark, "replant_constraints WHERE restored_at IS NULL"), 0);
    assert_eq!(catalogue(&dark), catalogue(&live));
    assert_same_state("three runs", &state(&live), &state(&dark));
}

fn foreigner(database: &Database, user: &str) -> PgConnection {
    let address = database.address().replace("postgres@", &format!("{user}@"));
    let joined = if address.contains('?') { '&' } else { '?' };
    PgConnection::establish(&format!("{address}{joined}application_name=webshop")).unwrap()
}

#[test]
fn a_session_that_may_write_is_refused_before_anything_is_dropped() {
    let Some((dark, database)) = target() else { return };
    let world = World::new(&ordinary(60));
    let before = catalogue(&dark);
    let web = foreigner(&database, "postgres");
    let Err(RunError::Offline(OfflineError::Foreign(found))) = world.run(&dark, offline(5)) else {
        panic!("it is not refused");
    };
    assert_eq!((found.len(), &*found[0].application, &*found[0].user), (1, "webshop", "postgres"));
    assert!(RunError::from(OfflineError::Foreign(found)).to_string().contains("live = true"));
    assert!(matches!(world.migration(&dark.url, offline(5)).plan(), Err(RunError::Offline(OfflineError::Foreign(_)))));
    assert_eq!(catalogue(&dark), before);
    assert!(!replant_core::ledger::exists(&mut dark.open()).unwrap(), "nothing was written");
    // A live run does not care, nor does an offline one about who cannot write.
    world.run(&dark, Settings { only: vec!["toy.things".to_owned()], ..chunks_of(50) }).unwrap();
    drop(web);
    let role = format!("reader_{}", database.name());
    site(&dark.url, &format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"));
    let reader = foreigner(&database, &role);
    let report = world.run(&dark, offline(5)).unwrap();
    assert!(report.complete && report.intruders.is_empty());
    drop(reader);
    site(&dark.url, &format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    assert_eq!(catalogue(&dark), before);
}

#[test]
fn a_session_that_comes_during_the_load_is_told_of() {
    let Some((dark, database)) = target() else { return };
    let world = World::new(&ordinary(60));
    let (web, told) = (std::sync::Mutex::new(None), AtomicBool::new(false));
    let watch = Watch::new(|event| match event {
        Event::Dropped { .. } => {
            *web.lock().unwrap() = Some(foreigner(&database, "postgres"));
        }
        Event::ChunkDone { .. } if !told.swap(true, Ordering::SeqCst) => {
            std::thread::sleep(std::time::Duration::from_millis(1_500));
        }
        Event::Restored { .. } => *web.lock().unwrap() = None,
        _ => {}
    });
    let report = world.watched(&dark, Settings { only: vec!["toy.things".to_owned()], ..offline(5) }, &watch).unwrap();
    assert!(report.complete);
    assert!(watch.any(|event| matches!(event, Event::Intruder { .. })));
    assert!(report.intruders.len() == 1 && report.intruders[0].contains("webshop"), "{:?}", report.intruders);
}

#[test]
fn a_user_who_owns_nothing_is_refused_before_anything_is_dropped() {
    let Some((dark, database)) = target() else { return };
    let world = World::new(&ordinary(20));
    let role = format!("helper_{}", database.name());
    site(
        &dark.url,
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE \"{}\" TO {role}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}; \
             GRANT SELECT, USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
            database.name()
        ),
    );
    let url = database.address().replace("postgres@", &format!("{role}@")).parse().unwrap();
    let refused = world.migration(&url, offline(5)).run(&Stop::default(), &Silent);
    let Err(RunError::Offline(OfflineError::Rights(lacking))) = refused else { panic!("it is not refused") };
    let lacking = lacking.join("; ");
    assert!(lacking.contains("owns `items`") && lacking.contains("REFERENCES on `items`"), "{lacking}");
    assert!(world.migration(&url, chunks_of(50)).run(&Stop::default(), &Silent).unwrap().complete);
    site(&dark.url, &format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}"));
}

#[test]
fn something_else_that_took_a_name_is_told_of_and_left() {
    let Some((dark, _dark)) = target() else { return };
    let world = World::new(&ordinary(60));
    let before = catalogue(&dark);
    stopped_at(&world, &dark, 2);
    site(&dark.url, "CREATE INDEX items_colour ON items (colour)");
    let Err(OfflineError::Taken { what }) = constraints::restore_all(&dark.url, Building::default()) else {
        panic!("it is not refused");
    };
    assert!(what.contains("items_colour"), "{what}");
    // The same, made by somebody else, is as good.
    site(&dark.url, "DROP INDEX items_colour; CREATE INDEX items_colour ON items USING hash (colour)");
    constraints::restore_all(&dark.url, Building::default()).unwrap();
    assert_eq!(catalogue(&dark), before);
    site(&dark.url, "DROP INDEX items_colour");
    let gone = constraints::list(&mut dark.open()).unwrap();
    let gone: Vec<_> = gone.iter().filter(|one| one.presence == Presence::Gone).map(|one| &*one.name).collect();
    assert_eq!(gone, ["items_colour"]);
}

#[test]
fn nothing_is_dropped_for_few_rows_or_for_a_table_that_holds_many() {
    let Some((dark, _dark)) = target() else { return };
    let world = World::new(&ordinary(60));
    site(
        &dark.url,
        "INSERT INTO parts (item_id, amount_minor, currency) SELECT 1, 1, 'GBP' FROM generate_series(1, 1000)",
    );
    let few =
        Settings { offline: Some(Offline { least_rows: 61 }), only: vec!["toy.things".to_owned()], ..chunks_of(5) };
    world.complete(&dark, few);
    world.complete(&dark, offline(5));
    assert_eq!(count(&dark, "replant_constraints"), 0);
}

#[test]
fn a_foreign_key_stays_that_points_to_many_more_rows_than_are_to_come() {
    let Some((dark, _dark)) = target() else { return };
    let world = World::new(&ordinary(60));
    site(
        &dark.url,
        r#"INSERT INTO "Odd ""name""" (id) SELECT generate_series(1, 10000); SELECT pg_stat_force_next_flush()"#,
    );
    let url = dark.url.clone();
    let looked = AtomicBool::new(false);
    let watch = Watch::new(|event| {
        if let Event::Dropped { step: "toy.things", foreign_keys, .. } = event {
            let missing = missing_at(&url);
            assert!(*foreign_keys == 2 && !missing.contains(&"items_Odd'col_fkey".to_owned()), "{missing:?}");
            looked.store(true, Ordering::Relaxed);
        }
    });
    assert!(world.watched(&dark, offline(5), &watch).unwrap().complete);
    assert!(looked.load(Ordering::Relaxed));
}

#[test]
fn a_rehearsal_and_sqlite_drop_nothing() {
    let world = World::new(&ordinary(60));
    let lite = crate::world::sqlite();
    let watch = Watch::new(|event| assert!(!matches!(event, Event::Dropped { .. })));
    assert!(world.watched(&lite, offline(5), &watch).unwrap().complete);
    let Some((dark, _dark)) = target() else { return };
    let before = catalogue(&dark);
    let settings = Settings { dry_run: true, ..offline(5) };
    assert!(world.watched(&dark, settings, &watch).unwrap().complete);
    assert_eq!(catalogue(&dark), before);
}

#[test]
fn replays_have_every_constraint() {
    let Some((dark, _dark)) = target() else { return };
    let world = World::new(&ordinary(60));
    let before = catalogue(&dark);
    world.complete(&dark, offline(5));
    // As if something had gone wrong at the very end.
    site(
        &dark.url,
        "UPDATE replant_constraints SET restored_at = NULL WHERE name = 'parts_lower'; DROP INDEX parts_lower",
    );
    let replayed = world.migration(&dark.url, offline(5)).replay(&[], &Stop::default(), &Silent).unwrap();
    assert!(replayed.complete);
    assert_eq!(catalogue(&dark), before);
}
