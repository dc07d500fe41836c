//! The transactions of the sample, on SQLite, against the counts of an independent reading of the rules.

use replant_core::db::{Db, Role};
use replant_core::ledger::{close, status};
use replant_core::{Migration, Registry, Settings, Silent, Stop};
use replant_testkit::dump;

const STEP: &str = "payments.payments";

#[test]
fn the_sample_comes_to_the_expected_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = fixtures::PLATFORM.in_sqlite(folder.path());
    let registry = Registry::default()
        .domain(users::domain())
        .domain(brands::domain())
        .domain(invoices::domain())
        .domain(subscriptions::domain())
        .domain(payments::domain());
    let migration = Migration {
        registry: &registry,
        snapshot: reference::snapshot,
        legacy: fixtures::LEGACY.in_sqlite(folder.path()),
        target: target.clone(),
        settings: Settings::default(),
    };
    let report = migration.run(&Stop::default(), &Silent).expect("the run ends well");
    assert!(report.complete);
    let mut db = Db::open(&target, Role::Target).expect("the target is there");

    let steps = status::steps(&mut db).expect("the ledger can be read");
    let counts = &steps.iter().find(|step| step.step == STEP).expect("the step").counts;
    assert_eq!(
        (counts.read, counts.migrated, counts.merged, counts.skipped, counts.quarantined),
        (23_100, 22_506, 0, 155, 439)
    );
    let codes = status::codes(&mut db).expect("the ledger can be read");
    let codes = codes.iter().filter(|code| code.step == STEP);
    let mut codes: Vec<String> = codes.map(|c| format!("{}:{}={}", c.what, c.code, c.count)).collect();
    codes.sort();
    assert_eq!(
        codes,
        [
            "quarantined:account_missing=71",
            "quarantined:amount_invalid=23",
            "quarantined:amount_not_positive=37",
            "quarantined:currency_conflict=29",
            "quarantined:currency_unknown=32",
            "quarantined:gateway_ref_conflict=12",
            "quarantined:method_unknown=32",
            "quarantined:paid_at_unknown=20",
            "quarantined:parent_quarantined=116",
            "quarantined:refund_exceeds_payment=28",
            "quarantined:refund_orphan=15",
            "quarantined:status_unknown=24",
            "repaired:account_recovered=171",
            "repaired:amount_rounded=38",
            "repaired:currency_defaulted=57",
            "repaired:paid_at_derived=86",
            "repaired:stale_pending=143",
            "repaired:subscription_link_broken=80",
            "repaired:text_cleaned=48",
            "skipped:already_native=23",
            "skipped:duplicate=44",
            "skipped:parent_skipped=88",
        ]
    );
    for (currency, flow) in close::money(&mut db, Some(STEP)).expect("the ledger can be read").iter() {
        assert!(flow.balance(), "{currency}: {flow:?}");
    }
    // The platform's own rows included; bank transfers come later.
    for (table, rows) in [("payments", 22_738), ("refunds", 1_073), ("payment_allocations", 187)] {
        assert_eq!(dump::dump(&mut db, table).expect("a dump").rows.len(), rows, "{table}");
    }
}
