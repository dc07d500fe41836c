//! The ledger's tables: made, brought up to date, looked for.

use diesel::connection::SimpleConnection;
use diesel::migration::MigrationSource;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::error::{Attempt, LedgerError};
use crate::storage::db::Db;
use crate::storage::db::diagnosis;
use crate::storage::failure::Failure;

const POSTGRES: EmbeddedMigrations = embed_migrations!("ledger/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("ledger/sqlite");

const SCHEMA: &str = "SELECT count(*) AS found FROM pg_namespace WHERE nspname = 'replant' HAVING count(*) > 0";

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    found: i64,
}

/// The versions of the ledger that this build knows, ascending.
pub(crate) fn known_versions() -> Vec<String> {
    let known = MigrationSource::<diesel::pg::Pg>::migrations(&POSTGRES).unwrap_or_default();
    let mut known: Vec<String> = known.iter().map(|one| one.name().version().to_string()).collect();
    known.sort_unstable();
    known
}

/// Makes the ledger's tables, or brings them up to date.
///
/// # Errors
/// A right is missing, or a later version wrote the ledger.
pub fn install(db: &mut Db) -> Result<(), LedgerError> {
    let hint = "the user needs the right to create a schema and tables there";
    let installed = match db {
        Db::Pg(pg) => pg.transaction(|pg| {
            // diesel keeps its own table where the search path points first: not among the platform's.
            pg.batch_execute("SELECT pg_advisory_xact_lock(7364129880112)").attempt("locked")?;
            // Even IF NOT EXISTS asks for the right to create one.
            if diesel::sql_query(SCHEMA).get_results::<Found>(pg).attempt("looked for")?.is_empty() {
                pg.batch_execute("CREATE SCHEMA replant").attempt("made")?;
            }
            // A rehearsal goes on in the same transaction, with a path of its own.
            let keep = "SELECT set_config('replant.path', current_setting('search_path'), true)";
            pg.batch_execute(&format!("{keep}; SET LOCAL search_path = replant")).attempt("made")?;
            migrate(pg, POSTGRES, hint)?;
            let back = "SELECT set_config('search_path', current_setting('replant.path'), true)";
            pg.batch_execute(back).attempt("made")
        }),
        Db::Lite(lite) => migrate(lite, SQLITE, hint),
        #[cfg(feature = "mysql")]
        Db::My(_) => Err(LedgerError::Install { hint: "MariaDB is no target" }).map_err(|e: LedgerError| e),
    }
    .map_err(|error| match error {
        LedgerError::Database { source, .. }
            if matches!(Failure::of(&source), Failure::Other(_) | Failure::Untold(_)) =>
        {
            LedgerError::Install { hint }
        }
        other => other,
    });
    match installed {
        // diesel does not tell why a migration failed: a database that went away gives another answer than one that refuses.
        Err(LedgerError::Install { hint }) => match diagnosis::lost(db) {
            Some(source) => Err(LedgerError::Database { attempted: "made", source }),
            None => Err(LedgerError::Install { hint }),
        },
        other => other,
    }
}

fn migrate<C, B>(db: &mut C, migrations: EmbeddedMigrations, hint: &'static str) -> Result<(), LedgerError>
where
    C: MigrationHarness<B>,
    B: diesel::backend::Backend,
    EmbeddedMigrations: MigrationSource<B>,
{
    let known = MigrationSource::<B>::migrations(&migrations).map_err(|_| LedgerError::Install { hint })?;
    let known: Vec<String> = known.iter().map(|m| m.name().version().to_string()).collect();
    let applied = db.applied_migrations().map_err(|_| LedgerError::Install { hint })?;
    // SQLite has no schema to keep the platform's own migrations apart: only a ledger's version can be too new.
    if applied
        .iter()
        .any(|version| version.to_string().starts_with("0000000000") && !known.contains(&version.to_string()))
    {
        return Err(LedgerError::TooNew);
    }
    db.run_pending_migrations(migrations).map(|_| ()).map_err(|_| LedgerError::Install { hint })
}

/// Whether the ledger, which is there, knows the states of the legacy database: not where a version before wrote it.
///
/// # Errors
/// The catalogue cannot be read.
pub(crate) fn knows_generations(db: &mut Db) -> Result<bool, LedgerError> {
    has_table(db, "replant_generations")
}

/// Whether the target has a ledger.
///
/// # Errors
/// The catalogue cannot be read.
pub fn exists(db: &mut Db) -> Result<bool, LedgerError> {
    has_table(db, "replant_frozen")
}

/// Whether the ledger has a table.
///
/// # Errors
/// The catalogue cannot be read.
pub(super) fn has_table(db: &mut Db, table: &str) -> Result<bool, LedgerError> {
    let sql = match db {
        Db::Pg(_) => "SELECT count(*) AS found FROM pg_tables WHERE schemaname = 'replant' AND tablename = $1",
        _ => "SELECT count(*) AS found FROM sqlite_master WHERE type = 'table' AND name = ?",
    };
    let found: Found = diesel::sql_query(sql).bind::<Text, _>(table).get_result(db).attempt("looked for")?;
    Ok(found.found > 0)
}
