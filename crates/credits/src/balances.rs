//! Credit that is below zero once the entries are in: an adjustment makes it zero (rules: Credit).
//!
//! A replay does all of it again, with the migration's entries as they were written and the platform's as they were the first time.
//! What customers did since is theirs: a top-up takes nothing off an adjustment, and a debt is not forgiven.

use std::collections::BTreeMap;

use diesel::prelude::*;
use jiff::Timestamp;
use replant_clean as clean;
use replant_core::db::Db;
use replant_core::prelude::*;
use replant_core::{Ours, Repair, columns, literal, shape_of};
use rust_decimal::Decimal;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::prelaunch::{PRELAUNCH, migrated_users};
use crate::schema::{accounts as a, credit_entries as c};
use crate::target::Reason;
use crate::transform::Code;

/// An account's credit in a currency.
type Purse = (i64, Currency);

/// What is known of it, in minor units. A sum of many amounts may be more than one amount can be.
#[derive(Debug, Default)]
struct Balance {
    /// Of the migration's entries as they were written, and of those that the platform had when this was done the first time. What
    /// customers did since is theirs.
    sum: i128,
    /// Earlier adjustments, by id.
    adjustments: Vec<Adjustment>,
}

/// An entry that makes credit zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Adjustment {
    id: i64,
    delta_minor: i64,
    occurred_at: Instant,
}

impl Balance {
    /// What makes the sum zero; 0 where it is not below.
    fn missing(&self) -> i64 {
        i64::try_from(-self.sum.min(0)).unwrap_or(i64::MAX)
    }
}

type Balances = BTreeMap<Purse, Balance>;

/// Brings about that no account of a migrated user has credit below zero.
///
/// # Errors
/// The database fails.
pub(crate) fn adjust(
    tx: &mut Tx<'_>,
    users: &Standings,
    currencies: &clean::Currencies,
    at: Timestamp,
) -> QueryResult<()> {
    let mut balances = balances(tx)?;
    let accounts: FxHashSet<i64> = balances.keys().map(|(account, _)| *account).collect();
    let users = migrated_users(users, &accounts);
    balances.retain(|(account, _), _| users.contains_key(account));

    let fresh = balances.values().filter(|balance| balance.adjustments.is_empty() && balance.missing() > 0).count();
    let mut ids = tx.reserve("credit_entries", fresh as u64)?.into_iter();
    let (mut repairs, mut changes, mut given, mut added) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (purse @ (account, currency), balance) in &balances {
        let user = users[account];
        let missing = balance.missing();
        let mut earlier = balance.adjustments.iter().copied();
        if missing > 0 {
            let before = earlier.next();
            let id = before.map(|before| before.id).or_else(|| ids.next()).expect("an id was reserved for each");
            let occurred_at = before.map_or_else(|| at.into(), |before| before.occurred_at);
            let after = Adjustment { id, delta_minor: missing, occurred_at };
            if before != Some(after) {
                match before {
                    Some(_) => put_right(tx, after)?,
                    None => added.push((*purse, after)),
                }
                changes.push(adjusted(*purse, user, id, before, Some(after)));
            }
            repairs.push(repair(user, *currency, balance, currencies));
            given.push(Money { currency: *currency, minor: missing });
        }
        for before in earlier {
            tx.execute(&format!("DELETE FROM credit_entries WHERE id = {}", before.id))?;
            changes.push(adjusted(*purse, user, before.id, Some(before), None));
        }
    }
    tx.changed(changes)?;
    tx.repairs(users::Accounts::NAME, repairs)?;
    tx.adjusted(&given)?;
    // Last, and many at once: whoever changes the address of an account waits from its entry on until this is committed.
    add(tx, &added)
}

/// The balances that are below zero, or were.
fn balances(tx: &mut Tx<'_>) -> QueryResult<Balances> {
    let mut balances = Balances::default();
    let mut add = |account: i64, currency: &str, delta: i64| {
        if let Some(currency) = Currency::new(currency) {
            balances.entry((account, currency)).or_default().sum += i128::from(delta);
        }
    };
    tx.written(&shape_of::<c::table>("credit_entries"), &mut |entry: Written| {
        add(entry.account_id, &entry.currency, entry.delta_minor);
    })?;
    let natives = natives(tx)?;
    let went_into = went_into(tx.db(), &natives)?;
    for Native { account, currency, delta_minor } in natives {
        add(went_into.get(&account).copied().unwrap_or(account), &currency, delta_minor);
    }
    for some in tx.reserved("credit_entries")?.chunks(1_000) {
        let found = c::table.filter(c::id.eq_any(some.to_vec())).order(c::id);
        let found: Vec<Found> = found.select(FOUND).load(tx.db())?;
        for (id, account, currency, delta_minor, occurred_at) in found {
            if let Some(currency) = Currency::new(&currency) {
                let adjustment = Adjustment { id, delta_minor, occurred_at };
                balances.entry((account, currency)).or_default().adjustments.push(adjustment);
            }
        }
    }
    balances.retain(|_, balance| balance.sum < 0 || !balance.adjustments.is_empty());
    Ok(balances)
}

