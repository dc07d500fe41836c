//! Claiming chunks: a lease with an owner and an epoch, by the database's clock.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable};

use super::runs::Owner;
use super::tables::replant_chunks as c;
use super::{Attempt, LedgerError};
use crate::storage::db::Db;
use crate::storage::types::Utc;
use crate::words::{KeyRange, KeySet};

/// A chunk that this process holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The chunk.
    pub chunk: i64,
    /// Its legacy keys.
    pub range: KeyRange,
    /// Which claim of it this is: only the last one can close it.
    pub epoch: i64,
    /// How often it was claimed.
    pub attempts: i64,
}

/// What a worker that asks for a chunk of a step is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Do this one.
    Chunk(Claim),
    /// All are done.
    Done,
    /// None is free: others hold what is left.
    Held {
        /// How many.
        chunks: u64,
        /// One of the holders.
        owner: String,
    },
}

/// Claims the next free chunk of a step, or one whose lease has run out. One that `owner` is said to hold but does not
/// have in hand is free as well: the answer to that claim was lost with its connection.
///
/// # Errors
/// The database fails.
pub fn next(db: &mut Db, step: &str, owner: &Owner, in_hand: &[i64], lease: Duration) -> Result<Next, LedgerError> {
    let claimed = db.write(|db| claim(db, step, owner, in_hand, lease)).attempt("asked for a chunk")?;
    if let Some(claim) = claimed {
        return Ok(Next::Chunk(claim));
    }
    let held: Vec<Option<String>> = c::table
        .filter(c::step.eq(step.to_owned()))
        .filter(c::state.ne("done"))
        .select(c::owner)
        .load(db)
        .attempt("read")?;
    Ok(match held.iter().flatten().next() {
        Some(owner) => Next::Held { chunks: held.len() as u64, owner: owner.clone() },
        None if held.is_empty() => Next::Done,
        None => Next::Held { chunks: held.len() as u64, owner: "a worker that is just claiming it".to_owned() },
    })
}

type Found = (i64, i64, i64, i64, i64);

fn claim(db: &mut Db, step: &str, owner: &Owner, in_hand: &[i64], lease: Duration) -> QueryResult<Option<Claim>> {
    let columns = (c::id, c::lo, c::hi, c::epoch, c::attempts);
    let found: Option<Found> =
        match db {
            Db::Pg(pg) => {
                // A claim that a crash of the server undoes does no harm: it need not wait for the disk.
                diesel::sql_query("SET LOCAL synchronous_commit = off").execute(pg)?;
                c::table
                    .filter(c::step.eq(step.to_owned()))
                    .filter(c::state.eq("free").or(c::state.eq("claimed").and(sql::<Bool>("lease_until < now()"))).or(
                        c::owner.eq(owner.as_str().to_owned()).and(c::id.ne_all(in_hand.to_vec())).assume_not_null(),
                    ))
                    .filter(c::state.ne("done"))
                    .order(c::lo)
                    .select(columns)
                    .limit(1)
                    .for_update()
                    .skip_locked()
                    .first(pg)
                    .optional()?
            }
            _ => c::table
                .filter(c::step.eq(step.to_owned()))
                .filter(c::state.eq("free"))
                .order(c::lo)
                .select(columns)
                .first(db)
                .optional()?,
        };
    let Some((chunk, lo, hi, epoch, attempts)) = found else { return Ok(None) };
    diesel::update(c::table.find(chunk))
        .set((
            c::state.eq("claimed"),
            c::owner.eq(owner.as_str()),
            c::epoch.eq(epoch + 1),
            c::attempts.eq(attempts + 1),
            c::lease_until.eq(lease_end(db, lease)),
        ))
        .execute(db)?;
    let range = KeyRange { lo, hi };
    Ok(Some(Claim { chunk, range, epoch: epoch + 1, attempts: attempts + 1 }))
}

fn lease_end(db: &Db, lease: Duration) -> diesel::expression::SqlLiteral<Nullable<Utc>> {
    match db {
        Db::Pg(_) => sql(&format!("now() + interval '{} milliseconds'", lease.as_millis())),
        _ => sql("NULL"),
    }
}

/// Renews the leases of every chunk that `owner` holds.
///
/// # Errors
/// The database fails.
pub fn renew(db: &mut Db, owner: &Owner, lease: Duration) -> Result<usize, LedgerError> {
    diesel::update(c::table.filter(c::owner.eq(owner.as_str().to_owned())).filter(c::state.eq("claimed")))
        .set(c::lease_until.eq(lease_end(db, lease)))
        .execute(db)
        .attempt("renewed")
}

/// Gives a chunk back, with the reason.
///
/// # Errors
/// The database fails.
pub fn release(db: &mut Db, owner: &Owner, claim: &Claim, reason: &str) -> Result<(), LedgerError> {
    let mine =
        c::table.find(claim.chunk).filter(c::owner.eq(owner.as_str().to_owned())).filter(c::epoch.eq(claim.epoch));
    diesel::update(mine.filter(c::state.eq("claimed")))
        .set((c::state.eq("free"), c::reason.eq(reason)))
        .execute(db)
        .attempt("given a chunk back")?;
    Ok(())
}

/// Cuts a chunk that is too much at once into two free ones. `false` where it has one key and cannot be cut.
///
/// # Errors
/// The database fails.
pub fn split(
    db: &mut Db,
    step: &str,
    owner: &Owner,
    claim: &Claim,
    keys: &KeySet,
    reason: &str,
) -> Result<bool, LedgerError> {
    let count = keys.count(claim.range);
    if count < 2 {
        return Ok(false);
    }
    let middle = usize::try_from(count / 2).expect("a chunk has few keys");
    let left: Vec<i64> = keys.range(claim.range).take(middle + 1).collect();
    let (last, first) = (left[middle - 1], left[middle]);
    db.write(|db| {
        let mine =
            c::table.find(claim.chunk).filter(c::owner.eq(owner.as_str().to_owned())).filter(c::epoch.eq(claim.epoch));
        let kept = diesel::update(mine.filter(c::state.eq("claimed")))
            .set((c::hi.eq(last), c::keys.eq(middle as i64), c::state.eq("free"), c::reason.eq(reason)))
            .execute(db)?;
        if kept == 1 {
            diesel::insert_into(c::table)
                .values((
                    c::step.eq(step),
                    c::lo.eq(first),
                    c::hi.eq(claim.range.hi),
                    c::keys.eq(count.cast_signed() - middle as i64),
                    c::state.eq("free"),
                    c::reason.eq(reason),
                ))
                .execute(db)?;
        }
        Ok::<_, diesel::result::Error>(())
    })
    .attempt("told to cut a chunk")?;
    Ok(true)
}

/// Whether a chunk is done: the answer to a connection that was lost while it committed.
///
/// # Errors
/// The database fails.
pub fn is_done(db: &mut Db, chunk: i64) -> Result<bool, LedgerError> {
    let state: String = c::table.find(chunk).select(c::state).first(db).attempt("read")?;
    Ok(state == "done")
}
