//! The same rows arrive in every kind of database.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use diesel::RunQueryDsl;
use replant_core::db::{Db, DbUrl, Role};
use replant_testkit::dump::{assert_same, dump_all};
use replant_testkit::load::load_dir;
use replant_testkit::{mariadb, postgres, sqlite};
use simulate::{SimulateError, Simulation};

const ROWS: u64 = 5_000;

fn simulation() -> Simulation {
    Simulation::new(ROWS, 11)
}

struct Sqlite {
    folder: tempfile::TempDir,
    legacy: DbUrl,
    platform: DbUrl,
}

fn sqlite() -> Sqlite {
    let folder = tempfile::tempdir().unwrap();
    let url = |name| DbUrl::sqlite(&folder.path().join(name));
    let (legacy, platform) = (url("legacy.db"), url("platform.db"));
    let made = simulation().into_databases(&legacy, &platform).unwrap();
    let legacy_rows: u64 = made.tables.iter().take(10).map(|(_, rows)| rows).sum();
    assert_eq!(legacy_rows, ROWS);
    Sqlite { folder, legacy, platform }
}

#[track_caller]
fn assert_alike(a: &DbUrl, b: &DbUrl) {
    let dump = |url: &DbUrl| {
        let mut tables = dump_all(&mut Db::open(url, Role::Target).unwrap()).unwrap();
        tables.retain(|table| table.name != "sqlite_stat1");
        tables
    };
    assert_same(&dump(a), &dump(b));
}

#[test]
fn a_folder_loads_as_what_is_written_directly() {
    let direct = sqlite();
    let csv = direct.folder.path().join("csv");
    simulation().into_folder(&csv).unwrap();
    for (side, url) in [("legacy", &direct.legacy), ("platform", &direct.platform)] {
        let path = direct.folder.path().join(format!("{side}-loaded.db"));
        let mut db = sqlite::create(&path);
        if side == "legacy" {
            fixtures::LEGACY.create(&mut db).unwrap()
        } else {
            fixtures::PLATFORM.create(&mut db).unwrap()
        }
        load_dir(&mut db, &csv.join(side)).unwrap();
        assert_alike(url, &DbUrl::sqlite(&path));
    }
}

#[test]
fn servers_get_what_sqlite_gets() {
    let direct = sqlite();
    let Some(platform) = postgres::database() else { return };
    simulation().into_databases_with(None, Some(&platform.url()), &|_, _| {}).unwrap();
    assert_alike(&direct.platform, &platform.url());
    let mut db = platform.open();
    let next: i64 = diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>("nextval('payments_id_seq')"))
        .get_result(&mut db)
        .unwrap();
    let highest: i64 = diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>("(SELECT max(id) FROM payments)"))
        .get_result(&mut db)
        .unwrap();
    assert_eq!(next, highest + 1);

    let Some(legacy) = mariadb::database() else { return };
    simulation().into_databases_with(Some(&legacy.url()), None, &|_, _| {}).unwrap();
    assert_alike(&direct.legacy, &legacy.url());
}

#[test]
fn a_database_with_rows_is_refused() {
    let direct = sqlite();
    let again = simulation().into_databases(&direct.legacy, &direct.platform).unwrap_err();
    assert!(matches!(again, SimulateError::NotEmpty { side: "legacy", .. }), "{again}");
    let other = DbUrl::sqlite(&direct.folder.path().join("other.db"));
    let again = simulation().into_databases(&other, &direct.platform).unwrap_err();
    assert!(matches!(again, SimulateError::NotEmpty { side: "platform", .. }), "{again}");
    let untouched = dump_all(&mut Db::open(&other, Role::Target).unwrap()).unwrap();
    assert!(untouched.iter().all(|table| table.rows.is_empty()), "nothing is written anywhere");
    let csv = direct.folder.path().join("csv");
    simulation().into_folder(&csv).unwrap();
    assert!(matches!(simulation().into_folder(&csv), Err(SimulateError::FolderNotEmpty { .. })));
    assert!(matches!(Simulation::new(10, 1).into_folder(&csv), Err(SimulateError::TooFew)));
}
