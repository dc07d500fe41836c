//! All checks of a run, on both sides at once.

use std::collections::BTreeSet;
use std::panic::resume_unwind;

use diesel::QueryResult;

use super::checked::{Checked, needs, written};
use super::forecast::{Forecast, forecast};
use super::{foreign_keys, indexes, keys, ledger, objects, rights, sequences, server, sessions, shapes};
use crate::contract::inspect::{Finding, Inspect, unknown_settings};
use crate::engine::error::{RunError, UNCHECKED};
use crate::storage::db::{Db, Role};
use crate::storage::failure::Failure;
use crate::storage::ledger::{LedgerError, exists, stage};

/// What the checks of a run have found.
pub(crate) struct Preflight {
    pub(crate) findings: Vec<Finding>,
    pub(crate) forecast: Option<Forecast>,
}

/// One subject of the checks.
type Look<'a> = dyn Fn(&mut Db) -> QueryResult<Vec<Finding>> + 'a;

/// Holds all that the steps will need against what the databases are and let the user do. Refusals stand first.
///
/// # Errors
/// A database cannot be reached.
fn look(checked: &Checked<'_>) -> Result<Preflight, RunError> {
    // Neither side asks the other.
    let (legacy, target) = std::thread::scope(|scope| {
        let legacy = scope.spawn(|| legacy_side(checked));
        let target = target_side(checked);
        (legacy.join().unwrap_or_else(|defect| resume_unwind(defect)), target)
    });
    let mut findings = legacy?;
    findings.extend(target?);
    let mut expected = None;
    // Without a ledger that can be read, nobody knows what is left.
    if !findings.iter().any(Finding::refuses) {
        match forecast(checked, &mut *checked.legacy.get()?, &mut *checked.target.get()?) {
            Ok((found, forecast)) => {
                findings.extend(found);
                expected = forecast;
            }
            Err(error) => findings.push(unable(Role::Target, &error)?),
        }
    }
    findings.sort();
    findings.dedup();
    Ok(Preflight { findings, forecast: expected })
}

/// As [`look`], for a run: refusals are its end.
///
/// # Errors
/// A refusal; a database cannot be reached.
pub(crate) fn check(checked: &Checked<'_>) -> Result<Preflight, RunError> {
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
    // How fast a run would be is of no matter as long as there is none.
    if !found.iter().any(Finding::refuses) {
        take(&mut found, Role::Target, foreign_keys::by_row(checked, target))?;
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
