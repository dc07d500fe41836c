//! The steps of a run: each is planned in order, begins when those that it waits for are done, and runs beside the others.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::RunError;
use super::event::Event;
use super::limits::{Budget, Limits};
use super::pipeline::{self, Line};
use super::report::{Report, StepReport};
use super::run::Running;
use super::step::AnyStep;
use super::stop::Stop;
use crate::contract::prepare::{Again, LookupCache};
use crate::policy::sizing::Measured;
use crate::storage::db::Backend;
use crate::storage::ledger::plan::StepPlan;
use crate::storage::ledger::{self, claim};
use crate::words::Counts;

/// Steps that are prepared or finished at one time: each reads with one thread.
const EDGES: u64 = 2;

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
    /// Steps that have ended here: whether they are done.
    ended: BTreeMap<&'static str, bool>,
    reports: BTreeMap<&'static str, StepReport>,
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
        drop(state);
        self.changed.notify_all();
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
}

impl Running<'_> {
    /// Runs steps, side by side where the target has room for more than one writer.
    pub(super) fn steps(&self, steps: &[&dyn AnyStep]) -> Result<Report, RunError> {
        let settings = &self.migration.settings;
        let one_at_a_time = self.one_writer();
        let limits = Limits {
            readers: Budget::new(settings.readers as u64),
            writers: Budget::new(if one_at_a_time { 1 } else { settings.writers as u64 }),
            edges: Budget::new(EDGES),
            bytes: Budget::new(settings.queue_bytes),
        };
        let (board, cache) = (Board::default(), LookupCache::default());
        let lane = Lane { run: self, board: &board, limits: &limits, cache: &cache };
        std::thread::scope(|scope| {
            for step in steps {
                if self.stop.requested() || board.halt.requested() {
                    board.end(step.name(), Ok(None), false);
                    continue;
                }
                match self.patiently(step.name(), || self.plan(*step)) {
                    Err(error) => board.end(step.name(), Err(error), false),
                    Ok(plan) if one_at_a_time => lane.conduct(*step, plan),
                    Ok(plan) => {
                        let lane = &lane;
                        scope.spawn(move || lane.conduct(*step, plan));
                    }
                }
            }
        });
        let state = board.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let State { ended, mut reports, failed } = state;
        match failed {
            Some(error) => Err(error),
            None => Ok(Report {
                complete: ended.values().all(|done| *done),
                steps: steps.iter().filter_map(|step| reports.remove(step.name())).collect(),
            }),
        }
    }

    fn one_writer(&self) -> bool {
        self.migration.settings.dry_run || self.databases.target.backend() == Backend::Sqlite
    }
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
        if !self.board.wait(step.after()) || run.stop.requested() || self.board.halt.requested() {
            return self.board.end(name, Ok(None), false);
        }
        let began = Instant::now();
        match self.step(step, &Arc::new(plan)) {
            Err(error) => self.board.end(name, Err(error), false),
            Ok((counts, done)) => {
                (report.counts, report.elapsed) = (counts, began.elapsed());
                run.reporter.event(&match done {
                    true => Event::StepDone { step: name, counts, elapsed: report.elapsed },
                    false => Event::StepStopped { step: name },
                });
                self.board.end(name, Ok(Some(report)), done);
            }
        }
    }

    /// What was moved here, and whether the step is done.
    fn step(&self, step: &dyn AnyStep, plan: &Arc<StepPlan>) -> Result<(Counts, bool), RunError> {
        let (run, name) = (self.run, step.name());
        let settings = &run.migration.settings;
        let prepared = {
            let _edge = self.limits.edges.take(1);
            run.prepare(step, plan, self.cache, Again::Not)?
        };
        let (done, last) = run.patiently(name, || {
            let mut target = run.databases.target.get()?;
            Ok((ledger::status::rows_done(&mut target, name)?, claim::last_done(&mut target, name)?))
        })?;
        run.reporter.event(&Event::StepStarted { step: name, rows: plan.keys.len(), done });
        let sizing = settings.sizing();
        // The size that an earlier run came to, or another worker of this one.
        let rows = last.map_or(sizing.first, |(rows, busy)| {
            sizing.next(rows.max(1), Measured { rows, took: Duration::from_millis(busy), bytes: 0 })
        });
        let line = Line {
            step: name,
            prepared: &*prepared,
            plan,
            mends: &run.mends,
            legacy: &run.databases.legacy,
            target: &run.databases.target,
            owner: run.owner,
            lease: settings.lease,
            retries: settings.retries,
            readers: settings.readers,
            writers: if run.one_writer() { 1 } else { settings.writers },
            queue: settings.queue,
            sizing,
            limits: self.limits,
            stop: run.stop,
            halt: &self.board.halt,
            reporter: run.reporter,
        };
        let (counts, complete) = pipeline::run(&line, if settings.chunk_time.is_zero() { sizing.first } else { rows })?;
        if complete {
            let _edge = self.limits.edges.take(1);
            run.patiently(name, || run.finish(step, &*prepared))?;
        }
        Ok((counts, complete))
    }
}
