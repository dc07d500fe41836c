//! The credit entries of the sample, on SQLite, as far as an independent reading of the rules counted them.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use replant_core::db::{Db, Role};
use replant_core::ledger::{close, status};
use replant_core::{Migration, Registry, Settings, Silent, Stop};

const STEP: &str = "credits.entries";

/// Chunks of a few rows, so that many double posts stand in different ones.
fn migrated(folder: &std::path::Path) -> Db {
    let target = fixtures::PLATFORM.in_sqlite(folder);
    let registry = Registry::default().domain(users::domain()).domain(credits::domain());
    let migration = Migration {
        registry: &registry,
        snapshot: reference::snapshot,
        legacy: fixtures::LEGACY.in_sqlite(folder),
        target: target.clone(),
        settings: Settings { chunk_rows: 100, ..Settings::default() },
    };
    let report = migration.run(&Stop::default(), &Silent).expect("the run ends well");
    assert!(report.complete);
    Db::open(&target, Role::Target).expect("the target is there")
}

#[derive(QueryableByName)]
struct Sum {
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = BigInt)]
    minor: i64,
    #[diesel(sql_type = BigInt)]
    entries: i64,
}

#[derive(QueryableByName)]
struct Noted {
    #[diesel(sql_type = Text)]
    what: String,
    #[diesel(sql_type = BigInt)]
    entries: i64,
}

#[test]
fn the_sample_comes_to_the_expected_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut db = migrated(folder.path());

    let steps = status::steps(&mut db).expect("the ledger can be read");
    let counts = &steps.iter().find(|step| step.step == STEP).expect("the step").counts;
    assert_eq!(
        (counts.read, counts.migrated, counts.merged, counts.skipped, counts.quarantined),
        (7700, 7580, 0, 59, 61)
    );
    let codes = status::codes(&mut db).expect("the ledger can be read");
    let of_step = codes.iter().filter(|code| code.step == STEP);
    let mut of_step: Vec<String> = of_step.map(|c| format!("{}:{}={}", c.what, c.code, c.count)).collect();
    of_step.sort();
    assert_eq!(
        of_step,
        [
            "quarantined:account_missing=17",
            "quarantined:amount_invalid=10",
            "quarantined:currency_conflict=5",
            "quarantined:currency_unknown=12",
            "quarantined:parent_quarantined=17",
            "repaired:amount_rounded=12",
            "repaired:currency_defaulted=24",
            "repaired:occurred_at_derived=26",
            "repaired:reason_defaulted=17",
            "repaired:text_cleaned=15",
            "skipped:duplicate=25",
            "skipped:parent_skipped=26",
            "skipped:zero_delta=8",
        ]
    );
    // One repair for each currency; everybody here is below zero in one.
    let adjusted = codes.iter().filter(|code| code.code == "negative_balance_adjusted");
    let adjusted: Vec<(&str, u64)> = adjusted.map(|code| (code.step.as_str(), code.count)).collect();
    assert_eq!(adjusted, [("users.accounts", 36)]);
    // The platform's own ones are among them, the pre-launch ones are gone, and no credit is below zero.
    let sums: Vec<Sum> = diesel::sql_query(
        "SELECT currency, sum(delta_minor) AS minor, count(*) AS entries FROM credit_entries GROUP BY currency ORDER BY 1",
    )
    .load(&mut db)
    .expect("sums");
    let shown: Vec<String> = sums.iter().map(|sum| format!("{} {}", sum.currency, sum.minor)).collect();
    assert_eq!(
        shown.join(", "),
        "AUD 194013, CAD 121786, CHF 38072, EUR 785307, GBP 4864127, JPY 126844, KWD 13800, SEK 66986, USD 603445"
    );
    assert_eq!(sums.iter().map(|sum| sum.entries).sum::<i64>(), 7770);
    // What was removed and what was added without a legacy row behind it is in the ledger.
    let sql = "SELECT what, count(*) AS entries FROM replant_changes \
               WHERE step = 'credits.entries' AND target_table = 'credit_entries' GROUP BY what ORDER BY what";
    let noted: Vec<Noted> = diesel::sql_query(sql).load(&mut db).expect("the ledger can be read");
    let noted: Vec<(&str, i64)> = noted.iter().map(|noted| (noted.what.as_str(), noted.entries)).collect();
    assert_eq!(noted, [("adjusted", 36), ("removed", 614)]);
    let money = close::money(&mut db, Some(STEP)).expect("the ledger can be read");
    assert!(money.imbalance().is_none());
}
