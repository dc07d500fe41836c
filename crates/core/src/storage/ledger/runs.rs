//! Runs: who works on a target, to which end.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Nullable;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::{Attempt, LedgerError};
use super::owner::{HeldError, Owner};
use super::tables::{replant_chunks as c, replant_runs as r};
use super::{alive, claim};
use crate::storage::advisory;
use crate::storage::db::Db;
use crate::storage::types::{Instant, Utc};

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

/// What a run is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scope {
    /// Domains or steps, whole; none: all.
    Whole(Vec<String>),
    /// A part of the last of some steps.
    Part {
        /// The domains or steps.
        part_of: Vec<String>,
    },
    /// A person is erased: nobody runs beside it.
    Erase {
        /// That it is so.
        erase: bool,
        /// Why.
        why: String,
    },
    /// What was written is taken back: nobody runs beside it.
    Undo {
        /// What.
        undo: String,
        /// Why.
        why: String,
    },
}

/// Opens a run.
///
/// # Errors
/// The database fails.
pub fn begin(
    db: &mut Db,
    owner: &Owner,
    environment: &str,
    scope: &Scope,
    snapshot: Timestamp,
) -> Result<(), LedgerError> {
    let is_all = matches!(scope, Scope::Whole(only) if only.is_empty());
    let scope = (!is_all).then(|| serde_json::to_string(scope).expect("names have a JSON form"));
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

/// What a run is to do.
///
/// # Errors
/// The database fails, or what it says cannot be read back.
pub fn scope(db: &mut Db, run: &str) -> Result<Scope, LedgerError> {
    let scope: Option<String> = r::table.find(run.to_owned()).select(r::scope).first(db).attempt("read")?;
    let unreadable = |_| LedgerError::Unreadable { what: "scope of a run", of: run.to_owned() };
    scope.map_or(Ok(Scope::Whole(Vec::new())), |scope| serde_json::from_str(&scope).map_err(unreadable))
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

/// A run that lives beside one, and may not: an undo and an erasure run alone. Whoever begins asks after it has noted that it has begun, so of two that
/// begin at once neither oversees the other.
///
/// # Errors
/// The database fails, or what a run is to do cannot be read back.
pub(crate) fn in_the_way(db: &mut Db, me: &Owner, mine: &Scope) -> Result<Option<String>, LedgerError> {
    let running = r::table.filter(r::state.eq("running")).filter(r::id.ne(me.as_str().to_owned())).select(r::id);
    let is_alone = |scope: &Scope| match scope {
        Scope::Undo { .. } | Scope::Erase { .. } => true,
        Scope::Whole(_) | Scope::Part { .. } => false,
    };
    for other in running.load::<String>(db).attempt("read")? {
        if (is_alone(mine) || is_alone(&scope(db, &other)?)) && alive::lives(db, &other).attempt("read")? {
            return Ok(Some(other));
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

/// Shows that a process lives, and renews the leases of its chunks. Waits for nothing that others hold for long.
///
/// # Errors
/// The database fails.
pub(crate) fn beat(db: &mut Db, owner: &Owner, lease: Duration) -> Result<(), LedgerError> {
    diesel::update(r::table.find(owner.as_str().to_owned()))
        .set(r::beat_at.eq(sql::<Nullable<Utc>>("now()")))
        .execute(db)
        .attempt("written")?;
    claim::renew(db, owner, lease).map(|_| ())
}
