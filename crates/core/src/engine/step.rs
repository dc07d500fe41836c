//! Steps behind one face, so that the engine runs them without knowing their types.

use std::marker::PhantomData;
use std::sync::Arc;

use diesel::QueryResult;
use rustc_hash::{FxHashMap, FxHashSet};

use super::chunk::{ChunkError, ChunkRows, ReadRows, Weight, seen_of};
use crate::contract::errors::{FinishError, PrepareError};
use crate::contract::inspect::{Finding, Inspect, Right};
use crate::contract::legacy::{Fate, LegacyRow, weight};
use crate::contract::pages::each_page;
use crate::contract::person::Person;
use crate::contract::step::{Prepare, Step};
use crate::storage::bulk::{Rows as _, Tx};
use crate::storage::db::Db;
use crate::storage::db::diagnosis;
use crate::storage::imprint::Table;
use crate::storage::indexes::UniqueIndex;
use crate::storage::ledger::LedgerError;
use crate::storage::ledger::erased::Erasures;
use crate::storage::ledger::overlay::Overlay;
use crate::storage::ledger::plan::{FIRST, Span, StepPlan};
use crate::storage::model::Model;
use crate::storage::pool::{Pool, PoolError};
use crate::storage::shape::TableShape;
use crate::words::{Key, KeyRange, KeySet};

/// Keys a page when a step is planned.
const PAGE: i64 = 50_000;

