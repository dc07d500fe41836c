//! The plan of a step: its keys, its chunks and its ids, written once.

use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;

use super::stage::Stage;
use super::tables::{
    replant_added as a, replant_chunks as c, replant_gone as g, replant_id_blocks as b, replant_steps as s,
};
use super::{Attempt, LedgerError, ids};
use crate::storage::advisory;
use crate::storage::db::Db;
use crate::storage::model::insert_all;
use crate::storage::types::Instant;
use crate::words::{KeyRange, KeySet};

pub use super::blocks::{IdBlock, IdRange, Ours};
pub(crate) use super::layers::{FIRST, Layer, PlannedIds};
pub use super::layers::{Span, StepPlan};

/// The ids that were handed out, block by block: the target table and the ids of each step in it, in the order of the run.
///
/// # Errors
/// The database fails.
pub fn blocks(db: &mut Db) -> Result<Vec<(String, IdBlock)>, LedgerError> {
    let rows: Vec<(String, String, Block)> = b::table
        .inner_join(s::table.on(s::name.eq(b::step)))
        .order((s::position, b::step, b::handed_out.desc(), b::target_table, b::first_id))
        .select((b::step, b::handed_out, BLOCK))
        .load(db)
        .attempt("read")?;
    let blocks = rows.chunk_by(|a, b| (&a.0, &a.1, &a.2.0) == (&b.0, &b.1, &b.2.0));
    Ok(blocks.map(|block| (block[0].2.0.clone(), block_of(block.iter().map(|(.., block)| block)))).collect())
}

/// A row of the ledger: target table, first id, number of ids, and how far they are apart.
pub(super) type Block = (String, i64, i64, i64);
pub(super) const BLOCK: (b::target_table, b::first_id, b::ids, b::step_by) =
    (b::target_table, b::first_id, b::ids, b::step_by);

fn range_of((_, first, ids, step_by): &Block) -> IdRange {
    IdRange { first: *first, ids: ids.cast_unsigned(), step_by: step_by.cast_unsigned() }
}

pub(super) fn block_of<'a>(rows: impl Iterator<Item = &'a Block>) -> IdBlock {
    IdBlock::of(rows.map(range_of).collect())
}

/// All ids that were handed out.
///
/// # Errors
/// The database fails.
pub(crate) fn ours(db: &mut Db) -> Result<Ours, LedgerError> {
    let rows: Vec<Block> = b::table.select(BLOCK).load(db).attempt("read")?;
    Ok(Ours::new(rows.into_iter().map(|row| (row.0.clone(), range_of(&row)))))
}

/// The ids that were handed out when steps were planned, and those that were when they were finished.
///
/// # Errors
/// The database fails.
pub(crate) fn ours_by_time(db: &mut Db) -> Result<(Ours, Ours), LedgerError> {
    let rows: Vec<(String, Block)> = b::table.select((b::handed_out, BLOCK)).load(db).attempt("read")?;
    let when = |when: &str| {
        let blocks = rows.iter().filter(|(handed_out, _)| handed_out == when);
        Ours::new(blocks.map(|(_, block)| (block.0.clone(), range_of(block))))
    };
    Ok((when("planned"), when("finished")))
}

/// The ids that were handed out to the rows of a step.
///
/// # Errors
/// The database fails.
pub(crate) fn ours_of(db: &mut Db, step: &str) -> Result<Ours, LedgerError> {
    let rows: Vec<Block> = b::table.filter(b::step.eq(step.to_owned())).select(BLOCK).load(db).attempt("read")?;
    Ok(Ours::new(rows.into_iter().map(|row| (row.0.clone(), range_of(&row)))))
}

/// What a step is planned with.
#[derive(Debug, Clone, Copy)]
pub struct NewStep<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its place in the order of the run.
    pub position: usize,
    /// The legacy table.
    pub legacy_table: &'a str,
    /// The target table.
    pub target_table: &'a str,
    /// Further tables in which its rows may get ids.
    pub also: &'a [&'a str],
}

#[derive(Insertable, Clone, serde::Serialize)]
#[diesel(table_name = c, treat_none_as_default_value = false)]
struct NewChunk<'a> {
    step: &'a str,
    lo: i64,
    hi: i64,
    keys: i64,
    state: &'static str,
    generation: i64,
}

