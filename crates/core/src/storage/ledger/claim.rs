//! Claiming chunks: a lease with an owner and an epoch, by the database's clock.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::alive;
use super::error::{Attempt, LedgerError};
use super::owner::Owner;
use super::tables::{replant_chunks as c, replant_unread as u};
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
    /// Which claim of it this is, as the claims of a chunk are counted.
    pub epoch: i64,
    /// Which claim of it this is, of all that ever were: a crash of the server may take a claim back, and the chunk then be
    /// claimed again with the same epoch and another range. Only the last one can close it.
    pub token: String,
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
    /// The keys of its legacy table that a state of the legacy database added.
    pub keys: &'a KeySet,
    /// That state.
    pub layer: i64,
    /// Those that it is to be about.
    pub within: KeyRange,
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
                alive::cut_off(db, &stale);
            }
            return Ok(Next::Chunk(claim));
        }
        let open: Vec<(String, Option<String>)> = c::table
            .filter(c::step.eq(wish.step.to_owned()))
            .filter(c::generation.eq(wish.layer))
            .filter(c::state.ne("done"))
            .filter(c::lo.le(wish.within.hi).and(c::hi.ge(wish.within.lo)))
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
    let Wish { step, keys, layer, within, rows, in_hand, lease } = wish;
    let columns = (c::id, c::lo, c::hi, c::epoch, c::attempts, c::state, c::owner);
    let found: Option<Found> =
        match db {
            Db::Pg(pg) => {
                // A claim that a crash of the server undoes does no harm: it need not wait for the disk.
                diesel::sql_query("SET LOCAL synchronous_commit = off").execute(pg)?;
                c::table
                    .filter(c::step.eq(step.to_owned()))
                    .filter(c::generation.eq(layer))
                    .filter(c::state.eq("free").or(c::state.eq("claimed").and(sql::<Bool>("lease_until < now()"))).or(
                        c::owner.eq(owner.as_str().to_owned()).and(c::id.ne_all(in_hand.to_vec())).assume_not_null(),
                    ))
                    .filter(c::state.ne("done"))
                    .filter(c::lo.le(within.hi).and(c::hi.ge(within.lo)))
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
                .filter(c::generation.eq(layer))
                .filter(c::state.eq("free"))
                .filter(c::lo.le(within.hi).and(c::hi.ge(within.lo)))
                .order(c::lo)
                .select(columns)
                .first(db)
                .optional()?,
        };
    let Some((chunk, lo, hi, epoch, attempts, state, before)) = found else { return Ok(None) };
    let mut range = KeyRange { lo, hi };
    let wished = KeyRange { lo: lo.max(within.lo), hi: hi.min(within.hi) };
    if wished != range
        && let Some(wished) = keys.narrowed(wished)
    {
        cut_out(db, (step, layer), chunk, keys, (range, wished))?;
        range = wished;
    }
    // A rest that is not worth a claim of its own goes along.
    if keys.count(range) > rows.saturating_add(rows / 2)
        && let Some((last, _)) = keys.cut(range, rows)
    {
        let first = KeyRange { lo: range.lo, hi: last };
        cut_out(db, (step, layer), chunk, keys, (range, first))?;
        range = first;
    }
    let token = format!("{:016x}", fastrand::u64(..));
    diesel::update(c::table.find(chunk))
        .set((
            c::token.eq(&token),
            c::state.eq("claimed"),
            c::owner.eq(owner.as_str()),
            c::epoch.eq(epoch + 1),
            c::attempts.eq(attempts + 1),
            c::lease_until.eq(match db {
                Db::Pg(_) => sql::<Nullable<Utc>>(&lease_end(lease)),
                _ => sql("NULL"),
            }),
        ))
        .execute(db)?;
    let stale = before.filter(|_| state == "claimed");
    Ok(Some((Claim { chunk, range, epoch: epoch + 1, token, attempts: attempts + 1 }, stale)))
}

