//! The end of a step: its parts, each a short transaction, then its unique indexes, beside the customers who use the target.
//!
//! The ledger knows how far it is (`planned` with a number of parts, `indexing`, `done`), so a process that was killed, or
//! another one beside this one, goes on from there.

use std::time::{Duration, Instant};

use backon::BlockingRetryable;
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use diesel::connection::SimpleConnection;

use crate::contract::errors::FinishError;
use crate::contract::inspect::Finding;
use crate::engine::error::RunError;
use crate::engine::event::Event;
use crate::engine::places::places;
use crate::engine::run::Running;
use crate::engine::step::{AnyStep, PreparedStep};
use crate::engine::stop::Stop;
use crate::storage::bulk::{Noted, Tx};
use crate::storage::by_set::{self, Orphans, looks};
use crate::storage::db::{Backend, Db, Role};
use crate::storage::indexes::{self, Built, Found, IndexError, UniqueIndex};
use crate::storage::ledger;
use crate::storage::ledger::claim::{self, Account};
use crate::storage::ledger::plan;
use crate::storage::ledger::stage::{self, Stage};
use crate::storage::ledger::undone;
use crate::storage::pool::PoolError;
use crate::words::MoneyTotals;

/// How long a part waits for a lock: customers wait for what it holds meanwhile. It is tried again later. A process that
/// hangs in the midst of one loses its session.
const BRIEFLY: &str = "SET LOCAL lock_timeout = '500ms'; SET LOCAL idle_in_transaction_session_timeout = '30s'";

/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How often rows that an index does not admit are consolidated before it is given up.
const CONSOLIDATIONS: usize = 5;

/// How often it is looked whether an index can be built, or whether the run is to stop.
const LOOK: Duration = Duration::from_millis(200);

/// How often an operator hears that a build waits for others.
const SAY_AGAIN: Duration = Duration::from_secs(30);

/// How the end of a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finished {
    /// The step is done.
    Done,
    /// The run was asked to stop.
    Stopped,
    /// Chunks of it are open again: a crash of the server took something back.
    Open,
}

/// What comes next.
enum Next {
    Stage(Stage),
    /// Chunks that are open.
    Open,
}

/// A step whose rows are moved.
struct Ending<'a> {
    run: &'a Running<'a>,
    step: &'a dyn AnyStep,
    prepared: &'a dyn PreparedStep,
    halt: Option<&'a Stop>,
}

/// Does what is left of a step and marks it as done, once: of two workers the second finds done what the first did.
pub(crate) fn finish(
    run: &Running<'_>,
    step: &dyn AnyStep,
    prepared: &dyn PreparedStep,
    halt: &Stop,
) -> Result<Finished, RunError> {
    let ending = Ending { run, step, prepared, halt: Some(halt) };
    ending.look_for_orphans()?;
    if ending.patiently(|| ending.transaction(|db| Ok(undone::was_done(db, step.name())?)))? {
        return ending.again();
    }
    loop {
        match ending.patiently(|| ending.next_part())? {
            Next::Open => return Ok(Finished::Open),
            Next::Stage(Stage::Planned) if ending.is_to_stop() => return Ok(Finished::Stopped),
            Next::Stage(Stage::Planned) => {}
            Next::Stage(Stage::Done) => return Ok(Finished::Done),
            Next::Stage(Stage::Indexing) => break,
        }
    }
    if !ending.index()? {
        return Ok(Finished::Stopped);
    }
    ending.patiently(|| ending.transaction(|db| Ok(stage::finish(db, step.name())?)))?;
    Ok(Finished::Done)
}

/// Does again what is left of a step, with what has come in since. Whether it came to its end.
pub(crate) fn finish_again(
    run: &Running<'_>,
    step: &dyn AnyStep,
    prepared: &dyn PreparedStep,
) -> Result<bool, RunError> {
    let ending = Ending { run, step, prepared, halt: None };
    let (mut repairs, mut money) = (Vec::new(), MoneyTotals::default());
    for part in 0..prepared.finish_parts() {
        let noted = ending.patiently(|| ending.part_again(part))?;
        repairs.extend(noted.repairs);
        money += &noted.money;
    }
    ending.patiently(|| {
        ending.transaction(|db| {
            undone::lock(db, step.name())?;
            Ok(ledger::close::finish_anew(db, step.name(), &repairs, &money)?)
        })
    })?;
    ending.index()
}

