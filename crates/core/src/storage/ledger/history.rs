//! What became of legacy rows, and where target rows came from.

use std::collections::BTreeMap;
use std::hash::Hash;

use diesel::prelude::*;
use serde::Serialize;
use xxhash_rust::xxh3::Xxh3;

use super::error::{Attempt, LedgerError};
use super::record::Migrated;
use super::tables::{
    replant_changes as ch, replant_chunks as c, replant_outcomes as o, replant_quarantine as q, replant_repairs as r,
    replant_steps as s, replant_unread as u,
};
use super::{imprints, moved, origin, plan, record};
use crate::storage::db::Db;
use crate::storage::imprint::Table;
use crate::storage::ledger::standings::{Exceptions, Standings};
use crate::words::{Code, Key, KeyRange, Outcome, Root};

/// What became of one legacy row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lineage {
    /// The legacy table.
    pub legacy_table: String,
    /// The legacy key.
    pub legacy_id: Key,
    /// The outcome.
    pub outcome: Outcome,
    /// The code of a row that was not migrated; `source_gone` of any that the legacy database has not any more.
    pub code: Option<String>,
    /// Its target rows, the primary one first: table and id.
    pub targets: Vec<(String, i64)>,
    /// The codes of its repairs, sorted, each once.
    pub repairs: Vec<String>,
    /// The chunk that decided it.
    pub chunk: i64,
    /// A hash of the rows that were written for it, in hexadecimal; none where there are none.
    pub imprint: Option<String>,
}

/// A repaired value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Queryable)]
pub struct RepairEntry {
    /// The rule.
    pub code: String,
    /// The column.
    pub column: String,
    /// Before.
    pub before: Option<String>,
    /// After.
    pub after: Option<String>,
}

/// A change to a target row that was there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Queryable)]
pub struct ChangeEntry {
    /// The step.
    pub step: String,
    /// The chunk; none where the step was being finished.
    pub chunk: Option<i64>,
    /// The legacy row for whose sake.
    pub legacy_key: Option<Key>,
    /// What was done.
    pub what: String,
    /// The row before, as JSON.
    pub before: Option<String>,
    /// The row after, as JSON.
    pub after: Option<String>,
}

/// A step whose rows the ledger knows.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct KnownStep {
    /// The step.
    pub name: String,
    /// Its legacy table.
    pub legacy_table: String,
    /// Its target table.
    pub target_table: String,
}

/// The planned steps, in the order of the run.
///
/// # Errors
/// The database fails.
pub fn known_steps(db: &mut Db) -> Result<Vec<KnownStep>, LedgerError> {
    s::table.order((s::position, s::name)).select((s::name, s::legacy_table, s::target_table)).load(db).attempt("read")
}

/// The ids of a step's committed chunks, by key.
fn chunks(db: &mut Db, step: &str) -> Result<Vec<i64>, LedgerError> {
    c::table
        .filter(c::step.eq(step.to_owned()))
        .filter(c::state.eq("done"))
        .order(c::lo)
        .select(c::id)
        .load(db)
        .attempt("read")
}

pub(crate) fn record_of(db: &mut Db, step: &str, chunk: i64) -> Result<Vec<Migrated>, LedgerError> {
    let record: Option<Vec<u8>> = c::table.find(chunk).select(c::record).first(db).attempt("read")?;
    let unreadable = || LedgerError::Unreadable { what: "record of a chunk", of: step.to_owned() };
    record::unpacked(step, &record.ok_or_else(unreadable)?)
}

/// The record of a migrated row, and the committed chunk that has it. The ranges of what later states added lie among those of
/// earlier ones.
pub(super) fn record_of_key(db: &mut Db, step: &str, key: Key) -> Result<Option<(i64, Migrated)>, LedgerError> {
    let around: Vec<i64> = c::table
        .filter(c::step.eq(step.to_owned()))
        .filter(c::lo.le(key))
        .filter(c::hi.ge(key))
        .filter(c::state.eq("done"))
        .select(c::id)
        .load(db)
        .attempt("read")?;
    for chunk in around {
        if let Some(row) = record_of(db, step, chunk)?.into_iter().find(|row| row.key == key) {
            return Ok(Some((chunk, row)));
        }
    }
    Ok(None)
}

