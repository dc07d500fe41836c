//! Proof of life: what a process holds while it lives, how others see it, and what becomes of the sessions of one that does not.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write as _};
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use jiff::Timestamp;

use super::error::{Attempt, LedgerError};
use super::owner::{HeldError, Owner};
use crate::storage::advisory;
use crate::storage::db::{Db, DbUrl};
use crate::storage::failure::Failure;

/// How often a process shows that it lives.
pub(crate) const BEAT: Duration = Duration::from_secs(1);

/// What this process holds for as long as it lives, so that others can tell whether it does.
pub enum Alive {
    /// A session of PostgreSQL with an advisory lock. The server drops the lock with the connection.
    Session(Box<Db>),
    /// A lock on a file beside a SQLite database. The kernel drops it with the process.
    File(File),
    /// A rehearsal: nothing that it does can be seen.
    Unseen,
}

impl Alive {
    /// Takes the advisory lock of `owner`, on a session of its own. Another session of its own that has it was lost, and is
    /// ended: none is waited for.
    ///
    /// # Errors
    /// The database fails, or the lost session has not ended yet: then it holds the lock, and nobody takes the process for dead.
    pub fn session(mut db: Db, owner: &Owner) -> Result<Self, LedgerError> {
        let key = Owner::lock_key(owner.as_str());
        if advisory::take(&mut db, key).attempt("locked")? {
            // A sign of life must not wait for a standby.
            diesel::sql_query("SET synchronous_commit = off").execute(&mut db).attempt("set up")?;
            return Ok(Self::Session(Box::new(db)));
        }
        let end = format!("SELECT pg_terminate_backend(pid) FROM ({HOLDERS}) holders");
        diesel::sql_query(end).bind::<BigInt, _>(key).execute(&mut db).attempt("locked")?;
        Err(LedgerError::Database { attempted: "locked", source: diesel::result::Error::NotFound })
    }

    /// Takes the lock of a SQLite target: it has one writer, so it has one process.
    ///
    /// # Errors
    /// Another process holds it: the error says which.
    pub fn file(target: &DbUrl, owner: &Owner) -> Result<Self, HeldError> {
        let Some(path) = target.sqlite_path() else { return Ok(Self::Unseen) };
        let mut name = path.into_os_string();
        name.push(LOCK);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(name)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                file.rewind()?;
                write!(file, "{owner} since {}", Timestamp::now().strftime("%Y-%m-%d %H:%M:%SZ"))?;
                file.flush()?;
                Ok(Self::File(file))
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder)?;
                Err(HeldError::Held(holder))
            }
            Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

/// The sessions that hold an advisory lock of this database.
const HOLDERS: &str = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 \
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
     AND ((classid::bigint << 32) | objid::bigint) = $1";

/// Commits of a process that wait for a standby, and how large the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub(crate) struct Watched {
    /// Its sessions whose commit waits for a synchronous standby.
    #[diesel(sql_type = BigInt)]
    pub(crate) waiting: i64,
    /// Bytes of the database.
    #[diesel(sql_type = BigInt)]
    pub(crate) bytes: i64,
}

/// What a process looks after while it works.
///
/// # Errors
/// The database fails.
pub(crate) fn watched(db: &mut Db, owner: &Owner) -> Result<Watched, LedgerError> {
    let sql = "SELECT count(*) FILTER (WHERE wait_event = 'SyncRep' AND starts_with(application_name, $1)) AS waiting, \
               pg_database_size(current_database()) AS bytes FROM pg_stat_activity WHERE datname = current_database()";
    diesel::sql_query(sql).bind::<Text, _>(Owner::session_name(owner.as_str())).get_result(db).attempt("read")
}

/// Names a session after what its transaction is about, until that ends: a DBA sees it in `pg_stat_activity`.
///
/// # Errors
/// The database fails.
pub(crate) fn name_work(db: &mut Db, owner: &Owner, step: &str, chunk: i64) -> QueryResult<()> {
    let Db::Pg(pg) = db else { return Ok(()) };
    let name = format!("{} {step} #{chunk}", Owner::session_name(owner.as_str()));
    let sql = "SELECT set_config('application_name', $1, true)";
    diesel::sql_query(sql).bind::<Text, _>(name).execute(pg).map(|_| ())
}

