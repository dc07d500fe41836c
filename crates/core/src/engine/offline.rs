//! Loads of a target that nobody else writes to: without foreign keys and secondary indexes, which are back before a step
//! is done.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::error::RunError;
use super::event::Event;
use super::run::Running;
use super::settings::{Offline, Settings};
use super::step::{AnyStep, PreparedStep};
use crate::storage::constraints::{self, Filled, OfflineError};
use crate::storage::db::{Backend, Db};
use crate::storage::ledger::{self, stage};
use crate::storage::pool::Pool;

/// Sessions of others that were seen.
pub(super) type Intruders = Mutex<BTreeSet<constraints::Session>>;

/// How often it is looked after others while the target has no foreign keys.
const LOOK: Duration = Duration::from_secs(1);

/// Whether a run may drop anything: a rehearsal holds its locks to its end, and SQLite has nothing to gain.
fn offline(settings: &Settings, target: &Pool) -> Option<Offline> {
    settings.offline.filter(|_| target.backend() == Backend::Postgres && !settings.dry_run)
}

/// The tables into which the rows of a step go; what it names beside them it may only read.
fn filled(step: &dyn AnyStep) -> Vec<String> {
    let parts = step.parts().iter().map(|(table, _)| *table);
    let tables = [step.target_table()].into_iter().chain(step.also().iter().copied()).chain(parts);
    tables.map(str::to_owned).collect()
}

/// Whether what is left to do may be done offline, before anything is written.
///
/// # Errors
/// The user lacks rights, or others may write to the target.
pub(super) fn check(settings: &Settings, steps: &[&dyn AnyStep], target: &Pool) -> Result<(), RunError> {
    if offline(settings, target).is_none() {
        return Ok(());
    }
    let mut target = target.get()?;
    let done = if ledger::exists(&mut target)? { stage::done(&mut target)? } else { Vec::new() };
    let due = steps.iter().filter(|step| !done.iter().any(|done| done == step.name()));
    let tables: BTreeSet<String> = due.flat_map(|step| filled(*step)).collect();
    if tables.is_empty() {
        return Ok(());
    }
    let tables: Vec<String> = tables.into_iter().collect();
    let lacking = constraints::lacking_rights(&mut target, &tables).map_err(OfflineError::from)?;
    if !lacking.is_empty() {
        return Err(OfflineError::Rights(lacking).into());
    }
    let others = constraints::foreign(&mut target).map_err(OfflineError::from)?;
    if others.is_empty() { Ok(()) } else { Err(OfflineError::Foreign(others).into()) }
}

impl Running<'_> {
    fn offline(&self) -> Option<Offline> {
        offline(&self.migration.settings, &self.databases.target)
    }

    /// Builds again what earlier runs have left missing, but for what the steps of this one would drop at once.
    ///
    /// # Errors
    /// It cannot be built.
    pub(super) fn settle_constraints(&self, steps: &[&dyn AnyStep]) -> Result<(), RunError> {
        if self.databases.target.is_rehearsal() {
            return Ok(());
        }
        let first = steps.first().map_or("constraints", |step| step.name());
        self.patiently(first, || {
            let mut missing = self.missing()?;
            if self.offline().is_some() && !missing.is_empty() {
                let done = stage::done(&mut *self.databases.target.get()?)?;
                missing.retain(|name| done.contains(name) || !steps.iter().any(|step| step.name() == name));
            }
            if missing.is_empty() { Ok(()) } else { self.restore(&missing) }
        })
    }

    /// The steps whose loads have left something missing.
    fn missing(&self) -> Result<Vec<String>, RunError> {
        Ok(constraints::steps_with_missing(&mut *self.databases.target.get()?)?)
    }

    /// Does the chunks of a step; on an offline target without what only slows them down. Once all are done, what a load has
    /// dropped is there again, be it that another process dropped it.
    ///
    /// # Errors
    /// Those of `work`; it cannot be dropped, or not be built again.
    pub(super) fn load<T>(
        &self,
        step: &dyn AnyStep,
        prepared: &dyn PreparedStep,
        work: impl FnOnce() -> Result<(T, bool), RunError>,
    ) -> Result<(T, bool), RunError> {
        if self.databases.target.is_rehearsal() || self.databases.target.backend() != Backend::Postgres {
            return work();
        }
        let Some(offline) = self.offline() else {
            let (done, complete) = work()?;
            self.rebuild(step, prepared, complete)?;
            return Ok((done, complete));
        };
        let tables = filled(step);
        let (foreign_keys, indexes) = self.patiently(step.name(), || {
            let filled = Filled { step: step.name(), tables: &tables, least_rows: offline.least_rows };
            Ok(constraints::drop_for(&mut *self.databases.target.get()?, filled)?)
        })?;
        if foreign_keys + indexes > 0 {
            self.reporter.event(&Event::Dropped { step: step.name(), foreign_keys, indexes });
        }
        let (end, ends) = bounded::<()>(1);
        std::thread::scope(|scope| {
            scope.spawn(|| self.look_after_others(&ends));
            let result = work().and_then(|(done, complete)| {
                self.rebuild(step, prepared, complete)?;
                Ok((done, complete))
            });
            drop(end);
            result
        })
    }

    /// Tells of everybody else who is connected and may write, once.
    fn look_after_others(&self, ends: &Receiver<()>) {
        let mut session: Option<Db> = None;
        loop {
            if session.is_none() {
                session = self.databases.target.dedicated().ok();
            }
            match session.as_mut().map(constraints::foreign) {
                Some(Ok(others)) => {
                    for other in others {
                        let name = other.to_string();
                        if self.seen().insert(other) {
                            self.reporter.event(&Event::Intruder { session: name });
                        }
                    }
                }
                Some(Err(_)) => session = None,
                None => {}
            }
            if ends.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, BTreeSet<constraints::Session>> {
        self.intruders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever was connected, and might have written, while the target had no foreign keys.
    pub(super) fn intruders(&self) -> Vec<String> {
        self.seen().iter().map(ToString::to_string).collect()
    }

    fn restore(&self, steps: &[String]) -> Result<(), RunError> {
        let began = Instant::now();
        self.reporter.event(&Event::Restoring { steps: steps.to_vec() });
        let open = || Ok(self.databases.target.dedicated()?);
        let built = constraints::restore(&open, steps, self.migration.settings.building)?;
        self.reporter.event(&Event::Restored { built, elapsed: began.elapsed() });
        Ok(())
    }

    /// Builds again what was dropped for a step whose chunks are done. Rows that point to nothing are taken out first and
    /// quarantined, as they would have been if the foreign key had been there.
    fn rebuild(&self, step: &dyn AnyStep, prepared: &dyn PreparedStep, complete: bool) -> Result<(), RunError> {
        let name = step.name().to_owned();
        if !complete || !self.patiently(step.name(), || self.missing())?.contains(&name) {
            return Ok(());
        }
        let steps = [name];
        let mut expelled = super::expel::Expelled::default();
        loop {
            match self.patiently(step.name(), || self.restore(&steps)) {
                Err(RunError::Offline(OfflineError::Orphans(orphans))) => {
                    let before = expelled.len();
                    expelled = self.patiently(step.name(), || self.expel(step, prepared, expelled.clone()))?;
                    if expelled.len() == before && !self.patiently(step.name(), || self.is_mended(step))? {
                        return Err(OfflineError::Orphans(orphans).into());
                    }
                    if expelled.len() > before {
                        self.reporter.event(&Event::Expelled { step: step.name(), rows: expelled.len() - before });
                    }
                }
                other => return other,
            }
        }
    }
}
