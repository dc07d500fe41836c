//! The legacy database of a simulated company, now and before.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::{QueryableByName, RunQueryDsl};
use replant_core::db::{Db, DbUrl, Role};
use replant_core::{Migration, Registry, Settings, diesel};
use replant_testkit::{Database, postgres};
use simulate::Simulation;

use crate::registry;
use crate::world::Target;

/// A legacy database, and the platform of the company as it was before the migration.
pub(crate) struct Legacy {
    registry: Registry,
    rows: u64,
    seed: u64,
    path: PathBuf,
    platform: PathBuf,
    postgres: OnceCell<Option<Database>>,
    folder: Arc<tempfile::TempDir>,
}

/// One row in so many is not there before, and one value in so many is another one.
const ADDED: u64 = 12;
const CHANGED: u64 = 60;
/// One row in so many is not there any more, one of each table at the least.
const GONE: u64 = 30;

/// A project that leaves its slug to another one while plantings stand for it cannot give up its row (README of `projects`).
const APART: &[(&str, &str)] = &[("project", "name")];

/// A state of which some rows are gone.
pub(crate) struct Vanished {
    /// What it has.
    pub(crate) left: Legacy,
    /// The same with the rows that are gone as they were last.
    pub(crate) counts: Legacy,
    /// Which they are.
    pub(crate) gone: BTreeSet<String>,
}

#[derive(QueryableByName)]
struct Keyed {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    key: i64,
}

fn keys(db: &mut Db, table: &str, key: &str) -> BTreeSet<i64> {
    let keys = diesel::sql_query(format!("SELECT {key} AS key FROM main.\"{table}\""));
    keys.load::<Keyed>(db).unwrap().into_iter().map(|row| row.key).collect()
}

impl Legacy {
    pub(crate) fn simulated(rows: u64, seed: u64) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let (path, platform) = (folder.path().join("legacy.db"), folder.path().join("platform.db"));
        Simulation::new(rows, seed).into_databases(&DbUrl::sqlite(&path), &DbUrl::sqlite(&platform)).unwrap();
        Self { registry: registry::registry(), rows, seed, path, platform, postgres: OnceCell::new(), folder }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn db(&self) -> Db {
        Self::open(&self.path)
    }

    fn open(path: &Path) -> Db {
        Db::open(&DbUrl::sqlite(path), Role::Target).unwrap()
    }

    /// The same some days before: rows that were not there yet, and values that were others.
    pub(crate) fn before(&self, seed: u64, days: u64) -> Self {
        let path = self.folder.path().join(format!("before-{days}.db"));
        std::fs::copy(&self.path, &path).unwrap();
        let mut db = Self::open(&path);
        let earlier = format!("strftime('%Y-%m-%dT%H:%M:%SZ', value, '-{days} days')");
        db.batch_execute(&format!("UPDATE meta SET value = {earlier} WHERE name = 'snapshot_at'")).unwrap();
        let mut random = fastrand::Rng::with_seed(seed);
        for step in self.registry.steps() {
            let (shape, key) = step.legacy_shape();
            let table = shape.name;
            let hash = |random: &mut fastrand::Rng| {
                format!("(({key} * {} + {}) % 1009)", random.u32(1..1009), random.u32(0..1009))
            };
            let (gone, every) = (hash(&mut random), 1009 / ADDED);
            db.batch_execute(&format!("DELETE FROM \"{table}\" WHERE {gone} < {every}")).unwrap();
            for column in shape
                .columns
                .iter()
                .map(|column| column.name)
                .filter(|column| *column != key && !APART.contains(&(table, column)))
            {
                let (changed, every) = (hash(&mut random), 1009 / CHANGED);
                let sql = format!(
                    "UPDATE \"{table}\" SET \"{column}\" = (SELECT o.\"{column}\" FROM \"{table}\" o WHERE o.{key} > \"{table}\".{key} ORDER BY o.{key} LIMIT 1)
                      WHERE {changed} < {every}"
                );
                db.batch_execute(&sql).unwrap();
            }
        }
        drop(db);
        self.at(path)
    }

    /// The same company, with its legacy database in another file.
    fn at(&self, path: PathBuf) -> Self {
        Self {
            registry: registry::registry(),
            rows: self.rows,
            seed: self.seed,
            path,
            platform: self.platform.clone(),
            postgres: OnceCell::new(),
            folder: Arc::clone(&self.folder),
        }
    }

    /// The same without some rows that earlier states had, the first one first.
    pub(crate) fn without_some(&self, seed: u64, earlier: &[&Self]) -> Vanished {
        let copy = |name: &str| {
            let path = self.folder.path().join(name);
            std::fs::copy(&self.path, &path).unwrap();
            self.at(path)
        };
        let mut vanished = Vanished { left: copy("left.db"), counts: copy("counts.db"), gone: BTreeSet::new() };
        let mut random = fastrand::Rng::with_seed(seed + 1_000);
        let is_gone: Vec<(&str, &str, String)> = (self.registry.steps())
            .map(|step| {
                let (shape, key) = step.legacy_shape();
                let hash = format!("({key} * {} + {}) % 1009", random.u32(1..1009), random.u32(0..1009));
                let last = format!("{key} = (SELECT MAX({key}) FROM state0.\"{}\")", shape.name);
                (shape.name, key, format!("({hash} < {} OR {last})", 1009 / GONE))
            })
            .collect();
        let (mut left, mut counts) = (vanished.left.db(), vanished.counts.db());
        for (state, place) in earlier.iter().zip(0..) {
            let attach = format!("ATTACH '{}' AS state{place}", state.path.display());
            left.batch_execute(&attach).unwrap();
            counts.batch_execute(&attach).unwrap();
            for (table, key, is_gone) in &is_gone {
                let was_there = format!("{is_gone} AND {key} IN (SELECT {key} FROM state{place}.\"{table}\")");
                let delete = format!("DELETE FROM main.\"{table}\" WHERE {was_there}");
                left.batch_execute(&delete).unwrap();
                let as_it_was =
                    format!("INSERT INTO main.\"{table}\" SELECT * FROM state{place}.\"{table}\" WHERE {is_gone}");
                counts.batch_execute(&format!("{delete}; {as_it_was}")).unwrap();
            }
        }
        for (table, key, _) in &is_gone {
            let left = keys(&mut left, table, key);
            let gone: Vec<i64> = keys(&mut counts, table, key).difference(&left).copied().collect();
            assert!(!gone.is_empty(), "rows of each table are gone: {table}");
            vanished.gone.extend(gone.into_iter().map(|key| format!("{table}/{key}")));
        }
        vanished
    }

    pub(crate) fn platform_in_sqlite(&self) -> Target {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("platform.db");
        std::fs::copy(&self.platform, &path).unwrap();
        Target::in_file(&path, folder)
    }

    pub(crate) fn platform_in_postgres(&self) -> Option<Target> {
        let template = self.postgres.get_or_init(|| {
            let database = postgres::database()?;
            let simulation = Simulation::new(self.rows, self.seed);
            let nowhere = self.folder.path().join("again.db");
            simulation.into_databases(&DbUrl::sqlite(&nowhere), &database.url()).unwrap();
            std::fs::remove_file(nowhere).unwrap();
            Some(database)
        });
        let database = postgres::clone_of(template.as_ref()?)?;
        Some(Target::of(database))
    }

    pub(crate) fn migration(&self, target: &Target, settings: Settings) -> Migration<'_> {
        Migration {
            registry: &self.registry,
            snapshot: reference::snapshot,
            legacy: DbUrl::sqlite(&self.path),
            target: target.url.clone(),
            settings,
        }
    }
}
