//! Where one row comes from: what the ledger is asked for the sake of a single legacy or target row. Each answer comes from an index,
//! from arithmetic on the planned ids, or from one chunk; but for [`holder`], which reads the records of a step.

use diesel::prelude::*;
use serde::Serialize;
use serde_json::Value;

use super::changes::{RowName, columns};
use super::error::{Attempt, LedgerError};
use super::plan::{BLOCK, Block, FIRST, block_of};
use super::record;
use super::tables::{
    replant_added as a, replant_changes as ch, replant_chunks as c, replant_conflicts as k, replant_first as f,
    replant_gone as g, replant_id_blocks as b, replant_mends as m, replant_outcomes as o, replant_steps as s,
};
use crate::storage::db::Db;
use crate::storage::imprint::Columns;
use crate::storage::types::Instant;
use crate::words::{Key, KeySet};

/// Rows that are asked for at once.
const PAGE: usize = 1_000;

fn keys(step: &str, bytes: &[u8]) -> Result<KeySet, LedgerError> {
    postcard::from_bytes(bytes).map_err(|_| LedgerError::Unreadable { what: "keys", of: step.to_owned() })
}

/// The legacy row of a step for which an id of a table was planned, whether it has it or not.
///
/// # Errors
/// The database fails, or the keys cannot be read back.
pub(crate) fn planned_for(db: &mut Db, step: &str, table: &str, id: i64) -> Result<Option<Key>, LedgerError> {
    let blocks = b::table.filter(b::step.eq(step.to_owned())).filter(b::target_table.eq(table.to_owned()));
    let blocks = blocks.filter(b::handed_out.eq("planned")).order(b::generation);
    let blocks: Vec<(i64, Block)> = blocks.select((b::generation, BLOCK)).load(db).attempt("read")?;
    for layer in blocks.chunk_by(|a, b| a.0 == b.0) {
        let generation = layer[0].0;
        if let Some(place) = block_of(layer.iter().map(|(_, block)| block)).place(id) {
            let packed: Vec<u8> = match generation {
                FIRST => s::table.find(step.to_owned()).select(s::legacy_keys).first(db),
                _ => a::table.find((step.to_owned(), generation)).select(a::keys).first(db),
            }
            .attempt("read")?;
            return Ok(keys(step, &packed)?.once_at(place));
        }
    }
    Ok(None)
}

/// Whether the last state of the legacy database has a key of a step not any more.
///
/// # Errors
/// The database fails, or the keys cannot be read back.
pub(crate) fn is_gone(db: &mut Db, step: &str, key: Key) -> Result<bool, LedgerError> {
    let gone: Option<Vec<u8>> = g::table.find(step.to_owned()).select(g::keys).first(db).optional().attempt("read")?;
    gone.map_or(Ok(false), |gone| Ok(keys(step, &gone)?.contains(key)))
}

/// The state that added a key to a step, and the later one in which its row came into the target, where that is another.
///
/// # Errors
/// The database fails, or the keys cannot be read back.
pub(crate) fn states_of(db: &mut Db, step: &str, key: Key) -> Result<(i64, Option<i64>), LedgerError> {
    let of_step = a::table.filter(a::step.eq(step.to_owned())).order(a::generation);
    let added: Vec<(i64, Vec<u8>)> = of_step.select((a::generation, a::keys)).load(db).attempt("read")?;
    let mut added_in = FIRST;
    for (generation, packed) in added {
        if keys(step, &packed)?.contains(key) {
            added_in = generation;
        }
    }
    let came: Option<i64> =
        f::table.find((step.to_owned(), key)).select(f::generation).first(db).optional().attempt("read")?;
    Ok((added_in, came))
}

/// The migrated legacy row of a step that has a row of the target as its own, though no id was planned for it: a row that was there
/// before. `table`: where that is not the target table of the step. Reads the records of all chunks, which are a few bytes a row.
///
/// # Errors
/// The database fails, or a record cannot be read back.
pub(crate) fn holder(db: &mut Db, step: &str, (table, id): (Option<&str>, i64)) -> Result<Option<Key>, LedgerError> {
    /// Records that stand in memory at once.
    const RECORDS: i64 = 64;
    let mut after = i64::MIN;
    loop {
        let done = c::table.filter(c::step.eq(step.to_owned())).filter(c::state.eq("done"));
        let done = done.filter(c::id.gt(after)).order(c::id).limit(RECORDS).select((c::id, c::record));
        let records: Vec<(i64, Option<Vec<u8>>)> = done.load(db).attempt("read")?;
        let Some((last, _)) = records.last() else { return Ok(None) };
        after = *last;
        for record in records.iter().filter_map(|(_, record)| record.as_ref()) {
            if let Some(key) = record::key_of(step, record, (table, id))? {
                return Ok(Some(key));
            }
        }
    }
}

/// The legacy rows of a chunk, but for leaders, that a row of the target belongs to, with the table that they name.
///
/// # Errors
/// The database fails.
pub(crate) fn followers(db: &mut Db, chunk: i64, id: i64) -> Result<Vec<(Key, Option<String>)>, LedgerError> {
    let of_chunk = o::table.filter(o::chunk_id.eq(chunk)).filter(o::target_id.eq(id)).order(o::legacy_key);
    of_chunk.select((o::legacy_key, o::target_table)).load(db).attempt("read")
}

