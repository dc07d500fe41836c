//! What a platform must not be: it is refused by `plan` and by `migrate`, before anything is written.

use std::path::Path;

use replant_core::diesel::connection::SimpleConnection;
use replant_testkit::dump;
use replant_testkit::servers::{self, Kind};

use crate::world::Target;
use crate::{copy_of_legacy, legacy, number, program_from, restricted, words};

/// Exit code of what is refused before anything is written.
const REFUSED: i32 = 3;

#[track_caller]
fn is_refused(target: &Target, reason: &str) {
    is_refused_from(&legacy(), target, reason);
}

/// Both commands refuse to go from this file into the target, with these words, and leave it as it was.
#[track_caller]
fn is_refused_from(legacy: &Path, target: &Target, reason: &str) {
    let before = dump::dump_all(&mut target.open()).unwrap();
    for command in ["plan", "migrate"] {
        let end = program_from(legacy, &[command, "--env", "local"], target).output().unwrap();
        let words = words(&end);
        assert_eq!(end.status.code(), Some(REFUSED), "{command}: {words}");
        assert!(words.contains(reason), "{command} does not say {reason}: {words}");
        let ledgers = "SELECT count(*) AS number FROM pg_namespace WHERE nspname = 'replant'";
        assert_eq!(number(&mut target.open(), ledgers), Some(0), "{command} makes a ledger");
    }
    dump::assert_same(&before, &dump::dump_all(&mut target.open()).unwrap());
}

#[test]
fn an_encoding_that_does_not_know_every_character() {
    let Some(server) = servers::available(Kind::Postgres) else { return };
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let options = format!("TEMPLATE template0 ENCODING {encoding} LOCALE 'C'");
        let database = server.database_with(&options).unwrap();
        fixtures::PLATFORM.create(&mut database.open()).unwrap();
        let role = database.restricted_role(&["accounts"]).unwrap();
        is_refused(&Target::of(database).used_by(&role), encoding);
    }
}

#[test]
fn rows_that_a_policy_hides() {
    for table in ["legacy_user_map", "accounts", "currencies"] {
        let Some((target, _)) = restricted() else { return };
        // Whoever owns a table sees all of it, unless the policy is forced.
        let policy =
            format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; ALTER TABLE {table} FORCE ROW LEVEL SECURITY");
        target.open().batch_execute(&policy).unwrap();
        is_refused(&target, table);
    }
}

#[test]
fn rows_that_a_policy_hides_from_others_than_the_owner() {
    let Some((target, _)) = restricted() else { return };
    target.open().batch_execute("ALTER TABLE legacy_user_map ENABLE ROW LEVEL SECURITY").unwrap();
    is_refused(&target, "legacy_user_map");
}

#[test]
fn a_legacy_database_that_says_that_it_is_another_one() {
    for (name, value, reason) in [
        ("app_timezone", "America/New_York", "not Europe/London"),
        ("snapshot_at", "2042-03-20T23:40:00Z", "yet to come"),
    ] {
        let Some((target, _)) = restricted() else { return };
        let folder = tempfile::tempdir().unwrap();
        let (file, mut db) = copy_of_legacy(folder.path());
        db.batch_execute(&format!("UPDATE meta SET value = '{value}' WHERE name = '{name}'")).unwrap();
        drop(db);
        is_refused_from(&file, &target, reason);
    }
}
