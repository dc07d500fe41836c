//! A customer's whole history as the platform has it, with the legacy row behind every line, and what was not moved.

mod account;
mod detail;
mod keys;
mod line;
mod person;
mod rows;

use std::collections::BTreeMap;

use replant_core::db::Db;
use replant_core::ledger::history::{self, KnownStep, Lineage};
use replant_core::ledger::{quarantine, status};
use replant_core::{Key, Outcome};
use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::error::ReportError;
use crate::known::Known;
use crate::money::Decimals;
use crate::read::{Sources, at_one_moment};
use person::Person;

pub use account::{AccountView, Opened};
pub use line::{Line, NotMoved, Origin, Source, What, When};

/// The rule that brings a negative credit up to zero.
const ADJUSTED: &str = "negative_balance_adjusted";

/// What an account has in a currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// The account.
    pub account_id: i64,
    /// ISO 4217.
    pub currency: String,
    /// The sum of its entries, in minor units.
    pub balance_minor: i64,
    /// The same in major units.
    pub balance: String,
}

/// A customer's whole history.
#[derive(Debug, Clone, Serialize)]
pub struct Statement {
    /// Whether every step that was planned is done. If not, rows are missing that are still to come.
    pub complete: bool,
    /// Their accounts. None where nobody has an account by that address, but gifts or legacy rows know it.
    pub accounts: Vec<AccountView>,
    /// What happened, in order of time.
    pub lines: Vec<Line>,
    /// Their credit.
    pub balances: Vec<Balance>,
    /// Their legacy rows that have no row of their own on the platform, in the order of the migration's steps.
    pub not_moved: Vec<NotMoved>,
}

/// The history of whoever is behind an e-mail address, in any spelling that the migration takes for the same address.
///
/// # Errors
/// A database fails; nobody and nothing is known by that address.
pub fn statement(sources: Sources<'_>, email: &str) -> Result<Statement, ReportError> {
    at_one_moment(sources, |sources| {
        let known = Known::read(sources.target)?;
        let person = Person::find(sources, &known, email)?;
        let keys = keys::keys(sources.legacy, &person)?;
        let decimals = Decimals::read(sources.target)?;
        let accounts = account::accounts(sources.target, &known, &person.accounts)?;
        let reader = rows::Reader::new(sources.target, &person.accounts, &decimals)?;
        let lines = reader.lines(sources.target, &person)?;
        let steps = status::steps(sources.target)?;
        let mut statement = Statement {
            complete: steps.iter().all(|step| step.done),
            balances: balances(&lines, &decimals),
            accounts,
            lines,
            not_moved: Vec::new(),
        };
        let refused = statement.trace(sources.target, &known, &keys)?;
        statement.not_moved = not_moved(sources, &known, &keys, refused)?;
        if statement.accounts.is_empty() && statement.lines.is_empty() && statement.not_moved.is_empty() {
            return Err(ReportError::NobodyThere);
        }
        statement.lines.sort_by_key(|line| (line.at.moment(), line.what, line.id));
        Ok(statement)
    })
}

fn balances(lines: &[Line], decimals: &Decimals) -> Vec<Balance> {
    let mut sums: BTreeMap<(i64, &str), i64> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.what == What::Credit) {
        if let (Some(currency), Some(minor)) = (&line.currency, line.amount_minor) {
            *sums.entry((line.account_id, currency)).or_default() += minor;
        }
    }
    let balance = |((account_id, currency), minor): ((i64, &str), i64)| Balance {
        account_id,
        balance: decimals.shown(minor, currency),
        currency: currency.to_owned(),
        balance_minor: minor,
    };
    sums.into_iter().map(balance).collect()
}

/// Rows of a table that were not migrated, by key.
type Refused = BTreeMap<String, BTreeMap<Key, Lineage>>;

