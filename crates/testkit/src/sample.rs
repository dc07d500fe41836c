//! The sample of `fixtures/sample`: a made-up legacy database of about 70,000 rows and the platform beside it.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use replant_core::db::{Db, DbUrl, Role};

use crate::load::load_dir;
use crate::schema::{SchemaError, create_legacy, create_platform};
use crate::servers::{self, Kind, Server};
use crate::{Database, mariadb, postgres};

/// The folder `fixtures/sample` of this workspace, with `legacy` and `platform` in it.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/sample")
}

/// Makes `legacy.db` with the legacy sample in a folder. It is loaded once per process, then copied.
///
/// # Panics
/// The sample is broken, or the folder can't be written.
pub fn sqlite_legacy_sample(folder: &Path) -> DbUrl {
    static LOADED: OnceLock<Vec<u8>> = OnceLock::new();
    copy_of(&LOADED, folder, "legacy", create_legacy)
}

/// Makes `platform.db` with the platform's sample in a folder. It is loaded once per process, then copied.
///
/// # Panics
/// The sample is broken, or the folder can't be written.
pub fn sqlite_platform_sample(folder: &Path) -> DbUrl {
    static LOADED: OnceLock<Vec<u8>> = OnceLock::new();
    copy_of(&LOADED, folder, "platform", create_platform)
}

/// A PostgreSQL database of one's own with the platform's sample: a copy of a template that is loaded once per process.
/// `None` when the test is to be skipped (see [`servers::available`]).
///
/// # Panics
/// The sample is broken, or the server refuses.
pub fn postgres_platform_sample() -> Option<Database> {
    static TEMPLATE: OnceLock<Option<Database>> = OnceLock::new();
    // First, so that each test that is skipped is recorded.
    servers::available(Kind::Postgres)?;
    let template =
        TEMPLATE.get_or_init(|| Some(loaded(postgres::database()?, "platform", create_platform))).as_ref()?;
    postgres::clone_of(template)
}

/// The MariaDB database with the legacy sample. All tests of the process share it, so they only read it.
/// `None` when the test is to be skipped (see [`servers::available`]).
///
/// # Panics
/// The sample is broken, or the server refuses.
pub fn mariadb_legacy_sample() -> Option<&'static Database> {
    static LOADED: OnceLock<Option<Database>> = OnceLock::new();
    servers::available(Kind::MariaDb)?;
    LOADED.get_or_init(|| Some(loaded(mariadb::database()?, "legacy", create_legacy))).as_ref()
}

/// A database of one's own with the platform's sample, in a PostgreSQL server of one's own.
///
/// # Panics
/// The sample is broken, or the server refuses.
pub fn platform_in(server: &Server) -> Database {
    platform_into(new_in(server))
}

/// An empty PostgreSQL database, with the platform's sample in it.
///
/// # Panics
/// The sample is broken, or the server refuses.
pub fn platform_into(database: Database) -> Database {
    loaded(database, "platform", create_platform)
}

/// A database of one's own with the legacy sample, in a MariaDB server of one's own.
///
/// # Panics
/// The sample is broken, or the server refuses.
pub fn legacy_in(server: &Server) -> Database {
    loaded(new_in(server), "legacy", create_legacy)
}

fn new_in(server: &Server) -> Database {
    server.database().unwrap_or_else(|error| panic!("a new database: {error:?}"))
}

type Create = fn(&mut Db) -> Result<(), SchemaError>;

fn loaded(database: Database, side: &str, create: Create) -> Database {
    fill(&mut database.open(), side, create);
    database
}

fn fill(db: &mut Db, side: &str, create: Create) {
    create(db).unwrap_or_else(|error| panic!("the {side} schema: {error:?}"));
    load_dir(db, &folder().join(side)).unwrap_or_else(|error| panic!("the {side} sample: {error:?}"));
}

fn copy_of(loaded: &OnceLock<Vec<u8>>, folder: &Path, side: &str, create: Create) -> DbUrl {
    let bytes = loaded.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("a folder for the {side} sample: {error}"));
        let path = folder.path().join("sample.db");
        fill(&mut new_sqlite(&path), side, create);
        fs::read(&path).unwrap_or_else(|error| panic!("the {side} sample: {error}"))
    });
    let path = folder.join(format!("{side}.db"));
    remove_sqlite(&path);
    fs::write(&path, bytes).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
    DbUrl::sqlite(&path)
}

/// Makes an empty SQLite file, over one that may be there, and opens it for writing.
///
/// # Panics
/// The file can't be written.
pub fn new_sqlite(path: &Path) -> Db {
    remove_sqlite(path);
    File::create(path).unwrap_or_else(|error| panic!("make {}: {error}", path.display()));
    Db::open(&DbUrl::sqlite(path), Role::Target).unwrap_or_else(|error| panic!("open {}: {error}", path.display()))
}

/// A write-ahead log that was left behind would be taken for that of the new file.
fn remove_sqlite(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        if let Err(error) = fs::remove_file(&file) {
            assert!(error.kind() == ErrorKind::NotFound, "remove {}: {error}", Path::new(&file).display());
        }
    }
}
