//! The invoices of the sample, on SQLite, as far as an independent reading of the rules counted them.

use replant_core::db::{Db, Role};
use replant_core::ledger::{close, status};
use replant_core::{Migration, Registry, Settings, Silent, Stop};
use replant_testkit::dump;

#[test]
fn the_sample_comes_to_the_expected_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = fixtures::PLATFORM.in_sqlite(folder.path());
    let registry = Registry::default().domain(invoices::domain()).domain(users::domain());
    let migration = Migration {
        registry: &registry,
        snapshot: reference::snapshot,
        legacy: fixtures::LEGACY.in_sqlite(folder.path()),
        target: target.clone(),
        settings: Settings::default(),
    };
    assert!(migration.run(&Stop::default(), &Silent).expect("the run ends well").complete);
    let mut db = Db::open(&target, Role::Target).expect("the target is there");

    let steps = status::steps(&mut db).expect("the ledger can be read");
    let counts = &steps.iter().find(|step| step.step == "invoices.invoices").expect("the step").counts;
    assert_eq!((counts.read, counts.migrated, counts.merged, counts.skipped, counts.quarantined), (420, 388, 0, 5, 27));

    let codes = status::codes(&mut db).expect("the ledger can be read");
    let codes = codes.iter().filter(|code| code.step == "invoices.invoices");
    let mut codes: Vec<String> = codes.map(|c| format!("{}:{}={}", c.what, c.code, c.count)).collect();
    codes.sort();
    assert_eq!(
        codes,
        [
            "quarantined:account_missing=1",
            "quarantined:amount_invalid=4",
            "quarantined:amount_not_positive=1",
            "quarantined:currency_conflict=3",
            "quarantined:currency_unknown=2",
            "quarantined:invoice_conflict=4",
            "quarantined:invoice_number_invalid=3",
            "quarantined:issued_on_unknown=3",
            "quarantined:parent_quarantined=6",
            "repaired:amount_rounded=3",
            "repaired:currency_defaulted=3",
            "repaired:due_on_dropped=2",
            "repaired:text_cleaned=2",
            "skipped:duplicate=4",
            "skipped:parent_skipped=1",
        ]
    );
    let money = close::money(&mut db, Some("invoices.invoices")).expect("the ledger can be read");
    let money: Vec<String> = money.iter().map(|(currency, flow)| format!("{currency} {}", flow.migrated)).collect();
    assert_eq!(
        money.join(", "),
        "AUD 352536, CAD 405427, CHF 51554, EUR 1249616, GBP 14875549, JPY 789185, KWD 77800, SEK 300988, USD 1095680"
    );
    assert_eq!(dump::dump(&mut db, "invoices").expect("a dump").rows.len(), 388);
}
