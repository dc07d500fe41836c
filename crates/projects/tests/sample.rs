//! The projects of the sample, on SQLite, as far as an independent reading of the rules counted them.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use replant_core::db::{Db, Role};
use replant_core::ledger::{history, status};
use replant_core::{Migration, Registry, Settings, Silent, Stop};
use replant_testkit::{dump, sample};

/// Chunks of two rows, so that most followers stand in another chunk than their leader.
fn migrated(folder: &std::path::Path) -> Db {
    let target = sample::sqlite_platform_sample(folder);
    let registry = Registry::default().domain(projects::domain());
    let migration = Migration {
        registry: &registry,
        snapshot: reference::snapshot,
        legacy: sample::sqlite_legacy_sample(folder),
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

#[derive(Debug, PartialEq, QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    species: String,
}

#[test]
fn merged_projects_and_those_of_the_platform_lead_to_the_project_that_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut db = migrated(folder.path());
    let step = history::known_steps(&mut db).expect("steps").remove(0);
    let mut target = |key| {
        let lineage = history::of_legacy(&mut db, &step, key).expect("lineage").expect("a row");
        lineage.targets[0].clone()
    };
    assert_eq!(target(2), ("projects".to_owned(), 500));
    assert_eq!(target(17), ("projects".to_owned(), 501));
    let leader = target(6);
    assert_eq!((target(9), target(12)), (leader.clone(), leader.clone()));

    let species: Vec<Found> = diesel::sql_query(
        "SELECT project_id AS id, group_concat(species, '; ') AS species \
         FROM (SELECT * FROM project_species WHERE project_id IN (500, ?) ORDER BY 1, 2) GROUP BY 1 ORDER BY 1",
    )
    .bind::<BigInt, _>(leader.1)
    .load(&mut db)
    .expect("species");
    assert_eq!(
        species,
        [
            Found { id: 500, species: "Betula pendula; Grevillea robusta; Moringa oleifera".to_owned() },
            Found { id: leader.1, species: "Avicennia marina; Grevillea robusta".to_owned() },
        ]
    );
}
