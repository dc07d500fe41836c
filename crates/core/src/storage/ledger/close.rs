//! Closing a chunk: its counts, outcomes, repairs, quarantine and money, in the transaction that wrote its rows.

use diesel::prelude::*;
use serde::Serialize;

use super::claim::Claim;
use super::earlier;
use super::error::LedgerError;
use super::imprints::{self, WrittenBy};
use super::numbers::Numbers;
use super::of_chunk;
use super::owner::Owner;
use super::record::{self, CarriedBy, Migrated};
use super::seen;
use super::tables::{
    replant_chunks as c, replant_money, replant_money as m, replant_outcomes, replant_quarantine, replant_repairs,
    replant_unread as u,
};
use crate::storage::db::Db;
use crate::storage::imprint::Packed;
use crate::storage::model::insert_all;
use crate::storage::types::Instant;
use crate::words::{Counts, Key, MoneyTotals};

/// A row that was merged, skipped or quarantined, or a follower that was migrated as a row of its own.
#[derive(Debug, Clone, Insertable, Serialize)]
#[diesel(table_name = replant_outcomes, treat_none_as_default_value = false)]
pub struct NewOutcome {
    /// The step.
    pub step: String,
    /// The legacy key.
    pub legacy_key: Key,
    /// The chunk.
    pub chunk_id: i64,
    /// The outcome.
    pub outcome: &'static str,
    /// Why; none of a follower that was migrated as a row of its own.
    pub code: Option<&'static str>,
    /// The table of that row.
    pub target_table: Option<&'static str>,
    /// Its id; of a merged row what it went into.
    pub target_id: Option<i64>,
}

/// A value that a rule changed.
#[derive(Debug, Clone, Insertable, Serialize)]
#[diesel(table_name = replant_repairs, treat_none_as_default_value = false)]
pub struct NewRepair {
    /// The step.
    pub step: String,
    /// The legacy key.
    pub legacy_key: Key,
    /// The chunk; none where another step was being finished.
    pub chunk_id: Option<i64>,
    /// That other step.
    pub by_step: Option<String>,
    /// The rule.
    pub code: &'static str,
    /// The column.
    pub column_name: &'static str,
    /// The value before.
    pub value_before: Option<String>,
    /// The value after.
    pub value_after: Option<String>,
}

/// A row that no rule could make right.
#[derive(Debug, Clone, Insertable, Serialize)]
#[diesel(table_name = replant_quarantine, treat_none_as_default_value = false)]
pub struct NewQuarantined {
    /// The step.
    pub step: String,
    /// The legacy key.
    pub legacy_key: Key,
    /// The chunk.
    pub chunk_id: i64,
    /// Why, as a code.
    pub code: &'static str,
    /// Why, in words.
    pub reason: String,
    /// The step of the row that it waits for.
    pub root_step: String,
    /// The key of the row that it waits for.
    pub root_key: Key,
    /// The whole row as JSON.
    pub legacy_row: String,
    /// What it carries, by currency, in exact minor units: JSON.
    pub money: String,
    /// When.
    pub quarantined_at: Instant,
}

#[derive(Clone, Insertable, Serialize)]
#[diesel(table_name = replant_money, treat_none_as_default_value = false)]
struct NewMoney {
    step: String,
    chunk_id: Option<i64>,
    currency: String,
    flow: String,
}

crate::insert!(NewOutcome => replant_outcomes);
crate::insert!(NewRepair => replant_repairs);
crate::insert!(NewQuarantined => replant_quarantine);
crate::insert!(NewMoney => replant_money);

/// All that the ledger keeps of a chunk.
#[derive(Debug, Default)]
pub struct ChunkResult {
    /// The counts. They balance, or the chunk is not closed.
    pub counts: Counts,
    /// The migrated rows.
    pub migrated: Vec<Migrated>,
    /// The other rows.
    pub outcomes: Vec<NewOutcome>,
    /// The repairs.
    pub repairs: Vec<NewRepair>,
    /// The quarantined rows.
    pub quarantined: Vec<NewQuarantined>,
    /// The money. It balances, or the chunk is not closed.
    pub money: MoneyTotals,
    /// The same, row by row.
    pub amounts: Vec<CarriedBy>,
    /// Planned keys of which no row was ever read.
    pub unread: Vec<Key>,
    /// Milliseconds of reading, transforming and writing.
    pub busy_ms: u64,
    /// Whether foreign keys of its rows were checked by sets.
    pub by_set: bool,
    /// A hash of the rows and their verdicts.
    pub digest: Option<[u8; 16]>,
    /// Whether the target has not all that they say.
    pub waits: bool,
}

