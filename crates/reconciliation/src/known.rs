//! What the ledger knows of the steps that ran, asked by the legacy table that a step moves.

use replant_core::db::Db;
use replant_core::ledger::history::{self, KnownStep, Lineage};
use replant_core::ledger::plan;
use replant_core::{IdBlock, Key, KeySet, Outcome};

use crate::error::ReportError;

/// The planned steps, and the ids that they handed out.
pub(crate) struct Known {
    steps: Vec<KnownStep>,
    /// By the table of the target.
    ids: Vec<(String, IdBlock)>,
}

impl Known {
    pub(crate) fn read(target: &mut Db) -> Result<Self, ReportError> {
        Ok(Self { steps: history::known_steps(target)?, ids: plan::blocks(target)? })
    }

    /// The steps, in the order of the run.
    pub(crate) fn steps(&self) -> &[KnownStep] {
        &self.steps
    }

    /// The step that moves a legacy table.
    pub(crate) fn step_of(&self, legacy_table: &str) -> Option<&KnownStep> {
        self.steps.iter().find(|step| step.legacy_table == legacy_table)
    }

    /// Whether the migration made a row of the target.
    pub(crate) fn made(&self, target_table: &str, id: i64) -> bool {
        self.ids.iter().any(|(table, ids)| table == target_table && ids.place(id).is_some())
    }

    /// Calls `each` with what became of every row of a legacy table; with none where no step that moves it was planned.
    pub(crate) fn lineage(
        &self,
        target: &mut Db,
        legacy_table: &str,
        mut each: impl FnMut(Lineage),
    ) -> Result<(), ReportError> {
        let Some(step) = self.step_of(legacy_table) else { return Ok(()) };
        history::lineage(target, step, |row| {
            each(row);
            Ok::<_, ReportError>(())
        })
    }

    /// The migrated rows of a legacy table, ascending, with their first rows in `target_table`.
    pub(crate) fn migrated(
        &self,
        target: &mut Db,
        legacy_table: &str,
        target_table: &str,
    ) -> Result<Vec<(Key, i64)>, ReportError> {
        let mut pairs = Vec::new();
        self.lineage(target, legacy_table, |row| {
            let into = row.targets.iter().find(|(table, _)| table == target_table);
            if let (Outcome::Migrated, Some((_, id))) = (row.outcome, into) {
                pairs.push((row.legacy_id, *id));
            }
        })?;
        pairs.sort_unstable();
        Ok(pairs)
    }

    /// The rows of `target_table` that the migrated rows of a legacy table are behind.
    pub(crate) fn targets(
        &self,
        target: &mut Db,
        legacy_table: &str,
        target_table: &str,
    ) -> Result<KeySet, ReportError> {
        let mut ids = KeySet::default();
        self.lineage(target, legacy_table, |row| {
            if row.outcome == Outcome::Migrated {
                row.targets.iter().filter(|(table, _)| table == target_table).for_each(|(_, id)| ids.insert(*id));
            }
        })?;
        Ok(ids)
    }
}
