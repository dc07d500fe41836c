//! The brands of the sample, on SQLite, as far as an independent reading of the rules counted them.

use replant_core::db::{Db, Role};
use replant_core::ledger::status;
use replant_core::{Migration, Registry, Settings, Silent, Stop};
use replant_testkit::{dump, sample};

#[test]
fn the_sample_comes_to_the_expected_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = sample::sqlite_platform_sample(folder.path());
    let registry = Registry::default().domain(brands::domain()).domain(users::domain());
    let migration = Migration {
        registry: &registry,
        snapshot: reference::snapshot,
        legacy: sample::sqlite_legacy_sample(folder.path()),
        target: target.clone(),
        settings: Settings::default(),
    };
    let report = migration.run(&Stop::default(), &Silent).expect("the run ends well");
    assert!(report.complete);

    let mut db = Db::open(&target, Role::Target).expect("the target is there");
    let steps = status::steps(&mut db).expect("the ledger can be read");
    let counts = &steps.iter().find(|step| step.step == "brands.brands").expect("the step").counts;
    assert_eq!((counts.read, counts.migrated, counts.merged, counts.skipped, counts.quarantined), (35, 31, 0, 1, 3));

    let codes = status::codes(&mut db).expect("codes");
    let codes = codes.iter().filter(|code| code.step == "brands.brands");
    let mut codes: Vec<String> = codes.map(|c| format!("{}:{}={}", c.what, c.code, c.count)).collect();
    codes.sort();
    assert_eq!(
        codes,
        [
            "quarantined:account_missing=1",
            "quarantined:brand_name_missing=1",
            "quarantined:parent_quarantined=1",
            "repaired:billing_defaulted=8",
            "repaired:currency_defaulted=1",
            "repaired:text_cleaned=3",
            "skipped:parent_skipped=1",
        ]
    );
    assert_eq!(dump::dump(&mut db, "brands").expect("a dump").rows.len(), 31);
}
