//! Rows of one side that many tests begin with: loaded once a process, and copied for each test.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use replant_core::db::{Db, DbUrl};

use crate::conformance::Target;
use crate::load::load_dir;
use crate::schema::{Schema, SchemaError};
use crate::servers::{self, Kind, Server};
use crate::{Database, mariadb, postgres, sqlite};

/// The tables of one side, and a folder of `TABLE.csv` and `TABLE.csv.gz` with their rows. It is made for a `static`.
#[derive(Debug)]
pub struct Sample {
    schema: Schema,
    folder: &'static str,
    /// A SQLite file.
    file: OnceLock<Vec<u8>>,
    /// A PostgreSQL database to be copied.
    template: OnceLock<Option<Database>>,
    /// A MariaDB database to be read.
    shared: OnceLock<Option<Database>>,
}

impl Sample {
    /// A sample of these tables from this folder.
    pub const fn new(schema: Schema, folder: &'static str) -> Self {
        Self { schema, folder, file: OnceLock::new(), template: OnceLock::new(), shared: OnceLock::new() }
    }

    /// Its tables.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The folder with its rows.
    pub fn folder(&self) -> &'static Path {
        Path::new(self.folder)
    }

    /// Makes the tables without rows.
    ///
    /// # Errors
    /// See [`Schema::create`].
    pub fn create(&self, db: &mut Db) -> Result<(), SchemaError> {
        self.schema.create(db)
    }

    /// Makes `NAME.db` in a folder, NAME being that of the schema.
    ///
    /// # Panics
    /// The sample is broken, or the folder can't be written.
    pub fn in_sqlite(&self, folder: &Path) -> DbUrl {
        let name = self.schema.name;
        let bytes = self.file.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("a folder for the {name} sample: {error}"));
            let path = folder.path().join("sample.db");
            self.fill(&mut sqlite::create(&path));
            fs::read(&path).unwrap_or_else(|error| panic!("the {name} sample: {error}"))
        });
        let path = folder.join(format!("{name}.db"));
        sqlite::remove(&path);
        fs::write(&path, bytes).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
        DbUrl::sqlite(&path)
    }

    /// A PostgreSQL database of one's own. `None` when the test is to be skipped (see [`servers::available`]).
    ///
    /// # Panics
    /// The sample is broken, or the server refuses.
    pub fn in_postgres(&self) -> Option<Database> {
        // First, so that each test that is skipped is recorded.
        servers::available(Kind::Postgres)?;
        postgres::clone_of(self.template.get_or_init(|| Some(self.load_into(postgres::database()?))).as_ref()?)
    }

    /// A MariaDB database. All tests of the process share it, so they only read it.
    /// `None` when the test is to be skipped (see [`servers::available`]).
    ///
    /// # Panics
    /// The sample is broken, or the server refuses.
    pub fn in_mariadb(&self) -> Option<&Database> {
        servers::available(Kind::MariaDb)?;
        self.shared.get_or_init(|| Some(self.load_into(mariadb::database()?))).as_ref()
    }

    /// A database of one's own in a server of one's own.
    ///
    /// # Panics
    /// The sample is broken, or the server refuses.
    pub fn on(&self, server: &Server) -> Database {
        self.load_into(server.database().unwrap_or_else(|error| panic!("a new database: {error:?}")))
    }

    /// An empty database, with the sample in it.
    ///
    /// # Panics
    /// The sample is broken, or the server refuses.
    pub fn load_into(&self, database: Database) -> Database {
        self.fill(&mut database.open());
        database
    }

    /// A target in a SQLite file of its own.
    ///
    /// # Panics
    /// The sample is broken.
    pub fn sqlite_target(&self) -> Target {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let url = self.in_sqlite(folder.path());
        Target { url, guard: Box::new(folder) }
    }

    /// A target in a PostgreSQL database of its own; none where there is no server and none is required.
    ///
    /// # Panics
    /// The sample is broken, or the server refuses.
    pub fn postgres_target(&self) -> Option<Target> {
        let database = self.in_postgres()?;
        Some(Target { url: database.url(), guard: Box::new(database) })
    }

    fn fill(&self, db: &mut Db) {
        let name = self.schema.name;
        self.create(db).unwrap_or_else(|error| panic!("the {name} schema: {error:?}"));
        load_dir(db, self.folder()).unwrap_or_else(|error| panic!("the {name} sample: {error:?}"));
    }
}
