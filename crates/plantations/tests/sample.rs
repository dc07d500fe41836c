//! The plantings of the sample, on SQLite, as far as an independent reading of the rules counted them.

use std::collections::BTreeMap;

use replant_core::db::{Db, Role};
use replant_core::ledger::{close, status};
use replant_core::{Migration, Registry, Settings, Silent, Stop};
use replant_testkit::dump;

/// Chunks of 997 rows, so that doubles stand in other chunks than the rows that they repeat.
fn migrated(folder: &std::path::Path) -> Db {
    let target = fixtures::PLATFORM.in_sqlite(folder);
    let registry = Registry::default()
        .domain(users::domain())
        .domain(brands::domain())
        .domain(projects::domain())
        .domain(invoices::domain())
        .domain(subscriptions::domain())
        .domain(payments::domain())
        .domain(plantations::domain());
    let migration = Migration {
        registry: &registry,
        snapshot: reference::snapshot,
        legacy: fixtures::LEGACY.in_sqlite(folder),
        target: target.clone(),
        settings: Settings { chunk_rows: 997, ..Settings::default() },
    };
    let report = migration.run(&Stop::default(), &Silent).expect("the run ends well");
    assert!(report.complete);
    Db::open(&target, Role::Target).expect("the target is there")
}

#[test]
fn the_sample_comes_to_the_expected_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut db = migrated(folder.path());

    let steps = status::steps(&mut db).expect("the ledger can be read");
    let counts = &steps.iter().find(|step| step.step == "plantations.plantings").expect("the step").counts;
    assert_eq!(
        (counts.read, counts.migrated, counts.merged, counts.skipped, counts.quarantined),
        (29_400, 28_155, 0, 594, 651)
    );

    let codes = status::codes(&mut db).expect("the ledger can be read");
    let codes = codes.iter().filter(|code| code.step == "plantations.plantings");
    let mut codes: Vec<String> = codes.map(|c| format!("{}:{}={}", c.what, c.code, c.count)).collect();
    codes.sort();
    assert_eq!(
        codes,
        [
            "quarantined:account_missing=62",
            "quarantined:currency_unknown=47",
            "quarantined:parent_quarantined=370",
            "quarantined:planted_at_unknown=17",
            "quarantined:project_missing=28",
            "quarantined:source_unknown=39",
            "quarantined:status_unknown=56",
            "quarantined:trees_not_positive=32",
            "repaired:amount_rounded=28",
            "repaired:brand_link_broken=3",
            "repaired:cost_dropped=68",
            "repaired:currency_defaulted=71",
            "repaired:payment_link_broken=190",
            "repaired:planted_at_derived=117",
            "repaired:recipient_email_invalid=87",
            "repaired:text_cleaned=104",
            "skipped:cancelled=391",
            "skipped:duplicate=41",
            "skipped:parent_skipped=162",
        ]
    );

    // The platform's own plantings are among them.
    let plantings = dump::dump(&mut db, "plantings").expect("a dump");
    let place = |name| plantings.columns.iter().position(|column| column == name).expect("the column");
    let (currency, cost) = (place("currency"), place("cost_minor"));
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for row in &plantings.rows {
        if let (Some(currency), Some(cost)) = (&row[currency], &row[cost]) {
            *sums.entry(currency).or_default() += cost.parse::<i64>().expect("a number");
        }
    }
    let sums: Vec<String> = sums.iter().map(|(currency, sum)| format!("{currency} {sum}")).collect();
    assert_eq!(plantings.rows.len(), 28_915);
    assert_eq!(
        sums,
        [
            "AUD 126791096",
            "CAD 1492436",
            "CHF 148902394",
            "EUR 993441346",
            "GBP 51549479951",
            "JPY 866739",
            "KWD 35600",
            "SEK 185986550",
            "USD 2214199481",
        ]
    );

    // By currency: read, and what the repairs changed. The costs of all rows were added up by other means.
    let money = close::money(&mut db, Some("plantations.plantings")).expect("the ledger can be read");
    assert_eq!(money.imbalance(), None);
    let money: Vec<String> =
        money.iter().map(|(c, flow)| format!("{c} {} {}", flow.read.normalize(), flow.repaired.normalize())).collect();
    assert_eq!(
        money,
        [
            "AUD 126812912 0",
            "CAD 1495937 -300",
            "CHF 148915278 -1780",
            "EUR 993536160.00019 -6796.99981",
            "GBP 51806812245.00135 -35779.99868",
            "JPY 981062.00006 0.00006",
            "KWD 35600 0",
            "SEK 185993430 -360",
            "USD 2214405969 -60",
        ]
    );
}