/// A process without a lock may have lost the session that held it: it has a new one within a beat, or a few where the server
/// is slow.
const SILENCE: &str = "3 seconds";

/// Whether the process of a run or of a chunk lives: it holds its lock. One that has lost the session which held it is told by
/// its other sessions, and by its last sign of life; unless it is of this machine, where a process that is gone is gone.
///
/// # Errors
/// The database fails.
pub(super) fn lives(db: &mut Db, owner: &str) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Signs {
        #[diesel(sql_type = Bool)]
        holds: bool,
        #[diesel(sql_type = Bool)]
        shows: bool,
    }
    // Whoever gets here holds the lock of a SQLite file: everybody else is dead.
    let Db::Pg(pg) = db else { return Ok(false) };
    let query = format!(
        "SELECT EXISTS ({HOLDERS}) AS holds, \
         EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND starts_with(application_name, $2)) \
         OR coalesce((SELECT beat_at > now() - interval '{SILENCE}' FROM replant_runs WHERE id = $3), false) AS shows"
    );
    let signs: Signs = diesel::sql_query(query)
        .bind::<BigInt, _>(Owner::lock_key(owner))
        .bind::<Text, _>(Owner::session_name(owner))
        .bind::<Text, _>(owner)
        .get_result(pg)?;
    Ok(signs.holds || (signs.shows && !is_gone_here(owner)))
}

/// Whether the process was one of this machine and is not there any more.
fn is_gone_here(owner: &str) -> bool {
    let processes = std::path::Path::new("/proc");
    let own = processes.join(std::process::id().to_string());
    Owner::process_here(owner).is_some_and(|pid| own.exists() && !processes.join(pid.to_string()).exists())
}

/// Those of some runs that live. Takes no lock.
///
/// # Errors
/// The database fails.
pub fn living(db: &mut Db, runs: &[String]) -> Result<Vec<String>, LedgerError> {
    if let Db::Pg(_) = db {
        let mut living = Vec::new();
        for run in runs {
            if lives(db, run).attempt("read")? {
                living.push(run.clone());
            }
        }
        return Ok(living);
    }
    let holder = holder(db).attempt("read")?;
    Ok(runs.iter().filter(|run| holder.as_deref() == Some(run.as_str())).cloned().collect())
}

/// Who holds the lock beside a SQLite target.
fn holder(db: &mut Db) -> QueryResult<Option<String>> {
    #[derive(QueryableByName)]
    struct Main {
        #[diesel(sql_type = Text)]
        file: String,
    }
    let main: Main =
        diesel::sql_query("SELECT file FROM pragma_database_list WHERE name = 'main'").get_result::<Main>(db)?;
    let Ok(mut file) = File::open(format!("{}{LOCK}", main.file)) else { return Ok(None) };
    let is_held = matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock));
    let mut said = String::new();
    let is_known = is_held && file.read_to_string(&mut said).is_ok();
    Ok(said.split_once(" since ").filter(|_| is_known).map(|(owner, _)| owner.to_owned()))
}

/// What the name of a SQLite target's lock has behind that of the database.
const LOCK: &str = ".replant-lock";

/// Ends the sessions of a worker that lost its chunks. It may have been stopped, or cut off from the network, in the middle
/// of a transaction: whoever does its chunks again would wait for that. If it comes back it finds its sessions gone and its
/// chunks claimed by another one.
pub(crate) fn cut_off(db: &mut Db, owner: &str) {
    let Db::Pg(pg) = db else { return };
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE starts_with(application_name, $1) AND datname = current_database() AND pid <> pg_backend_pid()";
    let ended = diesel::sql_query(sql).bind::<diesel::sql_types::Text, _>(Owner::session_name(owner)).execute(pg);
    if let Err(error) = ended {
        // Its transactions then end when the server notices.
        tracing::debug!(failure = Failure::of(&error).kind(), "the sessions of a lost worker could not be ended");
    }
}
