//! The sample, migrated in this process, with customers who go on.

#![allow(dead_code, reason = "not every test uses all of it")]

#[path = "../../src/registry.rs"]
mod registry;

use std::path::PathBuf;
use std::sync::Mutex;

use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, RunQueryDsl};
use replant_core::db::{Db, DbUrl, Role};
use replant_core::{Against, Difference, Migration, Registry, Settings, Silent, Stop, Verified, diesel};

use crate::world::Target;

/// The sample, migrated.
pub(crate) struct Sample {
    registry: Registry,
    folder: tempfile::TempDir,
    pub(crate) target: Target,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

impl Sample {
    pub(crate) fn migrated(target: Target) -> Self {
        let sample = Self::before(target);
        sample.migrate();
        sample
    }

    /// Not migrated yet.
    pub(crate) fn before(target: Target) -> Self {
        let sample = Self { registry: registry::registry(), folder: tempfile::tempdir().unwrap(), target };
        fixtures::LEGACY.in_sqlite(sample.folder.path());
        sample
    }

    /// The file of the legacy database.
    pub(crate) fn legacy_file(&self) -> PathBuf {
        self.folder.path().join("legacy.db")
    }

    /// Does something to the legacy database.
    pub(crate) fn legacy(&self, sql: &str) {
        let legacy = DbUrl::sqlite(&self.legacy_file());
        let mut target = Db::open(&legacy, Role::Target).unwrap();
        target.batch_execute(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    pub(crate) fn migrate(&self) {
        assert!(self.migration().run(&Stop::default(), &Silent).unwrap().complete);
    }

    pub(crate) fn migration(&self) -> Migration<'_> {
        let legacy = DbUrl::sqlite(&self.legacy_file());
        let (registry, settings) = (&self.registry, Settings { chunk_rows: 700, ..Settings::default() });
        Migration { registry, snapshot: reference::snapshot, legacy, target: self.target.url.clone(), settings }
    }

    pub(crate) fn verify(&self) -> (Verified, Vec<Difference>) {
        let found = Mutex::new(Vec::new());
        let push = |difference: &Difference| found.lock().unwrap().push(difference.clone());
        let verified = self.migration().verify(Against::Source, &push, &Stop::default(), &Silent).unwrap();
        assert!(verified.complete);
        (verified, found.into_inner().unwrap())
    }

    /// Does what a customer does.
    pub(crate) fn site(&self, sql: &str) {
        self.target.open().batch_execute(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    /// Reads the column `id`.
    pub(crate) fn ids(&self, sql: &str) -> Vec<i64> {
        diesel::sql_query(sql).load::<Id>(&mut self.target.open()).unwrap().into_iter().map(|row| row.id).collect()
    }

    /// Reads the column `line`.
    pub(crate) fn lines(&self, sql: &str) -> Vec<String> {
        diesel::sql_query(sql).load::<Line>(&mut self.target.open()).unwrap().into_iter().map(|row| row.line).collect()
    }

    /// Some rows of ours.
    pub(crate) fn ours(&self, table: &str, rows: usize, from: usize, more: &str) -> Vec<i64> {
        self.ids(&format!(
            "SELECT id FROM {table} WHERE id >= (SELECT min(first_id) FROM replant_id_blocks WHERE target_table = '{table}') {more} \
             ORDER BY id LIMIT {rows} OFFSET {from}"
        ))
    }
}
