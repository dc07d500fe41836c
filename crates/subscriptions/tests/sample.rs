//! The subscriptions of the sample, on SQLite, as far as an independent reading of the rules counted them.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use replant_core::db::{Db, Role};
use replant_core::ledger::{close, status};
use replant_core::{Migration, Registry, Settings, Silent, Stop};

const STEP: &str = "subscriptions.subscriptions";

/// Chunks of a few rows, so that most rivals stand in different ones.
fn migrated(folder: &std::path::Path) -> Db {
    let target = fixtures::PLATFORM.in_sqlite(folder);
    let registry = Registry::default().domain(users::domain()).domain(brands::domain()).domain(subscriptions::domain());
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
    subscriptions: i64,
}

#[test]
fn the_sample_comes_to_the_expected_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut db = migrated(folder.path());

    let steps = status::steps(&mut db).expect("the ledger can be read");
    let counts = &steps.iter().find(|step| step.step == STEP).expect("the step").counts;
    assert_eq!(
        (counts.read, counts.migrated, counts.merged, counts.skipped, counts.quarantined),
        (1750, 1684, 0, 15, 51)
    );
    let codes = status::codes(&mut db).expect("the ledger can be read");
    let codes = codes.iter().filter(|code| code.step == STEP);
    let mut codes: Vec<String> = codes.map(|c| format!("{}:{}={}", c.what, c.code, c.count)).collect();
    codes.sort();
    assert_eq!(
        codes,
        [
            "quarantined:account_missing=6",
            "quarantined:amount_invalid=6",
            "quarantined:currency_conflict=2",
            "quarantined:currency_unknown=3",
            "quarantined:interval_unknown=5",
            "quarantined:parent_quarantined=5",
            "quarantined:started_at_unknown=12",
            "quarantined:status_unknown=7",
            "quarantined:trees_not_positive=5",
            "repaired:amount_rounded=4",
            "repaired:cancelled_at_derived=3",
            "repaired:currency_defaulted=7",
            "repaired:lapsed=22",
            "repaired:status_contradiction=8",
            "repaired:superseded=83",
            "repaired:text_cleaned=6",
            "skipped:duplicate=8",
            "skipped:parent_skipped=7",
        ]
    );
    let money = close::money(&mut db, Some(STEP)).expect("the ledger can be read");
    assert!(money.imbalance().is_none());

    // The platform's own ones are among them.
    let sums: Vec<Sum> = diesel::sql_query(
        "SELECT currency, sum(amount_minor) AS minor, count(*) AS subscriptions FROM subscriptions GROUP BY currency ORDER BY 1",
    )
    .load(&mut db)
    .expect("sums");
    assert_eq!(sums.iter().map(|sum| sum.subscriptions).sum::<i64>(), 1808);
    let sums: Vec<String> = sums.iter().map(|sum| format!("{} {}", sum.currency, sum.minor)).collect();
    assert_eq!(
        sums.join(", "),
        "AUD 46380, CAD 18900, CHF 13860, EUR 163680, GBP 753060, JPY 14100, KWD 4600, SEK 6240, USD 122100"
    );
}
