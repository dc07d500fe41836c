//! How far the migration is: steps, chunks, counts and codes, from the ledger alone.

use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use serde::Serialize;

use super::error::{Attempt, LedgerError};
use super::tables::{
    replant_chunks as c, replant_outcomes as o, replant_repairs as r, replant_runs as runs, replant_steps as s,
    replant_unread as u,
};
use crate::storage::db::Db;
use crate::storage::types::Instant;
use crate::words::{Code, Counts};

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepStatus {
    /// The step.
    pub step: String,
    /// Its legacy table.
    pub legacy_table: String,
    /// Legacy rows in all.
    pub rows: u64,
    /// What became of those that are done.
    pub counts: Counts,
    /// Chunks that nobody has begun.
    pub chunks_free: u64,
    /// Chunks that a worker holds.
    pub chunks_claimed: u64,
    /// Chunks that are committed.
    pub chunks_done: u64,
    /// Whether every chunk and the end of the step are done, but for its unique indexes.
    pub indexing: bool,
    /// Whether every chunk is done and the step is finished.
    pub done: bool,
    /// The last failure of a chunk that is not done.
    pub last_failure: Option<String>,
}

/// How often a code occurs in a step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct CodeCount {
    /// The step.
    pub step: String,
    /// `merged`, `skipped`, `quarantined`, `repaired` or `unread`.
    pub what: String,
    /// The code.
    pub code: String,
    /// Rows, or repairs.
    pub count: u64,
}

/// A run, as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Queryable)]
pub struct RunStatus {
    /// Host, process and a number.
    pub id: String,
    /// The environment.
    pub environment: String,
    /// When it began.
    pub started_at: Instant,
    /// When it ended.
    pub ended_at: Option<Instant>,
    /// `running`, `done`, `stopped`, `failed`.
    pub state: String,
    /// Why it stopped or failed.
    pub reason: Option<String>,
}

/// How fast the migration is, whoever works on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pace {
    /// Legacy rows that were committed since a given time.
    pub rows: u64,
    /// When a chunk was committed last.
    pub last_commit: Option<Instant>,
}

type Sums = (String, i64, i64, i64, i64, i64, i64, i64, i64);

/// How far each planned step is, in the order of the run.
///
/// # Errors
/// The database fails.
pub fn steps(db: &mut Db) -> Result<Vec<StepStatus>, LedgerError> {
    let planned: Vec<(String, String, i64, String)> = s::table
        .order((s::position, s::name))
        .select((s::name, s::legacy_table, s::legacy_rows, s::state))
        .load(db)
        .attempt("read")?;
    let sum = |column: &str| sql::<BigInt>(&format!("CAST(coalesce(sum({column}), 0) AS bigint)"));
    planned
        .into_iter()
        .map(|(step, legacy_table, rows, state)| {
            let by_state: Vec<Sums> = c::table
                .filter(c::step.eq(step.clone()))
                .group_by(c::state)
                .select((
                    c::state,
                    count_star(),
                    sum("rows_read"),
                    sum("migrated"),
                    sum("merged"),
                    sum("skipped"),
                    sum("quarantined"),
                    sum("repairs"),
                    sum("busy_ms"),
                ))
                .load(db)
                .attempt("read")?;
            let last_failure: Option<Option<String>> = c::table
                .filter(c::step.eq(step.clone()))
                .filter(c::state.ne("done"))
                .filter(c::reason.is_not_null())
                .select(c::reason)
                .first(db)
                .optional()
                .attempt("read")?;
            let chunks =
                |wanted: &str| by_state.iter().find(|sums| sums.0 == wanted).map_or(0, |sums| sums.1.cast_unsigned());
            let done = by_state.iter().find(|sums| sums.0 == "done");
            let counts = done.map_or(Counts::default(), |sums| Counts {
                read: sums.2.cast_unsigned(),
                migrated: sums.3.cast_unsigned(),
                merged: sums.4.cast_unsigned(),
                skipped: sums.5.cast_unsigned(),
                quarantined: sums.6.cast_unsigned(),
                repairs: sums.7.cast_unsigned(),
            });
            Ok(StepStatus {
                chunks_free: chunks("free"),
                chunks_claimed: chunks("claimed"),
                chunks_done: chunks("done"),
                rows: rows.cast_unsigned(),
                indexing: state == "indexing",
                done: state == "done",
                last_failure: last_failure.flatten(),
                step,
                legacy_table,
                counts,
            })
        })
        .collect()
}