/// What became of every row of a step; `None` where the step is not done.
pub(crate) fn standings(db: &mut Db, step: &str) -> Result<Option<Standings>, LedgerError> {
    let Some(plan) = plan::load(db, step)?.filter(|plan| plan.done) else { return Ok(None) };
    let mut exceptions = Exceptions::default();
    for chunk in chunks(db, step)? {
        let rows = record_of(db, step, chunk)?.into_iter();
        rows.filter(|row| plan.id_of(row.key) != Some(row.target))
            .for_each(|row| exceptions.other_id(row.key, row.target));
    }
    pages(|after| {
        let rows: Vec<(Key, String, Key)> = q::table
            .filter(q::step.eq(step.to_owned()))
            .filter(q::legacy_key.gt(after))
            .order(q::legacy_key)
            .limit(PAGE)
            .select((q::legacy_key, q::root_step, q::root_key))
            .load(db)?;
        let last = rows.last().map(|(key, ..)| *key);
        for (key, step, root) in rows {
            exceptions.quarantined(key, Root { step, key: root });
        }
        Ok(last)
    })?;
    pages(|after| {
        let rows: Vec<(Key, Option<String>, Option<i64>)> = o::table
            .filter(o::step.eq(step.to_owned()))
            .filter(o::legacy_key.gt(after))
            .filter(o::outcome.ne("quarantined"))
            .order(o::legacy_key)
            .limit(PAGE)
            .select((o::legacy_key, o::target_table, o::target_id))
            .load(db)?;
        let last = rows.last().map(|(key, ..)| *key);
        for (key, table, target) in rows {
            match (table, target) {
                (Some(_), _) => exceptions.elsewhere(key),
                (None, Some(target)) => exceptions.merged(key, target),
                (None, None) => exceptions.skipped(key),
            }
        }
        Ok(last)
    })?;
    // Whoever points to a row that was never read waits for it.
    let unread: Vec<Key> =
        u::table.filter(u::step.eq(step.to_owned())).select(u::legacy_key).load(db).attempt("read")?;
    for key in unread {
        exceptions.quarantined(key, Root { step: step.to_owned(), key });
    }
    // Keys that a later state has added, and that no chunk has moved yet.
    let open = c::table.filter(c::step.eq(step.to_owned())).filter(c::state.ne("done"));
    let open: Vec<(i64, Key, Key)> = open.select((c::generation, c::lo, c::hi)).load(db).attempt("read")?;
    for (generation, lo, hi) in open {
        plan.added(generation).range(KeyRange { lo, hi }).for_each(|key| exceptions.elsewhere(key));
    }
    for (key, row) in moved::all(db, step)? {
        if let (Outcome::Migrated, None, Some(target)) = (row.outcome, row.table, row.target) {
            exceptions.other_id(key, target);
        }
    }
    Ok(Some(Standings::new(plan.keys, plan.layers, exceptions)))
}

/// Rows of the ledger that are read at once.
const PAGE: i64 = 10_000;

/// Reads page after page: `page` is handed the last key of the one before, and returns that of its own.
fn pages(mut page: impl FnMut(Key) -> QueryResult<Option<Key>>) -> Result<(), LedgerError> {
    let mut after = Key::MIN;
    while let Some(last) = page(after).attempt("read")? {
        after = last;
    }
    Ok(())
}

/// Key, outcome, code, table and id of the target.
pub(super) type OutcomeRow = (Key, String, Option<String>, Option<String>, Option<i64>);
pub(super) type OutcomeColumns = (o::legacy_key, o::outcome, o::code, o::target_table, o::target_id);
pub(super) const OUTCOME: OutcomeColumns = (o::legacy_key, o::outcome, o::code, o::target_table, o::target_id);

