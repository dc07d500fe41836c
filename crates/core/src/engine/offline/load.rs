//! Loads of a target that nobody else writes to: without foreign keys and secondary indexes, which are back before a step
//! is done.

use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::expel::{expel, is_mended};
use crate::engine::chunk::Expelled;
use crate::engine::error::RunError;
use crate::engine::event::Event;
use crate::engine::run::Running;
use crate::engine::settings::{Offline, Settings};
use crate::engine::step::{AnyStep, PreparedStep};
use crate::storage::constraints::{self, Filled, OfflineError};
use crate::storage::db::{Backend, Db};
use crate::storage::ledger::{self, stage};
use crate::storage::pool::Pool;

/// How often it is looked after others while the target has no foreign keys.
const LOOK: Duration = Duration::from_secs(1);

/// Whether a run may drop anything: a rehearsal holds its locks to its end, and SQLite and a part of a step have nothing to gain.
fn may_drop(settings: &Settings, target: &Pool) -> Option<Offline> {
    settings.offline.filter(|_| settings.subset.is_none() && target.backend() == Backend::Postgres && !settings.dry_run)
}

/// Whether what is left to do may be done offline, before anything is written.
///
/// # Errors
/// The user lacks rights, or others may write to the target.
pub(crate) fn check(settings: &Settings, steps: &[&dyn AnyStep], target: &Pool) -> Result<(), RunError> {
    if may_drop(settings, target).is_none() {
        return Ok(());
    }
    let mut target = target.get()?;
    let done = if ledger::exists(&mut target)? { stage::done(&mut target)? } else { Vec::new() };
    let due = steps.iter().filter(|step| !done.iter().any(|done| done == step.name()));
    let tables: BTreeSet<&str> = due.flat_map(|step| step.filled()).collect();
    if tables.is_empty() {
        return Ok(());
    }
    let tables: Vec<String> = tables.into_iter().map(str::to_owned).collect();
    let lacking = constraints::lacking_rights(&mut target, &tables).map_err(OfflineError::from)?;
    if !lacking.is_empty() {
        return Err(OfflineError::Rights(lacking).into());
    }
    let others = constraints::foreign(&mut target).map_err(OfflineError::from)?;
    if others.is_empty() { Ok(()) } else { Err(OfflineError::Foreign(others).into()) }
}

/// Builds again what earlier runs have left missing, but for what the steps of this one would drop at once.
///
/// # Errors
/// It cannot be built.
pub(crate) fn settle(run: &Running<'_>, steps: &[&dyn AnyStep]) -> Result<(), RunError> {
    if run.databases.target.is_rehearsal() {
        return Ok(());
    }
    let first = steps.first().map_or("constraints", |step| step.name());
    run.patiently(first, || {
        let mut missing = missing(run)?;
        if may_drop(run.settings, &run.databases.target).is_some() && !missing.is_empty() {
            let done = stage::done(&mut *run.databases.target.get()?)?;
            missing.retain(|name| done.contains(name) || !steps.iter().any(|step| step.name() == name));
        }
        if missing.is_empty() { Ok(()) } else { restore(run, &missing) }
    })
}

/// The steps whose loads have left something missing.
fn missing(run: &Running<'_>) -> Result<Vec<String>, RunError> {
    Ok(constraints::steps_with_missing(&mut *run.databases.target.get()?)?)
}

/// Does the chunks of a step; on an offline target without what only slows them down. Once all are done, what a load has
/// dropped is there again, be it that another process dropped it.
///
/// # Errors
/// Those of `work`; it cannot be dropped, or not be built again.
pub(crate) fn load<T>(
    run: &Running<'_>,
    step: &dyn AnyStep,
    prepared: &dyn PreparedStep,
    work: impl FnOnce() -> Result<(T, bool), RunError>,
) -> Result<(T, bool), RunError> {
    if run.databases.target.is_rehearsal() || run.databases.target.backend() != Backend::Postgres {
        return work();
    }
    let Some(offline) = may_drop(run.settings, &run.databases.target) else {
        let (done, complete) = work()?;
        rebuild(run, step, prepared, complete)?;
        return Ok((done, complete));
    };
    let tables: Vec<String> = step.filled().into_iter().map(str::to_owned).collect();
    let (foreign_keys, indexes) = run.patiently(step.name(), || {
        let filled = Filled { step: step.name(), tables: &tables, least_rows: offline.least_rows };
        Ok(constraints::drop_for(&mut *run.databases.target.get()?, filled)?)
    })?;
    if foreign_keys + indexes > 0 {
        run.reporter.event(&Event::Dropped { step: step.name(), foreign_keys, indexes });
    }
    let (end, ends) = bounded::<()>(1);
    std::thread::scope(|scope| {
        scope.spawn(|| look_after_others(run, &ends));
        let result = work().and_then(|(done, complete)| {
            rebuild(run, step, prepared, complete)?;
            Ok((done, complete))
        });
        drop(end);
        result
    })
}

/// Tells of everybody else who is connected and may write, once.
fn look_after_others(run: &Running<'_>, ends: &Receiver<()>) {
    let mut session: Option<Db> = None;
    loop {
        if session.is_none() {
            session = run.databases.target.dedicated().ok();
        }
        match session.as_mut().map(constraints::foreign) {
            Some(Ok(others)) => {
                for other in others {
                    let name = other.to_string();
                    if seen(run).insert(other) {
                        run.reporter.event(&Event::Intruder { session: name });
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

fn seen<'a>(run: &'a Running<'_>) -> MutexGuard<'a, BTreeSet<constraints::Session>> {
    run.intruders.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever was connected, and might have written, while the target had no foreign keys.
pub(crate) fn intruders(run: &Running<'_>) -> Vec<String> {
    seen(run).iter().map(ToString::to_string).collect()
}

fn restore(run: &Running<'_>, steps: &[String]) -> Result<(), RunError> {
    let began = Instant::now();
    run.reporter.event(&Event::Restoring { steps: steps.to_vec() });
    let open = || Ok(run.databases.target.dedicated()?);
    let built = constraints::restore(&open, steps, run.settings.building)?;
    run.reporter.event(&Event::Restored { built, elapsed: began.elapsed() });
    Ok(())
}

/// Builds again what was dropped for a step whose chunks are done. Rows that point to nothing are taken out first and
/// quarantined, as they would have been if the foreign key had been there.
fn rebuild(run: &Running<'_>, step: &dyn AnyStep, prepared: &dyn PreparedStep, complete: bool) -> Result<(), RunError> {
    let name = step.name().to_owned();
    if !complete || !run.patiently(step.name(), || missing(run))?.contains(&name) {
        return Ok(());
    }
    let steps = [name];
    let mut expelled = Expelled::default();
    loop {
        match run.patiently(step.name(), || restore(run, &steps)) {
            Err(RunError::Offline(OfflineError::Orphans(orphans))) => {
                let before = expelled.len();
                expelled = run.patiently(step.name(), || expel(run, step, prepared, expelled.clone()))?;
                if expelled.len() == before && !run.patiently(step.name(), || is_mended(run, step))? {
                    return Err(OfflineError::Orphans(orphans).into());
                }
                if expelled.len() > before {
                    run.reporter.event(&Event::Expelled { step: step.name(), rows: expelled.len() - before });
                }
            }
            other => return other,
        }
    }
}
