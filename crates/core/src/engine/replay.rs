//! A replay: every row judged again, in the order of the steps, and what comes out otherwise written.

use std::sync::Arc;
use std::time::Instant;

use super::chunk::{self, ReadyChunk, Rejudged};
use super::chunks::{Chunks, Ready, ahead};
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
    let Some(rejudged) = rejudge(&Chunks { run, step, prepared: &*prepared, chunks: &chunks })? else {
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

/// Judges all chunks again, and writes what has changed. None: the run was asked to stop.
fn rejudge(chunks: &Chunks<'_>) -> Result<Option<Rejudged>, RunError> {
    let Chunks { run, step, .. } = chunks;
    chunks.each(&|chunk| {
        let commit =
            |judged: &dyn ReadyChunk, started| judged.commit_again(&mut *run.databases.target.get()?, chunk.0, started);
        let done = chunks.judge(chunk, &commit)?;
        run.reporter.event(&Event::ChunkRejudged { step: step.name(), chunk: chunk.0, done });
        Ok(done)
    })
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

/// Judges every row of every step, and writes nothing. None: the run was asked to stop.
///
/// # Errors
/// Why it cannot go on.
pub(crate) fn look(run: &Running<'_>, steps: &[&dyn AnyStep]) -> Result<Option<Vec<Looked>>, RunError> {
    ahead(run, steps, |step, Ready { prepared, plan, chunks }| {
        let (rows, all) = (plan.keys.len(), Chunks { run, step, prepared: &*prepared, chunks: &chunks });
        let look =
            |chunk: (i64, Span)| all.judge(chunk, &|judged, _| judged.look(&mut *run.databases.target.get()?, chunk.0));
        let Some(chunk::Looked { changed, chunks: anew, waiting }) = all.each(&look)? else { return Ok(None) };
        run.reporter.event(&Event::Looked { step: step.name(), rows, changed });
        let waiting = chunks.into_iter().filter(|(chunk, _)| waiting.contains(chunk)).collect();
        Ok(Some(Looked { prepared, rows, changed, any: anew > 0, waiting }))
    })
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
        match rejudge(&Chunks { run, step: *step, prepared, chunks: &looked.waiting })? {
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
