//! The steps of a run: each is planned in order, begins when those that it waits for are done, and runs beside the others.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::finish::{Finished, finish, look_at_indexes};
use super::limits::Limits;
use super::pipeline::{self, Line};
use super::subset;
use crate::contract::cache::LookupCache;
use crate::contract::errors::PrepareError;
use crate::contract::step::Again;
use crate::engine::error::RunError;
use crate::engine::event::Event;
use crate::engine::offline;
use crate::engine::report::{Rehearsed, Report, StepReport};
use crate::engine::run::Running;
use crate::engine::step::{AnyStep, PreparedStep};
use crate::engine::stop::Stop;
use crate::policy::sizing::Measured;
use crate::storage::ledger::plan::StepPlan;
use crate::storage::ledger::{self, claim};
use crate::words::{Counts, KeyRange};

/// How the steps stand.
#[derive(Default)]
struct Board {
    state: Mutex<State>,
    changed: Condvar,
    /// Asks the other steps to stop where one has failed.
    halt: Stop,
}

#[derive(Default)]
struct State {
    /// Steps that have their lookups, and those that never will.
    prepared: BTreeSet<&'static str>,
    /// Steps that have ended here: whether they are done.
    ended: BTreeMap<&'static str, bool>,
    reports: BTreeMap<&'static str, StepReport>,
    /// Whether the part of a step that was asked for is done, and the rest of it open.
    part: bool,
    failed: Option<RunError>,
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how a step ended. None: it never began.
    fn end(&self, step: &'static str, end: Result<Option<StepReport>, RunError>, done: bool) {
        let mut state = self.state();
        match end {
            Ok(report) => state.reports.extend(report.map(|report| (step, report))),
            Err(error) => {
                state.failed.get_or_insert(error);
                self.halt.request();
            }
        }
        state.ended.insert(step, done);
        state.prepared.insert(step);
        drop(state);
        self.changed.notify_all();
    }

    fn prepared(&self, step: &'static str) {
        self.state().prepared.insert(step);
        self.changed.notify_all();
    }

