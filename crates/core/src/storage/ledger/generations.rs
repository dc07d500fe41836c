//! The states of the legacy database that a target was brought to, one after the other.

use diesel::prelude::*;
use jiff::Timestamp;
use serde::Serialize;

use super::error::{Attempt, LedgerError};
use super::tables::replant_generations as g;
use crate::storage::db::Db;
use crate::storage::types::Instant;

/// A state of the legacy database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Generation {
    /// The first is 1.
    pub n: i64,
    /// When the legacy database was frozen.
    pub snapshot_at: Timestamp,
    /// When the target was begun to be brought to it.
    pub begun_at: Timestamp,
    /// When it was; none where that is under way.
    pub ended_at: Option<Timestamp>,
}

type Row = (i64, Instant, Instant, Option<Instant>);

fn generation((n, snapshot, begun, ended): Row) -> Generation {
    Generation { n, snapshot_at: snapshot.0, begun_at: begun.0, ended_at: ended.map(|at| at.0) }
}

/// All of them, the first one first.
///
/// # Errors
/// The database fails.
pub fn all(db: &mut Db) -> Result<Vec<Generation>, LedgerError> {
    let rows: Vec<Row> = g::table.order(g::n).load(db).attempt("read")?;
    Ok(rows.into_iter().map(generation).collect())
}

/// The last one; none where nothing was migrated yet.
///
/// # Errors
/// The database fails.
pub fn current(db: &mut Db) -> Result<Option<Generation>, LedgerError> {
    Ok(last(db).attempt("read")?.map(generation))
}

fn last(db: &mut Db) -> QueryResult<Option<Row>> {
    g::table.order(g::n.desc()).first(db).optional()
}

/// The number of the last one.
///
/// # Errors
/// The database fails.
pub(crate) fn number(db: &mut Db) -> QueryResult<i64> {
    Ok(last(db)?.map_or(1, |(n, ..)| n))
}

/// Notes that the target is brought to a state, unless that is noted.
///
/// # Errors
/// The database fails.
pub(crate) fn begin(db: &mut Db, n: i64, snapshot: Timestamp) -> Result<(), LedgerError> {
    // Of two processes that begin at once the second finds it.
    let row = (g::n.eq(n), g::snapshot_at.eq(Instant(snapshot)), g::begun_at.eq(Instant::now()));
    match db {
        Db::Pg(pg) => {
            diesel::insert_into(g::table).values(row).on_conflict_do_nothing().execute(pg).attempt("written")?
        }
        Db::Lite(lite) => diesel::insert_or_ignore_into(g::table).values(row).execute(lite).attempt("written")?,
        #[cfg(feature = "mysql")]
        Db::My(_) => return Err(LedgerError::Install { hint: "MariaDB is no target" }),
    };
    Ok(())
}

/// Notes that the target is not in the last state any more.
///
/// # Errors
/// The database fails.
pub(crate) fn reopen(db: &mut Db) -> Result<(), LedgerError> {
    let last = number(db).attempt("read")?;
    diesel::update(g::table.find(last)).set(g::ended_at.eq(None::<Instant>)).execute(db).attempt("written").map(|_| ())
}

/// Notes that the target has been brought to the last state.
///
/// # Errors
/// The database fails.
pub(crate) fn end(db: &mut Db) -> Result<(), LedgerError> {
    let open = g::table.filter(g::ended_at.is_null());
    diesel::update(open).set(g::ended_at.eq(Instant::now())).execute(db).attempt("written").map(|_| ())
}