/// What is kept of a chunk that is closed.
pub(crate) struct Closed<'a> {
    /// What its rows came to.
    pub(crate) result: &'a mut ChunkResult,
    /// What it has written.
    pub(crate) imprint: &'a [Packed],
    /// Its rows, as they were read; none where none were read yet.
    pub(crate) seen: Option<&'a [u8]>,
    /// Of one that is written for the first time: where its transaction has a number ([`imprints::cluster`]).
    pub(crate) cluster: Option<&'a str>,
}

impl Closed<'_> {
    fn save(&self, db: &mut Db, chunk: i64, written_by: &WrittenBy) -> QueryResult<()> {
        imprints::save(db, chunk, self.imprint, written_by)?;
        self.seen.map_or(Ok(()), |seen| seen::save(db, chunk, seen))
    }
}

/// Closes a chunk inside the transaction that wrote its rows. `false` where the lease was lost meanwhile: roll back.
///
/// # Errors
/// The database fails.
pub(crate) fn close(db: &mut Db, step: &str, owner: &Owner, claim: &Claim, what: &Closed<'_>) -> QueryResult<bool> {
    let result = &*what.result;
    let mine = claim.held().filter(c::owner.eq(owner.as_str().to_owned()));
    let closed =
        diesel::update(mine).set((c::state.eq("done"), c::by_set.eq(result.by_set), numbers(result))).execute(db)?;
    if closed != 1 {
        return Ok(false);
    }
    rows(db, step, claim.chunk, result)?;
    let written_by = imprints::writing(db, what.cluster, what.imprint)?;
    what.save(db, claim.chunk, &written_by).map(|()| true)
}

fn numbers(result: &ChunkResult) -> Numbers {
    let counts = &result.counts;
    Numbers {
        rows_read: counts.read.cast_signed(),
        migrated: counts.migrated.cast_signed(),
        merged: counts.merged.cast_signed(),
        skipped: counts.skipped.cast_signed(),
        quarantined: counts.quarantined.cast_signed(),
        repairs: counts.repairs.cast_signed(),
        busy_ms: result.busy_ms.cast_signed(),
        done_at: Some(Instant::now()),
        reason: None,
        record: Some(record::packed(&result.migrated)),
        digest: result.digest.map(Vec::from),
        waits: result.waits,
        carried: record::packed_amounts(&result.amounts),
    }
}

/// Writes the rows that the ledger keeps of a chunk.
fn rows(db: &mut Db, step: &str, chunk: i64, result: &ChunkResult) -> QueryResult<()> {
    insert_all(db, &result.outcomes)?;
    insert_all(db, &result.repairs)?;
    insert_all(db, &result.quarantined)?;
    for key in &result.unread {
        let row = (u::step.eq(step), u::legacy_key.eq(key), u::chunk_id.eq(chunk));
        diesel::insert_into(u::table).values(row).execute(db)?;
    }
    write_money(db, step, Some(chunk), &result.money)
}

/// Writes the money of a chunk, or that of the end of a step.
///
/// # Errors
/// The database fails.
pub(crate) fn write_money(db: &mut Db, step: &str, chunk: Option<i64>, money: &MoneyTotals) -> QueryResult<()> {
    let rows: Vec<NewMoney> = money
        .iter()
        .map(|(currency, flow)| {
            let flow = serde_json::to_string(flow).expect("a money flow has a JSON form");
            NewMoney { step: step.to_owned(), chunk_id: chunk, currency: currency.to_string(), flow }
        })
        .collect();
    insert_all(db, &rows)
}