/// Legacy rows of a step that are done.
///
/// # Errors
/// The database fails.
pub fn rows_done(db: &mut Db, step: &str) -> Result<u64, LedgerError> {
    let rows: i64 = c::table
        .filter(c::step.eq(step.to_owned()))
        .filter(c::state.eq("done"))
        .select(sql::<BigInt>("CAST(coalesce(sum(rows_read), 0) AS bigint)"))
        .first(db)
        .attempt("read")?;
    Ok(rows.cast_unsigned())
}

/// What was committed since `from`, by the clocks of those who did it.
///
/// # Errors
/// The database fails.
pub fn pace(db: &mut Db, from: Instant) -> Result<Pace, LedgerError> {
    let done = c::table.filter(c::state.eq("done"));
    let rows: i64 = done
        .filter(c::done_at.gt(from))
        .select(sql::<BigInt>("CAST(coalesce(sum(rows_read), 0) AS bigint)"))
        .first(db)
        .attempt("read")?;
    let last: Option<Option<Instant>> = done
        .filter(c::done_at.is_not_null())
        .order(c::done_at.desc())
        .select(c::done_at)
        .first(db)
        .optional()
        .attempt("read")?;
    Ok(Pace { rows: rows.cast_unsigned(), last_commit: last.flatten() })
}

/// The codes of every step, the most frequent first.
///
/// # Errors
/// The database fails.
pub fn codes(db: &mut Db) -> Result<Vec<CodeCount>, LedgerError> {
    let outcomes: Vec<(String, String, String, i64)> = o::table
        .filter(o::code.is_not_null())
        .group_by((o::step, o::outcome, o::code))
        .select((o::step, o::outcome, o::code.assume_not_null(), count_star()))
        .load(db)
        .attempt("read")?;
    let repairs: Vec<(String, String, i64)> =
        r::table.group_by((r::step, r::code)).select((r::step, r::code, count_star())).load(db).attempt("read")?;
    let mut codes: Vec<CodeCount> = outcomes
        .into_iter()
        .map(|(step, what, code, count)| CodeCount { step, what, code, count: count.cast_unsigned() })
        .chain(repairs.into_iter().map(|(step, code, count)| CodeCount {
            step,
            what: "repaired".to_owned(),
            code,
            count: count.cast_unsigned(),
        }))
        .collect();
    let unread: Vec<(String, i64)> =
        u::table.group_by(u::step).select((u::step, count_star())).load(db).attempt("read")?;
    codes.extend(unread.into_iter().map(|(step, count)| {
        let (what, code) = ("unread".to_owned(), Code::GONE_UNREAD.as_str().to_owned());
        CodeCount { step, what, code, count: count.cast_unsigned() }
    }));
    codes.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.cmp(b)));
    Ok(codes)
}

/// The last runs, the latest first.
///
/// # Errors
/// The database fails.
pub fn runs(db: &mut Db, limit: i64) -> Result<Vec<RunStatus>, LedgerError> {
    runs::table
        .order(runs::started_at.desc())
        .limit(limit)
        .select((runs::id, runs::environment, runs::started_at, runs::ended_at, runs::state, runs::reason))
        .load(db)
        .attempt("read")
}

/// The runs and workers that the ledger takes to be under way, the earliest first. One that was killed is among them until
/// the next run finds out: [`super::runs::living`] tells.
///
/// # Errors
/// The database fails.
pub fn running(db: &mut Db) -> Result<Vec<RunStatus>, LedgerError> {
    runs::table
        .filter(runs::state.eq("running"))
        .order(runs::started_at)
        .select((runs::id, runs::environment, runs::started_at, runs::ended_at, runs::state, runs::reason))
        .load(db)
        .attempt("read")
}
