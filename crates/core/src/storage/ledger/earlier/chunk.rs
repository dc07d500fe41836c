//! All that the ledger said of a chunk.

use diesel::prelude::*;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::kept::{due, insert, kept, unreadable};
use crate::storage::db::Db;
use crate::storage::imprint::{Columns, Packed, Table};
use crate::storage::ledger::changes::{self, ByRow, Done, Known, RowName};
use crate::storage::ledger::error::{Attempt, LedgerError};
use crate::storage::ledger::tables::{
    replant_changes as ch, replant_chunks as c, replant_conflicts as k, replant_imprints as i, replant_money as m,
    replant_outcomes as o, replant_quarantine as q, replant_repairs as r, replant_seen as s, replant_unread as u,
};
use crate::storage::ledger::{generations, imprints, record};
use crate::storage::types::Instant;
use crate::words::Key;

pub(super) type Outcomes = (Key, String, Option<String>, Option<String>, Option<i64>);
pub(super) type Repairs = (Key, Option<String>, String, String, Option<String>, Option<String>);
pub(super) type Quarantined = (Key, String, String, String, Key, String, String, i64);
pub(super) type Imprinted = (String, i64, Option<i64>, Option<i64>, Vec<u8>, Option<String>);
pub(super) type Conflicts = (Option<Key>, String, Option<i64>, Option<String>, String, i64);
pub(super) type Changed =
    ((i64, String, Option<i64>, Option<String>, Option<Key>), (String, Option<String>, Option<String>, bool, i64));

/// All that the ledger said of a chunk.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Earlier {
    pub(super) chunk: i64,
    pub(super) counts: [i64; 6],
    pub(super) busy_ms: i64,
    /// In microseconds since 1970.
    pub(super) done_at: Option<i64>,
    pub(super) record: Option<Vec<u8>>,
    pub(super) digest: Option<Vec<u8>>,
    pub(super) waits: bool,
    pub(super) carried: Option<Vec<u8>>,
    pub(super) outcomes: Vec<Outcomes>,
    pub(super) repairs: Vec<Repairs>,
    pub(super) quarantined: Vec<Quarantined>,
    pub(super) money: Vec<(String, String)>,
    pub(super) unread: Vec<Key>,
    pub(super) imprints: Vec<Imprinted>,
    pub(super) seen: Option<Vec<u8>>,
    pub(super) conflicts: Vec<Conflicts>,
    pub(super) changes: Vec<Changed>,
}

/// Reads what the ledger says of a chunk that the last state is about to change. None: there was but one state, or it is kept already.
///
/// # Errors
/// The database fails.
pub(crate) fn look(db: &mut Db, chunk: i64) -> Result<Option<Earlier>, LedgerError> {
    match due(db, chunk)? {
        Some(_) => read(db, chunk).attempt("read").map(Some),
        None => Ok(None),
    }
}

fn read(db: &mut Db, chunk: i64) -> QueryResult<Earlier> {
    type Row =
        ((i64, i64, i64, i64, i64, i64), i64, Option<Instant>, Option<Vec<u8>>, Option<Vec<u8>>, bool, Option<Vec<u8>>);
    let columns = (
        (c::rows_read, c::migrated, c::merged, c::skipped, c::quarantined, c::repairs),
        c::busy_ms,
        c::done_at,
        c::record,
        c::digest,
        c::waits,
        c::carried,
    );
    let row: Row = c::table.find(chunk).select(columns).first(db)?;
    let ((read, migrated, merged, skipped, quarantined, repairs), busy_ms, done_at, record, digest, waits, carried) =
        row;
    type Waits = (Key, String, String, String, Key, String, String, Instant);
    let of_quarantine =
        (q::legacy_key, q::code, q::reason, q::root_step, q::root_key, q::legacy_row, q::money, q::quarantined_at);
    let waiting: Vec<Waits> = q::table.filter(q::chunk_id.eq(chunk)).select(of_quarantine).load(db)?;
    let waiting = waiting.into_iter().map(|(key, code, reason, step, root, row, money, at)| {
        (key, code, reason, step, root, row, money, at.micros())
    });
    let of_change = (
        (ch::id, ch::target_table, ch::target_id, ch::target_key, ch::legacy_key),
        (ch::what, ch::value_before, ch::value_after, ch::in_imprint, ch::generation),
    );
    Ok(Earlier {
        chunk,
        counts: [read, migrated, merged, skipped, quarantined, repairs],
        busy_ms,
        done_at: done_at.map(|at| at.micros()),
        record,
        digest,
        waits,
        carried,
        outcomes: o::table
            .filter(o::chunk_id.eq(chunk))
            .select((o::legacy_key, o::outcome, o::code, o::target_table, o::target_id))
            .load(db)?,
        repairs: r::table
            .filter(r::chunk_id.eq(chunk))
            .select((r::legacy_key, r::by_step, r::code, r::column_name, r::value_before, r::value_after))
            .load(db)?,
        quarantined: waiting.collect(),
        money: m::table.filter(m::chunk_id.eq(chunk)).select((m::currency, m::flow)).load(db)?,
        unread: u::table.filter(u::chunk_id.eq(chunk)).select(u::legacy_key).load(db)?,
        imprints: i::table
            .filter(i::chunk_id.eq(chunk))
            .select((i::target_table, i::rows, i::first_id, i::last_id, i::data, i::written_by))
            .load(db)?,
        seen: s::table.find(chunk).select(s::data).first(db).optional()?,
        conflicts: k::table
            .filter(k::chunk_id.eq(chunk))
            .select((k::legacy_key, k::target_table, k::target_id, k::target_key, k::column_names, k::generation))
            .load(db)?,
        changes: ch::table
            .filter(ch::chunk_id.eq(chunk))
            .filter(ch::in_imprint.eq(false))
            .order(ch::id)
            .select(of_change)
            .load(db)?,
    })
}