impl Statement {
    /// Tells every line which legacy rows it comes from. Returns the person's rows that were not migrated, and of those
    /// that were nothing.
    fn trace(&mut self, target: &mut Db, known: &Known, keys: &keys::Keys) -> Result<Refused, ReportError> {
        let mut places: FxHashMap<(&str, i64), Vec<usize>> = FxHashMap::default();
        for (place, line) in self.lines.iter().enumerate() {
            // A payment stands behind its allocations as well.
            let table = if line.what == What::Allocation { "payments" } else { line.table };
            places.entry((table, line.id)).or_default().push(place);
        }
        let mut refused = Refused::new();
        let (lines, accounts) = (&mut self.lines, &mut self.accounts);
        for step in known.steps() {
            let theirs = keys.get(step.legacy_table.as_str());
            let found = refused.entry(step.legacy_table.clone()).or_default();
            history::lineage(target, step, |row| {
                for (table, id) in &row.targets {
                    let origin = || Origin {
                        legacy_table: row.legacy_table.clone(),
                        legacy_id: row.legacy_id,
                        repairs: row.repairs.clone(),
                    };
                    for place in places.get(&(table.as_str(), *id)).into_iter().flatten() {
                        lines[*place].source.add(origin());
                    }
                    let account = accounts.iter_mut().find(|account| table == "accounts" && account.id == *id);
                    if let Some(account) = account {
                        account.source.add(origin());
                    }
                }
                if theirs.is_some_and(|keys| keys.contains(&row.legacy_id)) {
                    found.insert(row.legacy_id, row);
                }
                Ok::<_, ReportError>(())
            })?;
        }
        // The entry that brings a negative credit up to zero has no legacy row behind it: the rule made it.
        for line in lines.iter_mut().filter(|line| line.what == What::Credit && line.source == Source::Native) {
            if known.made(line.table, line.id) {
                line.source = Source::Rule { code: ADJUSTED };
            }
        }
        Ok(refused)
    }
}

/// The person's rows that have none of their own on the platform, with what they say.
fn not_moved(
    sources: &mut Sources<'_>,
    known: &Known,
    keys: &keys::Keys,
    mut decided: Refused,
) -> Result<Vec<NotMoved>, ReportError> {
    let mut rows = Vec::new();
    for (place, (table, keys)) in keys.iter().enumerate() {
        let decided = decided.remove(*table).unwrap_or_default();
        let step = known.steps().iter().position(|step| step.legacy_table == *table);
        let left: Vec<Key> = keys
            .iter()
            .copied()
            .filter(|key| decided.get(key).is_none_or(|row| row.outcome != Outcome::Migrated))
            .collect();
        let mut details = detail::details(sources.legacy, table, &left)?;
        for key in left {
            let detail = details.remove(&key).unwrap_or_default();
            let row = match (decided.get(&key), step.map(|step| &known.steps()[step])) {
                (Some(lineage), Some(step)) => refused(sources.target, known, step, lineage)?,
                _ => waiting(table, key),
            };
            let order = (step.is_none(), step.unwrap_or(place), key);
            rows.push((order, NotMoved { at: detail.at, trees: detail.trees, about: detail.about, ..row }));
        }
    }
    rows.sort_by_key(|(order, _)| *order);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn waiting(table: &str, key: Key) -> NotMoved {
    NotMoved {
        legacy_table: table.to_owned(),
        legacy_id: key,
        at: None,
        trees: None,
        about: String::new(),
        outcome: "waiting".to_owned(),
        code: None,
        reason: None,
        waits_for: None,
        into: None,
    }
}

fn refused(target: &mut Db, known: &Known, step: &KnownStep, row: &Lineage) -> Result<NotMoved, ReportError> {
    let cause = quarantine::of_row(target, &step.name, row.legacy_id)?;
    let root = cause.as_ref().filter(|cause| (&cause.root_step, cause.root_key) != (&step.name, row.legacy_id));
    let waits_for = root.map(|cause| {
        let of = known.steps().iter().find(|step| step.name == cause.root_step);
        format!("{} {}", of.map_or(&cause.root_step, |step| &step.legacy_table), cause.root_key)
    });
    Ok(NotMoved {
        outcome: row.outcome.to_string(),
        code: row.code.clone(),
        reason: cause.map(|cause| cause.reason),
        waits_for,
        into: row.targets.first().map(|(table, id)| format!("{table} {id}")),
        ..waiting(&row.legacy_table, row.legacy_id)
    })
}