/// Looks at the unique indexes of steps before anything is moved. A remainder of a failed build may refuse rows, customers'
/// among them: it is dropped. A step that was done and has lost one is not done.
///
/// # Errors
/// Something else has the name of an index; the database fails.
pub(crate) fn look_at_indexes(run: &Running<'_>, steps: &[&dyn AnyStep]) -> Result<(), RunError> {
    for step in steps {
        for index in step.indexes() {
            run.patiently(step.name(), || look_at_index(run, *step, index))?;
        }
    }
    Ok(())
}

fn look_at_index(run: &Running<'_>, step: &dyn AnyStep, index: &UniqueIndex) -> Result<(), RunError> {
    let problem = |error| match error {
        IndexError::Database(_) => failed(step, error),
        IndexError::Taken { .. } => {
            RunError::Preflight { findings: vec![Finding::refusal(Role::Target, error.to_string())] }
        }
    };
    let found = indexes::look(&mut *run.databases.target.get()?, index).map_err(problem)?;
    if found == Found::Invalid && !run.databases.target.is_rehearsal() {
        let mut db = run.databases.target.dedicated().map_err(PoolError::from)?;
        let left = indexes::clear(&mut db, index).map_err(problem)?;
        let reason = match left {
            true => format!("the index `{}` is not valid: it is dropped later, when others let go", index.name),
            false => format!("the index `{}` was not valid: it is dropped, and built anew", index.name),
        };
        run.reporter.event(&Event::Throttled { step: step.name(), reason });
    }
    if found != Found::Valid {
        let mut target = run.databases.target.get()?;
        let reopened = target.write(|db| match stage::lock(db, step.name())? {
            Some(Stage::Done) => stage::indexing(db, step.name()),
            _ => Ok(()),
        });
        reopened.map_err(|source| failed(step, IndexError::Database(source)))?;
    }
    Ok(())
}

fn failed(step: &dyn AnyStep, error: IndexError) -> RunError {
    let source = match error {
        IndexError::Database(source) => FinishError::Database(source),
        IndexError::Taken { .. } => FinishError::Target(error.to_string()),
    };
    RunError::Finish { step: step.name(), source }
}

