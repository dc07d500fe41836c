//! A replay: every row judged again, in the order of the steps, and what comes out otherwise written.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use super::chunk::{Rejudged, Weight};
use super::error::RunError;
use super::event::Event;
use super::live::finish_again;
use super::offline;
use super::run::Running;
use super::step::{AnyStep, PreparedStep};
use crate::contract::cache::LookupCache;
use crate::contract::step::Again;
use crate::storage::ledger::plan;
use crate::storage::ledger::recorded;
use crate::words::KeyRange;

/// How often all is gone through where a row had to wait for a later one: it could not be taken out while that pointed to
/// it, or could not come in while that had its unique value.
const PASSES: usize = 3;

/// What a replay did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Whether it came to its end.
    pub complete: bool,
    /// What it did, by step.
    pub steps: Vec<(&'static str, Rejudged)>,
}

/// Judges every row of every step again.
///
/// # Errors
/// Why it cannot begin or go on.
pub(crate) fn replay(run: &Running<'_>, steps: &[&dyn AnyStep]) -> Result<Replay, RunError> {
    offline::settle(run, &[])?;
    let mut replay =
        Replay { complete: true, steps: steps.iter().map(|step| (step.name(), Rejudged::default())).collect() };
    for step in steps {
        let plan = plan::load(&mut *run.databases.target.get()?, step.name())?;
        let rows = plan.map_or(0, |plan| plan.keys.len());
        run.reporter.event(&Event::Planned { step: step.name(), of: steps.len(), rows, done: 0 });
    }
    let mut changed = false;
    for pass in 0..PASSES {
        let cache = LookupCache::keeping();
        let (mut blocked, mut written) = (false, false);
        for (step, (_, sum)) in steps.iter().zip(&mut replay.steps) {
            let Some((done, complete)) = replay_step(run, *step, &cache, pass == 0, &mut changed)? else {
                replay.complete = false;
                return Ok(replay);
            };
            blocked |= done.kept + done.refused > 0;
            written |= done.changed();
            *sum = sum.and_then(done);
            if !complete {
                replay.complete = false;
                return Ok(replay);
            }
        }
        if !(blocked && written) {
            break;
        }
    }
    Ok(replay)
}

/// Judges the rows of a step again. None: the run was asked to stop before it.
fn replay_step(
    run: &Running<'_>,
    step: &dyn AnyStep,
    cache: &LookupCache,
    first: bool,
    changed: &mut bool,
) -> Result<Option<(Rejudged, bool)>, RunError> {
    if run.stop.requested() {
        return Ok(None);
    }
    let began = Instant::now();
    let plan = plan::load(&mut *run.databases.target.get()?, step.name())?;
    let plan = Arc::new(plan.ok_or(RunError::NotDone(step.name()))?);
    let again = if first { Again::Extending } else { Again::Rereading };
    let prepared = run.prepare(step, &plan, cache, again, &|_| true)?;
    run.reporter.event(&Event::StepStarted { step: step.name(), rows: plan.keys.len(), done: 0 });
    let chunks = recorded::chunks(&mut *run.databases.target.get()?, step.name())?;
    let Some(sum) = Chunks { run, step, prepared: &*prepared, chunks: &chunks }.rejudge()? else { return Ok(None) };
    *changed |= sum.changed();
    // A replay that was killed may have left it undone.
    if (*changed || first) && !finish_again(run, step, &*prepared)? {
        return Ok(Some((sum, false)));
    }
    run.reporter.event(&Event::StepRejudged { step: step.name(), done: sum, elapsed: began.elapsed() });
    Ok(Some((sum, true)))
}

/// The chunks of a step that are judged again.
struct Chunks<'a> {
    run: &'a Running<'a>,
    step: &'a dyn AnyStep,
    prepared: &'a dyn PreparedStep,
    chunks: &'a [(i64, KeyRange)],
}

impl Chunks<'_> {
    /// Judges all chunks again, some at once where the target has room for more than one writer. None: the run was asked to stop.
    fn rejudge(&self) -> Result<Option<Rejudged>, RunError> {
        let workers = if self.run.one_writer() { 1 } else { self.run.settings.readers.max(self.run.settings.writers) };
        let (next, halt) = (AtomicUsize::new(0), AtomicBool::new(false));
        let work = || {
            let mut sum = Rejudged::default();
            while !halt.load(Ordering::Relaxed) && !self.run.stop.requested() {
                let Some(chunk) = self.chunks.get(next.fetch_add(1, Ordering::Relaxed)) else { return Ok(Some(sum)) };
                match self.chunk(*chunk) {
                    Ok(done) => sum += done,
                    Err(error) => {
                        halt.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                }
            }
            Ok(None)
        };
        let ended: Vec<Result<Option<Rejudged>, RunError>> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|defect| resume_unwind(defect))).collect()
        });
        let mut sum = Some(Rejudged::default());
        let mut failed = None;
        for end in ended {
            match end {
                Ok(done) => {
                    sum = sum.zip(done).map(|(mut sum, done)| {
                        sum += done;
                        sum
                    });
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(sum), Err)
    }

    fn chunk(&self, (chunk, range): (i64, KeyRange)) -> Result<Rejudged, RunError> {
        let Self { run, step, prepared, .. } = self;
        let failed = |source| RunError::Chunk { step: step.name(), lo: range.lo, hi: range.hi, source };
        let done = run.patiently(step.name(), || {
            let started = Instant::now();
            let (rows, _) = prepared.read(&run.databases.legacy, &run.mends, range, Weight::ANY).map_err(failed)?;
            let judged = rows.transform().map_err(failed)?;
            judged.commit_again(&mut *run.databases.target.get()?, chunk, started).map_err(failed)
        })?;
        run.reporter.event(&Event::ChunkRejudged { step: step.name(), chunk, done });
        Ok(done)
    }
}
