//! Closing a chunk: its counts, outcomes, repairs, quarantine and money, in the transaction that wrote its rows.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::bulk;
use super::claim::Claim;
use super::runs::Owner;
use super::tables::{
    replant_chunks as c, replant_money, replant_money as m, replant_outcomes, replant_quarantine, replant_repairs,
};
use crate::storage::db::Db;
use crate::storage::types::Instant;
use crate::words::{Counts, Key, MoneyTotals};

/// A migrated row, in the compact record of its chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migrated {
    /// The legacy key.
    pub key: Key,
    /// Its row in the step's target table.
    pub target: i64,
    /// A hash of all that was written for it.
    pub fingerprint: [u8; 8],
    /// Further rows that it is behind: table and id.
    pub also: Vec<(String, i64)>,
}

/// A row that was merged, skipped or quarantined.
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
    /// Why.
    pub code: &'static str,
    /// What a merged row went into.
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
    /// The chunk.
    pub chunk_id: i64,
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
    /// When.
    pub quarantined_at: Instant,
}

#[derive(Clone, Insertable, Serialize)]
#[diesel(table_name = replant_money, treat_none_as_default_value = false)]
struct NewMoney {
    chunk_id: i64,
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
    /// Milliseconds of reading, transforming and writing.
    pub busy_ms: u64,
}

/// Closes a chunk inside the transaction that wrote its rows. `false` where the lease was lost meanwhile: roll back.
///
/// # Errors
/// The database fails.
pub fn close(db: &mut Db, owner: &Owner, claim: &Claim, result: &ChunkResult) -> QueryResult<bool> {
    let unsendable = |error: postcard::Error| diesel::result::Error::SerializationError(Box::new(error));
    let record = postcard::to_stdvec(&result.migrated).map_err(unsendable)?;
    let counts = &result.counts;
    let mine =
        c::table.find(claim.chunk).filter(c::owner.eq(owner.as_str().to_owned())).filter(c::epoch.eq(claim.epoch));
    let closed = diesel::update(mine.filter(c::state.eq("claimed")))
        .set((
            c::state.eq("done"),
            c::rows_read.eq(counts.read.cast_signed()),
            c::migrated.eq(counts.migrated.cast_signed()),
            c::merged.eq(counts.merged.cast_signed()),
            c::skipped.eq(counts.skipped.cast_signed()),
            c::quarantined.eq(counts.quarantined.cast_signed()),
            c::repairs.eq(counts.repairs.cast_signed()),
            c::busy_ms.eq(result.busy_ms.cast_signed()),
            c::done_at.eq(Instant::now()),
            c::reason.eq(None::<String>),
            c::record.eq(record),
        ))
        .execute(db)?;
    if closed != 1 {
        return Ok(false);
    }
    bulk(db, &result.outcomes)?;
    bulk(db, &result.repairs)?;
    bulk(db, &result.quarantined)?;
    let money: Vec<NewMoney> = result
        .money
        .iter()
        .map(|(currency, flow)| {
            let flow = serde_json::to_string(flow).expect("a money flow has a JSON form");
            NewMoney { chunk_id: claim.chunk, currency: currency.to_string(), flow }
        })
        .collect();
    bulk(db, &money).map(|()| true)
}

/// The money of a step, or of all.
///
/// # Errors
/// The database fails.
pub fn money(db: &mut Db, step: Option<&str>) -> QueryResult<MoneyTotals> {
    let query = m::table.inner_join(c::table.on(c::id.eq(m::chunk_id))).select((m::currency, m::flow));
    let rows: Vec<(String, String)> = match step {
        Some(step) => query.filter(c::step.eq(step.to_owned())).load(db)?,
        None => query.load(db)?,
    };
    let mut totals = MoneyTotals::default();
    for (currency, flow) in rows {
        let unreadable =
            || diesel::result::Error::DeserializationError("an amount in the ledger cannot be read".into());
        let currency = crate::words::Currency::new(&currency).ok_or_else(unreadable)?;
        totals.add(currency, &serde_json::from_str(&flow).map_err(|_| unreadable())?);
    }
    Ok(totals)
}
