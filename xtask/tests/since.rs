//! What customers did since their rows were migrated stays, whatever is mended: column by column.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../src/registry.rs"]
mod registry;

use std::sync::Mutex;

use diesel::connection::SimpleConnection;
use diesel::sql_types::{Nullable, Text};
use diesel::{QueryableByName, RunQueryDsl};
use replant_core::db::{Backend, Db, DbUrl, Role};
use replant_core::{Against, Difference, Migration, Registry, Replay, Settings, Silent, Stop, Verified, diesel};
use replant_testkit::conformance::Target;
use replant_testkit::sqlite;

const LEGACY: &str = "
    INSERT INTO meta (name, value) VALUES ('snapshot_at', '2024-03-20T23:40:00Z'), ('app_timezone', 'Europe/London');
    INSERT INTO project (id, name, active) VALUES (1, 'Mangroves', 'y');";

const PLATFORM: &str = "
    INSERT INTO currencies (code, exponent) VALUES ('GBP', 2), ('EUR', 2);
    INSERT INTO countries (code, name) VALUES ('GB', 'United Kingdom'), ('FR', 'France');";

/// A small company.
struct Company {
    registry: Registry,
    legacy: DbUrl,
    target: Target,
    _folder: tempfile::TempDir,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
}

impl Company {
    /// With these legacy rows, migrated.
    fn migrated(target: Target, legacy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("legacy.db");
        let mut db = sqlite::create(&path);
        fixtures::LEGACY.create(&mut db).unwrap();
        db.batch_execute(LEGACY).unwrap();
        db.batch_execute(legacy).unwrap();
        drop(db);
        let company = Self { registry: registry::registry(), legacy: DbUrl::sqlite(&path), target, _folder: folder };
        assert!(company.migration().run(&Stop::default(), &Silent).unwrap().complete);
        company
    }

    fn migration(&self) -> Migration<'_> {
        Migration {
            registry: &self.registry,
            snapshot: reference::snapshot,
            legacy: self.legacy.clone(),
            target: self.target.url.clone(),
            settings: Settings::default(),
        }
    }

    /// Mends legacy rows where they are, and replays.
    fn mended(&self, sql: &str) -> Replay {
        Db::open(&self.legacy, Role::Target).unwrap().batch_execute(sql).unwrap();
        let replay = self.migration().replay(&[], &Stop::default(), &Silent).unwrap();
        assert!(replay.complete);
        replay
    }

    fn site(&self, sql: &str) {
        self.target.open().batch_execute(sql).unwrap();
    }

    /// The rows of a query over the platform, each as a text.
    fn rows(&self, columns: &[&str], from: &str) -> Vec<String> {
        let shown = columns.iter().map(|column| format!("coalesce(CAST({column} AS text), '-')"));
        let sql = format!("SELECT {} AS line FROM {from}", shown.collect::<Vec<_>>().join(" || ' ' || "));
        let lines: Vec<Line> = diesel::sql_query(sql).load(&mut self.target.open()).unwrap();
        lines.into_iter().filter_map(|line| line.line).collect()
    }
}

fn empty(target: Target) -> Target {
    let mut db = target.open();
    fixtures::PLATFORM.create(&mut db).unwrap();
    db.batch_execute(PLATFORM).unwrap();
    target
}

fn on_both(story: impl Fn(Target)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("platform.db");
    drop(sqlite::create(&path));
    story(empty(Target { url: DbUrl::sqlite(&path), guard: Box::new(()) }));
    if let Some(database) = replant_testkit::postgres::database() {
        story(empty(Target { url: database.url(), guard: Box::new(database) }));
    }
}

/// A trigger that notes when a row was changed, whoever changes it.
fn touched(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => {
            "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
             CREATE TRIGGER touch BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION touch()"
        }
        Backend::Sqlite | Backend::MariaDb => {
            "CREATE TRIGGER touch AFTER UPDATE OF kind, display_name ON accounts BEGIN
               UPDATE accounts SET updated_at = '2024-03-21 10:00:00.000000' WHERE id = NEW.id; END"
        }
    }
}

