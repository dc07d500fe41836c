//! What an operator asks of a migration.

use std::sync::OnceLock;
use std::time::Duration;

use crossbeam_channel::bounded;
use jiff::Timestamp;

use super::Migration;
use super::attended::{Scope, all_done, done_and_alone, idle_and_alone};
use crate::engine::catch_up::{self, CatchUp, Expected};
use crate::engine::erase::{self, Erase, Erased};
use crate::engine::error::RunError;
use crate::engine::event::Reporter;
use crate::engine::replay::{self, Replay};
use crate::engine::report::{Outlook, Plan, Report};
use crate::engine::run::{self, Databases, Running};
use crate::engine::step::AnyStep;
use crate::engine::stop::Stop;
use crate::engine::trial::{self, Selection, Trial};
use crate::engine::undo::{self, Extent, Undo, Undone};
use crate::engine::verify::{self, Against, Difference, Verified};
use crate::engine::{live, offline, preflight};
use crate::storage::db::{Backend, Db};
use crate::storage::ledger::mends::{self, Mend};
use crate::storage::ledger::overlay::Overlay;
use crate::storage::ledger::owner::Owner;
use crate::storage::ledger::{self, earlier, generations, plan};

impl Migration<'_> {
    /// The steps in order with their rows and chunks, and what the checks of a run have found. Writes nothing.
    ///
    /// # Errors
    /// Those with which a run would begin; of the checks, all that they have found.
    pub fn plan(&self) -> Result<Plan, RunError> {
        let steps = self.registry.selected(&self.settings.only)?;
        let databases = self.open(None)?;
        let checked = self.preflight(&steps, &databases, true)?;
        offline::check(&self.settings, &steps, &databases.target)?;
        let snapshot = self.check_snapshot(&databases, true)?;
        let state = self.state(&databases)?.map(|state| state.snapshot_at);
        let mut outlook = Vec::new();
        for step in steps {
            let planned = {
                let mut target = databases.target.get()?;
                if ledger::exists(&mut target)? { plan::load(&mut target, step.name())? } else { None }
            };
            let done = planned.as_ref().is_some_and(|plan| plan.done);
            let (rows, later) = match &planned {
                Some(plan) if state.is_some_and(|state| snapshot > state) => {
                    (plan.keys.len(), Some(catch_up::moved(plan, &run::keys(step, &databases.legacy)?)))
                }
                Some(plan) => (plan.keys.len(), None),
                None => (run::keys(step, &databases.legacy)?.len(), None),
            };
            outlook.push(Outlook {
                step: step.name(),
                about: step.about(),
                after: step.after(),
                legacy_table: step.legacy_table(),
                target_table: step.target_table(),
                rows,
                chunks: rows.div_ceil(self.settings.chunk_rows),
                done,
                later,
            });
        }
        let (from, into) = (self.legacy.place(), self.target.place());
        let preflight::Preflight { findings, forecast } = checked;
        Ok(Plan { from, into, snapshot: Some(snapshot), state, steps: outlook, findings, forecast })
    }

    /// Reads every legacy row that was judged, and adds to a plan how many read otherwise than they did. Writes nothing.
    ///
    /// # Errors
    /// A database fails, or what the ledger keeps of a row cannot be read back.
    pub fn read_through(&self, plan: &mut Plan) -> Result<(), RunError> {
        let is_later = |name: &str| plan.steps.iter().any(|step| step.step == name && step.later.is_some());
        let steps = self.registry.selected(&self.settings.only)?;
        let steps: Vec<&dyn AnyStep> = steps.into_iter().filter(|step| is_later(step.name())).collect();
        if steps.is_empty() {
            return Ok(());
        }
        for (name, changed) in catch_up::changed(&self.open(None)?, &steps)? {
            let later = plan.steps.iter_mut().filter(|step| step.step == name).filter_map(|step| step.later.as_mut());
            later.for_each(|later| later.changed = Some(changed));
        }
        Ok(())
    }

    /// Runs every step that is not done, and goes on where earlier runs stopped.
    ///
    /// # Errors
    /// Why it cannot begin or go on. All that was committed stays.
    pub fn run(&self, stop: &Stop, reporter: &dyn Reporter) -> Result<Report, RunError> {
        let steps = self.registry.selected(&self.settings.only)?;
        let scope = Scope { only: &self.settings.only, ..Scope::of(&steps) };
        let all = self.registry.ordered()?;
        let work = |run: &Running<'_>| {
            let report = live::steps(run, &steps)?;
            let mut target = run.databases.target.get()?;
            if all_done(&mut target, &all).is_ok() {
                generations::end(&mut target)?;
            }
            Ok(report)
        };
        self.attended(&scope, stop, reporter, |_, _| Ok(()), work, |report| report.complete)
    }

    /// Judges every row again, mended rows in the place of legacy ones, and writes what comes out otherwise than the ledger
    /// says: so rows come in that waited in quarantine, with all that waits for them. Every step must be done. Killed, it
    /// can be done again.
    ///
    /// # Errors
    /// Why it cannot begin or go on. All that was committed stays.
    pub fn replay(&self, mends: &[Mend], stop: &Stop, reporter: &dyn Reporter) -> Result<Replay, RunError> {
        let steps = self.registry.ordered()?;
        let mut alone = None;
        let begin = |databases: &Databases, db: &mut Db| {
            alone = Some(done_and_alone(databases, db, &steps)?);
            Ok(mends::save(db, mends)?)
        };
        let work = |run: &Running<'_>| replay::replay(run, &steps);
        let scope = Scope::of(&steps);
        let replayed = self.attended(&scope, stop, reporter, begin, work, |replay| replay.complete);
        drop(alone);
        replayed
    }

    /// Brings the target to the state of the legacy database, which may be a later one than that of the last run or catch-up: rows
    /// that it adds come in, and every row is judged anew. What customers have changed since stays theirs; a row that has gone takes
    /// nothing away. Every step must be done. Killed, it can be done again. `expected`: of which tables more rows have gone than go
    /// by themselves, and how many.
    ///
    /// # Errors
    /// The legacy database is older than that of the last state, or half of it is missing; why it cannot begin or go on. All that
    /// was committed stays.
    pub fn catch_up(&self, expected: &Expected, stop: &Stop, reporter: &dyn Reporter) -> Result<CatchUp, RunError> {
        let steps = self.registry.ordered()?;
        let mut alone = None;
        let begin = |databases: &Databases, db: &mut Db| {
            alone = Some(done_and_alone(databases, db, &steps)?);
            not_taken_back(db)
        };
        let work = |run: &Running<'_>| catch_up::catch_up(run, &steps, expected);
        let scope = Scope { may_be_later: true, ..Scope::of(&steps) };
        let caught_up = self.attended(&scope, stop, reporter, begin, work, |caught_up| caught_up.complete);
        drop(alone);
        caught_up
    }

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
        let (joined, scope) = run::wait_for_a_run(&self.target, patience, stop)?;
        // Whoever joins a run does what the run does, unless it is told to do less.
        let only = if self.settings.only.is_empty() { &scope } else { &self.settings.only };
        let steps = self.registry.selected(only)?;
        let work = |run: &Running<'_>| {
            let (end_watch, watch_ends) = bounded::<()>(1);
            std::thread::scope(|scope| {
                scope.spawn(|| run::watch(run, &joined, &watch_ends));
                let report = live::steps(run, &steps);
                drop(end_watch);
                report
            })
        };
        self.attended(
            &Scope { only, ..Scope::of(&steps) },
            stop,
            reporter,
            |_, _| Ok(()),
            work,
            |report| report.complete,
        )
    }

    /// Judges some rows of a legacy table (or of a step) as a replay would, and shows what they would become. Writes nothing. The
    /// step must be done.
    ///
    /// # Errors
    /// No step moves that table, it is not done, or a database fails.
    pub fn judge(&self, table: &str, selection: &Selection, reporter: &dyn Reporter) -> Result<Vec<Trial>, RunError> {
        let asked = |step: &&dyn AnyStep| step.legacy_table() == table || step.name() == table;
        let Some(step) = self.registry.steps().find(asked) else {
            let known: Vec<&str> = self.registry.steps().map(AnyStep::legacy_table).collect();
            let what = format!("no step moves the legacy table `{table}`: there are {}", known.join(", "));
            return Err(RunError::Settings(what));
        };
        let databases = self.open(None)?;
        let snapshot = self.check_snapshot(&databases, true)?;
        let overlay = {
            let mut target = databases.target.get()?;
            if !ledger::exists(&mut target)? {
                return Err(RunError::NotDone(step.name()));
            }
            Overlay::load(&mut target)?
        };
        let (owner, stop) = (Owner::of_this_process(), Stop::default());
        let run = self.looking(&databases, &owner, (snapshot, overlay.into()), (&stop, reporter));
        trial::judge(&run, step, selection)
    }

    /// Holds every row against what today's rules make of the source, what the ledger says was written, and what the target holds, and
    /// hands on each that does not stand as it should, in any order and from any thread. Customers and runs may write meanwhile.
    /// Writes nothing but that it was done.
    ///
    /// # Errors
    /// Nothing was migrated yet, the legacy database is older than that of the last state, or a database fails.
    pub fn verify(
        &self,
        against: Against,
        found: &(dyn Fn(&Difference) + Sync),
        stop: &Stop,
        reporter: &dyn Reporter,
    ) -> Result<Verified, RunError> {
        let steps = self.registry.named(&self.settings.only)?;
        let databases = match against {
            Against::Source => self.open(None)?,
            Against::Ledger => Databases::target_alone((&self.legacy, &self.target), &self.settings, None)?,
        };
        self.migrated(&databases)?;
        let snapshot = match against {
            Against::Source => self.check_snapshot(&databases, true)?,
            Against::Ledger => Timestamp::UNIX_EPOCH,
        };
        let (owner, overlay) = (Owner::of_this_process(), OnceLock::new());
        let run = self.looking(&databases, &owner, (snapshot, overlay), (stop, reporter));
        verify::verify(&run, &steps, against, found)
    }

    /// Takes back what was written, but for what customers have made theirs. Nobody else may work on the target meanwhile but them. Killed,
    /// it can be done again.
    ///
    /// # Errors
    /// A run is under way, steps that are not to go build on it, why it cannot begin or go on. All that was committed stays.
    pub fn undo(&self, undo: &Undo, stop: &Stop, reporter: &dyn Reporter) -> Result<Undone, RunError> {
        let steps = self.registry.ordered()?;
        let mut session = None;
        let begin = |databases: &Databases, db: &mut Db| {
            session = Some(idle_and_alone(databases, db)?);
            if matches!(undo.extent, Extent::State(_)) { Ok(()) } else { not_taken_back(db) }
        };
        let work = |run: &Running<'_>| undo::undo(run, undo, false);
        let scope = Scope { may_be_later: true, undo: Some(undo), ..Scope::of(&steps) };
        let undone = self.attended(&scope, stop, reporter, begin, work, |undone| undone.complete);
        drop(session);
        undone
    }

    /// Erases a person from the ledger, and has their cells read as marks from now on: neither the ledger nor the target gets a value of
    /// theirs again. What stands in the target is the site's. Nobody else may work on the target meanwhile but customers. It is all done,
    /// or nothing.
    ///
    /// # Errors
    /// It is no address, or nobody's; a run is under way; why it cannot begin or go on. Nothing was written then.
    pub fn erase(&self, erase: &Erase, stop: &Stop, reporter: &dyn Reporter) -> Result<Erased, RunError> {
        let steps = self.registry.ordered()?;
        let mut session = None;
        let begin = |databases: &Databases, db: &mut Db| {
            session = Some(idle_and_alone(databases, db)?);
            not_taken_back(db)
        };
        let work = |run: &Running<'_>| erase::erase(run, erase, false);
        let scope = Scope { may_be_later: true, erase: Some(erase), ..Scope::of(&steps) };
        let erased = self.attended(&scope, stop, reporter, begin, work, |erased| erased.complete);
        drop(session);
        erased
    }

    /// What [`erase`](Self::erase) would erase. Writes nothing, and locks nothing.
    ///
    /// # Errors
    /// It is no address, or nobody's; nothing was migrated yet, or a database fails.
    pub fn would_erase(&self, erase: &Erase, stop: &Stop, reporter: &dyn Reporter) -> Result<Erased, RunError> {
        let databases = self.open(None)?;
        self.migrated(&databases)?;
        let snapshot = self.check_snapshot(&databases, true)?;
        let owner = Owner::of_this_process();
        let run = self.looking(&databases, &owner, (snapshot, OnceLock::new()), (stop, reporter));
        erase::erase(&run, erase, true)
    }

    /// What [`undo`](Self::undo) would take back, and what would stay. Writes nothing, and locks nothing.
    ///
    /// # Errors
    /// Nothing was migrated yet, steps that are not to go build on it, or a database fails.
    pub fn would_undo(&self, undo: &Undo, stop: &Stop, reporter: &dyn Reporter) -> Result<Undone, RunError> {
        let databases = Databases::target_alone((&self.legacy, &self.target), &self.settings, None)?;
        self.migrated(&databases)?;
        let owner = Owner::of_this_process();
        let run = self.looking(&databases, &owner, (Timestamp::UNIX_EPOCH, OnceLock::new()), (stop, reporter));
        undo::undo(&run, undo, true)
    }
}

/// Makes sure that the last state is not being taken back: what was put back already goes before what the ledger says.
fn not_taken_back(db: &mut Db) -> Result<(), RunError> {
    if earlier::is_under_way(db)? {
        let what = "the last state is being taken back: `undo --state` has to come to its end first";
        return Err(RunError::Settings(what.to_owned()));
    }
    Ok(())
}
