//! How a run stands to the ledger and to others: checked before it begins, alive meanwhile, closed afterwards.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use crossbeam_channel::bounded;
use jiff::Timestamp;

use super::Migration;
use crate::contract::inspect::Finding;
use crate::engine::erase::Erase;
use crate::engine::error::RunError;
use crate::engine::event::{Event, Reporter};
use crate::engine::run::{self, Databases, Intruders, Running};
use crate::engine::settings::{ForeignKeys, Settings};
use crate::engine::step::AnyStep;
use crate::engine::stop::Stop;
use crate::engine::undo::Undo;
use crate::engine::{offline, preflight};
use crate::storage::by_set;
use crate::storage::constraints::sound;
use crate::storage::db::diagnosis;
use crate::storage::db::{Backend, Db, Role};
use crate::storage::failure::Failure;
use crate::storage::ledger::alive::Alive;
use crate::storage::ledger::generations::{self, Generation};
use crate::storage::ledger::overlay::Overlay;
use crate::storage::ledger::owner::{HeldError, Owner};
use crate::storage::ledger::runs::{self, End};
use crate::storage::ledger::{self, LedgerError, imprints, plan, stage};
use crate::storage::pool::PoolError;

impl Migration<'_> {
    /// Makes sure that something was migrated, and that the ledger is one of this version.
    pub(super) fn migrated(&self, databases: &Databases) -> Result<(), RunError> {
        let mut target = databases.target.get()?;
        if !ledger::exists(&mut target)? {
            let first = self.registry.ordered()?.first().map_or("of this program", |first| first.name());
            return Err(RunError::NotDone(first));
        }
        Ok(ledger::install(&mut target)?)
    }

    /// Somebody who looks and writes nothing.
    pub(super) fn looking<'a>(
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

    pub(super) fn open(&self, owner: Option<&Owner>) -> Result<Databases, RunError> {
        Databases::open((&self.legacy, &self.target), self.registry, &self.settings, owner)
    }

    pub(super) fn preflight(
        &self,
        steps: &[&dyn AnyStep],
        databases: &Databases,
        counts: bool,
    ) -> Result<preflight::Preflight, RunError> {
        let Databases { legacy, target } = databases;
        let (registry, settings) = (self.registry, &self.settings);
        preflight::check(&preflight::Checked { registry, steps, legacy, target, settings, counts })
    }

    /// Does something with both databases as a run of the ledger: checked before, alive meanwhile, closed afterwards.
    pub(super) fn attended<T>(
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
            None => {
                let databases = self.open(Some(&owner))?;
                for finding in self.preflight(scope.steps, &databases, false)?.findings {
                    reporter.event(&Event::Noted { finding });
                }
                offline::check(&self.settings, scope.steps, &databases.target)?;
                databases
            }
            Some(_) => {
                let databases = Databases::target_alone((&self.legacy, &self.target), &self.settings, Some(&owner))?;
                self.migrated(&databases)?;
                databases
            }
        };
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
            by_set: self.by_set(&databases)?,
            cluster: imprints::cluster(&mut *databases.target.get()?).map_err(LedgerError::from)?,
            ..self.looking(&databases, &owner, (snapshot, overlay), (stop, reporter))
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
    pub(super) fn state(&self, databases: &Databases) -> Result<Option<Generation>, RunError> {
        let mut target = databases.target.get()?;
        // The ledger of an earlier version may not know of states.
        let known = ledger::exists(&mut target)? && ledger::knows_generations(&mut target)?;
        Ok(if known { generations::current(&mut target)? } else { None })
    }

    /// When the legacy database was frozen, if it is in the state of the last run, or may be in a later one.
    pub(super) fn check_snapshot(&self, databases: &Databases, may_be_later: bool) -> Result<Timestamp, RunError> {
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

pub(super) fn all_done(db: &mut Db, steps: &[&dyn AnyStep]) -> Result<(), RunError> {
    let done = stage::done(db)?;
    let open = steps.iter().map(|step| step.name()).find(|name| !done.iter().any(|done| done == name));
    open.map_or(Ok(()), |name| Err(RunError::NotDone(name)))
}

/// Makes sure that every step is done, and that nobody else judges rows again for as long as the connection that comes back is kept.
pub(super) fn done_and_alone(databases: &Databases, db: &mut Db, steps: &[&dyn AnyStep]) -> Result<Db, RunError> {
    all_done(db, steps)?;
    alone(databases)
}

/// Makes sure that no run is under way, and that nobody else judges rows again, or takes them back, for as long as the connection that
/// comes back is kept.
pub(super) fn idle_and_alone(databases: &Databases, db: &mut Db) -> Result<Db, RunError> {
    match runs::under_way(db)? {
        Some(run) => Err(RunError::Held(HeldError::Held(run))),
        None => alone(databases),
    }
}

/// Makes sure that nobody else judges rows again, or takes them back, for as long as the connection that comes back is kept.
fn alone(databases: &Databases) -> Result<Db, RunError> {
    let session = databases.target.dedicated().map_err(PoolError::from)?;
    runs::replay_alone(session).map_err(RunError::Held)
}

/// What a run does: its steps, in order, and the domains or steps to which its operator limited it (none: all).
pub(super) struct Scope<'a> {
    pub(super) steps: &'a [&'a dyn AnyStep],
    pub(super) only: &'a [String],
    /// Whether the legacy database may be in a later state than that of the last run.
    pub(super) may_be_later: bool,
    /// What it takes back: the legacy database is not read then.
    pub(super) undo: Option<&'a Undo>,
    /// Whom it erases.
    pub(super) erase: Option<&'a Erase>,
}

impl<'a> Scope<'a> {
    /// All of some steps, in the state of the last run.
    pub(super) fn of(steps: &'a [&'a dyn AnyStep]) -> Self {
        Self { steps, only: &[], may_be_later: false, undo: None, erase: None }
    }

    /// As the ledger notes it.
    fn noted(&self, settings: &Settings) -> runs::Scope {
        if let Some(undo) = self.undo {
            return runs::Scope::Undo { undo: undo.extent.to_string(), why: undo.why.clone() };
        }
        if let Some(erase) = self.erase {
            return runs::Scope::Erase { erase: true, why: erase.why.clone() };
        }
        match settings.subset {
            None => runs::Scope::Whole(self.only.to_vec()),
            Some(_) => runs::Scope::Part { part_of: self.only.to_vec() },
        }
    }
}