/// Leaves the keys of `kept` to a chunk, and makes free ones of those before and after them.
fn cut_out(
    db: &mut Db,
    (step, layer): (&str, i64),
    chunk: i64,
    keys: &KeySet,
    (range, kept): (KeyRange, KeyRange),
) -> QueryResult<()> {
    let count = |range| keys.count(range).cast_signed();
    diesel::update(c::table.find(chunk))
        .set((c::lo.eq(kept.lo), c::hi.eq(kept.hi), c::keys.eq(count(kept))))
        .execute(db)?;
    let before = kept.lo.checked_sub(1).map(|hi| KeyRange { lo: range.lo, hi });
    let after = kept.hi.checked_add(1).map(|lo| KeyRange { lo, hi: range.hi });
    for rest in [before, after].into_iter().flatten().filter_map(|rest| keys.narrowed(rest)) {
        let free = (
            c::step.eq(step),
            c::lo.eq(rest.lo),
            c::hi.eq(rest.hi),
            c::keys.eq(count(rest)),
            c::state.eq("free"),
            c::generation.eq(layer),
        );
        diesel::insert_into(c::table).values(free).execute(db)?;
    }
    Ok(())
}

/// When a lease that begins now ends, by the clock of the database.
fn lease_end(lease: Duration) -> String {
    format!("now() + interval '{} milliseconds'", lease.as_millis())
}

/// Renews the leases of every chunk that `owner` holds. Chunks that are just being closed are locked, and nobody else can
/// claim them: they are not waited for.
///
/// # Errors
/// The database fails.
pub fn renew(db: &mut Db, owner: &Owner, lease: Duration) -> Result<usize, LedgerError> {
    let Db::Pg(pg) = db else { return Ok(0) };
    let held = c::table.filter(c::owner.eq(owner.as_str().to_owned())).filter(c::state.eq("claimed"));
    pg.transaction(|pg| {
        let held: Vec<i64> = held.select(c::id).order(c::id).for_update().skip_locked().load(pg)?;
        let until = sql::<Nullable<Utc>>(&lease_end(lease));
        diesel::update(c::table.filter(c::id.eq_any(held))).set(c::lease_until.eq(until)).execute(pg)
    })
    .attempt("renewed")
}

/// The chunk as it was claimed, if it still is: claimed again, or taken back by a crash of the server, it is another one.
#[diesel::dsl::auto_type]
fn as_claimed<'a>(chunk: i64, epoch: i64, token: &'a str, lo: Key, hi: Key) -> _ {
    let claimed = c::table.filter(c::id.eq(chunk)).filter(c::state.eq("claimed"));
    let with_token = claimed.filter(c::epoch.eq(epoch)).filter(c::token.eq(token));
    with_token.filter(c::lo.eq(lo)).filter(c::hi.eq(hi))
}

impl Claim {
    /// What is still held of it, for one of `update`.
    pub(super) fn held(&self) -> as_claimed<'_> {
        as_claimed(self.chunk, self.epoch, &self.token, self.range.lo, self.range.hi)
    }
}

/// Gives a chunk back, with the reason.
///
/// # Errors
/// The database fails.
pub fn release(db: &mut Db, owner: &Owner, claim: &Claim, reason: &str) -> Result<(), LedgerError> {
    diesel::update(claim.held().filter(c::owner.eq(owner.as_str().to_owned())))
        .set((c::state.eq("free"), c::reason.eq(reason)))
        .execute(db)
        .attempt("given a chunk back")?;
    Ok(())
}

/// Cuts a chunk of a step, whose keys a state of the legacy database added, into two free ones: it is too much at once. `false` where it has one key and cannot be cut.
///
/// # Errors
/// The database fails.
pub fn split(
    db: &mut Db,
    of: (&str, i64),
    owner: &Owner,
    claim: &Claim,
    keys: &KeySet,
    reason: &str,
) -> Result<bool, LedgerError> {
    let count = keys.count(claim.range);
    if count < 2 {
        return Ok(false);
    }
    let Some((last, _)) = keys.cut(claim.range, count / 2) else { return Ok(false) };
    db.write(|db| {
        let given_back = diesel::update(claim.held().filter(c::owner.eq(owner.as_str().to_owned())))
            .set((c::state.eq("free"), c::reason.eq(reason)))
            .execute(db)?;
        if given_back == 1 {
            let first = KeyRange { lo: claim.range.lo, hi: last };
            cut_out(db, of, claim.chunk, keys, (claim.range, first))?;
        }
        Ok::<_, diesel::result::Error>(())
    })
    .attempt("told to cut a chunk")?;
    Ok(true)
}

