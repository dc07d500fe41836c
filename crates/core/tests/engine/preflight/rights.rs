//! The rights that the README lists, each of them, and a ledger that belongs to somebody else.

use diesel::connection::SimpleConnection;
use replant_core::db::{Db, DbUrl, Role};
use replant_core::{Finding, ForeignKeys, RunError, Settings};
use replant_testkit::GRANT_BY_SET;
use replant_testkit::conformance::Target;
use replant_testkit::servers::{self, Kind};

use crate::world::{World, at_chunk, chunks_of, count, ordinary, postgres, site, texts};

/// A database user with the rights that the README lists; nobody has any by being one of PUBLIC.
pub(super) struct User {
    pub(super) name: String,
    database: String,
    owner: DbUrl,
}

impl User {
    pub(super) fn new(target: &Target, name: &str) -> Self {
        let database = texts(target, "SELECT current_database()::text AS value").remove(0);
        let name = format!("{name}_{}_{database}", std::process::id());
        let user = Self { name, database, owner: target.url.clone() };
        user.sql(
            "REVOKE ALL ON DATABASE {db} FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC;
             CREATE ROLE {me} LOGIN;
             GRANT CONNECT, CREATE, TEMP ON DATABASE {db} TO {me};
             GRANT USAGE, CREATE ON SCHEMA public TO {me};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {me};
             GRANT SELECT, USAGE ON ALL SEQUENCES IN SCHEMA public TO {me};",
        );
        user.sql(&GRANT_BY_SET.replace("{r}", &user.name));
        user
    }

    /// Does something as the owner of the database; `{me}` and `{db}` stand for the user and the database.
    pub(super) fn sql(&self, sql: &str) {
        let sql = sql.replace("{me}", &self.name).replace("{db}", &self.database);
        Db::open(&self.owner, Role::Target)
            .unwrap()
            .batch_execute(&sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub(super) fn url(&self) -> DbUrl {
        let server = servers::available(Kind::Postgres).unwrap();
        let url = server.url(&self.database).replace("postgres://postgres@", &format!("postgres://{}@", self.name));
        url.parse().unwrap()
    }

    /// What the checks find, refusals or not.
    pub(super) fn findings(&self, world: &World) -> Vec<Finding> {
        match world.migration(&self.url(), Settings::default()).plan() {
            Ok(plan) => plan.findings,
            Err(RunError::Preflight { findings }) => findings,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if let Ok(mut db) = Db::open(&self.owner, Role::Target) {
            let name = &self.name;
            let _ = db.batch_execute(&format!("DROP OWNED BY {name}; DROP ROLE {name}"));
        }
    }
}

#[test]
fn a_user_with_the_rights_of_the_readme_can_do_all() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(40));
    let user = User::new(&target, "readme");
    assert_eq!(user.findings(&world), []);
    let migration = world.migration(&user.url(), chunks_of(10));
    assert!(migration.run(&replant_core::Stop::default(), &replant_core::Silent).unwrap().complete);
    assert_eq!(user.findings(&world), [], "nor does the ledger of its own making stand in the way");
}

#[test]
fn each_right_that_is_missing_is_named_alone_and_what_is_said_mends_it() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(20));
    let user = User::new(&target, "lacking");
    for (right, named) in [
        ("SELECT ON items", "SELECT on `items`"),
        ("INSERT ON labels", "INSERT on `labels`"),
        ("UPDATE ON items", "UPDATE on `items`"),
        ("DELETE ON parts", "DELETE on `parts`"),
        ("UPDATE, DELETE ON labels", "UPDATE, DELETE on `labels`"),
        ("USAGE ON SEQUENCE parts_id_seq", "SELECT and USAGE on the sequence public.parts_id_seq"),
        ("SELECT ON SEQUENCE items_id_seq", "SELECT and USAGE on the sequence public.items_id_seq"),
        ("TEMP ON DATABASE {db}", "TEMP on the database"),
        ("CREATE ON DATABASE {db}", "CREATE on the database"),
    ] {
        user.sql(&["REVOKE ", right, " FROM {me};"].concat());
        let found = user.findings(&world);
        assert_eq!(found.len(), 1, "{right}: {found:?}");
        assert!(found[0].refuses() && found[0].what.contains(named), "{right}: {found:?}");
        user.sql(found[0].mend.as_deref().expect("a grant"));
        assert_eq!(user.findings(&world), [], "{right}");
    }
}

