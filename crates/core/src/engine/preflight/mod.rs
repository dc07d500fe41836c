//! What is looked at before anything is written.
//!
//! Everything is asked of the catalogues, in whatever language the server speaks, as the user who will run: nothing is tried
//! out. Each file has one subject and returns what it found; only refusals keep a run from beginning.

mod forecast;
mod indexes;
mod keys;
mod ledger;
mod objects;
mod rights;
mod sequences;
mod server;
mod sessions;
mod shapes;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;

use diesel::QueryResult;

pub use forecast::Forecast;

use super::error::RunError;
use super::settings::Settings;
use super::step::AnyStep;
use crate::contract::domain::Registry;
use crate::contract::inspect::{Finding, Inspect, PointerRule, Right, unknown_settings};
use crate::storage::db::{Db, Role};
use crate::storage::failure::Failure;
use crate::storage::ledger::{LedgerError, exists, stage};
use crate::storage::pool::Pool;

/// What the checks of a run have found.
pub(super) struct Preflight {
    pub(super) findings: Vec<Finding>,
    pub(super) forecast: Option<Forecast>,
}

/// What is checked: the steps of a run, between which databases, and how it works.
pub(super) struct Checked<'a> {
    pub(super) registry: &'a Registry,
    pub(super) steps: &'a [&'a dyn AnyStep],
    pub(super) legacy: &'a Pool,
    pub(super) target: &'a Pool,
    pub(super) settings: &'a Settings,
    /// Whether all rows to come are counted, for the forecast.
    pub(super) counts: bool,
}

/// One subject of the checks.
type Look<'a> = dyn Fn(&mut Db) -> QueryResult<Vec<Finding>> + 'a;

/// A table of the target, and what the steps do there.
type Needs = BTreeMap<String, BTreeSet<Right>>;

/// Holds all that the steps will need against what the databases are and let the user do. Refusals stand first.
///
/// # Errors
/// A database cannot be reached.
pub(super) fn look(checked: &Checked<'_>) -> Result<Preflight, RunError> {
    // Neither side asks the other.
    let (legacy, target) = std::thread::scope(|scope| {
        let legacy = scope.spawn(|| legacy_side(checked));
        let target = target_side(checked);
        (legacy.join().unwrap_or_else(|defect| resume_unwind(defect)), target)
    });
    let mut findings = legacy?;
    findings.extend(target?);
    let mut forecast = None;
    // Without a ledger that can be read, nobody knows what is left.
    if !findings.iter().any(Finding::refuses) {
        match forecast::forecast(checked, &mut *checked.legacy.get()?, &mut *checked.target.get()?) {
            Ok((found, expected)) => {
                findings.extend(found);
                forecast = expected;
            }
            Err(error) => findings.push(unable(Role::Target, &error)?),
        }
    }
    findings.sort();
    findings.dedup();
    Ok(Preflight { findings, forecast })
}

/// As [`look`], for a run: refusals are its end.
///
/// # Errors
/// A refusal; a database cannot be reached.
pub(super) fn check(checked: &Checked<'_>) -> Result<Preflight, RunError> {
    let preflight = look(checked)?;
    if preflight.findings.iter().any(Finding::refuses) {
        return Err(RunError::Preflight { findings: preflight.findings });
    }
    Ok(preflight)
}

/// # Errors
/// The database went away.
fn take(findings: &mut Vec<Finding>, side: Role, look: QueryResult<Vec<Finding>>) -> Result<(), RunError> {
    match look {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(unable(side, &error)?),
    }
    Ok(())
}

/// What could not be asked is a refusal; but a database that is busy or went away is not one that has to be mended.
///
/// # Errors
/// It may be answered later.
fn unable(side: Role, error: &diesel::result::Error) -> Result<Finding, RunError> {
    match Failure::of(error) {
        failure @ (Failure::Lost | Failure::Contention(_)) => Err(RunError::Unchecked { side, failure }),
        failure => Ok(Finding::refusal(side, format!("{UNCHECKED}: {}", failure.describe()))),
    }
}

pub(super) const UNCHECKED: &str = "it cannot be checked whether a run can begin";

/// # Errors
/// The legacy database cannot be reached.
fn legacy_side(checked: &Checked<'_>) -> Result<Vec<Finding>, RunError> {
    let mut found = Vec::new();
    let tables: BTreeSet<&str> = checked.steps.iter().flat_map(|step| step.reads()).map(|table| table.name).collect();
    let look = |legacy: &mut Db| {
        let mut found = shapes::legacy(checked.steps, legacy)?;
        found.extend(keys::possible(checked.registry, &tables, legacy)?);
        let named = tables.iter().map(|table| (*table).to_owned()).collect();
        found.extend(objects::hidden_rows(legacy, Role::Legacy, &named)?);
        Ok(found)
    };
    let look = look(&mut *checked.legacy.get()?);
    take(&mut found, Role::Legacy, look)?;
    Ok(found)
}

