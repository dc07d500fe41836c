//! Claiming chunks: a lease with an owner and an epoch, by the database's clock.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable};

use super::runs::{self, Owner};
use super::tables::replant_chunks as c;
use super::{Attempt, LedgerError};
use crate::storage::db::Db;
use crate::storage::types::Utc;
use crate::words::{Key, KeyRange, KeySet};

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

/// What a worker asks for.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// A chunk of this step.
    pub step: &'a str,
    /// The keys of its legacy table.
    pub keys: &'a KeySet,
    /// About as many of them.
    pub rows: u64,
    /// The chunks that the worker has in hand.
    pub in_hand: &'a [i64],
    /// How long it may be without a sign of life.
    pub lease: Duration,
}

/// How often a worker asks again at once where the free chunks that there are were just being claimed by others.
const AT_ONCE: u32 = 50;
/// About how long a claim takes.
const A_CLAIM: Duration = Duration::from_millis(2);

/// Claims the next free chunk of a step, or one whose lease has run out; of a long range the first part. One that `owner`
/// is said to hold but does not have in hand is free as well: the answer to that claim was lost with its connection.
///
/// # Errors
/// The database fails.
pub fn next(db: &mut Db, owner: &Owner, wish: Wish<'_>) -> Result<Next, LedgerError> {
    for _ in 0..AT_ONCE {
        let claimed = db.write(|db| claim(db, owner, wish)).attempt("asked for a chunk")?;
        if let Some((claim, stale)) = claimed {
            if let Some(stale) = stale.filter(|stale| stale != owner.as_str()) {
                runs::cut_off(db, &stale);
            }
            return Ok(Next::Chunk(claim));
        }
        let open: Vec<(String, Option<String>)> = c::table
            .filter(c::step.eq(wish.step.to_owned()))
            .filter(c::state.ne("done"))
            .select((c::state, c::owner))
            .load(db)
            .attempt("read")?;
        let holder = open.iter().find(|(state, _)| state == "claimed").and_then(|(_, owner)| owner.clone());
        match holder {
            Some(owner) if open.iter().all(|(state, _)| state == "claimed") => {
                return Ok(Next::Held { chunks: open.len() as u64, owner });
            }
            _ if open.is_empty() => return Ok(Next::Done),
            // Others are just claiming the free ones, and leave what they cut off.
            _ => std::thread::sleep(A_CLAIM),
        }
    }
    Ok(Next::Held { chunks: 1, owner: "a worker that is just claiming it".to_owned() })
}

type Found = (i64, i64, i64, i64, i64, String, Option<String>);

/// The claim, and who held the chunk before and let its lease run out.
fn claim(db: &mut Db, owner: &Owner, wish: Wish<'_>) -> QueryResult<Option<(Claim, Option<String>)>> {
    let Wish { step, keys, rows, in_hand, lease } = wish;
    let columns = (c::id, c::lo, c::hi, c::epoch, c::attempts, c::state, c::owner);
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
    let Some((chunk, lo, hi, epoch, attempts, state, before)) = found else { return Ok(None) };
    let mut range = KeyRange { lo, hi };
    // A rest that is not worth a claim of its own goes along.
    if keys.count(range) > rows.saturating_add(rows / 2)
        && let Some((last, next)) = keys.cut(range, rows)
    {
        cut_off_rest(db, step, chunk, (keys, range), (last, next))?;
        range.hi = last;
    }
    diesel::update(c::table.find(chunk))
        .set((
            c::state.eq("claimed"),
            c::owner.eq(owner.as_str()),
            c::epoch.eq(epoch + 1),
            c::attempts.eq(attempts + 1),
            c::lease_until.eq(lease_end(db, lease)),
        ))
        .execute(db)?;
    let stale = before.filter(|_| state == "claimed");
    Ok(Some((Claim { chunk, range, epoch: epoch + 1, attempts: attempts + 1 }, stale)))
}

/// Lets a chunk end at `last`, and makes a free one of what comes after it, from `next`.
fn cut_off_rest(
    db: &mut Db,
    step: &str,
    chunk: i64,
    (keys, range): (&KeySet, KeyRange),
    (last, next): (Key, Key),
) -> QueryResult<()> {
    let count = |lo, hi| keys.count(KeyRange { lo, hi }).cast_signed();
    diesel::update(c::table.find(chunk)).set((c::hi.eq(last), c::keys.eq(count(range.lo, last)))).execute(db)?;
    diesel::insert_into(c::table)
        .values((
            c::step.eq(step),
            c::lo.eq(next),
            c::hi.eq(range.hi),
            c::keys.eq(count(next, range.hi)),
            c::state.eq("free"),
        ))
        .execute(db)
        .map(|_| ())
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
    let Some(halves) = keys.cut(claim.range, count / 2) else { return Ok(false) };
    db.write(|db| {
        let mine =
            c::table.find(claim.chunk).filter(c::owner.eq(owner.as_str().to_owned())).filter(c::epoch.eq(claim.epoch));
        let given_back = diesel::update(mine.filter(c::state.eq("claimed")))
            .set((c::state.eq("free"), c::reason.eq(reason)))
            .execute(db)?;
        if given_back == 1 {
            cut_off_rest(db, step, claim.chunk, (keys, claim.range), halves)?;
        }
        Ok::<_, diesel::result::Error>(())
    })
    .attempt("told to cut a chunk")?;
    Ok(true)
}

/// Rows and milliseconds of the chunk of a step that was done last: what a run learns from the one before it.
///
/// # Errors
/// The database fails.
pub fn last_done(db: &mut Db, step: &str) -> Result<Option<(u64, u64)>, LedgerError> {
    let last: Option<(i64, i64)> = c::table
        .filter(c::step.eq(step.to_owned()))
        .filter(c::state.eq("done"))
        .order(c::done_at.desc())
        .select((c::rows_read, c::busy_ms))
        .first(db)
        .optional()
        .attempt("read")?;
    Ok(last.map(|(rows, busy)| (rows.cast_unsigned(), busy.cast_unsigned())))
}

/// Whether a chunk is done: the answer to a connection that was lost while it committed.
///
/// # Errors
/// The database fails.
pub fn is_done(db: &mut Db, chunk: i64) -> Result<bool, LedgerError> {
    let state: String = c::table.find(chunk).select(c::state).first(db).attempt("read")?;
    Ok(state == "done")
}
