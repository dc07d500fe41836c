//! Quarantined rows, and the roots that they wait for.

use std::collections::BTreeMap;

use diesel::prelude::*;
use rust_decimal::Decimal;
use rustc_hash::FxHashMap;
use serde::Serialize;

use super::error::{Attempt, LedgerError};
use super::tables::replant_quarantine as q;
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

/// How many rows are quarantined.
///
/// # Errors
/// The database fails.
pub fn count(db: &mut Db) -> Result<u64, LedgerError> {
    let rows: i64 = q::table.count().get_result(db).attempt("read")?;
    Ok(rows.cast_unsigned())
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

/// What a quarantined row holds, without the row.
struct Held {
    step: String,
    key: Key,
    root: (String, Key),
    code: String,
    money: BTreeMap<String, Decimal>,
    since: Instant,
}

fn held(db: &mut Db) -> Result<impl Iterator<Item = Result<Held, LedgerError>> + use<>, LedgerError> {
    type Row = (String, Key, String, Key, String, String, Instant);
    let rows: Vec<Row> = q::table
        .select((q::step, q::legacy_key, q::root_step, q::root_key, q::code, q::money, q::quarantined_at))
        .load(db)
        .attempt("read")?;
    Ok(rows.into_iter().map(|(step, key, root_step, root_key, code, money, since)| {
        Ok(Held { money: amounts(&money, &step)?, root: (root_step, root_key), step, key, code, since })
    }))
}

fn amounts(money: &str, step: &str) -> Result<BTreeMap<String, Decimal>, LedgerError> {
    serde_json::from_str(money)
        .map_err(|_| LedgerError::Unreadable { what: "amounts of a quarantined row", of: step.to_owned() })
}

impl QuarantineEntry {
    /// What it carries by currency, in exact minor units.
    ///
    /// # Errors
    /// It cannot be read back.
    pub fn amounts(&self) -> Result<BTreeMap<String, Decimal>, LedgerError> {
        amounts(&self.money, &self.step)
    }
}

fn add(sums: &mut BTreeMap<String, Decimal>, money: BTreeMap<String, Decimal>) {
    for (currency, amount) in money {
        let sum = sums.entry(currency).or_default();
        *sum = (*sum + amount).normalize();
    }
}

/// What each root of quarantined rows holds back, those with the most rows first.
///
/// # Errors
/// The database fails, or an amount cannot be read back.
pub fn roots(db: &mut Db) -> Result<Vec<RootSum>, LedgerError> {
    let mut roots: FxHashMap<(String, Key), RootSum> = FxHashMap::default();
    for row in held(db)? {
        let row = row?;
        let own = (&row.step, row.key) == (&row.root.0, row.root.1);
        let root = roots.entry(row.root).or_insert_with_key(|(step, key)| RootSum {
            step: step.clone(),
            legacy_key: *key,
            code: None,
            rows: 0,
            money: BTreeMap::new(),
        });
        root.rows += 1;
        if own {
            root.code = Some(row.code);
        }
        add(&mut root.money, row.money);
    }
    let mut roots: Vec<RootSum> = roots.into_values().collect();
    roots.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| (&a.step, a.legacy_key).cmp(&(&b.step, b.legacy_key))));
    Ok(roots)
}

/// The quarantined rows with a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CodeSum {
    /// The code.
    pub code: String,
    /// How many rows.
    pub rows: u64,
    /// Money that they hold, by currency, in exact minor units.
    pub money: BTreeMap<String, Decimal>,
    /// Since when the first of them waits.
    pub oldest: Instant,
}

/// The quarantined rows by code, those with the most rows first. The filter's limit counts for nothing.
///
/// # Errors
/// The database fails, or an amount cannot be read back.
pub fn by_code(db: &mut Db, filter: &QuarantineFilter) -> Result<Vec<CodeSum>, LedgerError> {
    let mut codes: BTreeMap<String, CodeSum> = BTreeMap::new();
    for row in held(db)? {
        let row = row?;
        let asked = |wanted: &Option<String>, is: &String| wanted.as_ref().is_none_or(|wanted| wanted == is);
        if !(asked(&filter.step, &row.step) && asked(&filter.code, &row.code)) {
            continue;
        }
        let code = codes.entry(row.code).or_insert_with_key(|code| CodeSum {
            code: code.clone(),
            rows: 0,
            money: BTreeMap::new(),
            oldest: row.since,
        });
        code.rows += 1;
        code.oldest = code.oldest.min(row.since);
        add(&mut code.money, row.money);
    }
    let mut codes: Vec<CodeSum> = codes.into_values().collect();
    codes.sort_by_key(|code| std::cmp::Reverse(code.rows));
    Ok(codes)
}

/// The quarantined row that holds the most of a currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Largest {
    /// Its step.
    pub step: String,
    /// Its key.
    pub legacy_key: Key,
    /// How much, in exact minor units: it may be negative.
    pub amount: Decimal,
}

/// The quarantined row that holds the most, by currency; of equal ones that of the first step and key.
///
/// # Errors
/// The database fails, or an amount cannot be read back.
pub fn largest(db: &mut Db) -> Result<BTreeMap<String, Largest>, LedgerError> {
    let mut found: BTreeMap<String, Largest> = BTreeMap::new();
    for row in held(db)? {
        let Held { step, key, money, .. } = row?;
        for (currency, amount) in money {
            let amount = amount.normalize();
            let rank = (amount.abs(), std::cmp::Reverse((&step, key)));
            let is_larger = found
                .get(&currency)
                .is_none_or(|most| rank > (most.amount.abs(), std::cmp::Reverse((&most.step, most.legacy_key))));
            if is_larger && !amount.is_zero() {
                found.insert(currency, Largest { step: step.clone(), legacy_key: key, amount });
            }
        }
    }
    Ok(found)
}

/// One quarantined row.
///
/// # Errors
/// The database fails.
pub fn of_row(db: &mut Db, step: &str, key: Key) -> Result<Option<QuarantineEntry>, LedgerError> {
    q::table.find((step.to_owned(), key)).first(db).optional().attempt("read")
}
