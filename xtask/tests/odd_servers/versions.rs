//! Versions of PostgreSQL, the rights of the role, and how its sequences count.

use replant_core::diesel::connection::SimpleConnection;
use replant_testkit::servers::{self, Kind};

use crate::world::Target;
use crate::{assert_ends_as_ordinary, migrate, number, restricted};

fn ends_as_ordinary_on(major: u32) {
    let Some(server) = servers::postgres_of(major) else { return };
    let database = fixtures::PLATFORM.on(&server);
    let role = database.restricted_role(&["accounts"]).unwrap();
    let target = Target::of(database).used_by(&role);
    let found = number(&mut target.open(), "SELECT current_setting('server_version_num')::bigint / 10000 AS number");
    assert_eq!(found, Some(major.into()));
    let by_set = |target: &Target| {
        number(&mut target.open(), "SELECT count(*) AS number FROM replant.replant_chunks WHERE by_set")
    };
    assert_ends_as_ordinary(&format!("PostgreSQL {major}"), &target, &migrate(&target));
    assert_eq!(
        by_set(&target) > Some(0),
        major >= BY_SET,
        "PostgreSQL {major}: whether foreign keys are checked by sets"
    );
    if major < BY_SET {
        return;
    }
    let target = Target::of(fixtures::PLATFORM.on(&server)).with(&[("REPLANT__RUN__FOREIGN_KEYS", "by_row")]);
    assert_ends_as_ordinary(&format!("PostgreSQL {major}, by row"), &target, &migrate(&target));
    assert_eq!(by_set(&target), Some(0));
    // Who checks by row looks for nothing afterwards.
    let orphans =
        number(&mut target.open(), "SELECT count(*) AS number FROM replant.replant_steps WHERE orphans IS NOT NULL");
    assert_eq!(orphans, Some(0));
}

/// From which version on a user may be let check foreign keys by sets.
const BY_SET: u32 = 15;

#[test]
fn on_whatever_other_version_is_there() {
    [14, 15, 16, 17].into_iter().filter(|major| servers::has_postgres(*major)).for_each(ends_as_ordinary_on);
}

#[test]
fn on_postgres_13() {
    ends_as_ordinary_on(13);
}

#[test]
fn on_postgres_18() {
    ends_as_ordinary_on(18);
}

/// In Turkish, the small letter of I is not i.
#[test]
fn in_a_turkish_database() {
    let Some(server) = servers::available(Kind::Postgres) else { return };
    let options = "TEMPLATE template0 ENCODING UTF8 LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR'";
    let database = fixtures::PLATFORM.load_into(server.database_with(options).unwrap());
    let role = database.restricted_role(&["accounts"]).unwrap();
    let target = Target::of(database).used_by(&role);
    assert_eq!(number(&mut target.open(), "SELECT (lower('I') <> 'i')::int::bigint AS number"), Some(1));
    assert_ends_as_ordinary("Turkish", &target, &migrate(&target));
}

#[test]
fn as_a_role_that_has_the_rights_and_no_more() {
    let Some((target, _)) = restricted() else { return };
    assert_ends_as_ordinary("a restricted role", &target, &migrate(&target));
}

#[test]
fn sequences_that_count_by_ten() {
    let Some((target, _)) = restricted() else { return };
    let every_sequence = "DO $$ DECLARE s regclass; BEGIN
        FOR s IN SELECT oid FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace LOOP
            EXECUTE format('ALTER SEQUENCE %s INCREMENT BY 10', s);
        END LOOP; END $$";
    target.open().batch_execute(every_sequence).unwrap();
    assert_ends_as_ordinary("INCREMENT BY 10", &target, &migrate(&target));
    let blocks = number(&mut target.open(), "SELECT count(*) AS number FROM replant.replant_id_blocks");
    assert!(blocks < Some(100), "{blocks:?} blocks of ids");
}
