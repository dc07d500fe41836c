//! Joining the run that is under way.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::error::RunError;
use super::event::Reporter;
use super::report::Report;
use super::run::{Migration, Running, Scope};
use super::stop::Stop;
use crate::storage::db::{Backend, Db, Role};
use crate::storage::ledger::{self, runs};
use crate::storage::pool::PoolError;

/// How often a worker looks whether there is a run to join, and whether it is over.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Migration<'_> {
    /// Joins the run that is under way on the target, in this or another process, on this or another machine, and works
    /// beside it until every step is done. Stops with the run that it joined if that is asked to stop, and goes on without it
    /// if that is killed. Waits for a run to begin for as long as `patience`.
    ///
    /// # Errors
    /// No run is under way, or why it cannot begin or go on. All that was committed stays.
    pub fn work(&self, patience: Duration, stop: &Stop, reporter: &dyn Reporter) -> Result<Report, RunError> {
        if self.target.backend() == Backend::Sqlite {
            let what = "a SQLite target has one writer, so nobody can join its run: use --workers of `migrate`";
            return Err(RunError::Settings(what.to_owned()));
        }
        let (joined, scope) = self.wait_for_a_run(patience, stop)?;
        // Whoever joins a run does what the run does, unless it is told to do less.
        let only = if self.settings.only.is_empty() { &scope } else { &self.settings.only };
        let steps = self.registry.selected(only)?;
        let work = |run: &Running<'_>| {
            let (end_watch, watch_ends) = bounded::<()>(1);
            std::thread::scope(|scope| {
                scope.spawn(|| run.watch(&joined, &watch_ends));
                let report = run.steps(&steps);
                drop(end_watch);
                report
            })
        };
        self.attended(&Scope { steps: &steps, only }, stop, reporter, |_, _| Ok(()), work, |report| report.complete)
    }

    /// The run that is under way, and the domains or steps to which it is limited.
    fn wait_for_a_run(&self, patience: Duration, stop: &Stop) -> Result<(String, Vec<String>), RunError> {
        let mut target = Db::open(&self.target, Role::Target).map_err(PoolError::from)?;
        let began = Instant::now();
        loop {
            if ledger::exists(&mut target)?
                && let Some(run) = runs::under_way(&mut target)?
            {
                let scope = runs::scope(&mut target, &run)?;
                return Ok((run, scope));
            }
            if began.elapsed() >= patience || stop.requested() {
                return Err(RunError::NoRun { waited: began.elapsed() });
            }
            std::thread::sleep(LOOK_AGAIN.min(patience));
        }
    }
}

impl Running<'_> {
    /// Stops when the run that was joined is over without being done: its operator stopped it, or it failed.
    fn watch(&self, joined: &str, ends: &Receiver<()>) {
        while ends.recv_timeout(LOOK_AGAIN) == Err(RecvTimeoutError::Timeout) {
            let over = self.databases.target.get().ok().and_then(|mut db| runs::is_over(&mut db, joined).ok());
            if over == Some(true) {
                self.stop.request();
                return;
            }
        }
    }
}