#[test]
fn a_trigger_that_notes_changes_makes_no_row_a_customers() {
    for with_trigger in [false, true] {
        on_both(|target| {
            if with_trigger {
                target.open().batch_execute(touched(target.url.backend())).unwrap();
            }
            let company = Company::migrated(
                target,
                "INSERT INTO user (id, email, display_name, created_when, updated_when) VALUES
                   (1, 'ann@web.de', 'Ann Old', '2018-01-01 00:00:00', '2019-01-01 00:00:00'),
                   (2, 'ann at web.de', 'Ann New', '2018-01-01 00:00:00', '2023-01-01 00:00:00');
                 INSERT INTO brand (id, user_id, name, billing, currency) VALUES (1, 1, 'Annland', 'card', 'GBP');",
            );
            company.mended("UPDATE user SET email = 'ann@web.de' WHERE id = 2");
            assert_eq!(company.rows(&["kind", "display_name"], "accounts"), ["brand Ann New"]);
        });
    }
}

#[test]
fn nobody_who_was_erased_comes_back() {
    on_both(|target| {
        let user = |id: i64, name: &str| {
            format!(
                "({id}, '{name}@web.de', '{name}', '{name}', 'Blank', '2018-01-01 00:00:00', '2019-01-01 00:00:00'),
                 ({0}, '{name} at web.de', 'Fresh {name}', 'Fresh', NULL, '2018-01-01 00:00:00', '2023-01-01 00:00:00')",
                id + 100
            )
        };
        let users = [user(1, "deleted"), user(2, "anonymous"), user(3, "touched"), user(4, "known")].join(", ");
        let company = Company::migrated(
            target,
            &format!(
                "INSERT INTO user (id, email, display_name, first_name, last_name, created_when, updated_when) VALUES {users}"
            ),
        );
        company.site(
            "DELETE FROM accounts WHERE email = 'deleted@web.de';
             UPDATE accounts SET email = 'erased-2@invalid', display_name = 'erased', given_name = NULL, family_name = NULL,
                    status = 'closed' WHERE email = 'anonymous@web.de';
             UPDATE accounts SET email = 'erased-3@invalid', display_name = 'erased', given_name = NULL, family_name = NULL,
                    status = 'closed', updated_at = '2024-03-22 10:00:00.000000' WHERE email = 'touched@web.de';",
        );
        company.mended("UPDATE user SET email = replace(email, ' at ', '@') WHERE id > 100");
        let found =
            company.rows(&["email", "display_name", "given_name", "family_name", "status"], "accounts ORDER BY email");
        assert_eq!(
            found,
            [
                "erased-2@invalid erased - - closed",
                "erased-3@invalid erased - - closed",
                "known@web.de Fresh known Fresh Blank active"
            ]
        );
        // There is nothing left to do.
        let again = company.mended("");
        assert!(again.steps.iter().all(|(_, done)| !done.changed()), "{again:?}");
    });
}