/// Lets a chunk that is held end at `last`, and makes a free one of what comes after it. `false` where it is not held any more.
///
/// # Errors
/// The database fails.
pub fn shorten(
    db: &mut Db,
    of: (&str, i64),
    owner: &Owner,
    claim: &mut Claim,
    keys: &KeySet,
    last: Key,
) -> Result<bool, LedgerError> {
    let kept = KeyRange { lo: claim.range.lo, hi: last };
    if keys.count(kept) == keys.count(claim.range) {
        return Ok(true);
    }
    let held = db
        .write(|db| {
            let mine = claim.held().filter(c::owner.eq(owner.as_str().to_owned()));
            let held = diesel::update(mine).set(c::lease_until.eq(c::lease_until)).execute(db)? == 1;
            if held {
                cut_out(db, of, claim.chunk, keys, (claim.range, kept))?;
            }
            Ok::<_, diesel::result::Error>(held)
        })
        .attempt("told to cut a chunk")?;
    claim.range = kept;
    Ok(held)
}

/// The ranges of a step that are not done, in order.
///
/// # Errors
/// The database fails.
pub fn open(db: &mut Db, step: &str) -> Result<Vec<KeyRange>, LedgerError> {
    let open = c::table.filter(c::step.eq(step.to_owned())).filter(c::state.ne("done")).order(c::lo);
    let ranges: Vec<(Key, Key)> = open.select((c::lo, c::hi)).load(db).attempt("read")?;
    Ok(ranges.into_iter().map(|(lo, hi)| KeyRange { lo, hi }).collect())
}

/// Whether foreign keys of some rows of a step were checked by sets.
///
/// # Errors
/// The database fails.
pub(crate) fn went_by_set(db: &mut Db, step: &str) -> QueryResult<bool> {
    let some = c::table.filter(c::step.eq(step.to_owned())).filter(c::by_set.eq(true));
    diesel::select(diesel::dsl::exists(some)).get_result(db)
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

/// Whether a claim was closed: the answer to a connection that was lost while it committed.
///
/// # Errors
/// The database fails.
pub fn is_done(db: &mut Db, claim: &Claim) -> Result<bool, LedgerError> {
    let closed = c::table.find(claim.chunk).filter(c::state.eq("done")).filter(c::token.eq(claim.token.clone()));
    let found: Option<i64> = closed.select(c::id).first(db).optional().attempt("read")?;
    Ok(found.is_some())
}

/// How the chunks of a step stand against its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// Every key was read in one chunk, and every chunk is done.
    Whole,
    /// Some chunks are open.
    Open,
    /// The chunks do not have each key once, or did not read as many rows as there are keys.
    Wrong {
        /// Keys in the chunks.
        keys: i64,
        /// Rows that they read.
        read: i64,
    },
}

#[derive(QueryableByName)]
struct Sums {
    #[diesel(sql_type = BigInt)]
    open: i64,
    #[diesel(sql_type = BigInt)]
    keys: i64,
    #[diesel(sql_type = BigInt)]
    rows_read: i64,
    #[diesel(sql_type = BigInt)]
    overlaps: i64,
}

/// Holds the chunks of a step against its keys: before it is finished, in the same transaction.
///
/// # Errors
/// The database fails.
pub(crate) fn account(db: &mut Db, step: &str, keys: &KeySet) -> QueryResult<Account> {
    // A window has no place in diesel's query builder.
    let placeholder = if matches!(db, Db::Pg(_)) { "$1" } else { "?" };
    let sums: Sums = diesel::sql_query(format!(
        "SELECT CAST(coalesce(sum(CASE WHEN state <> 'done' THEN 1 ELSE 0 END), 0) AS bigint) AS open, \
         CAST(coalesce(sum(keys), 0) AS bigint) AS keys, CAST(coalesce(sum(rows_read), 0) AS bigint) AS rows_read, \
         CAST(coalesce(sum(CASE WHEN lo <= before THEN 1 ELSE 0 END), 0) AS bigint) AS overlaps \
         FROM (SELECT state, keys, rows_read, lo, lag(hi) OVER (PARTITION BY generation ORDER BY lo) AS before \
               FROM replant_chunks WHERE step = {placeholder}) c"
    ))
    .bind::<Text, _>(step)
    .get_result(db)?;
    let unread: i64 = u::table.filter(u::step.eq(step.to_owned())).count().get_result(db)?;
    let all = keys.len().cast_signed();
    Ok(match sums {
        Sums { open: 1.., .. } => Account::Open,
        Sums { keys, rows_read, overlaps: 0, .. } if keys == all && rows_read + unread == all => Account::Whole,
        Sums { keys, rows_read: read, .. } => Account::Wrong { keys, read },
    })
}
