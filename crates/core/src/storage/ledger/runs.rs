//! Runs: who works on a target, and proof of whether it still lives.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write as _};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use jiff::Timestamp;

use super::tables::{replant_chunks as c, replant_runs as r};
use super::{Attempt, LedgerError};
use crate::storage::db::{Db, DbUrl};
use crate::storage::types::Instant;

/// Who holds a chunk: the host, the process and a number that no other process of theirs has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(String);

impl Owner {
    /// The owner that this process is for one run.
    pub fn of_this_process() -> Self {
        let host = hostname::get().map_or_else(|_| "localhost".to_owned(), |host| host.to_string_lossy().into_owned());
        let nonce = Timestamp::now().as_nanosecond() & 0xffff_ffff;
        Self(format!("{host}:{}:{nonce:08x}", std::process::id()))
    }

    /// As the ledger writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its sessions, by which the server tells them: `pg_stat_activity` shows it.
    pub fn session_name(owner: &str) -> String {
        format!("replant {:016x}", Self::lock_key(owner))
    }

    /// The advisory lock that its process holds while it lives.
    fn lock_key(owner: &str) -> i64 {
        xxhash_rust::xxh3::xxh3_64(owner.as_bytes()).cast_signed()
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nothing is left to do.
    Done,
    /// It was asked to stop.
    Stopped,
    /// It cannot go on.
    Failed,
}

/// Opens a run.
///
/// # Errors
/// The database fails.
pub fn begin(db: &mut Db, owner: &Owner, environment: &str, snapshot: Timestamp) -> Result<(), LedgerError> {
    diesel::insert_into(r::table)
        .values((
            r::id.eq(owner.as_str()),
            r::environment.eq(environment),
            r::version.eq(env!("CARGO_PKG_VERSION")),
            r::snapshot_at.eq(Instant(snapshot)),
            r::started_at.eq(Instant::now()),
            r::state.eq("running"),
        ))
        .execute(db)
        .attempt("written")?;
    Ok(())
}

/// Closes a run.
///
/// # Errors
/// The database fails.
pub fn end(db: &mut Db, owner: &Owner, end: End, reason: Option<&str>) -> Result<(), LedgerError> {
    let state = match end {
        End::Done => "done",
        End::Stopped => "stopped",
        End::Failed => "failed",
    };
    diesel::update(r::table.find(owner.as_str().to_owned()))
        .set((r::state.eq(state), r::ended_at.eq(Instant::now()), r::reason.eq(reason)))
        .execute(db)
        .attempt("written")?;
    Ok(())
}

/// The snapshot that the first run read, if there was one.
///
/// # Errors
/// The database fails.
pub fn snapshot(db: &mut Db) -> Result<Option<Timestamp>, LedgerError> {
    let first: Option<Instant> =
        r::table.order(r::started_at).select(r::snapshot_at).first(db).optional().attempt("read")?;
    Ok(first.map(|at| at.0))
}

/// A run that is under way and lives: the first that began.
///
/// # Errors
/// The database fails.
pub fn under_way(db: &mut Db) -> Result<Option<String>, LedgerError> {
    let running = r::table.filter(r::state.eq("running")).order(r::started_at).select(r::id);
    for owner in running.load::<String>(db).attempt("read")? {
        if !db.write(|db| dead(db, &owner)).attempt("read")? {
            return Ok(Some(owner));
        }
    }
    Ok(None)
}

/// Those of `owners` that live: their advisory locks are held, or that of the SQLite file. Takes no lock that anybody waits
/// for.
///
/// # Errors
/// The database fails.
pub fn living(db: &mut Db, owners: &[String]) -> Result<Vec<String>, LedgerError> {
    #[derive(QueryableByName)]
    struct Held {
        #[diesel(sql_type = BigInt)]
        key: i64,
    }
    if let Db::Pg(pg) = db {
        let sql = "SELECT (classid::bigint << 32) | objid::bigint AS key FROM pg_locks WHERE locktype = 'advisory' AND granted \
                   AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let held: Vec<Held> = diesel::sql_query(sql).load(pg).attempt("read")?;
        let lives = |owner: &&String| held.iter().any(|lock| lock.key == Owner::lock_key(owner));
        return Ok(owners.iter().filter(lives).cloned().collect());
    }
    let holder = holder(db).attempt("read")?;
    Ok(owners.iter().filter(|owner| holder.as_deref() == Some(owner.as_str())).cloned().collect())
}

/// Who holds the lock beside a SQLite target.
fn holder(db: &mut Db) -> QueryResult<Option<String>> {
    #[derive(QueryableByName)]
    struct Main {
        #[diesel(sql_type = diesel::sql_types::Text)]
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

/// Whether a run was stopped on purpose or failed, so that those who joined it stop as well. One that was killed leaves its
/// work to them.
///
/// # Errors
/// The database fails.
pub fn is_over(db: &mut Db, run: &str) -> Result<bool, LedgerError> {
    let over = r::table.find(run.to_owned()).filter(r::state.eq_any(["stopped", "failed"]));
    let reason: Option<Option<String>> = over.select(r::reason).first(db).optional().attempt("read")?;
    Ok(reason.is_some_and(|reason| reason.as_deref() != Some(KILLED)))
}

/// Why a run ended that did not end itself.
const KILLED: &str = "killed";

/// What this process holds for as long as it lives, so that others can tell whether it does.
pub enum Alive {
    /// A session of PostgreSQL with an advisory lock. The server drops the lock with the connection.
    Session(Box<Db>),
    /// A lock on a file beside a SQLite database. The kernel drops it with the process.
    File(File),
    /// A rehearsal: nothing that it does can be seen.
    Unseen,
}

/// Makes sure that nobody else replays on this target for as long as the connection that comes back is kept. In SQLite
/// the lock of the file sees to it.
///
/// # Errors
/// Another replay is under way, or the database fails.
pub fn replay_alone(mut db: Db) -> Result<Db, HeldError> {
    #[derive(QueryableByName)]
    struct Taken {
        #[diesel(sql_type = Bool)]
        taken: bool,
    }
    if let Db::Pg(pg) = &mut db {
        let lock = diesel::sql_query("SELECT pg_try_advisory_lock(7364129880114) AS taken");
        let Taken { taken } = lock.get_result(pg).attempt("locked")?;
        if !taken {
            return Err(HeldError::Held("a replay".to_owned()));
        }
    }
    Ok(db)
}

/// Why a run may not begin.
#[derive(Debug, thiserror::Error)]
pub enum HeldError {
    /// Another process works on this SQLite target.
    #[error("another run works on this target: {0}")]
    Held(String),
    /// The lock cannot be taken for another reason.
    #[error("the lock beside the target file cannot be taken: {0}")]
    Io(#[from] std::io::Error),
    /// The ledger fails.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Alive {
    /// Takes the advisory lock of `owner`, on a session of its own.
    ///
    /// # Errors
    /// The database fails.
    pub fn session(mut db: Db, owner: &Owner) -> Result<Self, LedgerError> {
        diesel::sql_query("SELECT pg_advisory_lock($1)")
            .bind::<BigInt, _>(Owner::lock_key(owner.as_str()))
            .execute(&mut db)
            .attempt("locked")?;
        Ok(Self::Session(Box::new(db)))
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

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// Ends the sessions of a worker that lost its chunks. It may have been stopped, or cut off from the network, in the middle
/// of a transaction: whoever does its chunks again would wait for that. If it comes back it finds its sessions gone and its
/// chunks claimed by another one.
pub(crate) fn cut_off(db: &mut Db, owner: &str) {
    let Db::Pg(pg) = db else { return };
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE application_name = $1 AND datname = current_database() AND pid <> pg_backend_pid()";
    let ended = diesel::sql_query(sql).bind::<diesel::sql_types::Text, _>(Owner::session_name(owner)).execute(pg);
    if let Err(error) = ended {
        // Its transactions then end when the server notices.
        tracing::debug!(
            failure = super::Failure::of(&error).kind(),
            "the sessions of a lost worker could not be ended"
        );
    }
}

/// Frees the chunks of other owners that are dead, and closes their runs. Returns how many chunks became free.
///
/// # Errors
/// The database fails.
pub fn reap(db: &mut Db, me: &Owner) -> Result<usize, LedgerError> {
    let mut owners: Vec<String> = r::table.filter(r::state.eq("running")).select(r::id).load(db).attempt("read")?;
    owners.extend(
        c::table
            .filter(c::state.eq("claimed"))
            .select(c::owner)
            .distinct()
            .load::<Option<String>>(db)
            .attempt("read")?
            .into_iter()
            .flatten(),
    );
    owners.sort_unstable();
    owners.dedup();
    owners.retain(|owner| owner != me.as_str());
    let mut freed = 0;
    for owner in owners {
        let found = db.write(|db| if dead(db, &owner)? { free(db, &owner).map(Some) } else { Ok(None) });
        if let Some(chunks) = found.attempt("cleared of dead runs")? {
            cut_off(db, &owner);
            freed += chunks;
        }
    }
    Ok(freed)
}

/// A dead owner's lock can be had. It is tried inside a transaction, whose end gives it back.
fn dead(db: &mut Db, owner: &str) -> QueryResult<bool> {
    match db {
        Db::Pg(_) => {
            let sql = "SELECT pg_try_advisory_xact_lock($1) AS locked";
            diesel::sql_query(sql).bind::<BigInt, _>(Owner::lock_key(owner)).get_result::<Locked>(db).map(|l| l.locked)
        }
        // Whoever gets here holds the file's lock: everybody else is dead.
        _ => Ok(true),
    }
}

fn free(db: &mut Db, owner: &str) -> QueryResult<usize> {
    let freed = diesel::update(c::table.filter(c::owner.eq(owner.to_owned())).filter(c::state.eq("claimed")))
        .set((c::state.eq("free"), c::reason.eq("its worker died")))
        .execute(db)?;
    diesel::update(r::table.find(owner.to_owned()).filter(r::state.eq("running")))
        .set((r::state.eq("stopped"), r::ended_at.eq(Instant::now()), r::reason.eq(KILLED)))
        .execute(db)?;
    Ok(freed)
}
