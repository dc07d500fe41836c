//! A replay: every row judged again, in the order of the steps, and what comes out otherwise written.

use std::ops::AddAssign;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, bounded};

use super::chunk::{self, ChunkError, Packing, ReadyChunk, Rejudged, Weight};
use super::error::RunError;
use super::event::Event;
use super::live::{finish_again, move_added};
use super::offline;
use super::run::Running;
use super::step::{AnyStep, PreparedStep};
use crate::contract::cache::LookupCache;
use crate::contract::step::Again;
use crate::storage::ledger::plan::{self, Span};
use crate::storage::ledger::recorded;
use crate::words::Counts;

/// How often all is gone through at the most where a row had to wait for a later one: it could not be taken out while that pointed
/// to it, or could not come in while that had its unique value. What steps make points to each other over a few of them.
const PASSES: usize = 8;

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
    let Passes { complete, steps } = passes(run, steps)?;
    Ok(Replay { complete, steps: steps.into_iter().map(|(step, pass)| (step, pass.rejudged)).collect() })
}

/// What passes over all steps did.
pub(crate) struct Passes {
    pub(crate) complete: bool,
    pub(crate) steps: Vec<(&'static str, Pass)>,
}

impl Passes {
    /// Counts what was done to the same steps before.
    pub(crate) fn after(mut self, before: &Self) -> Self {
        for ((_, pass), (_, done)) in self.steps.iter_mut().zip(&before.steps) {
            pass.moved += done.moved;
            pass.rejudged = done.rejudged.and_then(pass.rejudged);
        }
        self
    }
}

/// What was done with the rows of a step.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pass {
    /// What became of rows that no chunk had.
    pub(crate) moved: Counts,
    /// What became of all others.
    pub(crate) rejudged: Rejudged,
}

/// Judges every row of every step again, and moves those that no chunk has: as often as rows had to wait for others.
///
/// # Errors
/// Why it cannot begin or go on.
pub(crate) fn passes(run: &Running<'_>, steps: &[&dyn AnyStep]) -> Result<Passes, RunError> {
    offline::settle(run, &[])?;
    let mut passes =
        Passes { complete: true, steps: steps.iter().map(|step| (step.name(), Pass::default())).collect() };
    for step in steps {
        let plan = plan::load(&mut *run.databases.target.get()?, step.name())?;
        let rows = plan.map_or(0, |plan| plan.keys.len());
        run.reporter.event(&Event::Planned { step: step.name(), of: steps.len(), rows, done: 0 });
    }
    for pass in 0..PASSES {
        let cache = LookupCache::keeping();
        let (mut blocked, mut written) = (false, false);
        for (step, (_, sum)) in steps.iter().zip(&mut passes.steps) {
            let Some(done) = pass_over(run, *step, &cache, pass == 0)? else {
                passes.complete = false;
                return Ok(passes);
            };
            blocked |= done.rejudged.is_blocked();
            written |= done.rejudged.changed() || done.moved.read > 0;
            sum.moved += done.moved;
            sum.rejudged = sum.rejudged.and_then(done.rejudged);
        }
        if !(blocked && written) {
            break;
        }
    }
    Ok(passes)
}

/// Judges the rows of a step again, moves those that no chunk has, and does its end once more. None: the run was asked to stop.
fn pass_over(
    run: &Running<'_>,
    step: &dyn AnyStep,
    cache: &LookupCache,
    first: bool,
) -> Result<Option<Pass>, RunError> {
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
    let Some(rejudged) = Chunks { run, step, prepared: &*prepared, chunks: &chunks }.rejudge()? else {
        return Ok(None);
    };
    let Some(moved) = move_added(run, step, &*prepared, &plan)? else { return Ok(None) };
    // What it has brought about, it finds: a pass that was killed may have left it undone.
    if !finish_again(run, step, &*prepared)? {
        return Ok(None);
    }
    run.reporter.event(&Event::StepRejudged { step: step.name(), done: rejudged, elapsed: began.elapsed() });
    Ok(Some(Pass { moved, rejudged }))
}

/// The chunks of a step that are judged again.
struct Chunks<'a> {
    run: &'a Running<'a>,
    step: &'a dyn AnyStep,
    prepared: &'a dyn PreparedStep,
    chunks: &'a [(i64, Span)],
}