/// A step of any type.
pub trait AnyStep: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// What moves, in a line.
    fn about(&self) -> &'static str;
    /// The steps that it waits for.
    fn after(&self) -> &'static [&'static str];
    /// Its legacy table.
    fn legacy_table(&self) -> &'static str;
    /// That table with the columns that it reads, and the column of its key.
    fn legacy_shape(&self) -> (TableShape, &'static str);
    /// Its target table.
    fn target_table(&self) -> &'static str;
    /// Further target tables in which its rows may get ids.
    fn also(&self) -> &'static [&'static str];
    /// Tables without ids whose rows belong to a row of the target, with the column that points to it.
    fn parts(&self) -> &'static [(&'static str, &'static str)];
    /// The target tables into which it writes whole rows.
    fn filled(&self) -> Vec<&'static str> {
        let parts = self.parts().iter().map(|(table, _)| *table);
        [self.target_table()].into_iter().chain(self.also().iter().copied()).chain(parts).collect()
    }
    /// Unique indexes that the target has once it is done.
    fn indexes(&self) -> &'static [UniqueIndex];
    /// Further target tables that it changes, and how.
    fn changes(&self) -> &'static [(&'static str, &'static [Right])];
    /// What becomes of each legacy column.
    fn fates(&self) -> &'static [(&'static str, Fate)];
    /// The legacy tables that it reads, its own first.
    fn reads(&self) -> Vec<TableShape>;
    /// The target tables that it writes or reads.
    fn writes(&self) -> Vec<TableShape>;
    /// What would keep it from its end, as it says itself.
    fn inspect(&self, cx: &mut Inspect<'_>) -> QueryResult<Vec<Finding>>;
    /// What the rows are that it inserts.
    fn models(&self) -> Vec<Model>;
    /// The keys of its legacy table.
    fn keys(&self, legacy: &mut Db) -> QueryResult<KeySet>;
    /// Reads a range of its legacy table as a chunk reads it, of about so many rows, and says how many there are: to measure
    /// reading alone.
    fn read_range(&self, legacy: &mut Db, range: KeyRange, expected: usize) -> QueryResult<u64>;
    /// Rows of its legacy table as the quarantine keeps them, by key.
    fn whole(&self, legacy: &mut Db, keys: &[Key]) -> QueryResult<Vec<(Key, serde_json::Value)>>;
    /// A row of its legacy table as the quarantine keeps it; none where there is none. A server that does not answer is given up.
    fn legacy_row(&self, legacy: &Pool, key: Key) -> Result<QueryResult<Option<serde_json::Value>>, PoolError>;
    /// The same as the ledger keeps it among the rows of a chunk; none where it is not among them, or cannot be read back.
    fn read_last(&self, seen: &Table, key: Key) -> Option<serde_json::Value>;
    /// How many rows of its legacy table read otherwise than `was` tells, which are those of a chunk: of those that are there in
    /// both.
    fn altered(&self, legacy: &mut Db, span: Span, was: &Table, erasures: &Erasures) -> QueryResult<u64>;
    /// That its legacy rows are a person each.
    fn person(&self) -> Option<Person>;
    /// Reads its legacy table from its first key to its last, and hands on a page at a time, in the form in which the ledger keeps
    /// rows, for as long as `each` says to go on.
    ///
    /// # Errors
    /// The database fails.
    fn scan(&self, legacy: &Pool, overlay: &Overlay, each: &mut dyn FnMut(&Table) -> bool) -> Result<(), PrepareError>;
    /// Rows of its legacy table, as the ledger keeps them, without erased cells; none where one is no row of the table.
    fn erased(&self, rows: &Table, erasures: &Erasures) -> Option<Vec<Table>>;
    /// The text of a row of its legacy table, as the quarantine keeps it; none where it is none.
    fn text(&self, row: &serde_json::Value) -> Option<String>;
    /// Whether a mended row is one of its legacy table.
    ///
    /// # Errors
    /// Why not.
    fn accepts(&self, row: &serde_json::Value) -> Result<(), String>;
    /// Builds its lookups.
    fn prepare(&self, cx: &Prepare<'_>) -> Result<Box<dyn PreparedStep>, PrepareError>;
}

/// A step with its lookups.
pub trait PreparedStep: Send + Sync {
    /// Reads the rows of a chunk: those of its span, with the followers of its leaders; those that are gone as they were
    /// read last, and mended rows in the place of legacy ones. Rows that weigh more than `weight` allows are too many at
    /// once: the range ends where that is so, and comes back as it was read.
    fn read(
        &self,
        legacy: &Pool,
        overlay: &Overlay,
        span: Span,
        weight: Weight,
    ) -> Result<(Box<dyn ReadRows>, KeyRange), ChunkError>;
    /// The keys of its legacy table.
    fn keys(&self) -> &KeySet;
    /// The state of the legacy database that added a key.
    fn layer_of(&self, key: Key) -> i64;
    /// The row that leads the unit of a row.
    fn leader_of(&self, key: Key) -> Key;
    /// How many parts its end has, once every chunk is done.
    fn finish_parts(&self) -> u64;
    /// Does a part of its end.
    fn finish(&self, part: u64, tx: &mut Tx<'_>) -> Result<(), FinishError>;
    /// Makes one row of those that share a value of an index; how many it took away.
    fn make_unique(&self, index: &UniqueIndex, tx: &mut Tx<'_>) -> Result<u64, FinishError>;
}

/// A step type as a value.
pub(crate) struct Typed<S>(PhantomData<fn() -> S>);

impl<S> Typed<S> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

/// A step of a known type with its lookups.
struct Prepared<S: Step> {
    lookups: Arc<S::Lookups>,
    plan: Arc<StepPlan>,
}

impl<S: Step> AnyStep for Typed<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn about(&self) -> &'static str {
        S::ABOUT
    }

    fn after(&self) -> &'static [&'static str] {
        S::AFTER
    }

    fn legacy_table(&self) -> &'static str {
        S::Legacy::TABLE
    }

    fn legacy_shape(&self) -> (TableShape, &'static str) {
        (S::Legacy::shape(), S::Legacy::KEY)
    }

    fn target_table(&self) -> &'static str {
        S::TARGET
    }

    fn also(&self) -> &'static [&'static str] {
        S::ALSO
    }

    fn parts(&self) -> &'static [(&'static str, &'static str)] {
        S::PARTS
    }

    fn indexes(&self) -> &'static [UniqueIndex] {
        S::INDEXES
    }

    fn changes(&self) -> &'static [(&'static str, &'static [Right])] {
        S::CHANGES
    }

    fn fates(&self) -> &'static [(&'static str, Fate)] {
        S::FATES
    }

    fn reads(&self) -> Vec<TableShape> {
        let mut tables = vec![S::Legacy::shape()];
        tables.extend(S::reads());
        tables
    }

    fn writes(&self) -> Vec<TableShape> {
        S::writes()
    }

    fn inspect(&self, cx: &mut Inspect<'_>) -> QueryResult<Vec<Finding>> {
        S::inspect(cx)
    }

    fn models(&self) -> Vec<Model> {
        S::Rows::models()
    }

    fn keys(&self, legacy: &mut Db) -> QueryResult<KeySet> {
        let mut keys = KeySet::default();
        let mut last = None;
        loop {
            let page = S::Legacy::keys(legacy, last, PAGE);
            let page = diagnosis::ask(legacy, page)?;
            last = page.last().copied();
            if last.is_none() {
                keys.compact();
                return Ok(keys);
            }
            // A page at a time: a list of all would take more than whatever else is known of a large table.
            keys.extend(page);
        }
    }

    fn read_range(&self, legacy: &mut Db, range: KeyRange, expected: usize) -> QueryResult<u64> {
        let mut rows = Vec::with_capacity(expected);
        S::Legacy::range(legacy, range, &mut rows)?;
        Ok(rows.len() as u64)
    }

    fn whole(&self, legacy: &mut Db, keys: &[Key]) -> QueryResult<Vec<(Key, serde_json::Value)>> {
        let rows = S::Legacy::with_keys(legacy, keys);
        Ok(diagnosis::ask(legacy, rows)?.iter().map(|row| (row.key(), whole(row))).collect())
    }

    fn legacy_row(&self, legacy: &Pool, key: Key) -> Result<QueryResult<Option<serde_json::Value>>, PoolError> {
        legacy.ask(move |db, _| Ok(S::Legacy::with_keys(db, &[key])?.first().map(whole)))
    }

    fn read_last(&self, seen: &Table, key: Key) -> Option<serde_json::Value> {
        let place = seen.keys.iter().position(|of| *of == key)?;
        seen.legacy::<S::Legacy>(place).as_ref().map(whole)
    }

    fn person(&self) -> Option<Person> {
        S::PERSON
    }

    fn scan(&self, legacy: &Pool, overlay: &Overlay, each: &mut dyn FnMut(&Table) -> bool) -> Result<(), PrepareError> {
        each_page::<S::Legacy>(legacy, overlay, S::NAME, |rows| seen_of(&rows).all(|table| each(&table)))
    }

    fn erased(&self, rows: &Table, erasures: &Erasures) -> Option<Vec<Table>> {
        let mut all: Vec<S::Legacy> = (0..rows.keys.len()).map(|place| rows.legacy(place)).collect::<Option<_>>()?;
        erasures.apply(S::Legacy::TABLE, &mut all, S::Legacy::key).ok()?;
        Some(seen_of(&all).collect())
    }

    fn text(&self, row: &serde_json::Value) -> Option<String> {
        let row = <S::Legacy as serde::Deserialize>::deserialize(row).ok()?;
        serde_json::to_string(&row).ok()
    }

    fn altered(&self, legacy: &mut Db, span: Span, was: &Table, erasures: &Erasures) -> QueryResult<u64> {
        // Keys that a later state added lie among all others, and so do those of rows that follow one of the chunk.
        let is_within = |key: &&Key| span.layer == FIRST && span.range.contains(**key);
        let (within, beside): (Vec<Key>, Vec<Key>) = was.keys.iter().partition(is_within);
        let mut rows: Vec<S::Legacy> = Vec::with_capacity(was.keys.len());
        if !within.is_empty() {
            let read = S::Legacy::range(legacy, span.range, &mut rows);
            diagnosis::ask(legacy, read)?;
        }
        let read = add_with_keys(legacy, &beside, &mut rows);
        diagnosis::ask(legacy, read)?;
        erasures.apply(S::Legacy::TABLE, &mut rows, S::Legacy::key).map_err(LedgerError::into_diesel)?;
        Ok(was.altered(&Table::of_legacy(S::Legacy::TABLE, rows.iter().map(|row| (row.key(), row)))))
    }

    fn accepts(&self, row: &serde_json::Value) -> Result<(), String> {
        <S::Legacy as serde::Deserialize>::deserialize(row).map(|_| ()).map_err(|error| error.to_string())
    }

    fn prepare(&self, cx: &Prepare<'_>) -> Result<Box<dyn PreparedStep>, PrepareError> {
        let lookups = Arc::new(S::prepare(cx)?);
        Ok(Box::new(Prepared::<S> { lookups, plan: cx.plan() }))
    }
}

