//! A replay finds the adjustments of the run before, and puts them right.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use replant_core::db::{Db, DbUrl, Role};
use replant_core::ledger::mends::Mend;
use replant_core::ledger::{close, history, quarantine};
use replant_core::{Migration, Registry, Settings, Silent, Stop};
use replant_testkit::{postgres, sqlite};
use serde_json::Value;

const STEP: &str = "credits.entries";

/// Somebody whose credit is 7.00 GBP below zero, as long as entry 10 is in a currency that nobody knows.
const LEGACY: &str = "
    INSERT INTO meta (name, value) VALUES ('snapshot_at', '2024-03-20T23:40:00Z');
    INSERT INTO user (id, email, created_when) VALUES (1, 'joe@web.de', '2015-06-01 00:00:00');
    INSERT INTO credit_entry (id, user_id, delta, currency, reason, created_when) VALUES
        (10, 1, '5.00', 'BTC', 'topup', '2020-01-01 00:00:00'),
        (11, 1, '-7.00', 'GBP', 'spend', '2020-01-02 00:00:00')";

const PLATFORM: &str = "INSERT INTO currencies (code, exponent) VALUES ('GBP', 2)";

struct World<'a> {
    migration: Migration<'a>,
    db: Db,
}

#[derive(QueryableByName)]
struct Entry {
    #[diesel(sql_type = BigInt)]
    delta_minor: i64,
    #[diesel(sql_type = Text)]
    reason: String,
}

impl World<'_> {
    /// Replays once entry 10 says something else.
    fn replay(&mut self, delta: &str, currency: &str, row: &Value) {
        let mut row = row.clone();
        row["delta"] = delta.into();
        row["currency"] = currency.into();
        let mend = Mend { table: "credit_entry".to_owned(), key: 10, row };
        let replay = self.migration.replay(&[mend], &Stop::default(), &Silent).expect("the replay ends well");
        assert!(replay.complete);
    }

    /// The entries, the repairs of the user, and what repairs gave, in minor units.
    fn found(&mut self) -> (Vec<String>, Vec<String>, i64) {
        let entries: Vec<Entry> =
            diesel::sql_query("SELECT delta_minor, reason FROM credit_entries ORDER BY reason, delta_minor")
                .load(&mut self.db)
                .expect("entries");
        let entries = entries.iter().map(|entry| format!("{} {}", entry.reason, entry.delta_minor)).collect();
        let repairs = history::repairs(&mut self.db, "users.accounts", 1).expect("the ledger can be read");
        let shown = |value: &Option<String>| value.clone().unwrap_or_default();
        let repairs =
            repairs.iter().map(|r| format!("{}: {} -> {}", r.code, shown(&r.before), shown(&r.after))).collect();
        let money = close::money(&mut self.db, Some(STEP)).expect("the ledger can be read");
        assert!(money.imbalance().is_none());
        let given = money.iter().find(|(currency, _)| currency.as_str() == "GBP").expect("pounds");
        (entries, repairs, i64::try_from(-given.1.repaired).expect("whole minor units"))
    }

    #[track_caller]
    fn check(&mut self, entries: &[&str], repairs: &[&str], given: i64) {
        let (found, repaired, money) = self.found();
        assert_eq!((found.as_slice(), repaired.as_slice(), money), (&*owned(entries), &*owned(repairs), given));
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
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

    let registry = Registry::default().domain(users::domain()).domain(credits::domain());
    let migration = Migration {
        registry: &registry,
        snapshot: reference::snapshot,
        legacy: DbUrl::sqlite(&legacy),
        target: target.clone(),
        settings: Settings::default(),
    };
    assert!(migration.run(&Stop::default(), &Silent).expect("the run ends well").complete);
    let mut world = World { migration, db };
    let row = quarantine::of_row(&mut world.db, STEP, 10).expect("the ledger can be read").expect("it is quarantined");
    let row: Value = serde_json::from_str(&row.legacy_row).expect("a row as JSON");
    world.check(&["adjustment 700", "spend -700"], &["negative_balance_adjusted: -7.00 GBP -> 0.00 GBP"], 700);

    // What a customer buys meanwhile is theirs: it makes no adjustment smaller.
    let bought = "INSERT INTO credit_entries (account_id, currency, delta_minor, reason, occurred_at) \
                  SELECT id, 'GBP', 300, 'topup', '2024-03-21 10:00:00.000000' FROM accounts";
    world.db.batch_execute(bought).expect("a top-up");
    world.replay("5.00", "GBP", &row);
    let entries = ["adjustment 200", "spend -700", "topup 300", "topup 500"];
    world.check(&entries, &["negative_balance_adjusted: -2.00 GBP -> 0.00 GBP"], 200);

    world.replay("10.00", "GBP", &row);
    world.check(&["spend -700", "topup 300", "topup 1000"], &[], 0);

    world.replay("1.00", "GBP", &row);
    let entries = ["adjustment 600", "spend -700", "topup 100", "topup 300"];
    world.check(&entries, &["negative_balance_adjusted: -6.00 GBP -> 0.00 GBP"], 600);
}

#[test]
fn a_replay_puts_the_adjustments_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let platform = folder.path().join("platform.db");
    drop(sqlite::create(&platform));
    story(folder.path(), &DbUrl::sqlite(&platform));
}

#[test]
fn a_replay_puts_the_adjustments_right_in_postgresql() {
    let Some(database) = postgres::database() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    story(folder.path(), &database.url());
}
