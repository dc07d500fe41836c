//! The schemas of `schemas/`, made in an empty database.

use diesel::connection::SimpleConnection;
use replant_core::db::{Backend, Db};

const LEGACY_MARIADB: &str = include_str!("../../../schemas/legacy/mariadb/up.sql");
const LEGACY_SQLITE: &str = include_str!("../../../schemas/legacy/sqlite/up.sql");
const PLATFORM_POSTGRES: &str = include_str!("../../../schemas/platform/postgres/up.sql");
const PLATFORM_SQLITE: &str = include_str!("../../../schemas/platform/sqlite/up.sql");

/// Why a schema could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// That side of the migration has no such form.
    #[error("the {schema} schema has no form for {backend}")]
    NoForm {
        /// `legacy` or `platform`.
        schema: &'static str,
        /// The database that was asked.
        backend: Backend,
    },
    /// The database refused.
    #[error("make the {schema} schema")]
    Refused {
        /// `legacy` or `platform`.
        schema: &'static str,
        /// Why.
        source: diesel::result::Error,
    },
}

/// Makes the tables of the legacy database, in MariaDB or SQLite.
///
/// # Errors
/// On PostgreSQL, or when the tables are there already.
pub fn create_legacy(db: &mut Db) -> Result<(), SchemaError> {
    let sql = match db.backend() {
        Backend::MariaDb => LEGACY_MARIADB,
        Backend::Sqlite => LEGACY_SQLITE,
        backend @ Backend::Postgres => {
            return Err(SchemaError::NoForm { schema: "legacy", backend });
        }
    };
    db.batch_execute(sql).map_err(|source| SchemaError::Refused { schema: "legacy", source })
}

/// Makes the tables of the platform, in PostgreSQL or SQLite.
///
/// # Errors
/// On MariaDB, or when the tables are there already.
pub fn create_platform(db: &mut Db) -> Result<(), SchemaError> {
    let sql = match db.backend() {
        Backend::Postgres => PLATFORM_POSTGRES,
        Backend::Sqlite => PLATFORM_SQLITE,
        backend @ Backend::MariaDb => {
            return Err(SchemaError::NoForm { schema: "platform", backend });
        }
    };
    db.batch_execute(sql).map_err(|source| SchemaError::Refused { schema: "platform", source })
}
