//! The legacy rows among which a person is looked for: those that are read today, and those that the ledger keeps.

use crate::contract::errors::PrepareError;
use crate::contract::person::Person;
use crate::engine::error::RunError;
use crate::engine::run::Running;
use crate::engine::step::AnyStep;
use crate::storage::imprint::Table;
use crate::storage::ledger::overlay::Overlay;
use crate::storage::ledger::{recorded, seen};

/// A person who is being erased.
pub(super) struct Erasing<'a> {
    pub(super) run: &'a Running<'a>,
    pub(super) steps: &'a [&'a dyn AnyStep],
    /// The steps whose legacy rows are persons.
    pub(super) persons: &'a [(&'a dyn AnyStep, Person)],
    pub(super) overlay: &'a Overlay,
}

/// Hands on all rows of the legacy table of a step: those that are read today, then those that the ledger keeps, each chunk with its
/// number. `false`: the run was asked to stop.
pub(super) fn each_row(
    run: &Running<'_>,
    (step, overlay): (&dyn AnyStep, &Overlay),
    each: &mut dyn FnMut(Option<i64>, &Table),
) -> Result<bool, RunError> {
    let failed = |source: PrepareError| RunError::Prepare { step: step.name(), source };
    let read = step.scan(&run.databases.legacy, overlay, &mut |table| {
        each(None, table);
        !run.stop.requested()
    });
    read.map_err(failed)?;
    let mut target = run.databases.target.get()?;
    for (chunk, _) in recorded::chunks(&mut target, step.name())? {
        if run.stop.requested() {
            return Ok(false);
        }
        if let Some(table) = seen::of_chunk(&mut target, step.legacy_table(), chunk)? {
            each(Some(chunk), &table);
        }
    }
    Ok(!run.stop.requested())
}
