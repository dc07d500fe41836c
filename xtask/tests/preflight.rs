//! What `plan` says before the migration of More Trees begins, as the database user whose rights the README lists.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../src/registry.rs"]
mod registry;

use std::path::Path;
use std::process::{Command, Stdio};

use diesel::connection::SimpleConnection;
use replant_core::db::{Db, DbUrl, Role};
use replant_core::{Finding, Migration, RunError, Settings, Silent, Stop, diesel};
use replant_testkit::servers::{self, Kind};
use replant_testkit::{Database, mariadb};

/// The sample's platform, and a user of it who has the rights that the README lists.
struct Platform {
    database: Database,
    user: String,
}

impl Platform {
    fn new() -> Option<Self> {
        let database = fixtures::PLATFORM.in_postgres()?;
        let user = format!("replant_user_{}_{}", std::process::id(), database.name());
        let platform = Self { database, user };
        platform.sql(
            "REVOKE ALL ON DATABASE {db} FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC;
             CREATE ROLE {me} LOGIN; CREATE ROLE {me}_owner; ALTER TABLE accounts OWNER TO {me}_owner;
             GRANT USAGE, CREATE ON SCHEMA public TO {me}_owner;
             GRANT CONNECT ON DATABASE {db} TO {me};",
        );
        // Word by word what the README says, but for the names.
        let readme = include_str!("../../README.md");
        let (_, rest) = readme.split_once("**Rights.**").unwrap();
        let (_, rest) = rest.split_once("```sql").unwrap();
        let (grants, _) = rest.split_once("```").unwrap();
        let grants = grants.replace("TO replant;", "TO {me};").replace("DATABASE platform", "DATABASE {db}");
        platform.sql(&grants.replace("owner_of_accounts", "{me}_owner"));
        Some(platform)
    }

