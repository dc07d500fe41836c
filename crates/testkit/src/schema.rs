//! The tables of one side of a migration, made in an empty database.

use diesel::connection::SimpleConnection;
use replant_core::db::{Backend, Db};

/// One side's tables: a script for each database that can hold them.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// What the side is called in errors, and its folder in that of a case: `legacy`, `platform`.
    pub name: &'static str,
    /// For MariaDB and MySQL.
    pub mariadb: Option<&'static str>,
    /// For PostgreSQL.
    pub postgres: Option<&'static str>,
    /// For SQLite.
    pub sqlite: Option<&'static str>,
}

/// Why a schema could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// That side of the migration has no such form.
    #[error("the {schema} schema has no form for {backend}")]
    NoForm {
        /// Its name.
        schema: &'static str,
        /// The database that was asked.
        backend: Backend,
    },
    /// The database refused.
    #[error("make the {schema} schema")]
    Refused {
        /// Its name.
        schema: &'static str,
        /// Why.
        source: diesel::result::Error,
    },
}

impl Schema {
    /// Makes the tables.
    ///
    /// # Errors
    /// There is no form for that database, or the tables are there already.
    pub fn create(&self, db: &mut Db) -> Result<(), SchemaError> {
        let schema = self.name;
        let backend = db.backend();
        let script = match backend {
            Backend::MariaDb => self.mariadb,
            Backend::Postgres => self.postgres,
            Backend::Sqlite => self.sqlite,
        };
        let script = script.ok_or(SchemaError::NoForm { schema, backend })?;
        db.batch_execute(script).map_err(|source| SchemaError::Refused { schema, source })
    }
}