/// The keys that the last state of the legacy database has not any more: by step, with its legacy table.
///
/// # Errors
/// The database fails, or the keys cannot be read back.
pub(crate) fn gone(db: &mut Db) -> Result<Vec<(String, String, KeySet)>, LedgerError> {
    let gone = g::table.inner_join(s::table.on(s::name.eq(g::step)));
    let gone: Vec<(String, String, Vec<u8>)> =
        gone.order(s::position).select((s::name, s::legacy_table, g::keys)).load(db).attempt("read")?;
    let unreadable = |step: &str| LedgerError::Unreadable { what: "keys", of: step.to_owned() };
    gone.into_iter()
        .map(|(step, table, keys)| {
            let keys = postcard::from_bytes(&keys).map_err(|_| unreadable(&step))?;
            Ok((step, table, keys))
        })
        .collect()
}

/// The plan of a step, if it was planned.
///
/// # Errors
/// The database fails, or the keys cannot be read back.
pub fn load(db: &mut Db, step: &str) -> Result<Option<StepPlan>, LedgerError> {
    let found: Option<(Vec<u8>, String, String, Option<Instant>)> = s::table
        .find(step.to_owned())
        .select((s::legacy_keys, s::state, s::target_table, s::done_at))
        .first(db)
        .optional()
        .attempt("read")?;
    let Some((keys, state, target, done_at)) = found else { return Ok(None) };
    let unpacked = |keys: &[u8]| -> Result<Arc<KeySet>, LedgerError> {
        let keys = postcard::from_bytes(keys);
        keys.map(Arc::new).map_err(|_| LedgerError::Unreadable { what: "keys", of: step.to_owned() })
    };
    let first = unpacked(&keys)?;
    let of_step = a::table.filter(a::step.eq(step.to_owned())).order(a::generation);
    let added: Vec<(i64, Vec<u8>)> = of_step.select((a::generation, a::keys)).load(db).attempt("read")?;
    let added = added.into_iter().map(|(generation, keys)| Ok((generation, unpacked(&keys)?)));
    let added: Vec<(i64, Arc<KeySet>)> =
        std::iter::once(Ok((FIRST, first))).chain(added).collect::<Result<_, LedgerError>>()?;
    let keys = match &added[..] {
        [(_, only)] => Arc::clone(only),
        all => Arc::new(all.iter().flat_map(|(_, keys)| keys.iter()).collect()),
    };
    let gone: Option<Vec<u8>> = g::table.find(step.to_owned()).select(g::keys).first(db).optional().attempt("read")?;
    let gone = gone.map_or(Ok(Arc::default()), |gone| unpacked(&gone))?;
    let blocks: Vec<(i64, Block)> = b::table
        .filter(b::step.eq(step.to_owned()))
        .filter(b::handed_out.eq("planned"))
        .order((b::generation, b::target_table))
        .select((b::generation, BLOCK))
        .load(db)
        .attempt("read")?;
    let layer = |(generation, keys): (i64, Arc<KeySet>)| {
        let mut layer = Layer { generation, keys, ids: IdBlock::default(), also: Vec::new() };
        let blocks: Vec<&Block> = blocks.iter().filter(|(of, _)| *of == generation).map(|(_, block)| block).collect();
        for table in blocks.chunk_by(|a, b| a.0 == b.0) {
            let ids = block_of(table.iter().copied());
            match &table[0].0 {
                name if *name == target => layer.ids = ids,
                name => layer.also.push((name.clone(), ids)),
            }
        }
        layer
    };
    Ok(Some(StepPlan {
        keys,
        layers: added.into_iter().map(layer).collect(),
        gone: Arc::unwrap_or_clone(gone),
        done: state == Stage::Done.as_str(),
        was_done: state == Stage::Planned.as_str() && done_at.is_some(),
    }))
}

/// Cuts keys at real keys into ranges of about `rows` keys each.
pub fn cut(keys: &KeySet, rows: u64) -> Vec<(KeyRange, u64)> {
    let mut ranges = Vec::new();
    let mut open: Option<(KeyRange, u64)> = None;
    for key in keys.iter() {
        let (range, count) = open.get_or_insert((KeyRange { lo: key, hi: key }, 0));
        range.hi = key;
        *count += 1;
        if *count >= rows.max(1) {
            ranges.extend(open.take());
        }
    }
    ranges.extend(open);
    ranges
}

