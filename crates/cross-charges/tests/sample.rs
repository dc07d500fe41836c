//! The cross-charges of the sample, on SQLite, as far as an independent reading of the rules counted them.

use std::path::Path;

use diesel::connection::SimpleConnection;
use replant_core::db::{Db, DbUrl, Role};
use replant_core::ledger::{close, status};
use replant_core::{Migration, Registry, Settings, Silent, Stop};
use replant_testkit::dump;

const STEP: &str = "cross_charges.charges";

fn run(registry: &Registry, folder: &Path, target: &DbUrl) -> Db {
    let migration = Migration {
        registry,
        snapshot: reference::snapshot,
        legacy: fixtures::LEGACY.in_sqlite(folder),
        target: target.clone(),
        settings: Settings::default(),
    };
    assert!(migration.run(&Stop::default(), &Silent).expect("the run ends well").complete);
    Db::open(target, Role::Target).expect("the target is there")
}

fn earlier() -> Registry {
    Registry::default().domain(brands::domain()).domain(users::domain())
}

fn codes(db: &mut Db) -> Vec<String> {
    let codes = status::codes(db).expect("the ledger can be read");
    let codes = codes.iter().filter(|code| code.step == STEP);
    let mut codes: Vec<String> = codes.map(|c| format!("{}:{}={}", c.what, c.code, c.count)).collect();
    codes.sort();
    codes
}

#[test]
fn the_sample_comes_to_the_expected_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = fixtures::PLATFORM.in_sqlite(folder.path());
    let mut db = run(&earlier().domain(cross_charges::domain()), folder.path(), &target);

    let steps = status::steps(&mut db).expect("the ledger can be read");
    let counts = &steps.iter().find(|step| step.step == STEP).expect("the step").counts;
    assert_eq!(
        (counts.read, counts.migrated, counts.merged, counts.skipped, counts.quarantined),
        (560, 470, 0, 42, 48)
    );

    assert_eq!(
        codes(&mut db),
        [
            "quarantined:amount_invalid=4",
            "quarantined:brand_unknown=33",
            "quarantined:currency_conflict=3",
            "quarantined:currency_unknown=2",
            "quarantined:parent_quarantined=3",
            "quarantined:period_invalid=1",
            "quarantined:trees_not_positive=2",
            "repaired:amount_rounded=19",
            "repaired:currency_defaulted=2",
            "repaired:text_cleaned=31",
            "repaired:total_recomputed=26",
            "skipped:cancelled=16",
            "skipped:superseded=26",
        ]
    );
    // By currency: migrated, skipped, quarantined, repaired. The total of a refused charge is counted too.
    let money = close::money(&mut db, Some(STEP)).expect("the ledger can be read");
    let money: Vec<String> = money
        .iter()
        .map(|(c, flow)| {
            let [skipped, quarantined, repaired] =
                [flow.skipped, flow.quarantined, flow.repaired].map(|amount| amount.normalize());
            format!("{c} {} {skipped} {quarantined} {repaired}", flow.migrated)
        })
        .collect();
    assert_eq!(money, ["EUR 3725 0 0 0", "GBP 420279 25120 103105 -4408", "USD 2030 0 0 0"]);
    assert_eq!(dump::dump(&mut db, "cross_charges").expect("a dump").rows.len(), 470);
}

#[test]
fn a_charge_that_the_platform_made_meanwhile_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = fixtures::PLATFORM.in_sqlite(folder.path());
    let mut db = run(&earlier(), folder.path(), &target);
    db.batch_execute(
        "INSERT INTO cross_charges
           (brand_id, period, trees, unit_price_minor, total_minor, currency, cost_centre)
         SELECT id, '2023-03-01', 1, 60, 60, 'GBP', 'R&D' FROM brands WHERE name = 'Café Olé Coffee'",
    )
    .expect("an insert");
    drop(db);
    let mut db = run(&earlier().domain(cross_charges::domain()), folder.path(), &target);
    let codes = codes(&mut db);
    assert!(codes.contains(&"skipped:already_native=1".to_owned()), "{codes:?}");
    assert!(codes.contains(&"skipped:superseded=26".to_owned()), "{codes:?}");
    assert_eq!(dump::dump(&mut db, "cross_charges").expect("a dump").rows.len(), 470);
}
