//! A migration: what its operator asks of it. Each run is checked before, alive meanwhile, and closed in the ledger afterwards.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use crossbeam_channel::bounded;
use jiff::Timestamp;

use super::catch_up::{self, CatchUp, Expected};
use super::error::RunError;
use super::event::{Event, Reporter};
use super::registry::Registry;
use super::replay::{self, Replay};
use super::report::{Outlook, Plan, Report};
use super::run::{self, Databases, Intruders, Running};
use super::settings::{ForeignKeys, Settings};
use super::step::AnyStep;
use super::stop::Stop;
use super::trial::{self, Selection, Trial};
use super::undo::{self, Undo, Undone};
use super::verify::{self, Against, Difference, Verified};
use super::{live, offline, preflight};
use crate::contract::inspect::Finding;
use crate::storage::by_set;
use crate::storage::constraints::sound;
use crate::storage::db::diagnosis;
use crate::storage::db::{Backend, Db, DbUrl, Role};
use crate::storage::failure::Failure;
use crate::storage::ledger::alive::Alive;
use crate::storage::ledger::generations::{self, Generation};
use crate::storage::ledger::imprints;
use crate::storage::ledger::mends::{self, Mend};
use crate::storage::ledger::overlay::Overlay;
use crate::storage::ledger::owner::{HeldError, Owner};
use crate::storage::ledger::plan;
use crate::storage::ledger::runs::{self, End};
use crate::storage::ledger::{self, LedgerError, stage};
use crate::storage::pool::PoolError;

/// Reads when the legacy database was frozen.
pub type ReadSnapshot = fn(&mut Db) -> Result<Timestamp, String>;