/// Writes the plan of a step with the ids that were reserved for it.
fn save(db: &mut Db, step: NewStep<'_>, reserved: &Reserved, keys: &KeySet, rows: u64) -> Result<(), LedgerError> {
    let unwritable = || LedgerError::Unreadable { what: "keys", of: step.name.to_owned() };
    diesel::insert_into(s::table)
        .values((
            s::name.eq(step.name),
            s::position.eq(i64::try_from(step.position).expect("few steps")),
            s::legacy_table.eq(step.legacy_table),
            s::target_table.eq(step.target_table),
            s::legacy_rows.eq(keys.len().cast_signed()),
            s::legacy_keys.eq(postcard::to_stdvec(keys).map_err(|_| unwritable())?),
            s::state.eq(Stage::Planned.as_str()),
            s::planned_at.eq(Instant::now()),
        ))
        .execute(db)
        .attempt("written")?;
    for (table, ranges) in reserved {
        write_blocks(db, (step.name, FIRST), table, ranges, "planned").attempt("written")?;
    }
    save_chunks(db, (step.name, FIRST), keys, rows)
}

/// Writes the free ranges of keys that a state added.
fn save_chunks(db: &mut Db, (step, generation): (&str, i64), keys: &KeySet, rows: u64) -> Result<(), LedgerError> {
    let chunks: Vec<NewChunk<'_>> = cut(keys, rows)
        .into_iter()
        .map(|(range, keys)| NewChunk {
            step,
            lo: range.lo,
            hi: range.hi,
            keys: keys.cast_signed(),
            state: "free",
            generation,
        })
        .collect();
    match db {
        Db::Pg(pg) => {
            diesel::copy_from(c::table).from_insertable(&chunks).execute(pg).attempt("written")?;
        }
        Db::Lite(lite) => {
            for chunk in &chunks {
                diesel::insert_into(c::table).values(chunk).execute(lite).attempt("written")?;
            }
        }
        #[cfg(feature = "mysql")]
        Db::My(_) => return Err(LedgerError::Install { hint: "MariaDB is no target" }),
    }
    Ok(())
}

