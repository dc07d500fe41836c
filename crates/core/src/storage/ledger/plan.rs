//! The plan of a step: its keys, its chunks and its ids, written once.

use diesel::prelude::*;

use super::tables::{replant_chunks as c, replant_id_blocks as b, replant_steps as s};
use super::{Attempt, LedgerError, ids};
use crate::storage::db::Db;
use crate::storage::types::Instant;
use crate::words::{KeyRange, KeySet};

/// The ids that were reserved from a target sequence for a step: the row of the n-th legacy key gets the n-th of them.
/// The live site may take ids meanwhile, so they need not be contiguous.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdBlock {
    /// First id and number of ids, ascending.
    ranges: Vec<(i64, u64)>,
}

impl IdBlock {
    /// Makes a block of ranges: first id and number of ids.
    pub fn new(mut ranges: Vec<(i64, u64)>) -> Self {
        ranges.sort_unstable();
        Self { ranges }
    }

    /// The id at a place.
    pub fn id(&self, mut place: u64) -> Option<i64> {
        for (first, ids) in &self.ranges {
            if place < *ids {
                return Some(first + place.cast_signed());
            }
            place -= ids;
        }
        None
    }

    /// The ids as ranges: first and last.
    pub fn ranges(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.ranges.iter().map(|(first, ids)| (*first, first + ids.cast_signed() - 1))
    }

    /// The place of an id; `None` where it is not one of them.
    pub fn place(&self, id: i64) -> Option<u64> {
        let mut before = 0;
        for (first, ids) in &self.ranges {
            if (*first..first + ids.cast_signed()).contains(&id) {
                return Some(before + (id - first).cast_unsigned());
            }
            before += ids;
        }
        None
    }
}

/// The plan of one step.
#[derive(Debug, Clone)]
pub struct StepPlan {
    /// The keys of its legacy table.
    pub keys: KeySet,
    /// The ids of its target table.
    pub ids: IdBlock,
    /// The ids of further tables, by their names.
    pub also: Vec<(String, IdBlock)>,
    /// Whether every chunk is done and the step is finished.
    pub done: bool,
}

impl StepPlan {
    /// The id that is planned for the row with `key`.
    pub fn id_of(&self, key: crate::words::Key) -> Option<i64> {
        self.keys.rank(key).and_then(|place| self.ids.id(place))
    }

    /// The id that is planned for the row with `key` in a further table of the step.
    pub fn id_in(&self, table: &str, key: crate::words::Key) -> Option<i64> {
        let (_, ids) = self.also.iter().find(|(name, _)| name == table)?;
        self.keys.rank(key).and_then(|place| ids.id(place))
    }
}

/// The ids that steps have handed out: which rows of a target table are ours.
#[derive(Debug, Clone, Default)]
pub struct Ours(rustc_hash::FxHashMap<String, IdBlock>);

impl Ours {
    /// The ids of a table, as ranges: first and last.
    pub fn ranges(&self, table: &str) -> Vec<(i64, i64)> {
        self.0.get(table).map(|ids| ids.ranges().collect()).unwrap_or_default()
    }

    /// Whether the migration made the row.
    pub fn made(&self, table: &str, id: i64) -> bool {
        self.0.get(table).is_some_and(|ids| ids.place(id).is_some())
    }
}

/// The ids that were handed out, block by block: the target table and the ids of each step in it, in the order of the run.
///
/// # Errors
/// The database fails.
pub fn blocks(db: &mut Db) -> Result<Vec<(String, IdBlock)>, LedgerError> {
    let blocks: Vec<(String, String, String, i64, i64)> = b::table
        .inner_join(s::table.on(s::name.eq(b::step)))
        .order((s::position, b::step, b::handed_out.desc(), b::target_table, b::first_id))
        .select((b::step, b::handed_out, b::target_table, b::first_id, b::ids))
        .load(db)
        .attempt("read")?;
    let same = |a: &(String, String, String, i64, i64), b: &(String, String, String, i64, i64)| {
        (&a.0, &a.1, &a.2) == (&b.0, &b.1, &b.2)
    };
    let ids = |block: &[(String, String, String, i64, i64)]| {
        IdBlock::new(block.iter().map(|(.., first, ids)| (*first, ids.cast_unsigned())).collect())
    };
    Ok(blocks.chunk_by(same).map(|block| (block[0].2.clone(), ids(block))).collect())
}

/// All ids that were handed out.
///
/// # Errors
/// The database fails.
pub(crate) fn ours(db: &mut Db) -> Result<Ours, LedgerError> {
    let blocks: Vec<(String, i64, i64)> =
        b::table.select((b::target_table, b::first_id, b::ids)).load(db).attempt("read")?;
    let mut ranges: rustc_hash::FxHashMap<String, Vec<(i64, u64)>> = rustc_hash::FxHashMap::default();
    for (table, first, ids) in blocks {
        ranges.entry(table).or_default().push((first, ids.cast_unsigned()));
    }
    Ok(Ours(ranges.into_iter().map(|(table, ranges)| (table, IdBlock::new(ranges))).collect()))
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
}

