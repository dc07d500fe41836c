//! The chunks of steps that are done, gone through once more: read and judged by several workers.

use std::ops::AddAssign;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crossbeam_channel::bounded;

use super::chunk::{ChunkError, Packing, ReadyChunk, Weight};
use super::error::RunError;
use super::run::Running;
use super::step::{AnyStep, PreparedStep};
use crate::contract::cache::LookupCache;
use crate::contract::step::Again;
use crate::storage::ledger::plan::{self, Span, StepPlan};
use crate::storage::ledger::recorded;

/// Some chunks of a step.
pub(crate) struct Chunks<'a> {
    pub(crate) run: &'a Running<'a>,
    pub(crate) step: &'a dyn AnyStep,
    pub(crate) prepared: &'a dyn PreparedStep,
    pub(crate) chunks: &'a [(i64, Span)],
}

impl Chunks<'_> {
    /// See [`each`].
    pub(crate) fn each<T: Default + AddAssign + Send>(
        &self,
        work: &(dyn Fn((i64, Span)) -> Result<T, RunError> + Sync),
    ) -> Result<Option<T>, RunError> {
        each(self.run, self.chunks, &|chunk| work(*chunk))
    }

    /// Reads and judges a chunk.
    pub(crate) fn judge<T>(
        &self,
        (_, span): (i64, Span),
        then: &dyn Fn(&dyn ReadyChunk, Instant) -> Result<T, ChunkError>,
    ) -> Result<T, RunError> {
        let Self { run, step, prepared, .. } = self;
        let failed = |source| RunError::Chunk { step: step.name(), lo: span.range.lo, hi: span.range.hi, source };
        run.patiently(step.name(), || {
            let started = Instant::now();
            let (rows, _) = prepared.read(&run.databases.legacy, run.overlay(), span, Weight::ANY).map_err(failed)?;
            let judged = rows.transform(Packing::WhenAsked).map_err(failed)?;
            then(&*judged, started).map_err(failed)
        })
    }
}

/// Does something with each of some items, with some at once where the target has room for more than one writer, and adds up. None:
/// the run was asked to stop.
///
/// # Errors
/// The first that `work` returns.
pub(crate) fn each<I: Sync, T: Default + AddAssign + Send>(
    run: &Running<'_>,
    items: &[I],
    work: &(dyn Fn(&I) -> Result<T, RunError> + Sync),
) -> Result<Option<T>, RunError> {
    by_some(run, run.settings.readers.max(run.settings.writers), items, work)
}

/// The same of work that only reads: with one more, who judges while the others wait for a server.
///
/// # Errors
/// The first that `work` returns.
pub(crate) fn look_at_each<I: Sync, T: Default + AddAssign + Send>(
    run: &Running<'_>,
    items: &[I],
    work: &(dyn Fn(&I) -> Result<T, RunError> + Sync),
) -> Result<Option<T>, RunError> {
    // What is around the rows may be looked at meanwhile, and another step be prepared.
    let most = usize::try_from(run.databases.target.size()).unwrap_or(usize::MAX).saturating_sub(2).max(1);
    by_some(run, most.min(run.settings.readers + 1), items, work)
}

fn by_some<I: Sync, T: Default + AddAssign + Send>(
    run: &Running<'_>,
    wanted: usize,
    items: &[I],
    work: &(dyn Fn(&I) -> Result<T, RunError> + Sync),
) -> Result<Option<T>, RunError> {
    // Another step may be prepared meanwhile.
    let most = usize::try_from(run.databases.legacy.size()).unwrap_or(wanted).saturating_sub(1).max(1);
    let workers = if run.one_writer() { 1 } else { wanted.min(most) };
    let (next, halt) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut sum = T::default();
        while !halt.load(Ordering::Relaxed) && !run.stop.requested() {
            let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) else { return Ok(Some(sum)) };
            match work(item) {
                Ok(done) => sum += done,
                Err(error) => {
                    halt.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(None)
    };
    let ended: Vec<Result<Option<T>, RunError>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|defect| resume_unwind(defect))).collect()
    });
    let mut sum = Some(T::default());
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

/// A step that is prepared, and its chunks that are done.
pub(crate) struct Ready {
    pub(crate) prepared: Box<dyn PreparedStep>,
    pub(crate) plan: Arc<StepPlan>,
    pub(crate) chunks: Vec<(i64, Span)>,
}

/// Does something with each step. Nothing of it writes, so a step is prepared while that before it is gone through. None: `each` said
/// so, because the run was asked to stop.
///
/// # Errors
/// Those of `each`, or why a step cannot be prepared.
pub(crate) fn ahead<T>(
    run: &Running<'_>,
    steps: &[&dyn AnyStep],
    mut each: impl FnMut(&dyn AnyStep, Ready) -> Result<Option<T>, RunError>,
) -> Result<Option<Vec<T>>, RunError> {
    let cache = &LookupCache::keeping();
    let (give, take) = bounded(PREPARED);
    std::thread::scope(|scope| {
        let prepare = move || {
            for step in steps {
                let prepared = prepare(run, *step, cache);
                let failed = prepared.is_err();
                if give.send(prepared).is_err() || failed {
                    return;
                }
            }
        };
        scope.spawn(prepare);
        let mut done = Vec::new();
        for (step, prepared) in steps.iter().zip(take) {
            let Some(one) = each(*step, prepared?)? else { return Ok(None) };
            done.push(one);
        }
        Ok(Some(done))
    })
}

/// Steps that are prepared beforehand: small ones must not keep a large one behind them waiting.
const PREPARED: usize = 3;

fn prepare(run: &Running<'_>, step: &dyn AnyStep, cache: &LookupCache) -> Result<Ready, RunError> {
    let plan = plan::load(&mut *run.databases.target.get()?, step.name())?;
    let plan = Arc::new(plan.ok_or(RunError::NotDone(step.name()))?);
    let prepared = run.prepare(step, &plan, cache, Again::Looking, &|_| true)?;
    let chunks = recorded::chunks(&mut *run.databases.target.get()?, step.name())?;
    Ok(Ready { prepared, plan, chunks })
}
