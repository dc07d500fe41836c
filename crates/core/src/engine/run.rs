//! A run: one invocation against one environment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::BlockingRetryable;
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use diesel::connection::SimpleConnection;
use jiff::Timestamp;

use super::databases::Databases;
use super::error::RunError;
use super::event::{Event, Reporter};
use super::offline;
use super::preflight;
use super::replay::Replay;
use super::report::{Outlook, Plan, Report};
use super::settings::Settings;
use super::step::{AnyStep, PreparedStep, keys};
use super::stop::Stop;
use crate::contract::cache::LookupCache;
use crate::contract::domain::Registry;
use crate::contract::inspect::Finding;
use crate::contract::step::{Again, Prepare};
use crate::storage::db::{Backend, Db, DbUrl, Role};
use crate::storage::failure::{Failure, diagnosis};
use crate::storage::ledger;
use crate::storage::ledger::alive::{self, BEAT, Watched};
use crate::storage::ledger::mends::{self, Mend, Mends};
use crate::storage::ledger::plan::{self, NewStep, StepPlan};
use crate::storage::ledger::runs::{self, Alive, End, Owner};
use crate::storage::pool::PoolError;

/// How often a run looks after what it waits for, and how much room there is.
const LOOK: Duration = Duration::from_secs(5);

const GIGABYTE: u64 = 1_000_000_000;

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
        let databases = Databases::open(self, None)?;
        let checked = self.preflight(&steps, &databases, true)?;
        offline::check(&self.settings, &steps, &databases.target)?;
        let snapshot = Some(self.check_snapshot(&databases)?);
        let mut outlook = Vec::new();
        for step in steps {
            let planned = {
                let mut target = databases.target.get()?;
                if ledger::exists(&mut target)? { plan::load(&mut target, step.name())? } else { None }
            };
            let done = planned.as_ref().is_some_and(|plan| plan.done);
            let keys = match planned {
                Some(plan) => plan.keys,
                None => keys(step, &databases.legacy)?,
            };
            outlook.push(Outlook {
                step: step.name(),
                about: step.about(),
                after: step.after(),
                legacy_table: step.legacy_table(),
                target_table: step.target_table(),
                rows: keys.len(),
                chunks: keys.len().div_ceil(self.settings.chunk_rows),
                done,
            });
        }
        let (from, into) = (self.legacy.place(), self.target.place());
        let preflight::Preflight { findings, forecast } = checked;
        Ok(Plan { from, into, snapshot, steps: outlook, findings, forecast })
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
        let scope = Scope { steps: &steps, only: &self.settings.only };
        self.attended(&scope, stop, reporter, |_, _| Ok(()), |run| run.steps(&steps), |report| report.complete)
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
            for step in &steps {
                if !plan::load(db, step.name())?.is_some_and(|plan| plan.done) {
                    return Err(RunError::NotDone(step.name()));
                }
            }
            let session = databases.target.dedicated().map_err(PoolError::from)?;
            alone = Some(runs::replay_alone(session).map_err(RunError::Held)?);
            Ok(mends::save(db, mends)?)
        };
        let replay = |run: &Running<'_>| run.replay(&steps);
        let scope = Scope { steps: &steps, only: &[] };
        let replayed = self.attended(&scope, stop, reporter, begin, replay, |replay| replay.complete);
        drop(alone);
        replayed
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
        let databases = Databases::open(self, Some(&owner))?;
        for finding in self.preflight(scope.steps, &databases, false)?.findings {
            reporter.event(&Event::Noted { finding });
        }
        offline::check(&self.settings, scope.steps, &databases.target)?;
        // The lock of a SQLite target comes before the first write; that of PostgreSQL is between workers, not runs.
        let file = match databases.target.backend() {
            Backend::Sqlite => Some(Alive::file(databases.target.url(), &owner).map_err(RunError::Held)?),
            Backend::Postgres | Backend::MariaDb => None,
        };
        let snapshot = self.check_snapshot(&databases)?;
        ledger::install(&mut *databases.target.get()?)?;
        let alive = match file {
            Some(file) => file,
            None if self.settings.dry_run => Alive::Unseen,
            None => Alive::session(databases.target.dedicated().map_err(PoolError::from)?, &owner)?,
        };
        let mends = {
            let mut target = databases.target.get()?;
            begin(&databases, &mut target)?;
            let chunks = runs::reap(&mut target, &owner)?;
            if chunks > 0 {
                reporter.event(&Event::Reaped { chunks });
            }
            runs::begin(&mut target, &owner, &self.settings.environment, scope.only, snapshot)?;
            reporter.event(&Event::Began { run: owner.to_string() });
            mends::load(&mut target)?
        };
        let intruders = offline::Intruders::default();
        let run = Running {
            migration: self,
            databases: &databases,
            owner: &owner,
            snapshot,
            mends,
            stop,
            reporter,
            intruders,
        };
        let (end_heart, heart_ends) = bounded::<()>(1);
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| run.heart(alive, &heart_ends));
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

    fn check_snapshot(&self, databases: &Databases) -> Result<Timestamp, RunError> {
        let mut legacy = databases.legacy.get()?;
        let found = (self.snapshot)(&mut legacy).map_err(|problem| match diagnosis::lost(&mut legacy) {
            Some(error) => RunError::Unchecked { side: Role::Legacy, failure: Failure::of(&error) },
            None => RunError::Preflight { findings: vec![Finding::refusal(Role::Legacy, problem)] },
        })?;
        drop(legacy);
        let mut target = databases.target.get()?;
        let begun = if ledger::exists(&mut target)? { runs::snapshot(&mut target)? } else { None };
        match begun {
            Some(begun) if begun != found => Err(RunError::OtherSnapshot { found, begun }),
            _ => Ok(found),
        }
    }
}

