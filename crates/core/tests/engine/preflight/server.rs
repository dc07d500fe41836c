//! The target's server and database.

use diesel::connection::SimpleConnection;
use replant_core::{RunError, Settings};
use replant_testkit::servers::{self, Kind};

use super::refused;
use super::rights::User;
use crate::world::{World, ordinary, postgres, site, target_ddl, texts};

#[test]
fn a_database_of_another_encoding_is_refused() {
    let Some(target) = postgres() else { return };
    let name = format!("{}_latin", texts(&target, "SELECT current_database()::text AS value").remove(0));
    let mut db = target.open();
    db.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")).unwrap();
    let url = servers::available(Kind::Postgres).unwrap().url(&name).parse().unwrap();
    site(&url, &target_ddl(url.backend()));
    let error = World::new(&ordinary(20)).migration(&url, Settings::default()).plan().expect_err("it is refused");
    db.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).unwrap();
    assert!(matches!(error, RunError::Preflight { .. }), "{error:?}");
    assert!(error.to_string().contains("the encoding of the database is LATIN1, where UTF8 is needed"), "{error}");
}

#[test]
fn what_may_only_be_read_is_refused_with_whose_setting_it_is() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(20));
    let user = User::new(&target, "reading");
    for set in ["ALTER ROLE {me} SET", "ALTER DATABASE {db} SET", "ALTER ROLE {me} IN DATABASE {db} SET"] {
        user.sql(&[set, " default_transaction_read_only = on;"].concat());
        let found = user.findings(&world);
        assert_eq!(found.len(), 1, "{set}: {found:?}");
        assert!(found[0].refuses() && found[0].what.contains("default_transaction_read_only is on"), "{found:?}");
        let mend = found[0].mend.as_deref().expect("a statement");
        // As the owner of the database, whom the setting may hold as well.
        user.sql(&format!("SET transaction_read_only = off; BEGIN READ WRITE; {mend} COMMIT;"));
        assert_eq!(user.findings(&world), [], "{set}");
    }
}

#[test]
fn a_session_that_checks_no_foreign_keys_is_refused() {
    let Some(target) = postgres() else { return };
    let database = texts(&target, "SELECT current_database()::text AS value").remove(0);
    site(&target.url, &format!("ALTER DATABASE {database} SET session_replication_role = replica"));
    refused(&World::new(&ordinary(20)), &target, &["session_replication_role is replica"]);
}

#[test]
fn an_event_trigger_is_told() {
    let Some(target) = postgres() else { return };
    site(
        &target.url,
        "CREATE FUNCTION ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION ddl()",
    );
    let plan = World::new(&ordinary(20)).migration(&target.url, Settings::default()).plan().unwrap();
    assert!(plan.findings.len() == 1 && plan.findings[0].what.contains("`watch`"), "{:?}", plan.findings);
}
