//! How far a step is: planned, its end under way, its indexes being built, done.

use diesel::prelude::*;

use super::error::{Attempt, LedgerError};
use super::owner::Owner;
use super::tables::replant_steps as s;
use crate::storage::db::Db;
use crate::storage::failure::caught;
use crate::storage::sql::literal;
use crate::storage::types::Instant;

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its rows are to be moved, or the parts of its end to be done.
    Planned,
    /// All of that is committed; unique indexes are to be built.
    Indexing,
    /// Nothing is left to do.
    Done,
}

impl Stage {
    /// As the ledger writes it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Indexing => "indexing",
            Self::Done => "done",
        }
    }

    fn of(state: &str) -> Self {
        match state {
            "indexing" => Self::Indexing,
            "done" => Self::Done,
            _ => Self::Planned,
        }
    }
}

/// The names of the steps that are done.
///
/// # Errors
/// The database fails.
pub(crate) fn done(db: &mut Db) -> Result<Vec<String>, LedgerError> {
    s::table.filter(s::state.eq(Stage::Done.as_str())).select(s::name).load(db).attempt("read")
}

/// Takes the row lock of a step and says how far it is; none where it is not planned. Whoever holds the lock may plan, freeze
/// or finish it.
///
/// # Errors
/// The database fails.
pub(crate) fn lock(db: &mut Db, step: &str) -> QueryResult<Option<Stage>> {
    Ok(lock_end(db, step)?.map(|(stage, _)| stage))
}

/// As [`lock`], with the number of parts of its end that are committed.
///
/// # Errors
/// The database fails.
pub(crate) fn lock_end(db: &mut Db, step: &str) -> QueryResult<Option<(Stage, u64)>> {
    let end = s::table.find(step.to_owned()).select((s::state, s::parts_done));
    let found: Option<(String, i64)> = match db {
        // Rows of the ledger that point to it do not wait for it. Where another worker has it, the code tells so.
        Db::Pg(pg) => {
            let step = literal(step);
            caught::text(pg, &format!("SELECT name FROM replant_steps WHERE name = {step} FOR NO KEY UPDATE"))?;
            end.first(pg).optional()?
        }
        db => end.first(db).optional()?,
    };
    Ok(found.map(|(state, parts)| (Stage::of(&state), parts.cast_unsigned())))
}

/// Notes that so many parts of the end of a step are committed, in the transaction of the last of them, and by whom.
///
/// # Errors
/// The database fails.
pub(crate) fn parts_done(db: &mut Db, step: &str, parts: u64, by: &Owner) -> QueryResult<()> {
    let values = (s::parts_done.eq(parts.cast_signed()), s::ended_by.eq(by.as_str()));
    diesel::update(s::table.find(step.to_owned())).set(values).execute(db).map(|_| ())
}

/// Notes who does the end of a step again.
///
/// # Errors
/// The database fails.
pub(crate) fn end_anew(db: &mut Db, step: &str, by: &Owner) -> QueryResult<()> {
    diesel::update(s::table.find(step.to_owned())).set(s::ended_by.eq(by.as_str())).execute(db).map(|_| ())
}

/// Whether the end of a step has not begun.
///
/// # Errors
/// The database fails.
pub(crate) fn is_planned(db: &mut Db, step: &str) -> QueryResult<bool> {
    let (state, parts): (String, i64) = s::table.find(step.to_owned()).select((s::state, s::parts_done)).first(db)?;
    Ok(Stage::of(&state) == Stage::Planned && parts == 0)
}

/// Notes how many rows of a step have no parent, as its end looked for them.
///
/// # Errors
/// The database fails.
pub(crate) fn note_orphans(db: &mut Db, step: &str, orphans: i64) -> QueryResult<()> {
    // Where another worker has the row, the code tells so.
    lock(db, step)?;
    diesel::update(s::table.find(step.to_owned())).set(s::orphans.eq(orphans)).execute(db).map(|_| ())
}

/// Whether the end of a step has looked for rows without a parent and has found none.
///
/// # Errors
/// The database fails.
pub(crate) fn has_no_orphans(db: &mut Db, step: &str) -> QueryResult<bool> {
    let orphans: Option<i64> = s::table.find(step.to_owned()).select(s::orphans).first(db)?;
    Ok(orphans == Some(0))
}

/// Marks a step as one whose unique indexes are to be built: in the transaction of the last part of its end, or where one of
/// them has gone since it was done.
///
/// # Errors
/// The database fails.
pub(crate) fn indexing(db: &mut Db, step: &str) -> QueryResult<()> {
    let values = (s::state.eq(Stage::Indexing.as_str()), s::done_at.eq(None::<Instant>));
    diesel::update(s::table.find(step.to_owned())).set(values).execute(db).map(|_| ())
}

/// Marks a step as done.
///
/// # Errors
/// The database fails.
pub(crate) fn finish(db: &mut Db, step: &str) -> QueryResult<()> {
    let open = s::table.find(step.to_owned()).filter(s::state.ne(Stage::Done.as_str()));
    let values = (s::state.eq(Stage::Done.as_str()), s::done_at.eq(Instant::now()));
    diesel::update(open).set(values).execute(db).map(|_| ())
}