type Found = (i64, i64, String, i64, Instant);
const FOUND: (c::id, c::account_id, c::currency, c::delta_minor, c::occurred_at) =
    (c::id, c::account_id, c::currency, c::delta_minor, c::occurred_at);

/// An entry of the migration.
#[derive(Deserialize)]
struct Written {
    account_id: i64,
    currency: String,
    delta_minor: i64,
}

/// An entry that the platform had when this was done the first time.
#[derive(Debug, Serialize, Deserialize)]
struct Native {
    account: i64,
    currency: String,
    delta_minor: i64,
}

fn natives(tx: &mut Tx<'_>) -> QueryResult<Vec<Native>> {
    let ours = tx.ours()?;
    tx.frozen("credits.natives", |db| {
        let page = |db: &mut Db, after: i64| {
            let next = c::table.filter(c::id.gt(after)).order(c::id).limit(Ours::PAGE);
            next.select((c::id, (c::account_id, c::currency, c::delta_minor, c::reason))).load(db)
        };
        let mut natives = Vec::new();
        let take = |_, (account, currency, delta_minor, reason): (i64, String, i64, String)| {
            // Those of accounts that are looked at are removed, be it in a later state.
            if reason != PRELAUNCH {
                natives.push(Native { account, currency, delta_minor });
            }
        };
        ours.natives(db, "credit_entries", i64::MIN, page, take)?;
        Ok(natives)
    })
}

/// The accounts into which those of some entries went since.
fn went_into(db: &mut Db, natives: &[Native]) -> QueryResult<FxHashMap<i64, i64>> {
    let mut accounts: Vec<i64> = natives.iter().map(|native| native.account).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let mut went = FxHashMap::default();
    for some in accounts.chunks(1_000) {
        let merged = a::table.filter(a::id.eq_any(some.to_vec())).filter(a::merged_into.is_not_null());
        let merged: Vec<(i64, Option<i64>)> = merged.select((a::id, a::merged_into)).load(db)?;
        went.extend(merged.into_iter().filter_map(|(id, into)| Some((id, into?))));
    }
    Ok(went)
}

/// Puts an earlier adjustment right.
fn put_right(tx: &mut Tx<'_>, after: Adjustment) -> QueryResult<()> {
    let Adjustment { id, delta_minor, occurred_at } = after;
    let at = occurred_at.as_sql();
    tx.execute(&format!("UPDATE credit_entries SET delta_minor = {delta_minor}, occurred_at = '{at}' WHERE id = {id}"))
        .map(|_| ())
}

fn add(tx: &mut Tx<'_>, entries: &[(Purse, Adjustment)]) -> QueryResult<()> {
    let row = |((account, currency), entry): &(Purse, Adjustment)| {
        let Adjustment { id, delta_minor, occurred_at } = entry;
        let (currency, at) = (literal(currency.as_str()), occurred_at.as_sql());
        format!("({id}, {account}, {currency}, '{}', {delta_minor}, '{at}')", <&str>::from(Reason::Adjustment))
    };
    for some in entries.chunks(1_000) {
        let rows: Vec<String> = some.iter().map(row).collect();
        let sql = format!(
            "INSERT INTO credit_entries (id, account_id, currency, reason, delta_minor, occurred_at) VALUES {}",
            rows.join(", ")
        );
        tx.execute_on("credit_entries", some.len(), &sql)?;
    }
    Ok(())
}

fn adjusted(
    (account, currency): Purse,
    user: Key,
    id: i64,
    before: Option<Adjustment>,
    after: Option<Adjustment>,
) -> Change {
    let entry = |Adjustment { delta_minor, occurred_at, .. }: Adjustment| {
        let reason: &str = Reason::Adjustment.into();
        columns!(account_id = account, currency = currency.as_str(), reason, delta_minor, occurred_at)
    };
    Change {
        table: "credit_entries".into(),
        row: id.into(),
        legacy_key: Some(user),
        what: "adjusted".into(),
        before: before.map(entry),
        after: after.map(entry),
    }
}

/// The repair of the group's migrated user: the balance without and with the adjustment.
fn repair(user: Key, currency: Currency, balance: &Balance, currencies: &clean::Currencies) -> Repair {
    let known = clean::CurrencyCode::new(currency.as_str()).and_then(|code| currencies.exponent(code));
    let shown = |minor: i128| {
        let amount = Decimal::from_i128_with_scale(minor, known.unwrap_or(0));
        Some(format!("{amount} {currency}"))
    };
    let before = balance.sum;
    Repair {
        key: user,
        code: Code::NegativeBalanceAdjusted.into(),
        column: "credits",
        before: shown(before),
        after: shown(before + i128::from(balance.missing())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_makes_the_sum_zero() {
        let missing = |sum| Balance { sum, adjustments: Vec::new() }.missing();
        assert_eq!([-1, 0, 1].map(missing), [1, 0, 0]);
        assert_eq!(missing(i128::from(i64::MIN) - 1), i64::MAX);
    }
}
