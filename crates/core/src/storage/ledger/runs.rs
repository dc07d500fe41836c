//! Runs: who works on a target, to which end.

use diesel::prelude::*;
use jiff::Timestamp;

use super::tables::{replant_chunks as c, replant_runs as r};
use super::{Attempt, LedgerError, alive};
use crate::storage::advisory;
use crate::storage::db::Db;
use crate::storage::types::Instant;

/// Who holds a chunk: the host, the process and a number that no other process of theirs has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(String);

/// So many bytes of a host's name stand in the name of a session.
const LONGEST_HOST: usize = 16;

fn this_host() -> String {
    hostname::get().map_or_else(|_| "localhost".to_owned(), |host| host.to_string_lossy().replace(':', "-"))
}

impl Owner {
    /// The owner that this process is for one run.
    pub fn of_this_process() -> Self {
        let host = this_host();
        let nonce = Timestamp::now().as_nanosecond() & 0xffff_ffff;
        Self(format!("{host}:{}:{nonce:08x}", std::process::id()))
    }

    /// As the ledger writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its sessions, as `pg_stat_activity` shows it; in the midst of a chunk its step and number stand behind it.
    /// The server keeps 63 bytes of it.
    pub fn session_name(owner: &str) -> String {
        let (host, rest) = owner.split_once(':').unwrap_or(("", owner));
        let host: String = host.chars().filter(char::is_ascii).take(LONGEST_HOST).collect();
        format!("replant {host}:{rest}")
    }

    /// The process, where it is one of this machine.
    pub(super) fn process_here(owner: &str) -> Option<u32> {
        let (host, rest) = owner.split_once(':')?;
        (host == this_host()).then(|| rest.split_once(':')?.0.parse().ok()).flatten()
    }

    /// The advisory lock that its process holds while it lives.
    pub(super) fn lock_key(owner: &str) -> i64 {
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

/// Opens a run. `only`: the domains or steps to which it is limited; none: all.
///
/// # Errors
/// The database fails.
pub fn begin(
    db: &mut Db,
    owner: &Owner,
    environment: &str,
    only: &[String],
    snapshot: Timestamp,
) -> Result<(), LedgerError> {
    let scope = (!only.is_empty()).then(|| serde_json::to_string(only).expect("names have a JSON form"));
    diesel::insert_into(r::table)
        .values((
            r::id.eq(owner.as_str()),
            r::environment.eq(environment),
            r::version.eq(env!("CARGO_PKG_VERSION")),
            r::snapshot_at.eq(Instant(snapshot)),
            r::started_at.eq(Instant::now()),
            r::state.eq("running"),
            r::beat_at.eq(Instant::now()),
            r::scope.eq(scope),
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

/// The domains or steps to which a run is limited; none: all.
///
/// # Errors
/// The database fails, or what it says cannot be read back.
pub fn scope(db: &mut Db, run: &str) -> Result<Vec<String>, LedgerError> {
    let scope: Option<String> = r::table.find(run.to_owned()).select(r::scope).first(db).attempt("read")?;
    let unreadable = |_| LedgerError::Unreadable { what: "scope of a run", of: run.to_owned() };
    scope.map_or(Ok(Vec::new()), |scope| serde_json::from_str(&scope).map_err(unreadable))
}

/// A run that is under way and lives: the first that began.
///
/// # Errors
/// The database fails.
pub fn under_way(db: &mut Db) -> Result<Option<String>, LedgerError> {
    let running = r::table.filter(r::state.eq("running")).order(r::started_at).select(r::id);
    for owner in running.load::<String>(db).attempt("read")? {
        if alive::lives(db, &owner).attempt("read")? {
            return Ok(Some(owner));
        }
    }
    Ok(None)
}

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

pub use alive::{Alive, living};

/// Makes sure that nobody else replays on this target for as long as the connection that comes back is kept. In SQLite
/// the lock of the file sees to it.
///
/// # Errors
/// Another replay is under way, or the database fails.
pub fn replay_alone(mut db: Db) -> Result<Db, HeldError> {
    const LOCK: i64 = 7_364_129_880_114;
    if !advisory::take(&mut db, LOCK).attempt("locked")? {
        return Err(HeldError::Held("a replay".to_owned()));
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
        if !alive::lives(db, &owner).attempt("read")? {
            freed += db.write(|db| free(db, &owner)).attempt("cleared of dead runs")?;
            alive::cut_off(db, &owner);
        }
    }
    Ok(freed)
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
