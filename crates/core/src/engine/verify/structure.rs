//! What holds rows together: foreign keys, unique keys, indexes, sequences.

use std::collections::BTreeSet;

use crate::contract::inspect::Finding;
use crate::engine::error::RunError;
use crate::engine::places::places;
use crate::engine::preflight;
use crate::engine::run::Running;
use crate::engine::step::AnyStep;
use crate::storage::by_set::looks;
use crate::storage::constraints::{self, Presence, sound};
use crate::storage::db::Role;
use crate::storage::indexes::{self, Found, IndexError};
use crate::storage::ledger::LedgerError;
use crate::storage::ledger::plan::{self, StepPlan};

/// Whether a finding about a sequence says that it stands behind its table: the others are for who takes ids.
fn is_behind(finding: &Finding) -> bool {
    finding.refuses() && finding.what.contains("behind the highest id")
}

/// What is wrong around the rows of some steps, each with its plan. None: the run was asked to stop.
///
/// # Errors
/// A database fails.
pub(super) fn look(run: &Running<'_>, steps: &[(&dyn AnyStep, &StepPlan)]) -> Result<Option<Vec<Finding>>, RunError> {
    let mut db = run.databases.target.get()?;
    let db = &mut *db;
    let tables: BTreeSet<&str> = steps.iter().flat_map(|(step, _)| step.filled()).collect();
    let tables: Vec<&str> = tables.into_iter().collect();
    let wrong = |what: String| Finding::refusal(Role::Target, what);
    let mended = |finding: Finding, mend: Option<String>| match mend {
        Some(mend) => finding.mend(mend),
        None => finding,
    };
    let mut findings = Vec::new();
    for unsound in sound::unsound(db, &tables)? {
        findings.push(mended(wrong(unsound.what), unsound.mend));
    }
    findings.extend(sound::doubles(db, &tables)?.into_iter().map(wrong));
    // What a load has dropped is named as such; anything else may have been the site's own decision.
    let dropped = constraints::list(db)?;
    let missing =
        dropped.iter().filter(|one| one.presence != Presence::Restored && tables.contains(&one.table.as_str()));
    for one in missing.clone() {
        let what =
            format!("the {} `{}` of `{}` was dropped for a load, and is not there", one.kind, one.name, one.table);
        findings.push(wrong(what).mend(format!("{};", one.definition)));
    }
    for lost in sound::lost(db, &tables)? {
        if !missing.clone().any(|one| lost.what.starts_with(&format!("`{}` of `{}`", one.name, one.table))) {
            findings.push(mended(Finding::note(Role::Target, lost.what), lost.mend));
        }
    }
    for index in steps.iter().filter(|(_, plan)| plan.done).flat_map(|(step, _)| step.indexes()) {
        let (name, table) = (index.name, index.table);
        let what = match indexes::look(db, index) {
            Ok(Found::Valid) => continue,
            Ok(Found::Missing) => format!("the unique index `{name}` of `{table}` is not there: `migrate` builds it"),
            Ok(Found::Invalid) => {
                format!("the unique index `{name}` of `{table}` is not valid: `migrate` builds it anew")
            }
            Err(IndexError::Database(error)) => return Err(LedgerError::from(error).into()),
            Err(taken @ IndexError::Taken { .. }) => taken.to_string(),
        };
        findings.push(wrong(what));
    }
    let all: Vec<&dyn AnyStep> = steps.iter().map(|(step, _)| *step).collect();
    findings.extend(preflight::sequences(&all, db)?.into_iter().filter(is_behind));
    let ours = plan::ours(db)?;
    for (step, plan) in steps {
        if run.stop.requested() {
            return Ok(None);
        }
        let own = plan::ours_of(db, step.name())?;
        for look in looks(db, &places(*step, &own), &ours)? {
            if let Some(orphans) = look.orphans(db, plan.keys.len())? {
                let (rows, table, key) = (orphans.rows, orphans.table, &orphans.foreign_key);
                findings.push(wrong(format!("{rows} rows of `{table}` ({}) have no parent by `{key}`", orphans.first)));
            }
        }
    }
    findings.sort();
    findings.dedup();
    Ok(Some(findings))
}