impl Ending<'_> {
    fn is_to_stop(&self) -> bool {
        self.run.stop.requested() || self.halt.is_some_and(Stop::requested)
    }

    /// Does something again, after growing waits, while a lock of somebody else keeps it from its end: that may be for as long
    /// as a customer's transaction is open. Other failures that may pass are met as everywhere.
    fn patiently<T>(&self, work: impl FnMut() -> Result<T, RunError>) -> Result<T, RunError> {
        let retries = self.run.settings.retries;
        let mut left = retries.times;
        let waits = retries.backoff().with_max_delay(retries.longest_wait.min(LONGEST_WAIT)).without_max_times();
        work.retry(waits)
            .when(|error| {
                let again = error.is_contention() || (error.may_pass() && left > 0);
                left -= usize::from(again && !error.is_contention());
                again && !self.is_to_stop()
            })
            .notify(|error, wait| {
                let (step, reason) = (self.step.name(), error.to_string());
                self.run.reporter.event(&Event::Retrying { step, reason, wait });
            })
            .call()
    }

    /// A short transaction.
    fn transaction<T>(&self, work: impl FnOnce(&mut Db) -> Result<T, FinishError>) -> Result<T, RunError> {
        let mut target = self.run.databases.target.get()?;
        let brief = target.backend() == Backend::Postgres && !self.run.databases.target.is_rehearsal();
        target
            .write(|db| {
                by_set::guarded(db)?;
                if brief {
                    db.batch_execute(BRIEFLY)?;
                }
                work(db)
            })
            .map_err(|source| RunError::Finish { step: self.step.name(), source })
    }

    /// Looks once more, row by row, for the parents of what was written by sets; the ledger keeps how many were not found.
    fn look_for_orphans(&self) -> Result<(), RunError> {
        let name = self.step.name();
        let failed = |source| RunError::Finish { step: name, source };
        let database = |source| failed(FinishError::Database(source));
        let looks = self.patiently(|| {
            let mut target = self.run.databases.target.get()?;
            let target = &mut *target;
            if !stage::is_planned(target, name).map_err(database)?
                || !claim::went_by_set(target, name).map_err(database)?
            {
                return Ok(None);
            }
            let (own, all) = (plan::ours_of(target, name)?, plan::ours(target)?);
            looks(target, &places(self.step, &own), &all).map_err(database).map(Some)
        })?;
        let Some(looks) = looks else { return Ok(()) };
        let (mut found, keys) = (Vec::new(), self.prepared.keys().len());
        for look in looks {
            if self.is_to_stop() {
                return Ok(());
            }
            let orphans = || look.orphans(&mut *self.run.databases.target.get()?, keys).map_err(database);
            found.extend(self.patiently(orphans)?);
        }
        let rows = found.iter().map(|orphans: &Orphans| orphans.rows).sum();
        self.patiently(|| self.transaction(|db| Ok(stage::note_orphans(db, name, rows)?)))?;
        if found.is_empty() {
            return Ok(());
        }
        let said = |Orphans { table, foreign_key, rows, first }: &Orphans| {
            format!("{rows} rows of `{table}` ({first}) against `{foreign_key}`")
        };
        let all: Vec<String> = found.iter().map(said).collect();
        let what = format!("rows without a parent were written, which no check let through: {}", all.join("; "));
        Err(failed(FinishError::Target(what)))
    }

    /// Does the first part that is not committed. Returns how far the step is then.
    fn next_part(&self) -> Result<Next, RunError> {
        let name = self.step.name();
        self.transaction(|db| {
            let (stage, part) = match stage::lock_end(db, name)? {
                Some((Stage::Planned, part)) => (Stage::Planned, part),
                Some((stage, _)) => return Ok(Next::Stage(stage)),
                None => (Stage::Planned, 0),
            };
            let parts = self.prepared.finish_parts();
            if part == 0 {
                let keys = self.prepared.keys();
                match claim::account(db, name, keys)? {
                    // A crash of the server may have opened a chunk since, and another process have done it by sets.
                    Account::Whole if claim::went_by_set(db, name)? && !stage::has_no_orphans(db, name)? => {
                        return Ok(Next::Open);
                    }
                    Account::Whole => {}
                    Account::Open => return Ok(Next::Open),
                    Account::Wrong { keys: in_chunks, read } => {
                        return Err(FinishError::Unaccounted { planned: keys.len(), keys: in_chunks, read });
                    }
                }
            }
            if part < parts {
                self.prepared.finish(part, &mut Tx::finishing(db, name))?;
                stage::parts_done(db, name, part + 1, self.run.owner)?;
            }
            Ok(Next::Stage(match (part + 1 >= parts, self.step.indexes().is_empty()) {
                (false, _) => stage,
                (true, true) => {
                    stage::finish(db, name)?;
                    Stage::Done
                }
                (true, false) => {
                    stage::indexing(db, name)?;
                    Stage::Indexing
                }
            }))
        })
    }

    /// Does the end of a step that was done before and was taken back, or a part of it: what it finds, it brings about once more.
    fn again(&self) -> Result<Finished, RunError> {
        let name = self.step.name();
        let keys = self.prepared.keys();
        match self.patiently(|| self.transaction(|db| Ok(claim::account(db, name, keys)?)))? {
            Account::Whole => {}
            Account::Open => return Ok(Finished::Open),
            Account::Wrong { keys: in_chunks, read } => {
                let source = FinishError::Unaccounted { planned: keys.len(), keys: in_chunks, read };
                return Err(RunError::Finish { step: name, source });
            }
        }
        if self.is_to_stop() {
            return Ok(Finished::Stopped);
        }
        self.patiently(|| self.transaction(|db| Ok(stage::end_anew(db, name, self.run.owner)?)))?;
        if !finish_again(self.run, self.step, self.prepared)? {
            return Ok(Finished::Stopped);
        }
        self.patiently(|| self.transaction(|db| Ok(stage::finish(db, name)?)))?;
        Ok(Finished::Done)
    }

    /// Does a part once more. Returns what it notes.
    fn part_again(&self, part: u64) -> Result<Noted, RunError> {
        self.transaction(|db| {
            // Another process may be at the same.
            undone::lock(db, self.step.name())?;
            let mut tx = Tx::finishing_again(db, self.step.name());
            self.prepared.finish(part, &mut tx)?;
            Ok(tx.noted())
        })
    }

    /// Builds the unique indexes of the step. Whether they are there; not where the run was asked to stop.
    fn index(&self) -> Result<bool, RunError> {
        for index in self.step.indexes() {
            let (mut consolidations, mut busy) = (0, 0);
            loop {
                match self.build(index)? {
                    Some(Built::Valid) => break,
                    None => return Ok(false),
                    Some(Built::Busy) => {
                        busy += 1;
                        if busy == 1 {
                            let reason = format!("another session is at the index `{}`", index.name);
                            self.run.reporter.event(&Event::Throttled { step: self.step.name(), reason });
                        }
                        std::thread::sleep(LOOK * 10.min(busy));
                    }
                    Some(Built::Refused) => {
                        let given_up = consolidations == CONSOLIDATIONS;
                        consolidations += 1;
                        let merged = if given_up { 0 } else { self.patiently(|| self.consolidate(index))? };
                        let shared = if merged == 0 { self.shared(index)? } else { None };
                        let again =
                            || format!("{} came about again and again; run the same command again", index.shared);
                        if let Some(shared) = shared.or_else(|| given_up.then(again)) {
                            let source = FinishError::Target(shared);
                            return Err(RunError::Finish { step: self.step.name(), source });
                        }
                    }
                }
            }
        }
        Ok(true)
    }

    /// Makes one row of those that the index does not admit, where the rules do. Returns how many it changed.
    fn consolidate(&self, index: &UniqueIndex) -> Result<u64, RunError> {
        let name = self.step.name();
        self.transaction(|db| {
            stage::lock(db, name)?;
            self.prepared.make_unique(index, &mut Tx::finishing(db, name))
        })
    }

    fn shared(&self, index: &UniqueIndex) -> Result<Option<String>, RunError> {
        self.patiently(|| {
            let mut target = self.run.databases.target.get()?;
            indexes::shared(&mut target, index).map_err(|source| failed(self.step, source.into()))
        })
    }

    /// Tries to build an index. None where the run was asked to stop.
    fn build(&self, index: &UniqueIndex) -> Result<Option<Built>, RunError> {
        let target = &self.run.databases.target;
        if self.is_to_stop() {
            return Ok(None);
        }
        if target.is_rehearsal() || target.backend() != Backend::Postgres {
            let built = self.patiently(|| {
                indexes::build_plainly(&mut *target.get()?, index).map_err(|error| failed(self.step, error))
            });
            return built.map(Some);
        }
        let built = self.patiently(|| {
            let mut db = target.dedicated().map_err(PoolError::from)?;
            let memory = self.run.settings.building.memory_mb;
            let pid = indexes::session(&mut db, memory).map_err(|error| failed(self.step, error.into()))?;
            self.watched(index, pid, || indexes::build(&mut db, index)).map_err(|error| failed(self.step, error))
        });
        match built {
            Err(_) if self.is_to_stop() => Ok(None),
            built => built.map(Some),
        }
    }

    /// Does something on a session of the server while another one looks after it.
    fn watched<T>(&self, index: &UniqueIndex, pid: i32, work: impl FnOnce() -> T) -> T {
        let (end, ends) = bounded::<()>(1);
        std::thread::scope(|scope| {
            scope.spawn(|| self.watch(index, pid, &ends));
            let done = work();
            drop(end);
            done
        })
    }

    /// Says what the build of an index waits for, and ends it where the run is asked to stop.
    fn watch(&self, index: &UniqueIndex, pid: i32, ends: &Receiver<()>) {
        let mut session: Option<Db> = None;
        let mut said: Option<Instant> = None;
        let began = Instant::now();
        while ends.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            let due = began.elapsed() > 10 * LOOK && said.is_none_or(|said| said.elapsed() > SAY_AGAIN);
            if !due && !self.is_to_stop() {
                continue;
            }
            if session.is_none() {
                session = self.run.databases.target.dedicated().ok();
            }
            let Some(db) = &mut session else { continue };
            let looked = match self.is_to_stop() {
                true => indexes::ask_to_end(db, pid).map(|()| 0),
                false => indexes::blockers(db, pid),
            };
            match looked {
                Ok(0) => {}
                Ok(sessions) => {
                    said = Some(Instant::now());
                    let reason =
                        format!("the index `{}` waits for {sessions} open transaction(s) of others", index.name);
                    self.run.reporter.event(&Event::Throttled { step: self.step.name(), reason });
                }
                Err(_) => session = None,
            }
        }
    }
}