/// The plan of a step, if it was planned.
///
/// # Errors
/// The database fails, or the keys cannot be read back.
pub fn load(db: &mut Db, step: &str) -> Result<Option<StepPlan>, LedgerError> {
    let found: Option<(Vec<u8>, String, String)> = s::table
        .find(step.to_owned())
        .select((s::legacy_keys, s::state, s::target_table))
        .first(db)
        .optional()
        .attempt("read")?;
    let Some((keys, state, target)) = found else { return Ok(None) };
    let keys =
        postcard::from_bytes(&keys).map_err(|_| LedgerError::Unreadable { what: "keys", of: step.to_owned() })?;
    let blocks: Vec<(String, i64, i64)> = b::table
        .filter(b::step.eq(step.to_owned()))
        .filter(b::handed_out.eq("planned"))
        .order(b::target_table)
        .select((b::target_table, b::first_id, b::ids))
        .load(db)
        .attempt("read")?;
    let mut plan = StepPlan { keys, ids: IdBlock::default(), also: Vec::new(), done: state == "done" };
    for table in blocks.chunk_by(|a, b| a.0 == b.0) {
        let ids = IdBlock::new(table.iter().map(|(_, first, ids)| (*first, ids.cast_unsigned())).collect());
        match &table[0].0 {
            name if *name == target => plan.ids = ids,
            name => plan.also.push((name.clone(), ids)),
        }
    }
    Ok(Some(plan))
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

/// Writes the plan of a step: reserves its ids and cuts its keys into free ranges of about `rows` keys, from which workers
/// cut the chunks that they claim.
///
/// # Errors
/// The database fails, or has no ids to give.
pub fn save(db: &mut Db, step: NewStep<'_>, keys: &KeySet, rows: u64) -> Result<(), LedgerError> {
    let unwritable = || LedgerError::Unreadable { what: "keys", of: step.name.to_owned() };
    diesel::insert_into(s::table)
        .values((
            s::name.eq(step.name),
            s::position.eq(i64::try_from(step.position).expect("few steps")),
            s::legacy_table.eq(step.legacy_table),
            s::target_table.eq(step.target_table),
            s::legacy_rows.eq(keys.len().cast_signed()),
            s::legacy_keys.eq(postcard::to_stdvec(keys).map_err(|_| unwritable())?),
            s::state.eq("planned"),
            s::planned_at.eq(Instant::now()),
        ))
        .execute(db)
        .attempt("written")?;
    for table in std::iter::once(step.target_table).chain(step.also.iter().copied()) {
        hand_out(db, step.name, table, keys.len(), "planned").attempt("given ids of the target's sequence")?;
    }
    let chunks: Vec<NewChunk<'_>> = cut(keys, rows)
        .into_iter()
        .map(|(range, keys)| NewChunk {
            step: step.name,
            lo: range.lo,
            hi: range.hi,
            keys: keys.cast_signed(),
            state: "free",
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

/// Reserves ids for a step and writes down that it did. Returns them as ranges: first id and number of ids.
///
/// # Errors
/// The database fails.
pub(crate) fn hand_out(
    db: &mut Db,
    step: &str,
    table: &str,
    ids: u64,
    when: &'static str,
) -> QueryResult<Vec<(i64, i64)>> {
    let ranges = ids::reserve(db, table, ids)?;
    for (first, ids) in &ranges {
        diesel::insert_into(b::table)
            .values((
                b::step.eq(step),
                b::target_table.eq(table),
                b::first_id.eq(first),
                b::ids.eq(ids),
                b::handed_out.eq(when),
            ))
            .execute(db)?;
    }
    Ok(ranges)
}

/// The ids that were handed out in a table when a step was finished, ascending.
///
/// # Errors
/// The database fails.
pub(crate) fn handed_out(db: &mut Db, step: &str, table: &str) -> QueryResult<Vec<i64>> {
    let ranges: Vec<(i64, i64)> = b::table
        .filter(b::step.eq(step.to_owned()))
        .filter(b::target_table.eq(table.to_owned()))
        .filter(b::handed_out.eq("finished"))
        .order(b::first_id)
        .select((b::first_id, b::ids))
        .load(db)?;
    Ok(ranges.into_iter().flat_map(|(first, ids)| first..first + ids).collect())
}

/// Marks a step as done, once and for all.
///
/// # Errors
/// The database fails.
pub fn finish(db: &mut Db, step: &str) -> QueryResult<()> {
    diesel::update(s::table.find(step.to_owned()))
        .set((s::state.eq("done"), s::done_at.eq(Instant::now())))
        .execute(db)
        .map(|_| ())
}

/// The names of the steps that are done.
///
/// # Errors
/// The database fails.
pub(crate) fn done(db: &mut Db) -> Result<Vec<String>, LedgerError> {
    s::table.filter(s::state.eq("done")).select(s::name).load(db).attempt("read")
}

/// Takes the row lock of a step and says whether it is done: whoever holds it may plan, freeze or finish it.
///
/// # Errors
/// The database fails.
pub fn lock(db: &mut Db, step: &str) -> QueryResult<Option<bool>> {
    let state: Option<String> = match db {
        Db::Pg(pg) => s::table.find(step.to_owned()).select(s::state).for_update().first(pg).optional()?,
        db => s::table.find(step.to_owned()).select(s::state).first(db).optional()?,
    };
    Ok(state.map(|state| state == "done"))
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

    #[test]
    fn ids_go_on_behind_a_gap() {
        let ids = IdBlock::new(vec![(20, 2), (10, 3)]);
        let all: Vec<_> = (0..6).map(|place| ids.id(place)).collect();
        assert_eq!(all, [Some(10), Some(11), Some(12), Some(20), Some(21), None]);
        assert_eq!((ids.place(21), ids.place(13)), (Some(4), None));
    }
}
