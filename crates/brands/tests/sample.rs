//! The brands of the sample, on SQLite, as far as an independent reading of the rules counted them.

use diesel::connection::SimpleConnection;
use replant_core::db::{Db, DbUrl, Role};
use replant_core::ledger::{close, history, status};
use replant_core::{Migration, Registry, Settings, Silent, Stop};
use replant_testkit::dump;

fn migrated(folder: &std::path::Path, target: &DbUrl) -> Db {
    let registry = Registry::default().domain(brands::domain()).domain(users::domain());
    let migration = Migration {
        registry: &registry,
        snapshot: reference::snapshot,
        legacy: fixtures::LEGACY.in_sqlite(folder),
        target: target.clone(),
        settings: Settings::default(),
    };
    let report = migration.run(&Stop::default(), &Silent).expect("the run ends well");
    assert!(report.complete);
    Db::open(target, Role::Target).expect("the target is there")
}

#[test]
fn the_sample_comes_to_the_expected_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut db = migrated(folder.path(), &fixtures::PLATFORM.in_sqlite(folder.path()));

    let steps = status::steps(&mut db).expect("the ledger can be read");
    let counts = &steps.iter().find(|step| step.step == "brands.brands").expect("the step").counts;
    assert_eq!((counts.read, counts.migrated, counts.merged, counts.skipped, counts.quarantined), (35, 31, 0, 1, 3));

    let codes = status::codes(&mut db).expect("the ledger can be read");
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
    // By currency: migrated, skipped, quarantined. A refused brand's price is counted too.
    let money = close::money(&mut db, Some("brands.brands")).expect("the ledger can be read");
    let money: Vec<String> = money
        .iter()
        .map(|(c, flow)| format!("{c} {} {} {}", flow.migrated, flow.skipped.normalize(), flow.quarantined.normalize()))
        .collect();
    assert_eq!(money, ["EUR 150 0 0", "GBP 1500 60 180", "USD 75 0 0"]);
    assert_eq!(dump::dump(&mut db, "brands").expect("a dump").rows.len(), 31);
}

#[test]
fn the_ledger_keeps_which_accounts_became_brands() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = fixtures::PLATFORM.in_sqlite(folder.path());
    // Two accounts of the pre-launch migration with a brand each; in the sample both are brands already.
    let (person, brand) = (1118, 2760);
    let mut db = Db::open(&target, Role::Target).expect("the target is there");
    db.batch_execute(&format!("UPDATE accounts SET kind = 'person' WHERE id = {person}")).expect("an update");
    drop(db);
    let mut db = migrated(folder.path(), &target);
    let mut changes = |id| {
        let mut changes = history::changes(&mut db, "accounts", id).expect("the ledger can be read");
        changes.retain(|change| change.step == "brands.brands");
        changes
    };
    let became = changes(person);
    assert_eq!(became.len(), 1);
    assert_eq!(became[0].what, "became_brand");
    let starts_with = |columns: &Option<String>, kind| columns.as_deref().is_some_and(|json| json.starts_with(kind));
    assert!(starts_with(&became[0].before, r#"{"kind":"person","updated_at":"#), "{became:?}");
    assert!(starts_with(&became[0].after, r#"{"kind":"brand","updated_at":"#), "{became:?}");
    assert_eq!(changes(brand), []);
}
