//! The sample's users, from SQLite to SQLite.

use replant_core::{Migration, Registry, Settings, Silent, Stop};
use replant_testkit::sample;

#[test]
fn the_sample_users_end_as_the_rules_say() {
    let folder = tempfile::tempdir().unwrap();
    let legacy = sample::sqlite_legacy_sample(folder.path());
    let target = sample::sqlite_platform_sample(folder.path());
    let registry = Registry::default().domain(users::domain());
    let migration = Migration {
        registry: &registry,
        snapshot: reference::snapshot,
        legacy,
        target: target.clone(),
        settings: Settings::default(),
    };
    let t = std::time::Instant::now();
    let report = migration.run(&Stop::default(), &Silent).unwrap();
    println!("{report:?} {:?}", t.elapsed());
    let mut db = replant_core::db::Db::open(&target, replant_core::db::Role::Target).unwrap();
    for code in replant_core::ledger::status::codes(&mut db).unwrap() {
        println!("{code:?}");
    }
    std::fs::copy(folder.path().join("platform.db"), "/tmp/platform.db").unwrap();
    drop(db);
}