/// Calls `each` with what became of every row of a step, chunk by chunk.
///
/// # Errors
/// The database fails, or `each` does.
pub fn lineage<E: From<LedgerError>>(
    db: &mut Db,
    step: &KnownStep,
    mut each: impl FnMut(Lineage) -> Result<(), E>,
) -> Result<(), E> {
    let gone = plan::load(db, &step.name)?.map(|plan| plan.gone).unwrap_or_default();
    for chunk in chunks(db, &step.name)? {
        let mut repairs: Vec<(Key, String)> = r::table
            .filter(r::chunk_id.eq(chunk))
            .select((r::legacy_key, r::code))
            .order((r::legacy_key, r::code))
            .load(db)
            .attempt("read")?;
        repairs.dedup();
        let mut rows: Vec<Lineage> =
            record_of(db, &step.name, chunk)?.into_iter().map(|row| migrated(step, chunk, row)).collect();
        let others: Vec<OutcomeRow> =
            o::table.filter(o::chunk_id.eq(chunk)).select(OUTCOME).load(db).attempt("read")?;
        for row in others {
            rows.push(other_row(step, chunk, row)?);
        }
        rows.sort_unstable_by_key(|row| row.legacy_id);
        imprint(&imprints::of_chunk(db, chunk)?, &mut rows);
        let mut late_of = late_repairs(db, &step.name, chunk, &rows)?;
        for mut row in rows {
            let from = repairs.partition_point(|(key, _)| *key < row.legacy_id);
            let own = repairs[from..].iter().take_while(|(key, _)| *key == row.legacy_id);
            row.repairs = own.map(|(_, code)| code.clone()).collect();
            if let Some(late) = late_of.remove(&row.legacy_id) {
                row.repairs.extend(late);
                row.repairs.sort_unstable();
                row.repairs.dedup();
            }
            if gone.contains(row.legacy_id) {
                row.code = Some(Code::SOURCE_GONE.as_str().to_owned());
            }
            each(row)?;
        }
    }
    Ok(())
}

/// Hashes what was written for each of the rows of a chunk, which are sorted by their keys.
pub(crate) fn imprint(tables: &[Table], rows: &mut [Lineage]) {
    let mut hashes: Vec<Option<Xxh3>> = vec![None; rows.len()];
    for table in tables {
        for (place, key) in table.keys.iter().enumerate() {
            let Ok(row) = rows.binary_search_by_key(key, |row| row.legacy_id) else { continue };
            let hash = hashes[row].get_or_insert_default();
            table.name.hash(hash);
            table.row(place).iter().for_each(|value| value.hash(hash));
        }
    }
    for (row, hash) in rows.iter_mut().zip(hashes) {
        row.imprint = hash.map(|hash| format!("{:016x}", hash.digest()));
    }
}

/// Repairs that later steps noted of the rows of a chunk: they belong to no chunk of this step. Rows outside of the range of the
/// chunk are few: they follow one of it.
fn late_repairs(
    db: &mut Db,
    step: &str,
    chunk: i64,
    rows: &[Lineage],
) -> Result<BTreeMap<Key, Vec<String>>, LedgerError> {
    let (lo, hi): (Key, Key) = c::table.find(chunk).select((c::lo, c::hi)).first(db).attempt("read")?;
    let late = || r::table.filter(r::step.eq(step.to_owned())).filter(r::chunk_id.is_null());
    let columns = (r::legacy_key, r::code);
    let mut found: Vec<(Key, String)> =
        late().filter(r::legacy_key.between(lo, hi)).select(columns).load(db).attempt("read")?;
    let outside: Vec<Key> = rows.iter().map(|row| row.legacy_id).filter(|key| !(lo..=hi).contains(key)).collect();
    for some in outside.chunks(1_000) {
        let more: Vec<(Key, String)> =
            late().filter(r::legacy_key.eq_any(some.to_vec())).select(columns).load(db).attempt("read")?;
        found.extend(more);
    }
    let mut late_of: BTreeMap<Key, Vec<String>> = BTreeMap::new();
    for (key, code) in found {
        late_of.entry(key).or_default().push(code);
    }
    Ok(late_of)
}

fn migrated(step: &KnownStep, chunk: i64, row: Migrated) -> Lineage {
    let mut targets = vec![(step.target_table.clone(), row.target)];
    targets.extend(row.also);
    Lineage {
        legacy_table: step.legacy_table.clone(),
        legacy_id: row.key,
        outcome: Outcome::Migrated,
        code: None,
        targets,
        repairs: Vec::new(),
        chunk,
        imprint: None,
    }
}

/// An outcome as the ledger writes it.
///
/// # Errors
/// No build of Replant writes it so.
pub(super) fn outcome_of(step: &str, written: &str) -> Result<Outcome, LedgerError> {
    written.parse().map_err(|_| LedgerError::Unreadable { what: "outcome of a row", of: step.to_owned() })
}