/// The ids of a step's rows, by target table, before its plan is written.
type Reserved = Vec<(&'static str, Vec<IdRange>)>;

/// Takes the ids of a step that is about to be planned from the target's sequences: outside of a transaction, so that the
/// live site, which takes ids from them as well, waits for a few milliseconds at the most. Those of a plan that is not
/// written in the end are lost.
fn reserve(db: &mut Db, step: NewStep<'static>, keys: u64) -> Result<Reserved, LedgerError> {
    let tables = std::iter::once(step.target_table).chain(step.also.iter().copied());
    tables
        .map(|table| Ok((table, ids::reserve(db, table, keys).attempt("given ids of the target's sequence")?)))
        .collect()
}

/// Plans a step, unless another process has: of two that plan at once, the second finds the plan of the first. Its keys are
/// cut into free ranges of about `rows` keys, from which workers cut the chunks that they claim.
///
/// # Errors
/// The database fails, or has no ids to give.
pub fn make(db: &mut Db, step: NewStep<'static>, keys: &KeySet, rows: u64) -> Result<StepPlan, LedgerError> {
    alone(db, |db| {
        if let Some(plan) = load(db, step.name)? {
            return Ok(plan);
        }
        let reserved = reserve(db, step, keys.len())?;
        db.write(|db| save(db, step, &reserved, keys, rows))?;
        load(db, step.name)?.ok_or_else(|| LedgerError::Unreadable { what: "plan", of: step.name.to_owned() })
    })
}

/// What a later state of the legacy database has of a step's table.
#[derive(Debug, Default)]
pub(crate) struct Later {
    /// Keys that no earlier one had.
    pub(crate) added: KeySet,
    /// Keys of earlier ones that it has not.
    pub(crate) gone: KeySet,
}

impl Later {
    /// What a state of the legacy database with these keys has of a step that was planned.
    pub(crate) fn of(plan: &StepPlan, now: &KeySet) -> Self {
        Self { added: now.without(&plan.keys), gone: plan.keys.without(now) }
    }
}

/// Plans what a later state has of a step, unless that was done: keys that it adds get ids and free ranges of their own, and those
/// that are gone are noted.
///
/// # Errors
/// The database fails, or has no ids to give.
pub(crate) fn extend(
    db: &mut Db,
    step: NewStep<'static>,
    generation: i64,
    later: &Later,
    rows: u64,
) -> Result<(), LedgerError> {
    let packed = |keys: &KeySet| {
        let unwritable = |_| LedgerError::Unreadable { what: "keys", of: step.name.to_owned() };
        postcard::to_stdvec(keys).map_err(unwritable)
    };
    alone(db, |db| {
        let known: i64 = a::table.find((step.name.to_owned(), generation)).count().get_result(db).attempt("read")?;
        let reserved = match later.added.is_empty() || known > 0 {
            true => Reserved::new(),
            false => reserve(db, step, later.added.len())?,
        };
        db.write(|db| {
            let gone: Option<Vec<u8>> =
                g::table.find(step.name.to_owned()).select(g::keys).first(db).optional().attempt("read")?;
            let now = (!later.gone.is_empty()).then(|| packed(&later.gone)).transpose()?;
            if gone != now {
                diesel::delete(g::table.find(step.name.to_owned())).execute(db).attempt("written")?;
                if let Some(now) = now {
                    let row = (g::step.eq(step.name), g::keys.eq(now));
                    diesel::insert_into(g::table).values(row).execute(db).attempt("written")?;
                }
            }
            if reserved.is_empty() {
                return Ok(());
            }
            let row = (a::step.eq(step.name), a::generation.eq(generation), a::keys.eq(packed(&later.added)?));
            diesel::insert_into(a::table).values(row).execute(db).attempt("written")?;
            for (table, ranges) in &reserved {
                write_blocks(db, (step.name, generation), table, ranges, "planned").attempt("written")?;
            }
            save_chunks(db, (step.name, generation), &later.added, rows)
        })
    })
}

/// Does something while no other process plans. The lock is that of the session: ids are reserved outside of a transaction.
/// Whoever waits for it holds nothing, and waits for as long as the other one plans.
fn alone<T>(db: &mut Db, work: impl FnOnce(&mut Db) -> Result<T, LedgerError>) -> Result<T, LedgerError> {
    const LOCK: i64 = 7_364_129_880_113;
    const LOOK: Duration = Duration::from_millis(10);
    while !advisory::take(db, LOCK).attempt("locked")? {
        std::thread::sleep(LOOK);
    }
    let done = work(db);
    let unlocked = advisory::give_back(db, LOCK).attempt("unlocked");
    // The first error says why.
    done.and_then(|done| unlocked.map(|()| done))
}

#[derive(Insertable, Clone, serde::Serialize)]
#[diesel(table_name = b, treat_none_as_default_value = false)]
struct NewBlock {
    step: String,
    target_table: String,
    first_id: i64,
    ids: i64,
    handed_out: &'static str,
    step_by: i64,
    generation: i64,
}

crate::insert!(NewBlock => b);

fn write_blocks(
    db: &mut Db,
    (step, generation): (&str, i64),
    table: &str,
    ranges: &[IdRange],
    when: &'static str,
) -> QueryResult<()> {
    let block = |range: &IdRange| NewBlock {
        step: step.to_owned(),
        target_table: table.to_owned(),
        first_id: range.first,
        ids: range.ids.cast_signed(),
        handed_out: when,
        step_by: range.step_by.cast_signed(),
        generation,
    };
    insert_all(db, &ranges.iter().map(block).collect::<Vec<_>>())
}

/// Reserves ids for a step that is being finished and writes down that it did.
///
/// # Errors
/// The database fails.
pub(crate) fn hand_out(db: &mut Db, step: &str, table: &str, ids: u64) -> QueryResult<Vec<IdRange>> {
    let ranges = ids::reserve(db, table, ids)?;
    write_blocks(db, (step, FIRST), table, &ranges, "finished")?;
    Ok(ranges)
}

/// The ids that were handed out in a table when a step was finished, ascending.
///
/// # Errors
/// The database fails.
pub(crate) fn handed_out(db: &mut Db, step: &str, table: &str) -> QueryResult<Vec<i64>> {
    let rows: Vec<Block> = b::table
        .filter(b::step.eq(step.to_owned()))
        .filter(b::target_table.eq(table.to_owned()))
        .filter(b::handed_out.eq("finished"))
        .order(b::first_id)
        .select(BLOCK)
        .load(db)?;
    let mut ids: Vec<i64> = rows.iter().map(range_of).flat_map(IdRange::iter).collect();
    ids.sort_unstable();
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_cut_at_real_keys() {
        let keys: KeySet = [1, 2, 5, 100, 101, 7000, 7001].into_iter().collect();
        let ranges: Vec<_> = cut(&keys, 3).into_iter().map(|(r, n)| (r.lo, r.hi, n)).collect();
        assert_eq!(ranges, [(1, 5, 3), (100, 7000, 3), (7001, 7001, 1)]);
        assert!(cut(&KeySet::default(), 3).is_empty());
    }
}