/// What a run does: its steps, in order, and the domains or steps to which its operator limited it (none: all).
pub(super) struct Scope<'a> {
    pub(super) steps: &'a [&'a dyn AnyStep],
    pub(super) only: &'a [String],
}

/// A run under way.
pub(super) struct Running<'a> {
    pub(super) migration: &'a Migration<'a>,
    pub(super) databases: &'a Databases,
    pub(super) owner: &'a Owner,
    snapshot: Timestamp,
    pub(super) mends: Mends,
    pub(super) stop: &'a Stop,
    pub(super) reporter: &'a dyn Reporter,
    /// Sessions of others that were seen while an offline target had no foreign keys.
    pub(super) intruders: offline::Intruders,
}

impl Running<'_> {
    /// Shows that this process lives, until the run ends: by its beats and leases, and by its lock, which it takes again if the
    /// session that held it was lost.
    fn heart(&self, mut alive: Alive, ends: &Receiver<()>) {
        let lease = self.migration.settings.lease;
        let mut looked = Instant::now();
        while ends.recv_timeout(BEAT.min(lease / 4)) == Err(RecvTimeoutError::Timeout) {
            let Alive::Session(session) = &mut alive else { continue };
            // A beat that a lock kept from its row is made up for by the next one; what is lost is opened again.
            if runs::beat(session, self.owner, lease).is_err() && session.batch_execute("SELECT 1").is_err() {
                let again = self.databases.target.dedicated().ok().and_then(|db| Alive::session(db, self.owner).ok());
                alive = again.unwrap_or(alive);
                continue;
            }
            if looked.elapsed() > LOOK {
                looked = Instant::now();
                if let Ok(watched) = alive::watched(session, self.owner) {
                    self.look_after(watched);
                }
            }
        }
    }

    /// Says what the whole run waits for, and stops it before the target's disk is full.
    fn look_after(&self, Watched { waiting, bytes }: Watched) {
        let tell = |reason| self.reporter.event(&Event::Throttled { step: "target", reason });
        if waiting > 0 {
            tell(format!(
                "{waiting} commits wait for a standby that does not answer (synchronous_standby_names): nothing is lost, and \
                 they go on when it does, or when the setting is taken back"
            ));
        }
        let Some(disk_gb) = self.migration.settings.disk_gb else { return };
        let reserve_gb = self.migration.settings.disk_reserve_gb;
        let most = disk_gb.saturating_sub(reserve_gb).saturating_mul(GIGABYTE);
        if bytes.cast_unsigned() > most && !self.stop.requested() {
            tell(format!(
                "the database has {} GB and the disk {disk_gb}: of these {reserve_gb} are kept for the site (`disk_reserve_gb`), so \
                 the run stops here. Make room, then run the same command again",
                bytes.cast_unsigned() / GIGABYTE
            ));
            self.stop.request();
        }
    }

    /// Does something between the chunks, again after a wait while that may help. It can be done twice: what it leaves
    /// behind, it finds.
    pub(super) fn patiently<T>(
        &self,
        step: &'static str,
        mut work: impl FnMut() -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        let work = || work().map_err(|error| error.diagnosed(&self.databases.target));
        work.retry(self.migration.settings.retries.backoff())
            .when(|error| !self.stop.requested() && error.may_pass())
            .notify(|error, wait| self.reporter.event(&Event::Retrying { step, reason: error.to_string(), wait }))
            .call()
    }

    /// The plan of a step: the one in the ledger, or a new one that is written there.
    pub(super) fn plan(&self, step: &dyn AnyStep) -> Result<StepPlan, RunError> {
        if let Some(plan) = plan::load(&mut *self.databases.target.get()?, step.name())? {
            return Ok(plan);
        }
        self.reporter.event(&Event::Planning { step: step.name() });
        let keys = keys(step, &self.databases.legacy)?;
        let all = self.migration.registry.ordered()?;
        let position = all.iter().position(|other| other.name() == step.name()).unwrap_or_default();
        let new = NewStep {
            name: step.name(),
            position,
            legacy_table: step.legacy_table(),
            target_table: step.target_table(),
            also: step.also(),
        };
        let mut target = self.databases.target.get()?;
        Ok(plan::make(&mut target, new, &keys, self.migration.settings.range_rows(keys.len()))?)
    }

    /// Builds the lookups of a step.
    pub(super) fn prepare(
        &self,
        step: &dyn AnyStep,
        plan: &Arc<StepPlan>,
        cache: &LookupCache,
        again: Again,
        until_done: &(dyn Fn(&'static str) -> bool + Sync),
    ) -> Result<Box<dyn PreparedStep>, RunError> {
        self.reporter.event(&Event::Preparing { step: step.name() });
        let cx = Prepare {
            step: step.name(),
            legacy: &self.databases.legacy,
            target: &self.databases.target,
            snapshot: self.snapshot,
            plan,
            cache,
            mends: &self.mends,
            pointers: &self.migration.settings.pointers,
            again,
            after: step.after(),
            until_done,
        };
        self.patiently(step.name(), || {
            step.prepare(&cx).map_err(|source| RunError::Prepare { step: step.name(), source })
        })
    }
}