#[test]
fn who_may_not_silence_the_checks_of_the_server_goes_by_row_and_is_told() {
    let Some(target) = postgres() else { return };
    let version: i32 = texts(&target, "SELECT current_setting('server_version_num') AS value")[0].parse().unwrap();
    if version < 150_000 {
        return;
    }
    let world = World::new(&ordinary(40));
    let user = User::new(&target, "checked");
    user.sql("REVOKE SET ON PARAMETER session_replication_role FROM {me};");
    let found = user.findings(&world);
    let told = found.iter().find(|one| one.what.contains("`session_replication_role`")).expect("it is told");
    assert!(found.len() == 1 && !told.refuses() && told.what.contains("checked by row"), "{found:?}");
    let insisting = Settings { foreign_keys: ForeignKeys::BySet, ..chunks_of(10) };
    let Err(RunError::Preflight { findings }) = world.migration(&user.url(), insisting).plan() else {
        panic!("sets were insisted on")
    };
    assert!(findings[0].refuses() && findings[0].mend == told.mend, "{findings:?}");
    let run = || world.migration(&user.url(), chunks_of(10)).run(&replant_core::Stop::default(), &replant_core::Silent);
    assert!(run().unwrap().complete);
    assert_eq!(count(&target, "replant_chunks WHERE by_set"), 0);
    user.sql(told.mend.as_deref().expect("a grant"));
    assert_eq!(user.findings(&world), []);
}

#[test]
fn a_session_whose_checks_were_switched_off_meanwhile_writes_nothing() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(60));
    let user = User::new(&target, "silenced");
    let watch = at_chunk(2, || {
        user.sql(
            "ALTER ROLE {me} SET session_replication_role = replica;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{me}';",
        );
    });
    let error = world.migration(&user.url(), chunks_of(10)).run(&replant_core::Stop::default(), &watch).unwrap_err();
    assert!(error.to_string().contains("session_replication_role is not origin"), "{error}");
}

#[test]
fn a_ledger_of_another_role_is_named_with_the_missing_right() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(20));
    world.complete(&target, chunks_of(10));
    let user = User::new(&target, "stranger");
    let found = user.findings(&world);
    let owned = "USAGE, CREATE on the schema replant (the ledger), which belongs to postgres";
    assert!(found.iter().any(|one| one.refuses() && one.what.contains(owned)), "{found:?}");
    user.sql("GRANT USAGE, CREATE ON SCHEMA replant TO {me};");
    let found = user.findings(&world);
    assert!(found.iter().any(|one| one.what.contains("tables of the schema replant (the ledger)")), "{found:?}");
    user.sql(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA replant TO {me};
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA replant TO {me};",
    );
    assert_eq!(user.findings(&world), [], "rights are enough, whoever owns it");
}

#[test]
fn a_schema_of_another_program_is_no_ledger() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(20));
    let user = User::new(&target, "namesake");
    user.sql("CREATE SCHEMA replant AUTHORIZATION {me};");
    user.sql("REVOKE CREATE ON DATABASE {db} FROM {me};");
    assert_eq!(user.findings(&world), [], "an empty schema that was made for the ledger will do");
    site(&target.url, "CREATE TABLE replant.plants (name text)");
    let found = user.findings(&world);
    assert!(found.len() == 1 && found[0].what.contains("another program's"), "{found:?}");
    site(&target.url, "DROP TABLE replant.plants");
    let migration = world.migration(&user.url(), chunks_of(10));
    assert!(migration.run(&replant_core::Stop::default(), &replant_core::Silent).unwrap().complete);
}

#[test]
fn a_ledger_of_a_later_version_is_left_alone() {
    let Some(target) = postgres() else { return };
    let world = World::new(&ordinary(20));
    world.complete(&target, chunks_of(10));
    site(&target.url, "INSERT INTO replant.__diesel_schema_migrations (version) VALUES ('00000000009999')");
    let error = world.migration(&target.url, Settings::default()).plan().expect_err("it is refused");
    assert!(error.to_string().contains("a later version of Replant"), "{error}");
}
