//! Credit that is below zero once the entries are in: an adjustment makes it zero (rules: Credit).
//!
//! A replay does all of it again. What customers did since the first time is theirs: a top-up takes nothing off an adjustment
//! that was made before it.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use jiff::Timestamp;
use replant_clean as clean;
use replant_core::db::Db;
use replant_core::prelude::*;
use replant_core::{Ours, Repair, columns, literal};
use rust_decimal::Decimal;
use rustc_hash::FxHashSet;

use crate::prelaunch::migrated_users;
use crate::schema::credit_entries as c;
use crate::target::Reason;
use crate::transform::Code;

/// An account's credit in a currency.
type Purse = (i64, Currency);

/// What is known of it, in minor units. A sum of many amounts may be more than one amount can be.
#[derive(Debug, Default)]
struct Balance {
    /// All entries on the platform.
    sum: i128,
    /// Of these: those of customers since this was done the first time.
    since: i128,
    /// Of these: earlier adjustments, by id.
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
    /// What it would be without an adjustment: as it was the first time, or as it is now, whichever is less.
    fn unadjusted(&self) -> i128 {
        let adjusted: i128 = self.adjustments.iter().map(|adjustment| i128::from(adjustment.delta_minor)).sum();
        self.sum - adjusted - self.since.max(0)
    }

    /// What makes that zero; 0 where it is not below.
    fn missing(&self) -> i64 {
        i64::try_from(-self.unadjusted().min(0)).unwrap_or(i64::MAX)
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
            let after = Adjustment { id, delta_minor: missing, occurred_at: at.into() };
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
    since(tx, &mut balances)?;
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
    let mut accounts: Vec<i64> = balances.keys().map(|(account, _)| *account).collect();
    accounts.dedup();
    for some in accounts.chunks(1_000) {
        let some: Vec<String> = some.iter().map(i64::to_string).collect();
        sums(tx, &format!("{SUMS} WHERE account_id IN ({}) {BY_PURSE}", some.join(", ")), &mut balances)?;
    }
    sums(tx, &format!("{SUMS} {BY_PURSE} {BELOW_ZERO}"), &mut balances)?;
    Ok(balances)
}

type Found = (i64, i64, String, i64, Instant);
const FOUND: (c::id, c::account_id, c::currency, c::delta_minor, c::occurred_at) =
    (c::id, c::account_id, c::currency, c::delta_minor, c::occurred_at);

/// What customers did since the first time: ids grow, and those of the migration are known.
fn since(tx: &mut Tx<'_>, balances: &mut Balances) -> QueryResult<()> {
    let last = |db: &mut _| c::table.select(diesel::dsl::max(c::id)).first::<Option<i64>>(db);
    let after = tx.frozen("credits.first_finish", last)?.unwrap_or(0);
    let ours = tx.ours()?;
    let page = |db: &mut Db, after: i64| {
        let next = c::table.filter(c::id.gt(after)).order(c::id).limit(Ours::PAGE);
        next.select((c::id, (c::account_id, c::currency, c::delta_minor))).load(db)
    };
    ours.natives(tx.db(), "credit_entries", after, page, |_, (account, currency, delta): (i64, String, i64)| {
        if let Some(currency) = Currency::new(&currency) {
            balances.entry((account, currency)).or_default().since += i128::from(delta);
        }
    })
}

#[derive(QueryableByName)]
struct Sum {
    #[diesel(sql_type = BigInt)]
    account_id: i64,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = BigInt)]
    millions: i64,
    #[diesel(sql_type = BigInt)]
    rest: i64,
}

/// The database adds up: only what is asked for comes back. In two parts, so that no sum overflows. diesel's sum() of a
/// bigint is a type that SQLite does not have: raw SQL, made of ids alone.
const SUMS: &str = "SELECT account_id, currency, CAST(sum(delta_minor / 1000000) AS bigint) AS millions, \
                    CAST(sum(delta_minor % 1000000) AS bigint) AS rest FROM credit_entries";
const BY_PURSE: &str = "GROUP BY account_id, currency";
const BELOW_ZERO: &str = "HAVING sum(delta_minor / 1000000) * 1000000 + sum(delta_minor % 1000000) < 0";

fn sums(tx: &mut Tx<'_>, sql: &str, balances: &mut Balances) -> QueryResult<()> {
    for sum in diesel::sql_query(sql).load::<Sum>(tx.db())? {
        if let Some(currency) = Currency::new(&sum.currency) {
            let balance = balances.entry((sum.account_id, currency)).or_default();
            balance.sum = i128::from(sum.millions) * 1_000_000 + i128::from(sum.rest);
        }
    }
    Ok(())
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
    let before = balance.unadjusted();
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

    #[track_caller]
    fn check(sum: i128, since: i128, adjustments: &[i64], missing: i64) {
        let adjustment =
            |delta: &i64| Adjustment { id: 1, delta_minor: *delta, occurred_at: Instant(Timestamp::UNIX_EPOCH) };
        let balance = Balance { sum, since, adjustments: adjustments.iter().map(adjustment).collect() };
        assert_eq!(balance.missing(), missing, "{balance:?}");
    }

    #[test]
    fn what_is_missing_makes_the_sum_zero() {
        check(-1, 0, &[], 1);
        check(0, 0, &[], 0);
        check(1, 0, &[], 0);
        check(i128::from(i64::MIN) - 1, 0, &[], i64::MAX);
    }

    #[test]
    fn an_earlier_adjustment_is_left_out_of_the_sum() {
        check(0, 0, &[300], 300);
        check(-50, 0, &[300], 350);
        check(50, 0, &[300], 250);
        check(300, 0, &[300], 0);
        check(400, 0, &[300], 0);
        check(0, 0, &[300, 20], 320);
    }

    #[test]
    fn what_customers_did_since_stays_theirs() {
        // -300 was made zero, then they bought 500.
        check(500, 500, &[300], 300);
        check(500, 500, &[], 0);
        // They spent what is not theirs any more.
        check(-100, -400, &[], 100);
        check(-100, -100, &[300], 400);
    }
}
