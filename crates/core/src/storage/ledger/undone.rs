//! Taking back what a chunk has done: it is free again, with the ids that it had, and what stays of it waits for whoever takes it again.

use diesel::prelude::*;

use super::error::{Attempt, LedgerError};
use super::numbers::Numbers;
use super::tables::{
    replant_changes as h, replant_chunks as c, replant_first as f, replant_id_blocks as b, replant_money as m,
    replant_repairs as r, replant_steps as st,
};
use super::{earlier, of_chunk, stage};
use crate::storage::db::Db;
use crate::storage::types::Instant;
use crate::words::Key;

/// Frees a chunk that is done, and forgets what it kept. `keys`: those of its rows.
///
/// # Errors
/// The database fails.
pub(crate) fn free(db: &mut Db, step: &str, chunk: i64, keys: &[Key]) -> Result<(), LedgerError> {
    let held_by = (c::owner.eq(None::<String>), c::token.eq(None::<String>), c::lease_until.eq(None::<Instant>));
    let free = (c::state.eq("free"), c::epoch.eq(c::epoch + 1), c::attempts.eq(0_i64), c::by_set.eq(false));
    diesel::update(c::table.find(chunk)).set((free, held_by, Numbers::default())).execute(db).attempt("written")?;
    of_chunk::forget(db, chunk).attempt("written")?;
    earlier::forget_chunk(db, chunk).attempt("written")?;
    for some in keys.chunks(1_000) {
        let first = f::table.filter(f::step.eq(step.to_owned())).filter(f::legacy_key.eq_any(some.to_vec()));
        diesel::delete(first).execute(db).attempt("written")?;
    }
    Ok(())
}

/// The chunks of a step that a run has done.
///
/// # Errors
/// The database fails.
pub(crate) fn of_run(db: &mut Db, step: &str, run: &str) -> Result<Vec<i64>, LedgerError> {
    let of_run = c::table.filter(c::step.eq(step.to_owned())).filter(c::owner.eq(run.to_owned()));
    of_run.filter(c::state.eq("done")).select(c::id).load(db).attempt("read")
}

/// Whether it was this run that has done the end of a step last, in moving it. It stays so when that is taken back: a repeated call finds
/// nothing left.
///
/// # Errors
/// The database fails.
pub(crate) fn has_ended(db: &mut Db, step: &str, run: &str) -> Result<bool, LedgerError> {
    let ended_by = st::table.find(step.to_owned()).select(st::ended_by).first::<Option<String>>(db);
    Ok(ended_by.optional().attempt("read")?.flatten().is_some_and(|by| by == run))
}

/// Notes that a step is not done any more; `end`: what its end has done is taken back as well. If any of that was done, the next run does it as one
/// that finds what is there.
///
/// # Errors
/// The database fails.
pub(crate) fn reopen(db: &mut Db, step: &str, end: bool) -> Result<(), LedgerError> {
    let of_step = || st::table.find(step.to_owned());
    let begun = of_step().filter(st::done_at.is_null()).filter(st::parts_done.gt(0).or(st::state.eq("indexing")));
    diesel::update(begun).set(st::done_at.eq(Instant::now())).execute(db).attempt("written")?;
    // Parts of an end that is under way are done once.
    let all = (st::state.eq("planned"), st::parts_done.eq(0_i64), st::orphans.eq(None::<i64>));
    match end {
        true => diesel::update(of_step()).set(all).execute(db).attempt("written")?,
        false => diesel::update(of_step().filter(st::state.ne("planned"))).set(all).execute(db).attempt("written")?,
    };
    Ok(())
}

/// Forgets what the end of a step has noted: repairs of other steps' rows, money, and the ids that it took, where no row that it
/// added is left. In a transaction.
///
/// # Errors
/// The database fails.
pub(crate) fn forget_end(db: &mut Db, step: &str) -> Result<(), LedgerError> {
    diesel::delete(r::table.filter(r::by_step.eq(step.to_owned()))).execute(db).attempt("written")?;
    let of_end = m::table.filter(m::step.eq(step.to_owned())).filter(m::chunk_id.is_null());
    diesel::delete(of_end).execute(db).attempt("written")?;
    let left = h::table.filter(h::step.eq(step.to_owned())).filter(h::chunk_id.is_null()).select(h::id);
    if left.first::<i64>(db).optional().attempt("read")?.is_none() {
        let taken = b::table.filter(b::step.eq(step.to_owned())).filter(b::handed_out.eq("finished"));
        diesel::delete(taken).execute(db).attempt("written")?;
    }
    Ok(())
}

/// Forgets that a step was ever done: it begins as one that was not.
///
/// # Errors
/// The database fails.
pub(crate) fn never_done(db: &mut Db, step: &str) -> Result<(), LedgerError> {
    let values = st::done_at.eq(None::<Instant>);
    diesel::update(st::table.find(step.to_owned())).set(values).execute(db).attempt("written").map(|_| ())
}

/// Locks a step that was done before and is to be done again: several processes may be at it. One that is done is left alone.
///
/// # Errors
/// The database fails.
pub(crate) fn lock(db: &mut Db, step: &str) -> QueryResult<()> {
    if was_done(db, step)? { stage::lock(db, step).map(|_| ()) } else { Ok(()) }
}

/// Whether a step was done before, and is to be done again.
///
/// # Errors
/// The database fails.
pub(crate) fn was_done(db: &mut Db, step: &str) -> QueryResult<bool> {
    let open = st::table.find(step.to_owned()).filter(st::state.eq("planned")).filter(st::done_at.is_not_null());
    let found: Option<String> = open.select(st::name).first(db).optional()?;
    Ok(found.is_some())
}
