//! The databases of a run, opened as often as its workers need.

use crate::engine::error::RunError;
use crate::engine::registry::Registry;
use crate::engine::settings::Settings;
use crate::storage::db::{Backend, DbUrl, Role};
use crate::storage::ledger::owner::Owner;
use crate::storage::pool::Pool;

/// Both databases.
pub(crate) struct Databases {
    pub(crate) legacy: Pool,
    pub(crate) target: Pool,
}

impl Databases {
    /// Opens both as many times as the settings need, for `owner` where something is to be written. A rehearsal copies the tables
    /// that the steps of the registry touch.
    ///
    /// # Errors
    /// The settings do not fit together, or a database cannot be opened.
    pub(crate) fn open(
        (legacy, target): (&DbUrl, &DbUrl),
        registry: &Registry,
        s: &Settings,
        owner: Option<&Owner>,
    ) -> Result<Self, RunError> {
        let refuse = |side: &str, size: u32, needed: usize| {
            RunError::Settings(format!(
                "the {side} pool of {size} connections is too small for {} readers and {} writers: it needs {needed}",
                s.readers, s.writers
            ))
        };
        if [s.readers, s.writers].contains(&0) || [s.chunk_rows, s.chunk_most, s.queue_bytes].contains(&0) {
            let what = "readers, writers, chunk_rows, chunk_most and queue_bytes must be at least 1";
            return Err(RunError::Settings(what.to_owned()));
        }
        // A connection for each worker, and one each for preparing and for what happens at the edges of a run.
        let (legacy_needs, target_needs) = (s.readers + 2, s.readers + s.writers + 2);
        if (s.legacy_pool as usize) < legacy_needs {
            return Err(refuse("legacy", s.legacy_pool, legacy_needs));
        }
        if (s.target_pool as usize) < target_needs && !s.dry_run {
            return Err(refuse("target", s.target_pool, target_needs));
        }
        if target.backend() == Backend::MariaDb {
            return Err(RunError::Settings("the target is PostgreSQL or SQLite, not MariaDB".to_owned()));
        }
        let legacy = Pool::open(legacy, Role::Legacy, s.legacy_pool, None)?.giving_up_after(s.legacy_patience);
        let target = match s.dry_run {
            true => Pool::rehearse(target, Role::Target, touched(registry))?,
            false => {
                let name = owner.map(|owner| Owner::session_name(owner.as_str()));
                Pool::open(target, Role::Target, s.target_pool, name)?
            }
        };
        Ok(Self { legacy, target })
    }
}

impl Databases {
    /// Opens the target alone, for `owner` where something is to be written: the legacy database is not asked for anything.
    ///
    /// # Errors
    /// The target cannot be opened.
    pub(crate) fn target_alone(
        (legacy, target): (&DbUrl, &DbUrl),
        s: &Settings,
        owner: Option<&Owner>,
    ) -> Result<Self, RunError> {
        let legacy = Pool::unopened(legacy, Role::Legacy, s.legacy_pool);
        let name = owner.map(|owner| Owner::session_name(owner.as_str()));
        Ok(Self { legacy, target: Pool::open(target, Role::Target, s.target_pool, name)? })
    }
}

/// The tables of the target that the steps read, fill or change.
fn touched(registry: &Registry) -> Vec<String> {
    let tables = registry.steps().flat_map(|step| {
        let read = step.writes().into_iter().map(|table| table.name);
        let changed = step.changes().iter().map(|(table, _)| *table);
        read.chain(step.filled()).chain(changed).collect::<Vec<_>>()
    });
    let tables: std::collections::BTreeSet<String> = tables.map(str::to_owned).collect();
    tables.into_iter().collect()
}