/// A migration: its domains, its databases and how it works.
pub struct Migration<'a> {
    /// The domains.
    pub registry: &'a Registry,
    /// Reads the legacy snapshot's time.
    pub snapshot: ReadSnapshot,
    /// The legacy database.
    pub legacy: DbUrl,
    /// The target.
    pub target: DbUrl,
    /// How it works.
    pub settings: Settings,
}

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

    fn preflight(
        &self,
        steps: &[&dyn AnyStep],
        databases: &Databases,
        counts: bool,
    ) -> Result<preflight::Preflight, RunError> {
        let Databases { legacy, target } = databases;
        let (registry, settings) = (self.registry, &self.settings);
        preflight::check(&preflight::Checked { registry, steps, legacy, target, settings, counts })
    }

    /// Runs every step that is not done, and goes on where earlier runs stopped.
    ///
    /// # Errors
    /// Why it cannot begin or go on. All that was committed stays.
    pub fn run(&self, stop: &Stop, reporter: &dyn Reporter) -> Result<Report, RunError> {
        let steps = self.registry.selected(&self.settings.only)?;
        let scope = Scope { steps: &steps, only: &self.settings.only, may_be_later: false, undo: None };
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
        let scope = Scope { steps: &steps, only: &[], may_be_later: false, undo: None };
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
            Ok(())
        };
        let work = |run: &Running<'_>| catch_up::catch_up(run, &steps, expected);
        let scope = Scope { steps: &steps, only: &[], may_be_later: true, undo: None };
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
            &Scope { steps: &steps, only, may_be_later: false, undo: None },
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
        let mut alone = None;
        let begin = |databases: &Databases, db: &mut Db| {
            if let Some(run) = runs::under_way(db)? {
                return Err(RunError::Held(HeldError::Held(run)));
            }
            let session = databases.target.dedicated().map_err(PoolError::from)?;
            alone = Some(runs::replay_alone(session).map_err(RunError::Held)?);
            Ok(())
        };
        let work = |run: &Running<'_>| undo::undo(run, undo, false);
        let scope = Scope { steps: &steps, only: &[], may_be_later: true, undo: Some(undo) };
        let undone = self.attended(&scope, stop, reporter, begin, work, |undone| undone.complete);
        drop(alone);
        undone
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

    /// Makes sure that something was migrated, and that the ledger is one of this version.
    fn migrated(&self, databases: &Databases) -> Result<(), RunError> {
        let mut target = databases.target.get()?;
        if !ledger::exists(&mut target)? {
            let first = self.registry.ordered()?.first().map_or("of this program", |first| first.name());
            return Err(RunError::NotDone(first));
        }
        Ok(ledger::install(&mut target)?)
    }

    /// Somebody who looks and writes nothing.
    fn looking<'a>(
        &'a self,
        databases: &'a Databases,
        owner: &'a Owner,
        (snapshot, overlay): (Timestamp, OnceLock<Overlay>),
        (stop, reporter): (&'a Stop, &'a dyn Reporter),
    ) -> Running<'a> {
        Running {
            registry: self.registry,
            settings: &self.settings,
            databases,
            owner,
            snapshot,
            overlay,
            stop,
            reporter,
            intruders: Intruders::default(),
            by_set: false,
            cluster: None,
        }
    }

    fn open(&self, owner: Option<&Owner>) -> Result<Databases, RunError> {
        Databases::open((&self.legacy, &self.target), self.registry, &self.settings, owner)
    }

    /// Does something with both databases as a run of the ledger: checked before, alive meanwhile, closed afterwards.
    fn attended<T>(
        &self,
        scope: &Scope<'_>,
        stop: &Stop,
        reporter: &dyn Reporter,
        begin: impl FnOnce(&Databases, &mut Db) -> Result<(), RunError>,
        work: impl FnOnce(&Running<'_>) -> Result<T, RunError>,
        complete: impl FnOnce(&T) -> bool,
    ) -> Result<T, RunError> {
        let owner = Owner::of_this_process();
        let databases = match scope.undo {
            None => self.open(Some(&owner))?,
            Some(_) => Databases::target_alone((&self.legacy, &self.target), &self.settings, Some(&owner))?,
        };
        if scope.undo.is_none() {
            for finding in self.preflight(scope.steps, &databases, false)?.findings {
                reporter.event(&Event::Noted { finding });
            }
            offline::check(&self.settings, scope.steps, &databases.target)?;
        } else {
            self.migrated(&databases)?;
        }
        // The lock of a SQLite target comes before the first write; that of PostgreSQL is between workers, not runs.
        let file = match databases.target.backend() {
            Backend::Sqlite => Some(Alive::file(databases.target.url(), &owner).map_err(RunError::Held)?),
            Backend::Postgres | Backend::MariaDb => None,
        };
        let snapshot = match scope.undo {
            None => self.check_snapshot(&databases, scope.may_be_later)?,
            Some(_) => self.state(&databases)?.map_or(Timestamp::UNIX_EPOCH, |state| state.snapshot_at),
        };
        ledger::install(&mut *databases.target.get()?)?;
        let alive = match file {
            Some(file) => file,
            None if self.settings.dry_run => Alive::Unseen,
            None => Alive::session(databases.target.dedicated().map_err(PoolError::from)?, &owner)?,
        };
        let overlay = {
            let mut target = databases.target.get()?;
            begin(&databases, &mut target)?;
            if generations::current(&mut target)?.is_none() {
                generations::begin(&mut target, plan::FIRST, snapshot)?;
            }
            let chunks = runs::reap(&mut target, &owner)?;
            if chunks > 0 {
                reporter.event(&Event::Reaped { chunks });
            }
            let noted = scope.noted(&self.settings);
            runs::begin(&mut target, &owner, &self.settings.environment, &noted, snapshot)?;
            if let Some(other) = runs::in_the_way(&mut target, &owner, &noted)? {
                runs::end(&mut target, &owner, End::Failed, Some("another run is under way"))?;
                return Err(RunError::Held(HeldError::Held(other)));
            }
            reporter.event(&Event::Began { run: owner.to_string() });
            sound::note(&mut target, &self.filled())?;
            // A catch-up knows only when it has read the keys what is gone.
            if scope.may_be_later { OnceLock::new() } else { Overlay::load(&mut target)?.into() }
        };
        let run = Running {
            registry: self.registry,
            settings: &self.settings,
            databases: &databases,
            owner: &owner,
            snapshot,
            overlay,
            stop,
            reporter,
            intruders: Intruders::default(),
            by_set: self.by_set(&databases)?,
            cluster: imprints::cluster(&mut *databases.target.get()?).map_err(LedgerError::from)?,
        };
        let (end_heart, heart_ends) = bounded::<()>(1);
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| run::beat(&run, alive, &heart_ends));
            let outcome = work(&run);
            drop(end_heart);
            outcome
        });
        let (end, reason) = match &outcome {
            Ok(done) if complete(done) => (End::Done, None),
            Ok(_) => (End::Stopped, Some("asked to stop".to_owned())),
            Err(error) => (End::Failed, Some(error.to_string())),
        };
        // A run whose end cannot be written is found dead by the next one.
        for _ in 0..=databases.target.size() {
            let Ok(mut target) = databases.target.get() else { break };
            if runs::end(&mut target, &owner, end, reason.as_deref()).is_ok() {
                break;
            }
        }
        outcome
    }

    /// The tables into which the steps write whole rows.
    fn filled(&self) -> Vec<&'static str> {
        let filled: BTreeSet<&str> = self.registry.steps().flat_map(AnyStep::filled).collect();
        filled.into_iter().collect()
    }

    /// Whether the foreign keys of what this run copies are checked by sets where they can be.
    fn by_set(&self, databases: &Databases) -> Result<bool, RunError> {
        if self.settings.dry_run || self.settings.foreign_keys == ForeignKeys::ByRow {
            return Ok(false);
        }
        let forbidden = by_set::forbidden(&mut *databases.target.get()?).map_err(LedgerError::from)?;
        Ok(forbidden.is_none())
    }

    /// The state of the legacy database to which the target was brought last.
    fn state(&self, databases: &Databases) -> Result<Option<Generation>, RunError> {
        let mut target = databases.target.get()?;
        // The ledger of an earlier version may not know of states.
        let known = ledger::exists(&mut target)? && ledger::knows_generations(&mut target)?;
        Ok(if known { generations::current(&mut target)? } else { None })
    }

    /// When the legacy database was frozen, if it is in the state of the last run, or may be in a later one.
    fn check_snapshot(&self, databases: &Databases, may_be_later: bool) -> Result<Timestamp, RunError> {
        let mut legacy = databases.legacy.get()?;
        let found = (self.snapshot)(&mut legacy).map_err(|problem| match diagnosis::lost(&mut legacy) {
            Some(error) => RunError::Unchecked { side: Role::Legacy, failure: Failure::of(&error) },
            None => RunError::Preflight { findings: vec![Finding::refusal(Role::Legacy, problem)] },
        })?;
        drop(legacy);
        match self.state(databases)? {
            Some(current) if found < current.snapshot_at || (found > current.snapshot_at && !may_be_later) => {
                Err(RunError::OtherSnapshot { found, begun: current.snapshot_at })
            }
            Some(current) if !may_be_later && current.n > plan::FIRST && current.ended_at.is_none() => {
                Err(RunError::CatchingUp { snapshot: current.snapshot_at })
            }
            _ => Ok(found),
        }
    }
}

