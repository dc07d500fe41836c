//! Building an index beside customers: CONCURRENTLY, on a session of its own, one builder at a time.
//!
//! The server waits for every transaction that was open when the build began, so nothing of it has a time limit. Nobody waits
//! for it. What is left of a build that failed may refuse rows of customers, so it is dropped at once.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{BigInt, Bool, Integer, Text};

use super::{Found, IndexError, UniqueIndex, look};
use crate::storage::advisory;
use crate::storage::db::Db;
use crate::storage::failure::Failure;
use crate::storage::place::{TABLE, schema_of};
use crate::storage::sql::quoted;

/// The advisory lock of the one session that may build or drop.
const LOCK: i64 = 7_364_129_880_115;

/// How long the session that has the lock may do nothing before it is ended: its process hangs.
const HANGS: Duration = Duration::from_secs(15);

/// How long a remainder is tried to be dropped where nobody may wait.
const BRIEFLY: Duration = Duration::from_secs(1);

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Built {
    /// The index is there, valid.
    Valid,
    /// Rows share a value.
    Refused,
    /// Somebody else builds: look again.
    Busy,
}

/// Makes a connection the session of a builder: without time limits, and gentle to whoever else is at the server. Returns its
/// process on the server.
///
/// # Errors
/// The database fails.
pub(crate) fn session(db: &mut Db, memory_mb: u32) -> QueryResult<i32> {
    #[derive(QueryableByName)]
    struct Process {
        #[diesel(sql_type = Integer)]
        pid: i32,
    }
    let Db::Pg(pg) = db else { return Ok(0) };
    // Not every version has all of them.
    pg.batch_execute(
        "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN \
         ('lock_timeout', 'statement_timeout', 'transaction_timeout', 'idle_session_timeout', 'max_parallel_maintenance_workers')",
    )?;
    pg.batch_execute(&format!("SET maintenance_work_mem = '{memory_mb}MB'"))?;
    let process: Process = diesel::sql_query("SELECT pg_backend_pid() AS pid").get_result(pg)?;
    Ok(process.pid)
}

/// Builds an index on the session of a builder, unless it is there.
///
/// # Errors
/// Something else has its name; the database fails. Nothing invalid is left, if the database lets us.
pub(crate) fn build(db: &mut Db, index: &UniqueIndex) -> Result<Built, IndexError> {
    if look(db, index)? == Found::Valid {
        return Ok(Built::Valid);
    }
    alone(db, |db| {
        if look(db, index)? == Found::Valid {
            return Ok(Built::Valid);
        }
        if others_build(db, index)? {
            return Ok(Built::Busy);
        }
        drop_invalid(db, index)?;
        let table = qualified(db, index, index.table)?;
        let made = db.batch_execute(&index.statement("CONCURRENTLY ", &quoted(index.name), &table));
        match made {
            Ok(()) => match look(db, index)? {
                Found::Valid => Ok(Built::Valid),
                Found::Missing | Found::Invalid => Ok(Built::Busy),
            },
            Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
                drop_invalid(db, index)?;
                Ok(Built::Refused)
            }
            Err(error) => {
                // The first error says why.
                if matches!(others_build(db, index), Ok(false)) {
                    let _ = within(db, BRIEFLY, |db| drop_invalid(db, index));
                }
                Err(error.into())
            }
        }
    })
}

/// Drops what a failed build, ours or another one's, has left under the name of an index, if that can be had soon. Whether
/// something is still there.
///
/// # Errors
/// Something else has its name; the database fails.
pub(crate) fn clear(db: &mut Db, index: &UniqueIndex) -> Result<bool, IndexError> {
    if look(db, index)? != Found::Invalid {
        return Ok(false);
    }
    alone(db, |db| {
        if others_build(db, index)? {
            return Ok(Built::Busy);
        }
        // Whoever ends the step does it with patience.
        let _ = within(db, BRIEFLY, |db| drop_invalid(db, index));
        Ok(Built::Busy)
    })?;
    Ok(look(db, index)? == Found::Invalid)
}

