//! The counter of the old site against the true credit of an account (rules: Credit, `user.credits` decides nothing).
//!
//! The counter is a bare number: in the legacy data the sum of an account's entries in minor units, divided by 100 whatever
//! the currency. 1,000 yen count as 10.00, and so do 1.000 dinars.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use replant_clean as clean;
use replant_core::db::Db;
use replant_core::{Cell, Key};
use rust_decimal::Decimal;
use rustc_hash::FxHashMap;
use serde::Serialize;

use super::scope::Scope;
use crate::error::ReportError;
use crate::known::Known;
use crate::money::Decimals;
use crate::read::{PAGE, Sources, pages};
use crate::schema::legacy::user as u;
use crate::schema::target::credit_entries as e;

const TABLE: &str = "credit_entries";

/// Hundredths that the counter may be off: a penny.
const A_PENNY: i64 = 1;

/// An account whose counter is off by more than a penny.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CreditOff {
    /// The account.
    pub account_id: i64,
    /// Its legacy users, joined by `;`: their counters are added up, as their entries are.
    pub legacy_user_ids: String,
    /// How many of them have no counter.
    pub users_without_counter: usize,
    /// The counters' sum, `user.credits`.
    pub counter: Decimal,
    /// ISO 4217; several are joined by `;`, none where there was never an entry.
    pub currency: String,
    /// The true credit that was migrated, in minor units; several currencies are added up, as the counter did.
    pub credit_minor: i64,
    /// The same by currency, for people: `12.34 GBP; 5 JPY`.
    pub credit: String,
    /// The counter less the true credit, in the counter's own unit.
    pub off: Decimal,
    /// What of the true credit brought a negative sum up to zero (`negative_balance_adjusted`), in minor units.
    pub adjusted_minor: i64,
    /// What the account's own entries since the launch come to, in minor units. The counter cannot know of them: they
    /// are not compared.
    pub native_minor: i64,
}

/// How many accounts there are of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CreditTotals {
    /// Accounts with a legacy user that has a counter.
    pub compared: usize,
    /// Of these, those that are off by more than a penny.
    pub off: usize,
    /// Of these, those without any entry: what the counter says was never earned or spent.
    pub off_without_entries: usize,
    /// Of these, those that hold more by the counter than in truth.
    pub counter_too_high: usize,
    /// Of these, those that hold less by the counter than in truth.
    pub counter_too_low: usize,
    /// Accounts that have migrated entries, but no legacy user with a counter: there is nothing to compare.
    pub credit_without_counter: usize,
}

#[derive(Default)]
struct Counter {
    users: Vec<Key>,
    unknown: usize,
    sum: Decimal,
}

/// Minor units of one currency.
#[derive(Default)]
struct Sums {
    migrated: i64,
    adjusted: i64,
    native: i64,
}

/// By currency. An account has one or two.
type Credit = BTreeMap<String, Sums>;

/// By account.
pub(super) fn credits(
    sources: &mut Sources<'_>,
    known: &Known,
    scope: &Scope,
    decimals: &Decimals,
) -> Result<(Vec<CreditOff>, CreditTotals), ReportError> {
    let account_of = accounts(sources.target, known)?;
    let counters = counters(sources.legacy, scope, &account_of)?;
    let mut credit = credit(sources.target, known)?;

    let mut totals = CreditTotals::default();
    let mut lines = Vec::new();
    for (account_id, counter) in counters {
        let credit = credit.remove(&account_id).unwrap_or_default();
        if counter.unknown == counter.users.len() {
            let migrated = credit.values().any(|sums| sums.migrated != 0 || sums.adjusted != 0);
            totals.credit_without_counter += usize::from(migrated);
            continue;
        }
        totals.compared += 1;
        if let Some(line) = compared(account_id, &counter, &credit, decimals) {
            totals.off += 1;
            totals.off_without_entries += usize::from(line.currency.is_empty());
            let too_high = line.off.is_sign_positive();
            totals.counter_too_high += usize::from(too_high);
            totals.counter_too_low += usize::from(!too_high);
            lines.push(line);
        }
    }
    Ok((lines, totals))
}

/// The accounts of the legacy users that have one.
fn accounts(target: &mut Db, known: &Known) -> Result<FxHashMap<Key, i64>, ReportError> {
    let mut accounts = FxHashMap::default();
    known.lineage(target, "user", |row| {
        if let Some((_, account)) = row.targets.first() {
            accounts.insert(row.legacy_id, *account);
        }
    })?;
    Ok(accounts)
}