#[test]
fn what_was_planted_since_stays_planted() {
    on_both(|target| {
        let company = Company::migrated(
            target,
            "INSERT INTO user (id, email, created_when) VALUES (1, 'joe@web.de', '2018-01-01 00:00:00');
             INSERT INTO finance_transaction (id, user_id, type, amount, currency, status, tx_when) VALUES
               (1, 1, 'card', 'ten pounds', 'GBP', 'paid', '2024-03-01 10:00:00');
             INSERT INTO plantation (id, user_id, project_id, trees, source, gift_email, gift_message, status, planted_when,
                                     finance_transaction_id) VALUES
               (1, 1, 1, 1, 'gift', 'a@web.de', 'For you', 'pending', '2024-03-01 10:00:00', 1),
               (2, 1, 1, 2, 'gift', 'b@web.de', 'For yuo', 'pending', '2024-03-01 10:00:00', 1),
               (3, 1, 1, 3, 'gift', 'c@web.de', 'For me', 'pending', '2024-03-01 10:00:00', 1);",
        );
        company.site(
            "UPDATE plantings SET status = 'planted', planted_at = '2024-03-22 08:00:00.000000' WHERE trees = 1;
             UPDATE plantings SET message = 'For you', recipient_email = 'bea@web.de' WHERE trees = 2;
             DELETE FROM plantings WHERE trees = 3;",
        );
        company.mended("UPDATE finance_transaction SET amount = '10.00' WHERE id = 1");
        let found = company.rows(
            &["trees", "status", "message", "recipient_email", "payment_id = (SELECT id FROM payments)"],
            "plantings ORDER BY trees",
        );
        let is = if company.target.url.backend() == Backend::Postgres { "true" } else { "1" };
        assert_eq!(found, [format!("1 planted For you a@web.de {is}"), format!("2 pending For you bea@web.de {is}")]);
        let again = company.mended("");
        assert!(again.steps.iter().all(|(_, done)| !done.changed()), "{again:?}");
    });
}

#[test]
fn a_debt_stays_whatever_else_is_mended() {
    on_both(|target| {
        let company = Company::migrated(
            target,
            "INSERT INTO user (id, email, created_when) VALUES
               (1, 'joe@web.de', '2018-01-01 00:00:00'), (2, 'ann at web.de', '2018-01-01 00:00:00');
             INSERT INTO credit_entry (id, user_id, delta, currency, reason, created_when) VALUES
               (1, 1, '5.00', 'GBP', 'topup', '2020-01-01 00:00:00'), (2, 2, '-1.00', 'GBP', 'spend', '2020-01-01 00:00:00');",
        );
        company.site(
            "INSERT INTO credit_entries (account_id, currency, delta_minor, reason, occurred_at)
             SELECT id, 'GBP', -800, 'spend', '2024-03-21 10:00:00.000000' FROM accounts",
        );
        company.mended("UPDATE user SET email = 'ann@web.de' WHERE id = 2");
        let entries = company.rows(
            &["a.email", "c.reason", "c.delta_minor"],
            "credit_entries c JOIN accounts a ON a.id = c.account_id ORDER BY a.email, c.delta_minor",
        );
        assert_eq!(
            entries,
            ["ann@web.de spend -100", "ann@web.de adjustment 100", "joe@web.de spend -800", "joe@web.de topup 500"]
        );
    });
}

#[test]
fn columns_that_belong_together_are_the_customers_together() {
    on_both(|target| {
        let company = Company::migrated(
            target,
            "INSERT INTO user (id, email, first_name, created_when) VALUES (1, 'joe@web.de', 'Joe', '2018-01-01 00:00:00');
             INSERT INTO subscription (id, user_id, plan, trees_per_month, amount, currency, interval, status, started_when,
                                       gateway_ref) VALUES
               (1, 1, 'family', 5, '5.00', 'GBP', 'month', 'active', '2024-01-01 00:00:00', 'sub_1'),
               (2, 1, 'single', 1, '1.00', 'GBP', 'month', 'active', '2024-01-01 00:00:00', 'sub_2');",
        );
        company.site(
            "UPDATE subscriptions SET status = 'cancelled', cancelled_at = '2024-03-21 10:00:00.000000' WHERE plan = 'family';
             UPDATE subscriptions SET currency = 'EUR' WHERE plan = 'single';
             UPDATE accounts SET given_name = NULL;",
        );
        company.mended(
            "UPDATE subscription SET started_when = '2024-03-20 12:00:00', amount = '6.00', trees_per_month = 7;
             UPDATE user SET first_name = 'Joseph', last_name = 'Blank';",
        );
        let found = company.rows(
            &[
                "plan",
                "trees_per_cycle",
                "amount_minor",
                "currency",
                "status",
                "substr(CAST(started_at AS text), 1, 10)",
            ],
            "subscriptions ORDER BY plan",
        );
        assert_eq!(found, ["family 7 600 GBP cancelled 2024-01-01", "single 7 100 EUR active 2024-03-20"]);
        assert_eq!(company.rows(&["given_name", "family_name"], "accounts"), ["- Blank"]);
    });
}

