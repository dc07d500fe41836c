//! The projects of the sample, on SQLite, as far as an independent reading of the rules counted them.

use replant_core::db::{Db, Role};
use replant_core::ledger::status;
use replant_core::{Migration, Registry, Settings, Silent, Stop};
use replant_testkit::dump;

/// Chunks of two rows, so that most followers stand in another chunk than their leader.
fn migrated(folder: &std::path::Path) -> Db {
    let target = fixtures::PLATFORM.in_sqlite(folder);
    let registry = Registry::default().domain(projects::domain());
    let migration = Migration {
        registry: &registry,
        snapshot: reference::snapshot,
        legacy: fixtures::LEGACY.in_sqlite(folder),
        target: target.clone(),
        settings: Settings { chunk_rows: 2, ..Settings::default() },
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
    let counts = &steps[0].counts;
    assert_eq!((counts.read, counts.migrated, counts.merged, counts.skipped, counts.quarantined), (16, 13, 2, 0, 1));

    let mut codes: Vec<String> =
        status::codes(&mut db).expect("codes").iter().map(|c| format!("{}:{}={}", c.what, c.code, c.count)).collect();
    codes.sort();
    assert_eq!(
        codes,
        [
            "merged:duplicate_slug=2",
            "quarantined:project_name_missing=1",
            "repaired:coordinates_swapped=1",
            "repaired:coordinates_unknown=3",
            "repaired:country_unknown=1",
            "repaired:text_cleaned=2",
        ]
    );
    for (table, rows) in [("projects", 14), ("project_species", 25)] {
        assert_eq!(dump::dump(&mut db, table).expect("a dump").rows.len(), rows, "{table}");
    }
}
