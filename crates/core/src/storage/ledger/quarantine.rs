//! Quarantined rows, and the roots that they wait for.

use std::collections::BTreeMap;

use diesel::prelude::*;
use rust_decimal::Decimal;
use rustc_hash::FxHashMap;
use serde::Serialize;

use super::tables::replant_quarantine as q;
use super::{Attempt, LedgerError};
use crate::storage::db::Db;
use crate::storage::types::Instant;
use crate::words::Key;

/// A quarantined row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Queryable)]
pub struct QuarantineEntry {
    /// The step.
    pub step: String,
    /// The legacy key.
    pub legacy_key: Key,
    /// The chunk.
    pub chunk: i64,
    /// The code.
    pub code: String,
    /// Why, in words.
    pub reason: String,
    /// The step of the row that it waits for (its own where it waits for none).
    pub root_step: String,
    /// The key of that row.
    pub root_key: Key,
    /// The whole legacy row, as JSON.
    pub legacy_row: String,
    /// What it carries by currency, in exact minor units, as JSON.
    pub money: String,
    /// When.
    pub quarantined_at: Instant,
}

/// Which quarantined rows are asked for.
#[derive(Debug, Clone, Default)]
pub struct QuarantineFilter {
    /// Of this step or legacy table's step.
    pub step: Option<String>,
    /// With this code.
    pub code: Option<String>,
    /// At most so many.
    pub limit: Option<i64>,
}

/// Quarantined rows, by step and key.
///
/// # Errors
/// The database fails.
pub fn list(db: &mut Db, filter: &QuarantineFilter) -> Result<Vec<QuarantineEntry>, LedgerError> {
    let all = || q::table.order((q::step, q::legacy_key)).limit(filter.limit.unwrap_or(i64::MAX));
    let (step, code) = (filter.step.clone(), filter.code.clone());
    match (step, code) {
        (None, None) => all().load(db),
        (Some(step), None) => all().filter(q::step.eq(step)).load(db),
        (None, Some(code)) => all().filter(q::code.eq(code)).load(db),
        (Some(step), Some(code)) => all().filter(q::step.eq(step)).filter(q::code.eq(code)).load(db),
    }
    .attempt("read")
}

/// A quarantined row that is to blame itself, with what it holds back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RootSum {
    /// Its step.
    pub step: String,
    /// Its key.
    pub legacy_key: Key,
    /// Its code; none where it is not in quarantine any more.
    pub code: Option<String>,
    /// Rows that wait for it, itself among them.
    pub rows: u64,
    /// Money that they hold, by currency, in exact minor units.
    pub money: BTreeMap<String, Decimal>,
}

/// What each root of quarantined rows holds back, those with the most rows first.
///
/// # Errors
/// The database fails, or an amount cannot be read back.
pub fn roots(db: &mut Db) -> Result<Vec<RootSum>, LedgerError> {
    type Held = (String, Key, String, Key, String, String);
    let rows: Vec<Held> = q::table
        .select((q::step, q::legacy_key, q::root_step, q::root_key, q::code, q::money))
        .load(db)
        .attempt("read")?;
    let mut roots: FxHashMap<(String, Key), RootSum> = FxHashMap::default();
    for (step, key, root_step, root_key, code, money) in rows {
        let own = step == root_step && key == root_key;
        let root = roots.entry((root_step, root_key)).or_insert_with_key(|(step, key)| RootSum {
            step: step.clone(),
            legacy_key: *key,
            code: None,
            rows: 0,
            money: BTreeMap::new(),
        });
        root.rows += 1;
        if own {
            root.code = Some(code);
        }
        let held: BTreeMap<String, Decimal> = serde_json::from_str(&money)
            .map_err(|_| LedgerError::Unreadable { what: "amounts of a quarantined row", of: step })?;
        for (currency, amount) in held {
            let sum = root.money.entry(currency).or_default();
            *sum = (*sum + amount).normalize();
        }
    }
    let mut roots: Vec<RootSum> = roots.into_values().collect();
    roots.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| (&a.step, a.legacy_key).cmp(&(&b.step, b.legacy_key))));
    Ok(roots)
}

/// One quarantined row.
///
/// # Errors
/// The database fails.
pub fn of_row(db: &mut Db, step: &str, key: Key) -> Result<Option<QuarantineEntry>, LedgerError> {
    q::table.find((step.to_owned(), key)).first(db).optional().attempt("read")
}