/// What a verification comes to, and the rows that do not stand as they should.
fn verify(migration: &Migration<'_>) -> (Verified, Vec<Difference>) {
    let found = Mutex::new(Vec::new());
    let push = |difference: &Difference| found.lock().unwrap().push(difference.clone());
    let verified = migration.verify(Against::Source, &push, &Stop::default(), &Silent).unwrap();
    (verified, found.into_inner().unwrap())
}

/// The sample as it was migrated, and the sample with triggers of the site that change rows.
fn every_row_stands_as_it_was_written(target: &Target, triggers: &str) {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry::registry();
    let migration = Migration {
        registry: &registry,
        snapshot: reference::snapshot,
        legacy: fixtures::LEGACY.in_sqlite(folder.path()),
        target: target.url.clone(),
        settings: Settings::default(),
    };
    target.open().batch_execute(triggers).unwrap();
    assert!(migration.run(&Stop::default(), &Silent).unwrap().complete);
    let (verified, found) = verify(&migration);
    let rows: u64 = verified.steps.iter().map(|step| step.rows).sum();
    assert!(rows > 50_000, "{rows}");
    assert!(found.is_empty() && !verified.has_alarms(), "{:?} {:?}", &found[..found.len().min(5)], verified.findings);

    target
        .open()
        .batch_execute("UPDATE plantings SET trees = 77, message = 'since' WHERE id = (SELECT max(id) FROM plantings)")
        .unwrap();
    let [changed] = &verify(&migration).1[..] else { panic!("one row was changed") };
    assert_eq!((&*changed.table, &changed.columns[..]), ("plantings", &["trees".to_owned(), "message".to_owned()][..]));
}

#[test]
fn an_imprint_tells_what_the_target_holds_on_sqlite() {
    let triggers = "CREATE TRIGGER shout AFTER INSERT ON projects BEGIN
                      UPDATE projects SET name = upper(name) WHERE id = NEW.id; END";
    every_row_stands_as_it_was_written(&fixtures::PLATFORM.sqlite_target(), triggers);
}

#[test]
fn an_imprint_tells_what_the_target_holds_on_postgres() {
    let Some(target) = fixtures::PLATFORM.postgres_target() else { return };
    let triggers = "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
                      $$ BEGIN NEW.name := upper(NEW.name); RETURN NEW; END $$;
                    CREATE TRIGGER shout BEFORE INSERT ON projects FOR EACH ROW EXECUTE FUNCTION shout()";
    every_row_stands_as_it_was_written(&target, triggers);
}

