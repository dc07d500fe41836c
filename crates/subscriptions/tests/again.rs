//! A replay in which a mended subscription takes the place of others, in chunks of one row.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use replant_core::db::{Db, DbUrl, Role};
use replant_core::ledger::mends::Mend;
use replant_core::ledger::quarantine;
use replant_core::{Key, Migration, Registry, Settings, Silent, Stop};
use replant_testkit::{postgres, sqlite};
use serde_json::Value;

const STEP: &str = "subscriptions.subscriptions";

const LEGACY: &str = "
    INSERT INTO meta (name, value) VALUES ('snapshot_at', '2024-03-20T23:40:00Z');
    INSERT INTO user (id, email, created_when) VALUES (1, 'joe@web.de', '2015-06-01 00:00:00');
    INSERT INTO subscription (id, user_id, plan, trees_per_month, amount, currency, \"interval\", status, started_when, gateway_ref)
    VALUES
        (10, 1, 'family', 1, '0.60', 'GBP', 'month', 'active', '2020-01-01 00:00:00', NULL),
        (11, 1, 'family', 1, 'tbc', 'GBP', 'month', 'active', '2020-03-01 00:00:00', NULL),
        (12, 1, 'club', 1, 'tbc', 'GBP', 'month', 'active', '2020-03-01 00:00:00', 'sub_1'),
        (13, 1, 'club', 1, '0.60', 'GBP', 'month', 'active', '2020-01-01 00:00:00', 'sub_1')";

const PLATFORM: &str = "INSERT INTO currencies (code, exponent) VALUES ('GBP', 2)";

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    shown: String,
}

fn found(db: &mut Db) -> Vec<String> {
    let sql = "SELECT plan || ' ' || substr(CAST(started_at AS text), 1, 10) || ' ' || status || ' ' \
               || coalesce(substr(CAST(cancelled_at AS text), 1, 10), '-') AS shown FROM subscriptions ORDER BY 1";
    let found: Vec<Found> = diesel::sql_query(sql).load(db).expect("subscriptions");
    found.into_iter().map(|found| found.shown).collect()
}

/// The quarantined row with an amount.
fn mended(db: &mut Db, key: Key) -> Mend {
    let row = quarantine::of_row(db, STEP, key).expect("the ledger can be read").expect("it is quarantined");
    let mut row: Value = serde_json::from_str(&row.legacy_row).expect("a row as JSON");
    row["amount"] = "0.60".into();
    Mend { table: "subscription".to_owned(), key, row }
}

fn story(folder: &std::path::Path, target: &DbUrl) {
    let legacy = folder.join("legacy.db");
    let mut db = sqlite::create(&legacy);
    fixtures::LEGACY.create(&mut db).expect("the legacy schema");
    db.batch_execute(LEGACY).expect("legacy rows");
    drop(db);
    let mut db = Db::open(target, Role::Target).expect("the target is there");
    fixtures::PLATFORM.create(&mut db).expect("the platform's schema");
    db.batch_execute(PLATFORM).expect("platform rows");

    let registry = Registry::default().domain(users::domain()).domain(brands::domain()).domain(subscriptions::domain());
    let migration = Migration {
        registry: &registry,
        snapshot: reference::snapshot,
        legacy: DbUrl::sqlite(&legacy),
        target: target.clone(),
        settings: Settings { chunk_rows: 1, ..Settings::default() },
    };
    assert!(migration.run(&Stop::default(), &Silent).expect("the run ends well").complete);
    assert_eq!(found(&mut db), ["club 2020-01-01 active -", "family 2020-01-01 active -"]);

    let mends = [mended(&mut db, 11), mended(&mut db, 12)];
    assert!(migration.replay(&mends, &Stop::default(), &Silent).expect("the replay ends well").complete);
    assert_eq!(
        found(&mut db),
        ["club 2020-03-01 active -", "family 2020-01-01 cancelled 2020-03-01", "family 2020-03-01 active -"]
    );
}

#[test]
fn a_mended_subscription_takes_the_place_of_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let platform = folder.path().join("platform.db");
    drop(sqlite::create(&platform));
    story(folder.path(), &DbUrl::sqlite(&platform));
}

#[test]
fn a_mended_subscription_takes_the_place_of_others_in_postgresql() {
    let Some(database) = postgres::database() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    story(folder.path(), &database.url());
}
