//! The conformance kit: what every step must hold to, tried on real databases.
//!
//! A domain passes it by being registered: nothing in here knows one.

use std::time::Duration;

use jiff::Timestamp;
use replant_core::db::{Db, DbUrl, Role};
use replant_core::{Migration, ReadSnapshot, Registry, Report, Settings, Silent, Stop};

use crate::catalog;
use crate::state::{State, assert_same_state};

/// What is tried: the domains, and where their sources are.
pub struct Subject<'a> {
    /// The domains.
    pub registry: &'a Registry,
    /// Reads the legacy snapshot's time.
    pub snapshot: ReadSnapshot,
    /// The legacy database. It is only read.
    pub legacy: DbUrl,
}

/// A target of its own for each run: its address, and whatever keeps it alive.
pub struct Target {
    /// The address.
    pub url: DbUrl,
    /// Dropped with the target.
    pub guard: Box<dyn std::any::Any>,
}

impl Target {
    /// A connection to it.
    pub fn open(&self) -> Db {
        Db::open(&self.url, Role::Target).expect("the throwaway target can be opened")
    }
}

impl Subject<'_> {
    /// Runs everything with `settings`.
    pub fn run(&self, target: &Target, settings: Settings) -> Report {
        let migration = Migration {
            registry: self.registry,
            snapshot: self.snapshot,
            legacy: self.legacy.clone(),
            target: target.url.clone(),
            settings,
        };
        migration.run(&Stop::default(), &Silent).unwrap_or_else(|error| panic!("the run fails: {error}"))
    }

    /// The state that a run with `settings` leaves in a fresh target.
    pub fn state(&self, target: &Target, settings: Settings) -> State {
        let began = Timestamp::now();
        let report = self.run(target, settings);
        assert!(report.complete);
        State::of(&mut target.open(), began).expect("the state can be read")
    }

    /// The invariants that a run can show, on targets that `fresh` makes, in chunks of each of these sizes.
    pub fn conforms(&self, fresh: &dyn Fn() -> Target, chunks: &[u64]) {
        let target = fresh();
        let began = Timestamp::now();
        let report = self.run(&target, Settings::default());
        let expected = State::of(&mut target.open(), began).expect("the state can be read");
        for step in &report.steps {
            assert!(step.counts.balance(), "{}: {:?}", step.step, step.counts);
            assert!(!step.already_done);
        }

        let again = self.run(&target, Settings::default());
        assert!(again.complete && again.steps.iter().all(|step| step.already_done && step.counts.read == 0));
        let after = State::of(&mut target.open(), began).expect("the state can be read");
        assert_same_state("a second run writes something", &expected, &after);

        let workers = |n| Settings { readers: n, writers: n, legacy_pool: 8, target_pool: 12, ..Settings::default() };
        for (chunk_rows, n) in chunks.iter().zip([4, 1, 2].into_iter().cycle()) {
            let settings = Settings { chunk_rows: *chunk_rows, ..workers(n) };
            let what = format!("chunks of {chunk_rows} rows, {n} workers");
            assert_same_state(&what, &expected, &self.state(&fresh(), settings));
        }
        let sized =
            Settings { chunk_rows: 300, chunk_time: Duration::from_millis(20), chunk_most: 2_000, ..workers(2) };
        assert_same_state("chunks sized by their time", &expected, &self.state(&fresh(), sized));
    }

    /// Every column of the legacy tables has a fate, and no fate speaks of a column that is not there.
    pub fn every_column_has_a_fate(&self) {
        let mut legacy = Db::open(&self.legacy, Role::Legacy).expect("the legacy database can be opened");
        for (step, table, fates) in self.registry.fates() {
            let mut columns: Vec<String> = catalog::columns(&mut legacy, table)
                .expect("the catalogue can be read")
                .into_iter()
                .map(|c| c.name)
                .collect();
            let mut fated: Vec<String> = fates.iter().map(|(column, _)| (*column).to_owned()).collect();
            columns.sort_unstable();
            fated.sort_unstable();
            assert_eq!(columns, fated, "{step}: the columns of {table} and those with a fate");
        }
    }

    /// A rehearsal sees everything and leaves nothing.
    pub fn a_dry_run_leaves_nothing(&self, target: &Target) {
        let before = crate::dump::dump_all(&mut target.open()).expect("the target can be read");
        let report = self.run(target, Settings { dry_run: true, ..Settings::default() });
        assert!(report.complete && report.steps.iter().any(|step| step.counts.migrated > 0));
        let mut db = target.open();
        crate::dump::assert_same(&before, &crate::dump::dump_all(&mut db).expect("the target can be read"));
        assert!(
            !replant_core::ledger::exists(&mut db).expect("the catalogue can be read"),
            "a dry run leaves a ledger"
        );
    }
}