/// Closes a chunk again: what the ledger kept of it gives way to `result`, in the transaction that wrote its rows. Rows
/// that came from other chunks (`moved`) are forgotten there; `kept` rows keep their repairs, and `gone` ones all that is kept of
/// them.
///
/// # Errors
/// The database fails.
pub(crate) fn close_again(
    db: &mut Db,
    step: &str,
    chunk: i64,
    moved: &[Key],
    (kept, gone): (&[Key], &[Key]),
    anew: Closed<'_>,
) -> QueryResult<()> {
    use {replant_outcomes as o, replant_quarantine as q, replant_repairs as r};
    of_chunk::forget_rows(db, step, moved)?;
    let gone = || gone.to_vec();
    diesel::delete(o::table.filter(o::chunk_id.eq(chunk)).filter(o::legacy_key.ne_all(gone()))).execute(db)?;
    diesel::delete(q::table.filter(q::chunk_id.eq(chunk)).filter(q::legacy_key.ne_all(gone()))).execute(db)?;
    diesel::delete(u::table.filter(u::chunk_id.eq(chunk))).execute(db)?;
    diesel::delete(m::table.filter(m::chunk_id.eq(chunk))).execute(db)?;
    let repairs = || r::table.filter(r::chunk_id.eq(chunk));
    let stay = [kept.to_vec(), gone()].concat();
    diesel::delete(repairs().filter(r::legacy_key.ne_all(stay))).execute(db)?;
    let stayed: i64 = repairs().count().get_result(db)?;
    anew.result.counts.repairs += stayed.cast_unsigned();
    let done = c::table.find(chunk).filter(c::state.eq("done"));
    diesel::update(done).set((numbers(anew.result), c::epoch.eq(c::epoch + 1))).execute(db)?;
    rows(db, step, chunk, anew.result)?;
    let written_by = imprints::forget(db, chunk)?;
    seen::forget(db, chunk)?;
    anew.save(db, chunk, &written_by)
}

/// Puts the repairs and the money that the end of a step noted in the place of those of the last time, where they are others.
///
/// # Errors
/// The database fails.
pub(crate) fn finish_anew(db: &mut Db, step: &str, repairs: &[NewRepair], money: &MoneyTotals) -> QueryResult<()> {
    use replant_repairs as r;
    type Repaired = (String, Key, String, String, Option<String>, Option<String>);
    let noted = || r::table.filter(r::by_step.eq(step.to_owned()));
    let columns = (r::step, r::legacy_key, r::code, r::column_name, r::value_before, r::value_after);
    let mut before: Vec<Repaired> = noted().select(columns).load(db)?;
    let now = |repair: &NewRepair| {
        let NewRepair { step, legacy_key, code, column_name, value_before, value_after, .. } = repair.clone();
        (step, legacy_key, code.to_owned(), column_name.to_owned(), value_before, value_after)
    };
    let mut after: Vec<Repaired> = repairs.iter().map(now).collect();
    before.sort_unstable();
    after.sort_unstable();
    let of_end = || m::table.filter(m::step.eq(step.to_owned())).filter(m::chunk_id.is_null());
    let is_other_money = totals(of_end().select((m::currency, m::flow)).load(db)?)? != *money;
    if before != after || is_other_money {
        earlier::keep_end(db, step).map_err(LedgerError::into_diesel)?;
    }
    if before != after {
        diesel::delete(noted()).execute(db)?;
        insert_all(db, repairs)?;
    }
    if is_other_money {
        diesel::delete(of_end()).execute(db)?;
        write_money(db, step, None, money)?;
    }
    Ok(())
}

/// The money of a step, or of all.
///
/// # Errors
/// The database fails.
pub fn money(db: &mut Db, step: Option<&str>) -> QueryResult<MoneyTotals> {
    let query = m::table.select((m::currency, m::flow));
    let rows: Vec<(String, String)> = match step {
        Some(step) => query.filter(m::step.eq(step.to_owned())).load(db)?,
        None => query.load(db)?,
    };
    totals(rows)
}

fn totals(rows: Vec<(String, String)>) -> QueryResult<MoneyTotals> {
    let mut totals = MoneyTotals::default();
    for (currency, flow) in rows {
        let unreadable =
            || diesel::result::Error::DeserializationError("an amount in the ledger cannot be read".into());
        let currency = crate::words::Currency::new(&currency).ok_or_else(unreadable)?;
        totals.add(currency, &serde_json::from_str(&flow).map_err(|_| unreadable())?);
    }
    Ok(totals)
}