/// What cannot be asked, because something else is amiss, hides nothing of the rest.
///
/// # Errors
/// The target cannot be reached.
fn target_side(checked: &Checked<'_>) -> Result<Vec<Finding>, RunError> {
    let mut found = Vec::new();
    // First of all: what a pooler does to sessions makes every other answer worthless.
    let look = sessions::are_kept(checked.target)?;
    take(&mut found, Role::Target, look)?;
    if !found.is_empty() {
        return Ok(found);
    }
    let target = &mut *checked.target.get()?;
    let needs = needs(checked);
    let named: BTreeSet<String> = needs.keys().cloned().collect();
    let looks: [&Look<'_>; 9] = [
        &|db| server::fit(db),
        &|db| ledger::usable(db),
        &|db| shapes::target(checked.steps, db),
        &|db| rights::lacking(db, &needs),
        &|db| objects::hidden_rows(db, Role::Target, &named),
        &|db| objects::in_the_way(db, &written(&needs)),
        &|db| sequences::sound(checked.steps, db),
        &|db| indexes::buildable(checked.steps, db),
        &|db| unknown_settings(db, &checked.settings.pointers),
    ];
    for look in looks {
        match look(target) {
            // What one thing amiss keeps from being asked is asked when that is mended.
            Err(_) if found.iter().any(Finding::refuses) => {}
            look => take(&mut found, Role::Target, look)?,
        }
    }
    let done = match exists(target) {
        Ok(false) => Ok(Vec::new()),
        Ok(true) => stage::done(target),
        Err(error) => Err(error),
    };
    let done = match done {
        Ok(done) => done,
        Err(LedgerError::Database { source, .. }) => {
            found.push(unable(Role::Target, &source)?);
            Vec::new()
        }
        Err(error) => {
            found.push(Finding::refusal(Role::Target, format!("it cannot be told which steps are done: {error}")));
            Vec::new()
        }
    };
    let refused = found.iter().any(Finding::refuses);
    for step in checked.steps {
        let is_done = done.iter().any(|done| done == step.name());
        match step.inspect(&mut Inspect { target, pointers: &checked.settings.pointers, is_done }) {
            // What a step asks of its tables can only be asked where these are as they must be.
            Err(_) if refused => {}
            look => take(&mut found, Role::Target, look)?,
        }
    }
    Ok(found)
}

/// The tables that the steps touch. Those into which a step writes whole rows need every right: a replay takes rows out again.
fn needs(checked: &Checked<'_>) -> Needs {
    let mut needs = Needs::new();
    let mut add = |table: &str, rights: &[Right]| {
        needs.entry(table.to_owned()).or_default().extend(rights.iter().copied().chain([Right::Select]));
    };
    for step in checked.steps {
        step.writes().iter().for_each(|table| add(table.name, &[]));
        filled(*step).iter().for_each(|table| add(table, Right::ALL));
        step.changes().iter().for_each(|(table, rights)| add(table, rights));
    }
    let follow = checked.settings.pointers.iter().filter(|(_, rule)| **rule == PointerRule::Follow);
    for (name, _) in follow {
        if let Some((table, _)) = name.rsplit_once('.') {
            add(table, &[Right::Update]);
        }
    }
    needs
}

/// The tables into which a step writes whole rows.
fn filled(step: &dyn AnyStep) -> Vec<&'static str> {
    let parts = step.parts().iter().map(|(table, _)| *table);
    [step.target_table()].into_iter().chain(step.also().iter().copied()).chain(parts).collect()
}

/// Those of the tables in which rows are added, changed or taken out.
fn written(needs: &Needs) -> BTreeSet<String> {
    needs.iter().filter(|(_, rights)| rights.len() > 1).map(|(table, _)| table.clone()).collect()
}

/// A table as the catalogue is asked for it: of the platform's schema, unless its name says another one.
const TABLE: &str = "to_regclass(CASE WHEN n.name LIKE '%.%' THEN format('%I.%I', split_part(n.name, '.', 1), split_part(n.name, '.', 2)) ELSE format('%s.%I', current_setting('replant.schema'), n.name) END)";

/// A query over the tables that `$1` names, as `n.name`, each with its oid as `n.oid`; those that are not there are left out.
fn over_tables(select: &str) -> String {
    format!("WITH named AS (SELECT n.name, {TABLE} AS oid FROM unnest($1::text[]) AS n(name)) {select}")
}