fn all_done(db: &mut Db, steps: &[&dyn AnyStep]) -> Result<(), RunError> {
    let done = stage::done(db)?;
    let open = steps.iter().map(|step| step.name()).find(|name| !done.iter().any(|done| done == name));
    open.map_or(Ok(()), |name| Err(RunError::NotDone(name)))
}

/// Makes sure that every step is done, and that nobody else judges rows again for as long as the connection that comes back is kept.
fn done_and_alone(databases: &Databases, db: &mut Db, steps: &[&dyn AnyStep]) -> Result<Db, RunError> {
    all_done(db, steps)?;
    let session = databases.target.dedicated().map_err(PoolError::from)?;
    runs::replay_alone(session).map_err(RunError::Held)
}

/// What a run does: its steps, in order, and the domains or steps to which its operator limited it (none: all).
struct Scope<'a> {
    steps: &'a [&'a dyn AnyStep],
    only: &'a [String],
    /// Whether the legacy database may be in a later state than that of the last run.
    may_be_later: bool,
    /// What it takes back: the legacy database is not read then.
    undo: Option<&'a Undo>,
}

impl Scope<'_> {
    /// As the ledger notes it.
    fn noted(&self, settings: &Settings) -> runs::Scope {
        if let Some(undo) = self.undo {
            return runs::Scope::Undo { undo: undo.extent.to_string(), why: undo.why.clone() };
        }
        match settings.subset {
            None => runs::Scope::Whole(self.only.to_vec()),
            Some(_) => runs::Scope::Part { part_of: self.only.to_vec() },
        }
    }
}