#[test]
fn an_account_that_goes_into_another_one_is_taken_out_unless_somebody_has_used_it() {
    on_both(|target| {
        let company = Company::migrated(
            target,
            "INSERT INTO user (id, email, display_name, created_when) VALUES
               (1, 'ann@web.de', 'Ann', '2018-01-01 00:00:00'), (2, 'ann2@web.de', 'Ann', '2019-01-01 00:00:00'),
               (3, 'joe@web.de', 'Joe', '2018-01-01 00:00:00'), (4, 'joe2@web.de', 'Joe', '2019-01-01 00:00:00');
             INSERT INTO plantation (id, user_id, project_id, trees, source, status, planted_when) VALUES
               (1, 1, 1, 1, 'order', 'done', '2020-01-01 00:00:00'), (2, 2, 1, 2, 'order', 'done', '2020-01-01 00:00:00'),
               (3, 3, 1, 3, 'order', 'done', '2020-01-01 00:00:00'), (4, 4, 1, 4, 'order', 'done', '2020-01-01 00:00:00');",
        );
        company.site("UPDATE accounts SET display_name = 'Joseph' WHERE email = 'joe2@web.de'");
        company.mended("UPDATE user SET email = replace(email, '2@', '@')");
        let accounts = company.rows(
            &["a.email LIKE 'merged-%'", "a.display_name", "a.status", "i.email"],
            "accounts a LEFT JOIN accounts i ON i.id = a.merged_into ORDER BY a.id",
        );
        let (no, yes) = if company.target.url.backend() == Backend::Postgres { ("false", "true") } else { ("0", "1") };
        assert_eq!(
            accounts,
            [format!("{no} Ann active -"), format!("{no} Joe active -"), format!("{yes} Joseph closed joe@web.de")]
        );
        let plantings = company
            .rows(&["p.trees", "a.email"], "plantings p JOIN accounts a ON a.id = p.account_id ORDER BY p.trees");
        assert_eq!(plantings, ["1 ann@web.de", "2 ann@web.de", "3 joe@web.de", "4 joe@web.de"]);
        let again = company.mended("");
        assert!(again.steps.iter().all(|(_, done)| !done.changed()), "{again:?}");
        let (_, found) = verify(&company.migration());
        assert!(found.iter().all(|row| row.columns == ["display_name"]), "{found:?}");
    });
}

/// Rows of all tables that were written, locked or marked by transactions from a mark on.
const TOUCHED: &str = "
SELECT format('%I.%I', schemaname, tablename) || ' ' || (xpath('/row/n/text()', query_to_xml(format(
         'SELECT count(*) AS n FROM %I.%I WHERE age(xmin) <= age(''MARK''::xid) OR (xmax <> ''0''::xid AND age(xmax) <= age(''MARK''::xid))',
         schemaname, tablename), false, true, '')))[1]::text AS line
  FROM pg_tables WHERE schemaname IN ('public', 'replant') AND tablename <> 'replant_runs' ORDER BY 1";

#[test]
fn what_brings_nothing_new_writes_and_locks_nothing() {
    let Some(target) = fixtures::PLATFORM.postgres_target() else { return };
    let folder = tempfile::tempdir().unwrap();
    let registry = registry::registry();
    let legacy = fixtures::LEGACY.in_sqlite(folder.path());
    let migration = Migration {
        registry: &registry,
        snapshot: reference::snapshot,
        legacy: legacy.clone(),
        target: target.url.clone(),
        settings: Settings { chunk_rows: 700, ..Settings::default() },
    };
    assert!(migration.run(&Stop::default(), &Silent).unwrap().complete);
    let lines = |sql: &str| -> Vec<String> {
        let lines: Vec<Line> = diesel::sql_query(sql).load(&mut target.open()).unwrap();
        lines.into_iter().filter_map(|line| line.line).collect()
    };
    let touched = |does: &dyn Fn()| -> Vec<String> {
        let mark = lines("SELECT (pg_current_xact_id()::xid)::text AS line").remove(0);
        does();
        lines(&TOUCHED.replace("MARK", &mark)).into_iter().filter(|line| !line.ends_with(" 0")).collect()
    };
    let replayed = touched(&|| assert!(migration.replay(&[], &Stop::default(), &Silent).unwrap().complete));
    assert!(replayed.is_empty(), "{replayed:?}");

    // A later state that says the same.
    let later = "UPDATE meta SET value = strftime('%Y-%m-%dT%H:%M:%SZ', value, '+1 second') WHERE name = 'snapshot_at'";
    Db::open(&legacy, Role::Target).unwrap().batch_execute(later).unwrap();
    let caught_up = touched(&|| {
        let done = migration.catch_up(&Vec::new(), &Stop::default(), &Silent).unwrap();
        assert!(done.complete && done.steps.iter().all(|(_, done)| !done.rejudged.changed()), "{done:?}");
    });
    assert_eq!(caught_up, ["replant.replant_generations 1"]);
}