/// A legacy row as the quarantine keeps it.
fn whole<L: LegacyRow>(row: &L) -> serde_json::Value {
    // By way of its text: a float has its own digits there.
    let text = serde_json::to_string(row).expect("a legacy row has a JSON form");
    serde_json::from_str(&text).expect("what was written as JSON is JSON")
}

impl<S: Step> Prepared<S> {
    /// The rows of a span, page by page, until they weigh too much.
    fn pages(
        &self,
        legacy: &Pool,
        Span { layer, range }: Span,
        mut allowed: Weight,
    ) -> Result<(Vec<S::Legacy>, KeyRange), ChunkError> {
        let keys = Arc::clone(self.plan.added(layer));
        let read = legacy.ask(move |db, goes_on| {
            // A list of large rows that grows is copied again and again.
            let planned = usize::try_from(keys.count(range)).unwrap_or(0);
            let mut rows: Vec<S::Legacy> = Vec::with_capacity(planned);
            let (mut bytes, mut from) = (0, range.lo);
            loop {
                let rest = KeyRange { lo: from, hi: range.hi };
                let next = keys.cut(rest, allowed.page(bytes)).map(|(_, next)| next);
                let page = KeyRange { lo: from, hi: next.map_or(range.hi, |next| next - 1) };
                let before = rows.len();
                match layer {
                    FIRST => S::Legacy::range(db, page, &mut rows)?,
                    // Keys that a later state added lie among all others.
                    _ => {
                        let wanted: Vec<Key> = keys.range(page).collect();
                        add_with_keys(db, &wanted, &mut rows)?;
                    }
                }
                bytes += weight(&rows[before..]);
                let Some(next) = next else { return Ok((rows, range)) };
                if bytes >= allowed.most {
                    return Ok((rows, KeyRange { lo: range.lo, hi: page.hi }));
                }
                allowed.a_row = bytes.checked_div(rows.len() as u64);
                from = next;
                goes_on();
            }
        })?;
        Ok(read?)
    }
}