/// What was done to a row of the target that was there already.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowChange {
    /// The step.
    pub step: String,
    /// The chunk; none where the step was being finished.
    pub chunk: Option<i64>,
    /// The table.
    pub table: String,
    /// The `id` of the row.
    pub id: Option<i64>,
    /// The columns of its key, as JSON, where it has no `id`.
    pub key: Option<String>,
    /// The legacy row for whose sake; none where there is none.
    pub legacy_key: Option<Key>,
    /// What was done, in a word.
    pub what: String,
    /// The columns before; none where the row was not there.
    pub before: Option<Columns>,
    /// The same columns after; none where the row was taken out.
    pub after: Option<Columns>,
    /// Whether what was written for the row tells it too.
    pub in_imprint: bool,
    /// The state of the legacy database in which it was done.
    pub generation: i64,
}

impl RowChange {
    pub(crate) fn row(&self) -> Option<RowName> {
        self.id.map(RowName::Id).or(self.key.clone().map(RowName::Key))
    }
}

type Changed = (
    (String, Option<i64>, String, Option<i64>, Option<String>, Option<Key>),
    (String, Option<String>, Option<String>, bool, i64),
);
type ChangedColumns = (
    (ch::step, ch::chunk_id, ch::target_table, ch::target_id, ch::target_key, ch::legacy_key),
    (ch::what, ch::value_before, ch::value_after, ch::in_imprint, ch::generation),
);
const CHANGED: ChangedColumns = (
    (ch::step, ch::chunk_id, ch::target_table, ch::target_id, ch::target_key, ch::legacy_key),
    (ch::what, ch::value_before, ch::value_after, ch::in_imprint, ch::generation),
);

fn row_changes(found: Vec<Changed>) -> Result<Vec<RowChange>, LedgerError> {
    let change = |(of, done): Changed| {
        let (step, chunk, table, id, key, legacy_key) = of;
        let (what, before, after, in_imprint, generation) = done;
        let (before, after) = (columns(&table, before)?, columns(&table, after)?);
        Ok(RowChange { step, chunk, table, id, key, legacy_key, what, before, after, in_imprint, generation })
    };
    found.into_iter().map(change).collect()
}

/// What was done to some rows of a table, first things first.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn changes_of(db: &mut Db, table: &str, rows: &[RowName]) -> Result<Vec<RowChange>, LedgerError> {
    let mut found: Vec<RowChange> = Vec::new();
    for some in rows.chunks(PAGE) {
        let (ids, keys): (Vec<_>, Vec<_>) = some.iter().map(RowName::parts).unzip();
        let ids: Vec<i64> = ids.into_iter().flatten().collect();
        let keys: Vec<String> = keys.into_iter().flatten().collect();
        let of_table = || ch::table.filter(ch::target_table.eq(table.to_owned())).order(ch::id).select(CHANGED);
        if !ids.is_empty() {
            found.extend(row_changes(of_table().filter(ch::target_id.eq_any(ids)).load(db).attempt("read")?)?);
        }
        if !keys.is_empty() {
            let keyed = of_table().filter(ch::target_id.is_null()).filter(ch::target_key.eq_any(keys));
            found.extend(row_changes(keyed.load(db).attempt("read")?)?);
        }
    }
    Ok(found)
}

/// What a step did for the sake of a legacy row, to whichever rows, first things first.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn changes_for(db: &mut Db, step: &str, key: Key) -> Result<Vec<RowChange>, LedgerError> {
    let of_key = ch::table.filter(ch::step.eq(step.to_owned())).filter(ch::legacy_key.eq(key));
    row_changes(of_key.order(ch::id).select(CHANGED).load(db).attempt("read")?)
}

/// Columns of a row that customers keep although it would come out otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Keeps {
    /// The step that would write them.
    pub step: String,
    /// The columns; none where a customer has removed the row.
    pub columns: Vec<String>,
    /// The state of the legacy database in which that was found.
    pub generation: i64,
}

/// What customers keep of a row.
///
/// # Errors
/// The database fails, or what it says cannot be read back.
pub(crate) fn kept(db: &mut Db, table: &str, row: &RowName) -> Result<Vec<Keeps>, LedgerError> {
    let (id, key) = row.parts();
    let of_table = k::table.filter(k::target_table.eq(table.to_owned())).order(k::id);
    let of_table = of_table.select((k::step, k::column_names, k::generation));
    let found: Vec<(String, String, i64)> = match id {
        Some(id) => of_table.filter(k::target_id.eq(id)).load(db),
        None => of_table.filter(k::target_id.is_null()).filter(k::target_key.eq(key)).load(db),
    }
    .attempt("read")?;
    let unreadable = || LedgerError::Unreadable { what: "columns of a conflict", of: table.to_owned() };
    let keeps = |(step, columns, generation): (String, String, i64)| {
        let columns = serde_json::from_str(&columns).map_err(|_| unreadable())?;
        Ok(Keeps { step, columns, generation })
    };
    found.into_iter().map(keeps).collect()
}

/// A legacy row as a person mended it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mended {
    /// The whole row.
    pub row: Value,
    /// When.
    pub mended_at: Instant,
    /// The state in which the legacy row read otherwise than when it was mended: since then the mend is taken no more.
    pub set_aside: Option<i64>,
}

/// A legacy row as it was mended, if it was.
///
/// # Errors
/// The database fails, or the row cannot be read back.
pub(crate) fn mended(db: &mut Db, legacy_table: &str, key: Key) -> Result<Option<Mended>, LedgerError> {
    let mend = m::table.find((legacy_table.to_owned(), key)).select((m::legacy_row, m::mended_at, m::set_aside));
    let found: Option<(String, Instant, Option<i64>)> = mend.first(db).optional().attempt("read")?;
    let unreadable = || LedgerError::Unreadable { what: "mended row", of: legacy_table.to_owned() };
    let mended = |(row, mended_at, set_aside): (String, Instant, Option<i64>)| {
        let row = serde_json::from_str(&row).map_err(|_| unreadable())?;
        Ok(Mended { row, mended_at, set_aside })
    };
    found.map(mended).transpose()
}
