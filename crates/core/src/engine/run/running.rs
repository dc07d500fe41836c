//! A run under way: its databases, its settings and what it is told, and what every part of it does with them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};

use backon::BlockingRetryable;
use jiff::Timestamp;

use super::databases::Databases;
use crate::contract::cache::LookupCache;
use crate::contract::errors::PrepareError;
use crate::contract::step::{Again, Prepare};
use crate::engine::chunk::Writer;
use crate::engine::error::RunError;
use crate::engine::event::{Event, Reporter};
use crate::engine::registry::Registry;
use crate::engine::settings::Settings;
use crate::engine::step::{AnyStep, PreparedStep};
use crate::engine::stop::Stop;
use crate::storage::constraints::Session;
use crate::storage::db::Backend;
use crate::storage::ledger::overlay::Overlay;
use crate::storage::ledger::owner::Owner;
use crate::storage::ledger::plan::{self, NewStep, StepPlan};
use crate::storage::pool::Pool;
use crate::words::KeySet;

/// Sessions of others that were seen while an offline target had no foreign keys.
pub(crate) type Intruders = Mutex<BTreeSet<Session>>;

/// A run under way.
pub(crate) struct Running<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) settings: &'a Settings,
    pub(crate) databases: &'a Databases,
    pub(crate) owner: &'a Owner,
    pub(crate) snapshot: Timestamp,
    pub(crate) overlay: OnceLock<Overlay>,
    pub(crate) stop: &'a Stop,
    pub(crate) reporter: &'a dyn Reporter,
    pub(crate) intruders: Intruders,
    /// Whether the foreign keys of a COPY are checked by sets where they can be.
    pub(crate) by_set: bool,
    /// Where the transactions of the target are numbered: its server and the database of it.
    pub(crate) cluster: Option<String>,
}

impl Running<'_> {
    /// Does something between the chunks, again after a wait while that may help. It can be done twice: what it leaves
    /// behind, it finds.
    pub(crate) fn patiently<T>(
        &self,
        step: &'static str,
        mut work: impl FnMut() -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        let work = || work().map_err(|error| error.diagnosed(&self.databases.target));
        work.retry(self.settings.retries.backoff())
            .when(|error| !self.stop.requested() && error.may_pass())
            .notify(|error, wait| self.reporter.event(&Event::Retrying { step, reason: error.to_string(), wait }))
            .call()
    }

    /// Legacy rows that are not read from the legacy database.
    pub(crate) fn overlay(&self) -> &Overlay {
        self.overlay.get_or_init(Overlay::default)
    }

    /// Says which legacy rows are not read from the legacy database, before any is read.
    pub(crate) fn lay_over(&self, overlay: Overlay) {
        let first = self.overlay.set(overlay);
        debug_assert!(first.is_ok(), "rows were read before");
    }

    /// The plan of a step: the one in the ledger, or a new one that is written there.
    pub(crate) fn plan(&self, step: &dyn AnyStep) -> Result<StepPlan, RunError> {
        if let Some(plan) = plan::load(&mut *self.databases.target.get()?, step.name())? {
            return Ok(plan);
        }
        self.reporter.event(&Event::Planning { step: step.name() });
        let keys = keys(step, &self.databases.legacy)?;
        let all = self.registry.ordered()?;
        let position = all.iter().position(|other| other.name() == step.name()).unwrap_or_default();
        let new = NewStep {
            name: step.name(),
            position,
            legacy_table: step.legacy_table(),
            target_table: step.target_table(),
            also: step.also(),
        };
        let mut target = self.databases.target.get()?;
        Ok(plan::make(&mut target, new, &keys, self.settings.range_rows(keys.len()))?)
    }

    /// Builds the lookups of a step.
    pub(crate) fn prepare(
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
            overlay: self.overlay(),
            pointers: &self.settings.pointers,
            again,
            after: step.after(),
            until_done,
        };
        self.patiently(step.name(), || {
            step.prepare(&cx).map_err(|source| RunError::Prepare { step: step.name(), source })
        })
    }

    /// This run as it writes chunks.
    pub(crate) fn writer(&self) -> Writer<'_> {
        Writer { owner: self.owner, by_set: self.by_set, cluster: self.cluster.as_deref() }
    }

    /// Threads that write.
    pub(crate) fn writers(&self) -> usize {
        if self.one_writer() { 1 } else { self.settings.writers }
    }

    /// Whether steps go one after the other: SQLite has one writer, and a rehearsal one transaction.
    pub(crate) fn one_writer(&self) -> bool {
        self.settings.dry_run || self.databases.target.backend() == Backend::Sqlite
    }
}

/// The keys of the legacy table of a step.
pub(crate) fn keys(step: &dyn AnyStep, legacy: &Pool) -> Result<KeySet, RunError> {
    let mut legacy = legacy.get()?;
    step.keys(&mut legacy).map_err(|source| {
        let what = format!("the keys of {}", step.legacy_table());
        let source = PrepareError::Query { what, source };
        RunError::Prepare { step: step.name(), source }
    })
}