/// The keys of which there is no row.
fn missing<L: LegacyRow>(keys: impl Iterator<Item = Key>, rows: &[L]) -> Vec<Key> {
    let there: FxHashSet<Key> = rows.iter().map(L::key).collect();
    keys.filter(|key| !there.contains(key)).collect()
}

/// Keys that are asked for at once.
const AT_ONCE: usize = 1_000;

/// Adds the rows with some keys.
fn add_with_keys<L: LegacyRow>(legacy: &mut Db, keys: &[Key], rows: &mut Vec<L>) -> QueryResult<()> {
    for some in keys.chunks(AT_ONCE) {
        rows.extend(L::with_keys(legacy, some)?);
    }
    Ok(())
}

impl<S: Step> PreparedStep for Prepared<S> {
    fn read(
        &self,
        legacy: &Pool,
        overlay: &Overlay,
        span: Span,
        weight: Weight,
    ) -> Result<(Box<dyn ReadRows>, KeyRange), ChunkError> {
        let (mut rows, range) = self.pages(legacy, span, weight)?;
        let keys = self.plan.added(span.layer);
        let within = (range.lo.checked_sub(1), Some(range.hi));
        overlay.between(S::Legacy::TABLE, &mut rows, within, S::Legacy::key)?;
        let mut absent = Vec::new();
        // The legacy database may have changed since the keys were read.
        if !keys.range(range).eq(rows.iter().map(S::Legacy::key)) {
            rows.retain(|row| keys.contains(row.key()));
            absent = missing(keys.range(range), &rows);
        }
        let (mut starts, mut waiting) = (None, FxHashMap::default());
        if let Some(followers) = S::followers(&self.lookups).filter(|followers| !followers.is_empty()) {
            // A unit stands together: by its leader, then by key. Rows that follow a leader elsewhere go there.
            let stays =
                |key| followers.leader_of(key).is_none_or(|leader| range.contains(leader) && keys.contains(leader));
            rows.retain(|row| stays(row.key()));
            absent.retain(|key| stays(*key));
            let joining = followers.joining(keys, range);
            let wanted = joining.clone();
            let mut joined = legacy.ask(move |db, _| S::Legacy::with_keys(db, &wanted))??;
            overlay.with_keys(S::Legacy::TABLE, &mut joined, &joining, S::Legacy::key)?;
            absent.extend(missing(joining.into_iter(), &joined));
            rows.extend(joined);
            let leaders: FxHashSet<Key> = absent.iter().copied().collect();
            let follows = rows.iter().filter_map(|row| Some((row.key(), followers.leader_of(row.key())?)));
            waiting = follows.filter(|(_, leader)| leaders.contains(leader)).collect();
            rows.sort_by_cached_key(|row| {
                let leader = followers.leader_of(row.key());
                (leader.unwrap_or(row.key()), leader.is_some(), row.key())
            });
            let leads = |row: &S::Legacy| followers.leader_of(row.key()).is_none() || waiting.contains_key(&row.key());
            starts = Some((0..rows.len()).filter(|place| leads(&rows[*place])).collect());
        }
        let rows = ChunkRows::<S> { rows, starts, absent, waiting, lookups: Arc::clone(&self.lookups) };
        Ok((Box::new(rows), range))
    }

    fn keys(&self) -> &KeySet {
        &self.plan.keys
    }

    fn layer_of(&self, key: Key) -> i64 {
        self.plan.layer_of(key)
    }

    fn leader_of(&self, key: Key) -> Key {
        S::followers(&self.lookups).and_then(|followers| followers.leader_of(key)).unwrap_or(key)
    }

    fn finish_parts(&self) -> u64 {
        S::finish_parts(&self.lookups)
    }

    fn finish(&self, part: u64, tx: &mut Tx<'_>) -> Result<(), FinishError> {
        S::finish_part(&self.lookups, part, tx)
    }

    fn make_unique(&self, index: &UniqueIndex, tx: &mut Tx<'_>) -> Result<u64, FinishError> {
        S::make_unique(&self.lookups, index, tx)
    }
}