/// Builds an index in the transaction that is open: where nothing is committed in the end, and in SQLite.
///
/// # Errors
/// Something else has its name; the database fails.
pub(crate) fn build_plainly(db: &mut Db, index: &UniqueIndex) -> Result<Built, IndexError> {
    match look(db, index)? {
        Found::Valid => return Ok(Built::Valid),
        Found::Invalid => {
            let name = qualified(db, index, index.name)?;
            db.batch_execute(&format!("DROP INDEX {name}"))?;
        }
        Found::Missing => {}
    }
    let sql = index.statement("", &quoted(index.name), &qualified(db, index, index.table)?);
    match db.write(|db| db.batch_execute(&sql)) {
        Ok(()) => Ok(Built::Valid),
        Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Ok(Built::Refused),
        Err(error) => Err(error.into()),
    }
}

/// Does something while no other process builds or drops; [`Built::Busy`] where one does. One that hangs loses its session.
fn alone(db: &mut Db, work: impl FnOnce(&mut Db) -> Result<Built, IndexError>) -> Result<Built, IndexError> {
    if !advisory::take(db, LOCK)? {
        end_hanging(db);
        return Ok(Built::Busy);
    }
    let done = work(db);
    let unlocked = advisory::give_back(db, LOCK);
    done.and_then(|done| Ok(unlocked.map(|()| done)?))
}

/// Ends the session that has the lock and does nothing with it: it always does something, unless its process hangs.
fn end_hanging(db: &mut Db) {
    let sql = "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
               WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
                 AND (l.classid::bigint << 32 | l.objid::bigint) = $1 AND a.datname = current_database() \
                 AND a.state = 'idle' AND a.state_change < now() - make_interval(secs => $2)";
    let secs = i32::try_from(HANGS.as_secs()).unwrap_or(i32::MAX);
    let ended = diesel::sql_query(sql).bind::<BigInt, _>(LOCK).bind::<Integer, _>(secs).execute(db);
    if let Err(error) = ended {
        // Another user's: its index may become valid all the same.
        tracing::debug!(failure = Failure::of(&error).kind(), "a session that hangs could not be ended");
    }
}

#[derive(QueryableByName)]
struct Yes {
    #[diesel(sql_type = Bool)]
    yes: bool,
}

/// Whether somebody who knows nothing of our lock builds an index of that table: what is not valid may become so. Without
/// the right to see what another user builds, it may be any table's.
fn others_build(db: &mut Db, index: &UniqueIndex) -> QueryResult<bool> {
    let Db::Pg(pg) = db else { return Ok(false) };
    let sql = format!(
        "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index \
          WHERE datname = current_database() AND pid <> pg_backend_pid() AND coalesce(relid = {TABLE}, true)) AS yes"
    );
    diesel::sql_query(sql).bind::<Text, _>(index.table).get_result::<Yes>(pg).map(|answer| answer.yes)
}

/// A name with the schema of the table, where the target has schemas.
fn qualified(db: &mut Db, index: &UniqueIndex, name: &str) -> QueryResult<String> {
    match db {
        Db::Pg(pg) => Ok(format!("{}.{}", schema_of(pg, index.table)?, quoted(name))),
        _ => Ok(quoted(name)),
    }
}

/// Drops an index that is not valid.
fn drop_invalid(db: &mut Db, index: &UniqueIndex) -> Result<(), IndexError> {
    if look(db, index)? == Found::Invalid {
        let name = qualified(db, index, index.name)?;
        db.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"))?;
    }
    Ok(())
}

/// Does something with a limit to each wait for a lock.
fn within<T>(
    db: &mut Db,
    wait: Duration,
    work: impl FnOnce(&mut Db) -> Result<T, IndexError>,
) -> Result<T, IndexError> {
    db.batch_execute(&format!("SET lock_timeout = {}", wait.as_millis()))?;
    let done = work(db);
    db.batch_execute("SET lock_timeout = 0")?;
    done
}

/// How many sessions a process on the server waits for.
///
/// # Errors
/// The database fails.
pub(crate) fn blockers(db: &mut Db, pid: i32) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Sessions {
        #[diesel(sql_type = BigInt)]
        sessions: i64,
    }
    let sql = "SELECT coalesce(cardinality(pg_blocking_pids($1)), 0)::bigint AS sessions";
    diesel::sql_query(sql).bind::<Integer, _>(pid).get_result::<Sessions>(db).map(|found| found.sessions)
}

/// Asks a process on the server to give up what it does.
///
/// # Errors
/// The database fails.
pub(crate) fn ask_to_end(db: &mut Db, pid: i32) -> QueryResult<()> {
    diesel::sql_query("SELECT pg_cancel_backend($1)").bind::<Integer, _>(pid).execute(db).map(|_| ())
}