fn other_row(
    step: &KnownStep,
    chunk: i64,
    (key, outcome, code, table, target): OutcomeRow,
) -> Result<Lineage, LedgerError> {
    let table = table.unwrap_or_else(|| step.target_table.clone());
    let outcome = outcome_of(&step.name, &outcome)?;
    Ok(Lineage {
        legacy_table: step.legacy_table.clone(),
        legacy_id: key,
        outcome,
        code,
        targets: target.map(|id| (table, id)).into_iter().collect(),
        repairs: Vec::new(),
        chunk,
        imprint: None,
    })
}

/// What became of one legacy row of a step; `None` where it is not done yet or there is no such row.
///
/// # Errors
/// The database fails.
pub fn of_legacy(db: &mut Db, step: &KnownStep, key: Key) -> Result<Option<Lineage>, LedgerError> {
    let mut found = without_imprint(db, step, key)?;
    if let Some(found) = &mut found {
        imprint(&imprints::of_chunk(db, found.chunk)?, std::slice::from_mut(found));
    }
    Ok(found)
}

/// The same without the hash of what was written, for whoever reads that anyhow.
///
/// # Errors
/// The database fails.
pub(crate) fn without_imprint(db: &mut Db, step: &KnownStep, key: Key) -> Result<Option<Lineage>, LedgerError> {
    let other: Option<(i64, OutcomeRow)> =
        o::table.find((step.name.clone(), key)).select((o::chunk_id, OUTCOME)).first(db).optional().attempt("read")?;
    let mut found = match other {
        Some((chunk, row)) => Some(other_row(step, chunk, row)?),
        None => record_of_key(db, &step.name, key)?.map(|(chunk, row)| migrated(step, chunk, row)),
    };
    if let Some(found) = &mut found {
        found.repairs = repairs(db, &step.name, key)?.into_iter().map(|repair| repair.code).collect();
        found.repairs.sort_unstable();
        found.repairs.dedup();
        if origin::is_gone(db, &step.name, key)? {
            found.code = Some(Code::SOURCE_GONE.as_str().to_owned());
        }
    }
    Ok(found)
}

/// The repairs of one legacy row.
///
/// # Errors
/// The database fails.
pub fn repairs(db: &mut Db, step: &str, key: Key) -> Result<Vec<RepairEntry>, LedgerError> {
    r::table
        .filter(r::step.eq(step.to_owned()))
        .filter(r::legacy_key.eq(key))
        .order((r::code, r::column_name))
        .select((r::code, r::column_name, r::value_before, r::value_after))
        .load(db)
        .attempt("read")
}

/// Every repair of a step, by key.
///
/// # Errors
/// The database fails.
pub fn all_repairs(db: &mut Db, step: &str) -> Result<Vec<(Key, RepairEntry)>, LedgerError> {
    r::table
        .filter(r::step.eq(step.to_owned()))
        .order((r::legacy_key, r::code, r::column_name))
        .select((r::legacy_key, (r::code, r::column_name, r::value_before, r::value_after)))
        .load(db)
        .attempt("read")
}

/// The keys of the rows of a step that ended with a code, or have a repair with it, ascending.
///
/// # Errors
/// The database fails.
pub(crate) fn keys_with(db: &mut Db, step: &str, code: &str) -> Result<Vec<Key>, LedgerError> {
    let ended = o::table.filter(o::step.eq(step.to_owned())).filter(o::code.eq(code.to_owned()));
    let mut keys: Vec<Key> = ended.select(o::legacy_key).load(db).attempt("read")?;
    let repaired = r::table.filter(r::step.eq(step.to_owned())).filter(r::code.eq(code.to_owned()));
    keys.extend(repaired.select(r::legacy_key).load::<Key>(db).attempt("read")?);
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// What was done to a target row that was there before.
///
/// # Errors
/// The database fails.
pub fn changes(db: &mut Db, table: &str, id: i64) -> Result<Vec<ChangeEntry>, LedgerError> {
    ch::table
        .filter(ch::target_table.eq(table.to_owned()))
        .filter(ch::target_id.eq(id))
        .order(ch::id)
        .select((ch::step, ch::chunk_id, ch::legacy_key, ch::what, ch::value_before, ch::value_after))
        .load(db)
        .attempt("read")
}