impl Chunks<'_> {
    /// Judges all chunks again, and writes what has changed. None: the run was asked to stop.
    fn rejudge(&self) -> Result<Option<Rejudged>, RunError> {
        self.each(&|chunk| {
            let done = self.judge(chunk, &|judged, started| {
                judged.commit_again(&mut *self.run.databases.target.get()?, chunk.0, started)
            })?;
            self.run.reporter.event(&Event::ChunkRejudged { step: self.step.name(), chunk: chunk.0, done });
            Ok(done)
        })
    }

    /// What would come out otherwise. None: the run was asked to stop.
    fn look(&self) -> Result<Option<chunk::Looked>, RunError> {
        self.each(&|chunk| self.judge(chunk, &|judged, _| judged.look(&mut *self.run.databases.target.get()?, chunk.0)))
    }

    /// Does something with each chunk, with some at once where the target has room for more than one writer, and adds up. None: the
    /// run was asked to stop.
    fn each<T: Default + AddAssign + Send>(
        &self,
        work: &(dyn Fn((i64, Span)) -> Result<T, RunError> + Sync),
    ) -> Result<Option<T>, RunError> {
        let wanted = self.run.settings.readers.max(self.run.settings.writers);
        // Another step may be prepared meanwhile.
        let most = usize::try_from(self.run.databases.legacy.size()).unwrap_or(wanted).saturating_sub(1).max(1);
        let workers = if self.run.one_writer() { 1 } else { wanted.min(most) };
        let (next, halt) = (AtomicUsize::new(0), AtomicBool::new(false));
        let work = || {
            let mut sum = T::default();
            while !halt.load(Ordering::Relaxed) && !self.run.stop.requested() {
                let Some(chunk) = self.chunks.get(next.fetch_add(1, Ordering::Relaxed)) else { return Ok(Some(sum)) };
                match work(*chunk) {
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

    /// Reads and judges a chunk.
    fn judge<T>(
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

/// A step as it is judged, to see what would come out otherwise.
pub(crate) struct Looked {
    prepared: Box<dyn PreparedStep>,
    rows: u64,
    /// Rows that would come out otherwise.
    pub(crate) changed: u64,
    /// Whether some chunk would be closed anew.
    pub(crate) any: bool,
    /// Chunks of which the target has not all.
    waiting: Vec<(i64, Span)>,
}

/// A step as it is prepared to be looked at, the rows that it has, and its chunks.
type ToLookAt = (Box<dyn PreparedStep>, u64, Vec<(i64, Span)>);

/// Judges every row of every step, and writes nothing. None: the run was asked to stop.
///
/// # Errors
/// Why it cannot go on.
pub(crate) fn look(run: &Running<'_>, steps: &[&dyn AnyStep]) -> Result<Option<Vec<Looked>>, RunError> {
    let cache = &LookupCache::keeping();
    let (give, take) = bounded(1);
    std::thread::scope(|scope| {
        // As nothing is written, a step can be prepared while the one before it is looked at.
        let prepare = move || {
            for step in steps {
                let prepared = to_look_at(run, *step, cache);
                let failed = prepared.is_err();
                if give.send(prepared).is_err() || failed {
                    return;
                }
            }
        };
        scope.spawn(prepare);
        look_at(run, steps, take)
    })
}

fn to_look_at(run: &Running<'_>, step: &dyn AnyStep, cache: &LookupCache) -> Result<ToLookAt, RunError> {
    let plan = plan::load(&mut *run.databases.target.get()?, step.name())?;
    let plan = Arc::new(plan.ok_or(RunError::NotDone(step.name()))?);
    let prepared = run.prepare(step, &plan, cache, Again::Looking, &|_| true)?;
    let chunks = recorded::chunks(&mut *run.databases.target.get()?, step.name())?;
    Ok((prepared, plan.keys.len(), chunks))
}

fn look_at(
    run: &Running<'_>,
    steps: &[&dyn AnyStep],
    prepared: Receiver<Result<ToLookAt, RunError>>,
) -> Result<Option<Vec<Looked>>, RunError> {
    let mut looked = Vec::new();
    for (step, prepared) in steps.iter().zip(prepared) {
        let (prepared, rows, chunks) = prepared?;
        let all = Chunks { run, step: *step, prepared: &*prepared, chunks: &chunks };
        let Some(chunk::Looked { changed, chunks: anew, waiting }) = all.look()? else { return Ok(None) };
        run.reporter.event(&Event::Looked { step: step.name(), rows, changed });
        let waiting = chunks.into_iter().filter(|(chunk, _)| waiting.contains(chunk)).collect();
        looked.push(Looked { prepared, rows, changed, any: anew > 0, waiting });
    }
    Ok(Some(looked))
}

/// Steps of which no row comes out otherwise: what the target did not take before it is offered once more, and the ends are done
/// again, as what customers have done since may want something of them. With whether it took some: all has to be gone through then.
///
/// # Errors
/// Why it cannot go on.
pub(crate) fn ends(run: &Running<'_>, steps: &[&dyn AnyStep], looked: &[Looked]) -> Result<(Passes, bool), RunError> {
    let mut passes = Passes { complete: true, steps: Vec::new() };
    for (step, looked) in steps.iter().zip(looked) {
        let prepared = &*looked.prepared;
        let mut rejudged = Rejudged { read: looked.rows, ..Rejudged::default() };
        match (Chunks { run, step: *step, prepared, chunks: &looked.waiting }).rejudge()? {
            Some(done) => rejudged += Rejudged { read: 0, ..done },
            None => passes.complete = false,
        }
        passes.steps.push((step.name(), Pass { rejudged, ..Pass::default() }));
        if rejudged.changed() {
            return Ok((passes, true));
        }
        passes.complete = passes.complete && finish_again(run, *step, prepared)?;
    }
    Ok((passes, false))
}