/// Keeps what the ledger said of a chunk, unless that is kept.
///
/// # Errors
/// The database fails.
pub(crate) fn keep(db: &mut Db, earlier: Option<&Earlier>) -> Result<(), LedgerError> {
    let Some(earlier) = earlier else { return Ok(()) };
    let generation = generations::number(db).attempt("read")?;
    insert(db, earlier.chunk, generation, earlier)
}

/// What the ledger said of a chunk.
///
/// # Errors
/// The database fails, or it cannot be read back.
pub(crate) fn of_chunk(db: &mut Db, chunk: i64) -> Result<Option<Earlier>, LedgerError> {
    kept(db, chunk)
}

impl Earlier {
    /// The rows that it had, with what was recorded of them.
    ///
    /// # Errors
    /// The record cannot be read back.
    pub(crate) fn keys(&self, step: &str) -> Result<Vec<Key>, LedgerError> {
        let migrated = self.record.as_deref().map(|record| record::unpacked(step, record)).transpose()?;
        let migrated = migrated.into_iter().flatten().map(|row| row.key);
        Ok(migrated.chain(self.outcomes.iter().map(|(key, ..)| *key)).collect())
    }

    /// What it had written.
    ///
    /// # Errors
    /// It cannot be read back.
    pub(crate) fn tables(&self) -> Result<Vec<Table>, LedgerError> {
        let table = |(name, .., data, _): &Imprinted| Packed::unpacked(name.clone(), data);
        self.imprints.iter().map(table).collect::<Result<_, _>>().map_err(|_| unreadable(self.chunk))
    }

    /// What it had done to rows that were there before and that is not recorded any more, first things first: it was taken back since, be it
    /// some columns of it. `refused`: changes of the last state that the target does not let go of yet.
    ///
    /// # Errors
    /// The database fails, or it cannot be read back.
    pub(crate) fn undone(&self, db: &mut Db, refused: &[i64]) -> Result<Vec<Done>, LedgerError> {
        let ids: Vec<i64> = self.changes.iter().map(|((id, ..), _)| *id).collect();
        // A number that was free again may be that of a later change.
        let last = generations::number(db).attempt("read")?;
        let left = ch::table.filter(ch::id.eq_any(ids)).filter(ch::generation.lt(last));
        let left: Vec<(i64, Option<String>)> = left.select((ch::id, ch::value_after)).load(db).attempt("read")?;
        let left: FxHashMap<i64, Option<String>> = left.into_iter().collect();
        let later = self.later(db)?;
        // A row that somebody has changed since, where the state had changed it, is theirs: nobody who was erased has a name again.
        let is_theirs =
            |known: &Known| known.generation == last && !known.tells_nothing() && !refused.contains(&known.id);
        let mut undone = Vec::new();
        for ((id, table, target_id, key, _), (_, before, after, ..)) in &self.changes {
            let Some(row) = name(*target_id, key.as_deref()) else { continue };
            let columns = |json: &Option<String>| changes::columns(table, json.clone());
            let (mut before, mut after) = (columns(before)?, columns(after)?);
            if let Some(still) = left.get(id) {
                let still = columns(still)?.unwrap_or_default();
                for columns in [&mut before, &mut after].into_iter().flatten() {
                    columns.retain(|column, _| !still.contains_key(column));
                }
                if after.as_ref().is_none_or(Columns::is_empty) {
                    continue;
                }
            }
            let of_row = later.get(table).and_then(|rows| rows.get(&row));
            if !of_row.into_iter().flatten().any(is_theirs) {
                undone.push(Done { id: *id, table: table.clone(), row, before, after });
            }
        }
        Ok(undone)
    }

    /// All that was done to the rows that it had changed, by table.
    fn later(&self, db: &mut Db) -> Result<FxHashMap<String, ByRow>, LedgerError> {
        let mut rows: FxHashMap<String, Vec<RowName>> = FxHashMap::default();
        for ((_, table, target_id, key, _), _) in &self.changes {
            rows.entry(table.clone()).or_default().extend(name(*target_id, key.as_deref()));
        }
        let mut later = FxHashMap::default();
        for (table, rows) in rows {
            let of_table = changes::of_rows(db, &table, &rows)?;
            later.insert(table, of_table);
        }
        Ok(later)
    }
}

fn name(target_id: Option<i64>, key: Option<&str>) -> Option<RowName> {
    target_id.map(RowName::Id).or_else(|| key.map(|key| RowName::Key(key.to_owned())))
}

/// Whether the row of a table with an id was there before the last state, as a row of the chunk that a key was planned for.
///
/// # Errors
/// The database fails, or what was written cannot be read back.
pub(crate) fn had(db: &mut Db, step: &str, key: Key, (table, id): (&str, i64)) -> Result<bool, LedgerError> {
    let last = generations::number(db).attempt("read")?;
    let around = c::table.filter(c::step.eq(step)).filter(c::lo.le(key)).filter(c::hi.ge(key));
    let around: Vec<i64> = around.filter(c::generation.lt(last)).select(c::id).load(db).attempt("read")?;
    for chunk in around {
        let tables = match of_chunk(db, chunk)? {
            Some(earlier) => earlier.tables()?,
            None => imprints::of_table(db, chunk, table)?,
        };
        if tables.iter().any(|of| of.name == table && of.place_of(id).is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}
