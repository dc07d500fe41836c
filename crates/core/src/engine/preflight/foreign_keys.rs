//! How the foreign keys of what is copied are checked: by sets, or by row, and why.

use std::collections::BTreeSet;

use diesel::QueryResult;

use super::checked::Checked;
use crate::contract::inspect::{Finding, Right};
use crate::engine::settings::ForeignKeys;
use crate::engine::step::AnyStep;
use crate::storage::by_set::{Obstacle, forbidden, obstacles};
use crate::storage::db::{Backend, Db, Role};
use crate::storage::shape::TableShape;

/// The tables whose foreign keys are checked by row although that is not what the settings say, and why; where they insist on
/// sets, that keeps the run from beginning.
pub(super) fn by_row(checked: &Checked<'_>, db: &mut Db) -> QueryResult<Vec<Finding>> {
    let settings = checked.settings;
    // A rehearsal works on copies, which have no foreign keys.
    if db.backend() != Backend::Postgres || settings.foreign_keys == ForeignKeys::ByRow || settings.dry_run {
        return Ok(Vec::new());
    }
    let found = |what: String, mend: Option<String>| {
        let finding = match settings.foreign_keys {
            ForeignKeys::BySet => Finding::refusal(Role::Target, what),
            ForeignKeys::Auto | ForeignKeys::ByRow => Finding::note(Role::Target, what),
        };
        match mend {
            Some(mend) => finding.mend(mend),
            None => finding,
        }
    };
    if let Some(Obstacle { why, mend }) = forbidden(db)? {
        return Ok(vec![found(
            format!("foreign keys are checked by row, not by sets, which takes longer: {why}"),
            mend,
        )]);
    }
    let mut all = Vec::new();
    for table in tables(checked) {
        let (why, mends): (Vec<String>, Vec<Option<String>>) = obstacles(db, table, shape_of(checked, table).as_ref())?
            .into_iter()
            .map(|Obstacle { why, mend }| (why, mend))
            .unzip();
        if !why.is_empty() {
            let what = format!("foreign keys of `{table}` are checked by row, not by sets: {}", why.join("; "));
            // What one statement mends is no help where something else is in the way.
            let mend = mends.into_iter().collect::<Option<Vec<String>>>().map(|mends| mends.join(" "));
            all.push(found(what, mend));
        }
    }
    Ok(all)
}

/// A table as the steps declare it.
fn shape_of(checked: &Checked<'_>, table: &str) -> Option<TableShape> {
    checked.steps.iter().flat_map(|step| step.writes()).find(|shape| shape.name == table)
}

/// The tables into which the steps copy rows.
fn tables(checked: &Checked<'_>) -> BTreeSet<&'static str> {
    let inserts = |step: &&dyn AnyStep| {
        let further = step.changes().iter().filter(|(_, rights)| rights.contains(&Right::Insert));
        step.filled().into_iter().chain(further.map(|(table, _)| *table)).collect::<Vec<_>>()
    };
    checked.steps.iter().flat_map(inserts).collect()
}