    /// Does something as the owner of the database.
    fn sql(&self, sql: &str) {
        let sql = sql.replace("{me}", &self.user).replace("{db}", self.database.name());
        self.database.open().batch_execute(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn address(&self) -> String {
        self.database.address().replace("postgres://postgres@", &format!("postgres://{}@", self.user))
    }

    fn findings(&self, legacy: &DbUrl) -> Vec<Finding> {
        findings(legacy, &self.address().parse().unwrap())
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        if let Ok(mut db) = Db::open(&self.database.url(), Role::Target) {
            let user = &self.user;
            let _ = db.batch_execute(&format!(
                "ALTER TABLE accounts OWNER TO postgres; DROP OWNED BY {user}; DROP ROLE {user}; DROP OWNED BY {user}_owner; DROP ROLE {user}_owner"
            ));
        }
    }
}

fn findings(legacy: &DbUrl, target: &DbUrl) -> Vec<Finding> {
    let registry = registry::registry();
    let migration = Migration {
        registry: &registry,
        snapshot: reference::snapshot,
        legacy: legacy.clone(),
        target: target.clone(),
        settings: Settings::default(),
    };
    match migration.plan() {
        Ok(plan) => plan.findings,
        Err(RunError::Preflight { findings }) => findings,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_rights_of_the_readme_are_enough_and_none_too_many() {
    let Some(platform) = Platform::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let legacy = fixtures::LEGACY.in_sqlite(folder.path());
    assert_eq!(platform.findings(&legacy), []);
    for (taken, named) in [
        ("REVOKE UPDATE ON plantings FROM {me};", "UPDATE on `plantings`"),
        ("REVOKE INSERT ON account_emails FROM {me};", "INSERT on `account_emails`"),
        ("REVOKE DELETE ON credit_entries FROM {me};", "DELETE on `credit_entries`"),
        ("REVOKE INSERT ON project_species FROM {me};", "INSERT on `project_species`"),
        ("REVOKE INSERT ON payment_allocations FROM {me};", "INSERT on `payment_allocations`"),
        ("REVOKE SELECT ON legacy_user_map FROM {me};", "SELECT on `legacy_user_map`"),
        ("REVOKE SELECT ON currencies FROM {me};", "SELECT on `currencies`"),
        ("REVOKE USAGE ON SEQUENCE refunds_id_seq FROM {me};", "the sequence public.refunds_id_seq"),
        ("REVOKE TEMP ON DATABASE {db} FROM {me};", "TEMP on the database"),
        ("REVOKE CREATE ON DATABASE {db} FROM {me};", "CREATE on the database"),
        ("REVOKE CREATE ON SCHEMA public FROM {me};", "CREATE on the schema public"),
        ("REVOKE {me}_owner FROM {me};", "the owner of `accounts`"),
    ] {
        platform.sql(taken);
        // Of PUBLIC's successors: what the user has as a member of the owner would hide it.
        if taken.contains("SCHEMA public") {
            platform.sql("REVOKE CREATE ON SCHEMA public FROM {me}_owner;");
        }
        let found = platform.findings(&legacy);
        assert_eq!(found.len(), 1, "{taken}: {found:?}");
        assert!(found[0].refuses() && found[0].what.contains(named), "{taken}: {found:?}");
        platform.sql(found[0].mend.as_deref().unwrap());
        assert_eq!(platform.findings(&legacy), [], "{taken}");
    }
    platform.sql("GRANT CREATE ON SCHEMA public TO {me}_owner;");

    let registry = registry::registry();
    let target: DbUrl = platform.address().parse().unwrap();
    let (legacy, settings) = (legacy.clone(), Settings::default());
    let migration = Migration { registry: &registry, snapshot: reference::snapshot, legacy, target, settings };
    let report = migration.run(&Stop::default(), &Silent).unwrap_or_else(|error| panic!("{error}"));
    assert!(report.complete);
}

#[test]
fn a_platform_that_has_changed_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let legacy = fixtures::LEGACY.in_sqlite(folder.path());
    for (change, named) in [
        (
            "ALTER TABLE plantings ALTER COLUMN trees TYPE bigint",
            "column `plantings.trees` is bigint, where Integer was expected",
        ),
        (
            "ALTER TABLE currencies ALTER COLUMN exponent TYPE integer",
            "column `currencies.exponent` is integer, where SmallInt was expected",
        ),
        ("ALTER TABLE legacy_user_map ENABLE ROW LEVEL SECURITY", "row-level security of `legacy_user_map`"),
        (
            "CREATE INDEX accounts_one_per_email ON accounts (lower(email))",
            "`accounts_one_per_email` is there, but it is not unique",
        ),
        (
            "CREATE TABLE wishlists (account_id bigint NOT NULL UNIQUE REFERENCES accounts)",
            "the column `wishlists.account_id`",
        ),
    ] {
        let Some(platform) = Platform::new() else { return };
        platform.sql(change);
        let found = platform.findings(&legacy);
        let refusals: Vec<&Finding> = found.iter().filter(|finding| finding.refuses()).collect();
        assert_eq!(refusals.len(), 1, "{change}: {found:?}");
        assert!(refusals[0].what.contains(named), "{change}: {found:?}");
    }
}

#[test]
fn all_that_is_amiss_is_said_at_once() {
    let (Some(platform), folder) = (Platform::new(), tempfile::tempdir().unwrap()) else { return };
    platform.sql(
        "ALTER TABLE refunds RENAME TO refunded; ALTER TABLE plantings ALTER COLUMN trees TYPE bigint;
         REVOKE INSERT ON payments FROM {me}; ALTER SEQUENCE invoices_id_seq CYCLE;
         CREATE TABLE wishlists (account_id bigint REFERENCES accounts); REVOKE CREATE ON DATABASE {db} FROM {me};",
    );
    let found = platform.findings(&fixtures::LEGACY.in_sqlite(folder.path()));
    for named in [
        "`refunds` is missing",
        "`plantings.trees`",
        "INSERT on `payments`",
        "(CYCLE)",
        "`wishlists.account_id`",
        "CREATE on the database",
    ] {
        assert!(found.iter().any(|one| one.refuses() && one.what.contains(named)), "{named}: {found:?}");
    }
    assert_eq!(found.len(), 6, "{found:?}");
}

#[test]
fn columns_with_defaults_are_welcome() {
    let Some(platform) = Platform::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    platform.sql(
        "ALTER TABLE accounts ADD newsletter_frequency text NOT NULL DEFAULT 'monthly',
           ADD mail_domain text NOT NULL GENERATED ALWAYS AS (split_part(email, '@', 2)) STORED",
    );
    assert_eq!(platform.findings(&fixtures::LEGACY.in_sqlite(folder.path())), []);
}

/// A legacy database in MariaDB with the tables and nothing else but when it was frozen.
fn mariadb_legacy() -> Option<Database> {
    let database = mariadb::database()?;
    let mut db = database.open();
    fixtures::LEGACY.create(&mut db).unwrap();
    db.batch_execute("INSERT INTO meta (name, value) VALUES ('snapshot_at', '2024-03-20T23:40:00Z')").unwrap();
    Some(database)
}

#[test]
fn instants_in_the_place_of_wall_times_are_refused() {
    let (Some(legacy), folder) = (mariadb_legacy(), tempfile::tempdir().unwrap()) else { return };
    let target = fixtures::PLATFORM.in_sqlite(folder.path());
    assert_eq!(findings(&legacy.url(), &target), []);
    legacy
        .open()
        .batch_execute(
            "ALTER TABLE user MODIFY created_when TIMESTAMP NULL; ALTER TABLE plantation MODIFY planted_when TIMESTAMP NULL;
             ALTER TABLE finance_transaction MODIFY tx_when TIMESTAMP NULL",
        )
        .unwrap();
    let found = findings(&legacy.url(), &target);
    for column in ["user.created_when", "plantation.planted_when", "finance_transaction.tx_when"] {
        let named = format!(
            "column `{column}` is timestamp, where datetime was expected: its value depends on the session's time zone"
        );
        assert!(
            found.iter().any(|one| one.refuses() && one.what == named && one.mend.is_some()),
            "{column}: {found:?}"
        );
    }
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn a_key_that_63_bits_do_not_hold_is_named() {
    let (Some(legacy), folder) = (mariadb_legacy(), tempfile::tempdir().unwrap()) else { return };
    let target = fixtures::PLATFORM.in_sqlite(folder.path());
    let mut db = legacy.open();
    db.batch_execute("INSERT INTO plantation (id) VALUES (9223372036854775807)").unwrap();
    assert_eq!(findings(&legacy.url(), &target), []);
    db.batch_execute("INSERT INTO plantation (id) VALUES (18446744073709551615)").unwrap();
    let found = findings(&legacy.url(), &target);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].what.contains("the row of `plantation` with the id 18446744073709551615 cannot be moved"),
        "{found:?}"
    );
}

#[test]
fn a_column_that_may_not_be_read_is_named_with_the_right() {
    let (Some(legacy), folder) = (mariadb_legacy(), tempfile::tempdir().unwrap()) else { return };
    let target = fixtures::PLATFORM.in_sqlite(folder.path());
    let (name, user) = (legacy.name(), format!("reader_{}", std::process::id()));
    let mut db = legacy.open();
    db.batch_execute(&format!("CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY 'throwaway-secret'")).unwrap();
    let tables =
        ["meta", "brand", "project", "plantation", "finance_transaction", "subscription", "invoice", "bank_transfer"];
    for table in tables.iter().chain(&["cross_charge", "credit_entry"]) {
        db.batch_execute(&format!("GRANT SELECT ON {name}.{table} TO '{user}'@'127.0.0.1'")).unwrap();
    }
    let columns = "id, email, first_name, last_name, display_name, phone, country, lang, type, credits, marketing_opt_in, deleted, \
                   created_when, updated_when, last_login, notes";
    db.batch_execute(&format!("GRANT SELECT ({columns}) ON {name}.user TO '{user}'@'127.0.0.1'")).unwrap();
    let address = legacy.address().replace(mariadb::CREDENTIALS, &format!("{user}:throwaway-secret"));
    let found = findings(&address.parse().unwrap(), &target);
    assert_eq!(found.len(), 1, "{found:?}");
    let lacks = "column `user.password` is missing, or the database user lacks a right: SELECT on `user.password`";
    assert_eq!(found[0].what, lacks);
    db.batch_execute(found[0].mend.as_deref().unwrap()).unwrap();
    assert_eq!(findings(&address.parse().unwrap(), &target), []);
    db.batch_execute(&format!("GRANT SELECT ON {name}.user TO '{user}'@'127.0.0.1'")).unwrap();
    db.batch_execute(&format!("ALTER TABLE {name}.user DROP COLUMN password")).unwrap();
    let found = findings(&address.parse().unwrap(), &target);
    assert_eq!(found.iter().map(|one| one.what.as_str()).collect::<Vec<_>>(), ["column `user.password` is missing"]);
    db.batch_execute(&format!("DROP USER '{user}'@'127.0.0.1'")).unwrap();
}

/// What the built program prints, and its exit code.
fn plan(legacy: &DbUrl, target: &str, further: &[&str]) -> (i32, String, String) {
    let work = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["plan", "--env", "dev", "--config-dir"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("config"))
        .arg("--work-dir")
        .arg(work.path())
        .args(further)
        .env("REPLANT__LEGACY__URL", format!("sqlite://{}", legacy.sqlite_path().unwrap().display()))
        .env("REPLANT__TARGET__URL", target)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn plan_prints_a_list_with_what_mends_each_refusals_first() {
    servers::available(Kind::Postgres);
    let Some(platform) = Platform::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let legacy = fixtures::LEGACY.in_sqlite(folder.path());
    platform.sql(
        "REVOKE UPDATE, DELETE ON plantings FROM {me}; REVOKE TEMP ON DATABASE {db} FROM {me};
         CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER touch BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION keep();",
    );
    let (code, out, err) = plan(&legacy, &platform.address(), &[]);
    let (db, me) = (platform.database.name(), &platform.user);
    let port =
        platform.address().rsplit_once(':').and_then(|(_, rest)| Some(rest.split_once('/')?.0.to_owned())).unwrap();
    let from = legacy.place();
    let expected = format!(
        "from  {from}
into  {db} at 127.0.0.1:{port} as {me}

2 things keep a run from beginning; nothing was written.

  target: the database user lacks a right: TEMP on the database, for rows that a constraint refuses
    mend: GRANT TEMP ON DATABASE {db} TO {me};
  target: the database user lacks a right: UPDATE, DELETE on `plantings`
    mend: GRANT UPDATE, DELETE ON plantings TO {me};

To know:
  target: triggers of `accounts` fire on the rows that are written, and may change or refuse them: `touch`

Mend them, then: cargo xtask plan --env dev
"
    );
    assert_eq!((code, out.as_str(), err.as_str()), (3, expected.as_str(), ""));
    let (code, out, _) = plan(&legacy, &platform.address(), &["--json"]);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, value["findings"].as_array().map(Vec::len)), (3, Some(3)));
    assert_eq!(value["findings"][0]["severity"], "refusal");

    platform.sql("GRANT UPDATE, DELETE ON plantings TO {me}; GRANT TEMP ON DATABASE {db} TO {me};");
    let (code, out, _) = plan(&legacy, &platform.address(), &[]);
    assert_eq!(code, 0, "{out}");
    let note = "To know:\n  target: triggers of `accounts` fire";
    assert!(out.contains(note) && out.contains("Every check passed") && out.contains("Room: about"), "{out}");
}