    /// Waits until all of `steps` have their lookups: only then whoever comes after them may build its own. It may hold what
    /// they would wait for, while it waits for their ends.
    fn wait_until_prepared(&self, steps: &[&'static str]) {
        let waiting = |state: &mut State| steps.iter().any(|step| !state.prepared.contains(step));
        drop(self.changed.wait_while(self.state(), waiting).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until all of `steps` have ended; whether all of them are done.
    fn wait(&self, steps: &[&'static str]) -> bool {
        let waiting = |state: &mut State| steps.iter().any(|step| !state.ended.contains_key(step));
        let state = self.changed.wait_while(self.state(), waiting).unwrap_or_else(PoisonError::into_inner);
        steps.iter().all(|step| state.ended[step])
    }
}

/// A step on its way, with what it shares with the others.
struct Lane<'a> {
    run: &'a Running<'a>,
    board: &'a Board,
    limits: &'a Limits,
    cache: &'a LookupCache,
    /// All steps of the run, in order.
    steps: &'a [&'a dyn AnyStep],
}

/// Runs steps, side by side where the target has room for more than one writer.
pub(crate) fn steps(run: &Running<'_>, steps: &[&dyn AnyStep]) -> Result<Report, RunError> {
    offline::settle(run, steps)?;
    look_at_indexes(run, steps)?;
    let one_at_a_time = run.one_writer();
    let limits = Limits::of(run);
    let board = Board::default();
    let cache = if one_at_a_time { LookupCache::keeping() } else { LookupCache::default() };
    let lane = Lane { run, board: &board, limits: &limits, cache: &cache, steps };
    // All are planned first, so that it can be told how much there is to do.
    let mut one_by_one = Vec::new();
    std::thread::scope(|scope| {
        for step in steps {
            if run.stop.requested() || board.halt.requested() {
                board.end(step.name(), Ok(None), false);
                continue;
            }
            match run.patiently(step.name(), || run.plan(*step)) {
                Err(error) => board.end(step.name(), Err(error), false),
                Ok(plan) => {
                    tell_planned(run, &plan, step.name(), steps.len());
                    let lane = &lane;
                    match one_at_a_time {
                        true => one_by_one.push((*step, plan)),
                        false => drop(scope.spawn(move || lane.conduct(*step, plan))),
                    }
                }
            }
        }
        one_by_one.into_iter().for_each(|(step, plan)| lane.conduct(step, plan));
    });
    let state = board.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    let State { ended, mut reports, part, failed, .. } = state;
    match failed {
        Some(error) => Err(error),
        None => Ok(Report {
            rehearsed: rehearsed(run)?,
            complete: ended.values().all(|done| *done),
            part,
            steps: steps.iter().filter_map(|step| reports.remove(step.name())).collect(),
            intruders: offline::intruders(run),
        }),
    }
}

/// Moves the rows of a step that are in no chunk which is done, beside nothing else. None: the run was asked to stop.
pub(crate) fn move_added(
    run: &Running<'_>,
    step: &dyn AnyStep,
    prepared: &dyn PreparedStep,
    plan: &StepPlan,
) -> Result<Option<Counts>, RunError> {
    let name = step.name();
    let is_open = || Ok(!claim::open(&mut *run.databases.target.get()?, name)?.is_empty());
    if !run.patiently(name, is_open)? {
        return Ok(Some(Counts::default()));
    }
    let limits = Limits::of(run);
    let (halt, sizing) = (Stop::default(), run.settings.sizing());
    let mut sum = Counts::default();
    for layer in plan.layers.iter().map(|layer| layer.generation) {
        let (within, limits, halt) = (KeyRange::ALL, &limits, &halt);
        let line = Line { run, step: name, prepared, plan, layer, within, sizing, limits, halt };
        let (counts, complete) = pipeline::run(&line, sizing.first)?;
        sum += counts;
        if !complete {
            return Ok(None);
        }
    }
    Ok(Some(sum))
}

fn rehearsed(run: &Running<'_>) -> Result<Option<Rehearsed>, RunError> {
    if !run.databases.target.is_rehearsal() {
        return Ok(None);
    }
    let mut target = run.databases.target.get()?;
    let codes = ledger::status::codes(&mut target)?;
    Ok(Some(Rehearsed { codes, money: ledger::close::money(&mut target, None)? }))
}

fn tell_planned(run: &Running<'_>, plan: &StepPlan, step: &'static str, of: usize) {
    let rows = plan.keys.len();
    let done = match plan.done {
        true => rows,
        // It is for people alone: a connection that is lost here is lost again where it matters.
        false => {
            let target = run.databases.target.get().ok();
            target.and_then(|mut db| ledger::status::rows_done(&mut db, step).ok()).unwrap_or_default()
        }
    };
    run.reporter.event(&Event::Planned { step, of, rows, done });
}

impl Lane<'_> {
    /// Runs a step once those that it waits for are done.
    fn conduct(&self, step: &dyn AnyStep, plan: StepPlan) {
        // A defect must not let the others wait for ever.
        if let Err(defect) = catch_unwind(AssertUnwindSafe(|| self.run(step, plan))) {
            self.board.halt.request();
            self.board.end(step.name(), Ok(None), false);
            resume_unwind(defect);
        }
    }

    fn run(&self, step: &dyn AnyStep, plan: StepPlan) {
        let (run, name) = (self.run, step.name());
        let mut report =
            StepReport { step: name, already_done: plan.done, counts: Counts::default(), elapsed: Duration::ZERO };
        if plan.done {
            run.reporter.event(&Event::StepAlreadyDone { step: name });
            return self.board.end(name, Ok(Some(report)), true);
        }
        self.board.wait_until_prepared(step.after());
        if run.stop.requested() || self.board.halt.requested() {
            return self.board.end(name, Ok(None), false);
        }
        let (began, waited) = (Instant::now(), Waited::default());
        match self.step(step, &Arc::new(plan), &waited) {
            Ok(None) | Err(RunError::Prepare { source: PrepareError::Interrupted(_), .. }) => {
                self.board.end(name, Ok(None), false);
            }
            Err(error) => self.board.end(name, Err(error), false),
            Ok(Some((counts, done))) => {
                (report.counts, report.elapsed) = (counts, began.elapsed().saturating_sub(waited.in_all()));
                run.reporter.event(&match done {
                    true => Event::StepDone { step: name, counts, elapsed: report.elapsed },
                    false => Event::StepStopped { step: name },
                });
                self.board.end(name, Ok(Some(report)), done);
            }
        }
    }

    /// Waits for the end of a step that comes before another one; whether it is done. One that does not come before it is
    /// not waited for: it may wait for this one.
    fn until_done(&self, step: &dyn AnyStep, before: &'static str, waited: &Waited) -> bool {
        let mut upstream: Vec<&'static str> = step.after().to_vec();
        for step in self.steps.iter().rev() {
            if upstream.contains(&step.name()) {
                upstream.extend(step.after());
            }
        }
        !upstream.contains(&before) || waited.during(|| self.board.wait(&[before]))
    }

    /// Whether no chunk of a step is open.
    fn is_all(&self, step: &str) -> Result<bool, RunError> {
        Ok(claim::open(&mut *self.run.databases.target.get()?, step)?.is_empty())
    }

    /// What was moved here, and whether the step is done. None: one that it waits for is not.
    fn step(
        &self,
        step: &dyn AnyStep,
        plan: &Arc<StepPlan>,
        waited: &Waited,
    ) -> Result<Option<(Counts, bool)>, RunError> {
        let (run, name) = (self.run, step.name());
        let settings = run.settings;
        let until_done = |before| self.until_done(step, before, waited);
        // What a step has read of the target before it was taken back is not what customers have there now.
        let again = if plan.was_done { Again::Extending } else { Again::Not };
        let prepared = run.prepare(step, plan, self.cache, again, &until_done)?;
        self.board.prepared(name);
        if !waited.during(|| self.board.wait(step.after())) {
            return Ok(None);
        }
        let (done, last) = run.patiently(name, || {
            let mut target = run.databases.target.get()?;
            Ok((ledger::status::rows_done(&mut target, name)?, claim::last_done(&mut target, name)?))
        })?;
        run.reporter.event(&Event::StepStarted { step: name, rows: plan.keys.len(), done });
        let sizing = settings.sizing();
        // The size that an earlier run came to, or another worker of this one.
        let rows = last.filter(|_| !settings.chunk_time.is_zero()).map_or(sizing.first, |(rows, busy)| {
            sizing.next(rows.max(1), Measured { rows, took: Duration::from_millis(busy), bytes: 0 })
        });
        let subset = settings.subset.as_ref().filter(|_| self.steps.last().is_some_and(|last| last.name() == name));
        let ranges = subset.map(|subset| run.patiently(name, || subset::ranges(run, step, &*prepared, subset)));
        let ranges = ranges.transpose()?.unwrap_or(vec![KeyRange::ALL]);
        let pipelines = || {
            let mut sum = Counts::default();
            let spans = plan.layers.iter().flat_map(|layer| ranges.iter().map(|range| (layer.generation, *range)));
            for (layer, within) in spans {
                let (step, halt) = (name, &self.board.halt);
                let prepared = &*prepared;
                let line = Line { run, step, prepared, plan, layer, within, sizing, limits: self.limits, halt };
                let (counts, complete) = pipeline::run(&line, rows)?;
                sum += counts;
                if !complete {
                    return Ok((sum, false));
                }
            }
            let is_all = subset.is_none() || run.patiently(name, || self.is_all(name))?;
            self.board.state().part |= !is_all;
            Ok((sum, is_all))
        };
        let mut sum = Counts::default();
        loop {
            let (counts, complete) = offline::load(run, step, &*prepared, pipelines)?;
            sum += counts;
            if !complete {
                return Ok(Some((sum, false)));
            }
            match finish(run, step, &*prepared, &self.board.halt)? {
                Finished::Done => return Ok(Some((sum, true))),
                Finished::Stopped => return Ok(Some((sum, false))),
                Finished::Open => {}
            }
        }
    }
}

/// How long a step has waited for others.
#[derive(Default)]
struct Waited(AtomicU64);

impl Waited {
    fn during<T>(&self, wait: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let waited = wait();
        self.0.fetch_add(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        waited
    }

    fn in_all(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}
