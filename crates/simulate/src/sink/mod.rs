//! Where the tables go.

mod folder;
mod mariadb;
mod postgres;
mod sqlite;

pub(crate) use folder::into_folder;

use std::fs::File;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use replant_core::db::{Backend, Db, DbUrl, Role};
use replant_testkit::catalog;

use crate::table::{Side, Table};
use crate::world::World;
use crate::{Progress, SimulateError};

/// A database that is ready to be filled: its tables are there, and empty.
pub(crate) struct Empty<'a> {
    url: &'a DbUrl,
    db: Db,
}

impl<'a> Empty<'a> {
    /// Makes the tables of a side where there are none, and refuses tables that hold rows.
    pub(crate) fn open(side: Side, url: &'a DbUrl) -> Result<Self, SimulateError> {
        if let Some(file) = url.sqlite_path().filter(|file| !file.exists()) {
            File::create(&file).map_err(|source| SimulateError::io(&file, source))?;
        }
        let mut db = Db::open(url, Role::Target)?;
        prepare(&mut db, side)?;
        Ok(Self { url, db })
    }

    /// Fills the tables.
    pub(crate) fn fill(
        mut self,
        world: &World,
        tables: &[Table],
        progress: Progress<'_>,
    ) -> Result<Vec<(&'static str, u64)>, SimulateError> {
        match self.url.backend() {
            Backend::MariaDb => mariadb::fill(world, tables, self.url, progress),
            Backend::Postgres => postgres::fill(world, tables, self.url, progress),
            Backend::Sqlite => sqlite::fill(world, tables, &mut self.db, progress),
        }
    }
}

#[derive(QueryableByName)]
struct Rows {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

fn prepare(db: &mut Db, side: Side) -> Result<(), SimulateError> {
    let refused = |source| SimulateError::Database { what: "look at the tables", source };
    let tables = catalog::tables(db).map_err(refused)?;
    if tables.is_empty() {
        match side {
            Side::Legacy => fixtures::LEGACY.create(db)?,
            Side::Platform => fixtures::PLATFORM.create(db)?,
        }
        return Ok(());
    }
    for table in tables {
        let quote = if db.backend() == Backend::MariaDb { '`' } else { '"' };
        let sql = format!("SELECT count(*) AS rows FROM (SELECT 1 FROM {quote}{table}{quote} LIMIT 1) AS some_row");
        let sql = if db.backend() == Backend::MariaDb { sql.replace("AS rows", "AS `rows`") } else { sql };
        let found: Rows = diesel::sql_query(sql).get_result(db).map_err(refused)?;
        if found.rows > 0 {
            return Err(SimulateError::NotEmpty { side: side.name(), table });
        }
    }
    Ok(())
}

/// Fills tables side by side, each with a connection of its own, large ones first.
fn side_by_side(
    tables: &[Table],
    workers: usize,
    fill: impl Fn(&Table) -> Result<u64, SimulateError> + Sync,
) -> Result<Vec<(&'static str, u64)>, SimulateError> {
    let mut order: Vec<usize> = (0..tables.len()).collect();
    order.sort_by_key(|table| std::cmp::Reverse(tables[*table].rows));
    let (next, done) = (AtomicUsize::new(0), Mutex::new(vec![None; tables.len()]));
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..workers.min(tables.len()) {
            scope.spawn(|| {
                while let Some(table) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match fill(&tables[*table]) {
                        Ok(rows) => lock(&done)[*table] = Some(rows),
                        Err(error) => {
                            next.store(tables.len(), Ordering::Relaxed);
                            lock(&failed).get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(error) => Err(error),
        None => {
            let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            Ok(tables.iter().zip(done).map(|(table, rows)| (table.name, rows.unwrap_or(0))).collect())
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Threads that make rows and wait for a server in turn: one more than it takes to keep the cores busy.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 8) + 1
}
