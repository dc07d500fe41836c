//! The ledger: our own tables in the target, where every run, chunk, outcome, repair and quarantined row is kept.
//!
//! What a chunk did and that it did it commit in one transaction ([`close`]), so the ledger is never ahead of the target
//! and never behind it.

pub(crate) mod alive;
mod blocks;
pub mod claim;
pub mod close;
pub mod frozen;
pub mod history;
mod ids;
pub mod mends;
pub mod plan;
pub mod quarantine;
pub(crate) mod recorded;
pub mod runs;
pub mod stage;
pub mod status;
pub mod tables;

use diesel::connection::SimpleConnection;
use diesel::migration::MigrationSource;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::bulk::{Change, Insert, not_taken};
use super::db::Db;
use super::failure::{Failure, told};
use tables::replant_changes;

const POSTGRES: EmbeddedMigrations = embed_migrations!("ledger/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("ledger/sqlite");

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database refused something.
    #[error("the ledger in the target database could not be {attempted}: {}", Failure::of(.source).describe())]
    Database {
        /// What was tried.
        attempted: &'static str,
        /// What came back. Not shown: it may hold values.
        source: diesel::result::Error,
    },
    /// The ledger's tables could not be made.
    #[error("the ledger's tables could not be made in the target database ({hint})")]
    Install {
        /// What to look at.
        hint: &'static str,
    },
    /// A later version of Replant wrote the ledger.
    #[error(
        "the ledger in the target database was written by a later version of Replant: use that version, or a later one"
    )]
    TooNew,
    /// A payload cannot be read back.
    #[error(
        "the ledger's {what} of `{of}` cannot be read back: it was written by another version of Replant or damaged"
    )]
    Unreadable {
        /// Which payload.
        what: &'static str,
        /// Whose.
        of: String,
    },
}

/// Names what was attempted when a query of the ledger fails.
pub(crate) trait Attempt<T> {
    fn attempt(self, attempted: &'static str) -> Result<T, LedgerError>;
}

impl<T> Attempt<T> for QueryResult<T> {
    fn attempt(self, attempted: &'static str) -> Result<T, LedgerError> {
        self.map_err(|source| LedgerError::Database { attempted, source })
    }
}

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
        Err(LedgerError::Install { hint }) => match told::lost(db) {
            Some(source) => Err(LedgerError::Database { attempted: "made", source }),
            None => Err(LedgerError::Install { hint }),
        },
        other => other,
    }
}

impl From<diesel::result::Error> for LedgerError {
    fn from(source: diesel::result::Error) -> Self {
        Self::Database { attempted: "read or written", source }
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

/// Whether the target has a ledger.
///
/// # Errors
/// The catalogue cannot be read.
pub fn exists(db: &mut Db) -> Result<bool, LedgerError> {
    let sql = match db {
        Db::Pg(_) => "SELECT count(*) AS found FROM pg_tables WHERE schemaname = 'replant' AND tablename = $1",
        _ => "SELECT count(*) AS found FROM sqlite_master WHERE type = 'table' AND name = ?",
    };
    let found: Found = diesel::sql_query(sql).bind::<Text, _>("replant_frozen").get_result(db).attempt("looked for")?;
    Ok(found.found > 0)
}

/// Writes rows of our own by the fastest path of the target.
pub(crate) fn bulk<T: Insert>(db: &mut Db, rows: &[T]) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    match db {
        Db::Pg(pg) => match T::copy(pg, rows)? == rows.len() {
            true => Ok(()),
            false => Err(not_taken(T::shape().name)),
        },
        Db::Lite(lite) => rows.iter().try_for_each(|row| T::insert(lite, row).map(|_| ())),
        #[cfg(feature = "mysql")]
        Db::My(_) => Err(diesel::result::Error::QueryBuilderError("MariaDB is no target".into())),
    }
}

#[derive(Insertable, Clone, serde::Serialize)]
#[diesel(table_name = replant_changes, treat_none_as_default_value = false)]
struct NewChange {
    step: String,
    chunk_id: Option<i64>,
    target_table: &'static str,
    target_id: i64,
    legacy_key: Option<i64>,
    what: &'static str,
    value_before: Option<String>,
    value_after: Option<String>,
}

crate::insert!(NewChange => replant_changes);

pub(crate) fn record_changes(db: &mut Db, step: &str, chunk_id: Option<i64>, changes: Vec<Change>) -> QueryResult<()> {
    let rows: Vec<NewChange> = changes
        .into_iter()
        .map(|change| NewChange {
            step: step.to_owned(),
            chunk_id,
            target_table: change.table,
            target_id: change.id,
            legacy_key: change.legacy_key,
            what: change.what,
            value_before: change.before,
            value_after: change.after,
        })
        .collect();
    bulk(db, &rows)
}