fn counters(
    legacy: &mut Db,
    scope: &Scope,
    account_of: &FxHashMap<Key, i64>,
) -> Result<BTreeMap<i64, Counter>, ReportError> {
    let mut counters: BTreeMap<i64, Counter> = BTreeMap::new();
    pages(
        legacy,
        "the legacy users' credits",
        |db, after| {
            let page = u::table.filter(u::id.gt(after)).order(u::id).limit(PAGE);
            page.select((u::id, u::credits)).load::<(Key, Cell<f32>)>(db)
        },
        |row| row.0,
        |(user, credits)| {
            let Some(account) = account_of.get(&user).filter(|account| scope.has_account(**account)) else { return };
            let counter = counters.entry(*account).or_default();
            counter.users.push(user);
            match credits.good().and_then(|credits| clean::float(*credits)) {
                Some(credits) => counter.sum += credits,
                None => counter.unknown += 1,
            }
        },
    )?;
    Ok(counters)
}

fn credit(target: &mut Db, known: &Known) -> Result<FxHashMap<i64, Credit>, ReportError> {
    let migrated = known.targets(target, "credit_entry", TABLE)?;
    let mut credit: FxHashMap<i64, Credit> = FxHashMap::default();
    pages(
        target,
        "the platform's credit entries",
        |db, after| {
            e::table
                .filter(e::id.gt(after))
                .order(e::id)
                .limit(PAGE)
                .select((e::id, e::account_id, e::currency, e::delta_minor))
                .load::<(i64, i64, String, i64)>(db)
        },
        |row| row.0,
        |(id, account, currency, minor)| {
            let sums = credit.entry(account).or_default().entry(currency).or_default();
            if migrated.contains(id) {
                sums.migrated += minor;
            } else if known.made(TABLE, id) {
                // No legacy row is behind it: it brings a negative sum up to zero (`negative_balance_adjusted`).
                sums.adjusted += minor;
            } else {
                sums.native += minor;
            }
        },
    )?;
    Ok(credit)
}

/// The line of an account whose counter is off.
fn compared(account_id: i64, counter: &Counter, credit: &Credit, decimals: &Decimals) -> Option<CreditOff> {
    let truth: BTreeMap<&str, i64> = credit
        .iter()
        .filter(|(_, sums)| sums.migrated != 0 || sums.adjusted != 0)
        .map(|(currency, sums)| (currency.as_str(), sums.migrated + sums.adjusted))
        .collect();
    let credit_minor: i64 = truth.values().sum();
    let off = counter.sum - Decimal::from_i128_with_scale(credit_minor.into(), 2);
    if off.abs() <= Decimal::new(A_PENNY, 2) {
        return None;
    }
    let users: Vec<String> = counter.users.iter().map(Key::to_string).collect();
    let shown = |(currency, minor): (&&str, &i64)| format!("{} {currency}", decimals.shown(*minor, currency));
    Some(CreditOff {
        account_id,
        legacy_user_ids: users.join(";"),
        users_without_counter: counter.unknown,
        counter: counter.sum.normalize(),
        currency: truth.keys().copied().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(";"),
        credit_minor,
        credit: truth.iter().map(shown).collect::<Vec<_>>().join("; "),
        off: off.normalize(),
        adjusted_minor: credit.values().map(|sums| sums.adjusted).sum(),
        native_minor: credit.values().map(|sums| sums.native).sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(sum: &str) -> Counter {
        Counter { users: vec![7], unknown: 0, sum: sum.parse().unwrap() }
    }

    fn credit(entries: &[(&str, i64, i64)]) -> Credit {
        let sums = |(currency, migrated, native): &(&str, i64, i64)| {
            ((*currency).to_owned(), Sums { migrated: *migrated, native: *native, adjusted: 0 })
        };
        entries.iter().map(sums).collect()
    }

    fn off(counter_sum: &str, entries: &[(&str, i64, i64)]) -> Option<String> {
        let decimals = Decimals::of(&[("GBP", 2), ("JPY", 0), ("KWD", 3)]);
        compared(1, &counter(counter_sum), &credit(entries), &decimals).map(|line| line.off.to_string())
    }

    #[test]
    fn a_penny_is_no_difference_and_a_little_more_is() {
        assert_eq!(off("10.01", &[("GBP", 1000, 0)]), None);
        assert_eq!(off("9.99", &[("GBP", 1000, 0)]), None);
        assert_eq!(off("10.010001", &[("GBP", 1000, 0)]).as_deref(), Some("0.010001"));
        assert_eq!(off("9.98", &[("GBP", 1000, 0)]).as_deref(), Some("-0.02"));
    }

    #[test]
    fn the_counter_is_in_hundredths_of_any_currency() {
        assert_eq!(off("10", &[("JPY", 1000, 0)]), None);
        assert_eq!(off("10", &[("KWD", 1000, 0)]), None);
        assert_eq!(off("12.5", &[("GBP", 250, 0), ("JPY", 1000, 0)]), None);
        assert_eq!(off("1000", &[("JPY", 1000, 0)]).as_deref(), Some("990"));
    }

    #[test]
    fn the_counter_cannot_know_of_what_happened_since_the_launch() {
        assert_eq!(off("10", &[("GBP", 1000, 500)]), None);
        assert_eq!(off("15", &[("GBP", 1000, 500)]).as_deref(), Some("5"));
    }
}
