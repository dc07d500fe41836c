//! Building again what loads dropped: indexes first, several at a time; then foreign keys, which are added at once and
//! validated a table at a time.
//!
//! The ledger's rows are the queue: whoever builds an index holds its row, so the connections of one process, and processes
//! that end a step together, share the work. What is built and that it is there commit together.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};

use super::{Missing, OfflineError, Orphans, missing, orphans};
use crate::storage::db::Db;
use crate::storage::failure::Failure;
use crate::storage::place::in_schema;
use crate::storage::sql::{literal, quoted};

/// How long a connection that finds all in others' hands waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The advisory locks of this work: of all tables (0) or of one, by its oid.
const LOCKS: i32 = 736_412;

/// How indexes and foreign keys are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Building {
    /// `maintenance_work_mem` of each connection, in megabytes.
    pub memory_mb: u32,
    /// `max_parallel_maintenance_workers` of each connection.
    pub workers: u32,
    /// Connections that build at the same time.
    pub connections: usize,
}

impl Default for Building {
    fn default() -> Self {
        Self { memory_mb: 256, workers: 2, connections: 2 }
    }
}

/// Builds again what the loads of some steps dropped, and returns how much that was. Returns once nothing of it is missing,
/// whoever built it.
///
/// # Errors
/// Rows point to nothing, something else has taken a name, or the database fails. What was built stays built.
pub(crate) fn restore(
    open: &(dyn Fn() -> Result<Db, OfflineError> + Sync),
    steps: &[String],
    how: Building,
) -> Result<usize, OfflineError> {
    let mut first = open()?;
    let Db::Pg(pg) = &mut first else { return Ok(0) };
    let due = missing(pg, steps)?.len();
    if due == 0 {
        return Ok(0);
    }
    let shared = Shared { steps, how, built: Mutex::default(), failed: Mutex::default() };
    std::thread::scope(|scope| {
        for _ in 1..how.connections.min(due) {
            scope.spawn(|| shared.ended(open().and_then(|mut db| shared.builder(&mut db))));
        }
        shared.ended(shared.builder(&mut first));
    });
    let failed = shared.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = failed.error {
        return Err(error);
    }
    if !failed.orphans.is_empty() {
        return Err(OfflineError::Orphans(failed.orphans));
    }
    Ok(shared.built.into_inner().unwrap_or_else(PoisonError::into_inner))
}

#[derive(Default)]
struct Failed {
    error: Option<OfflineError>,
    orphans: Vec<Orphans>,
    /// Foreign keys that cannot be validated: the others go on.
    keys: Vec<i64>,
}

struct Shared<'a> {
    steps: &'a [String],
    how: Building,
    built: Mutex<usize>,
    failed: Mutex<Failed>,
}

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = Bool)]
    taken: bool,
}

/// What is to be done next.
enum Next {
    Index(Vec<Missing>),
    Add(Box<Missing>),
    Validate(Vec<Missing>),
    Nothing,
}

impl Shared<'_> {
    fn failed(&self) -> std::sync::MutexGuard<'_, Failed> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, result: Result<(), OfflineError>) {
        if let Err(error) = result {
            self.failed().error.get_or_insert(error);
        }
    }

    fn builder(&self, db: &mut Db) -> Result<(), OfflineError> {
        let Db::Pg(pg) = db else { return Ok(()) };
        // Of a table that was just filled PostgreSQL knows nothing: it takes it that no row points anywhere, and would look at
        // all parents again for each.
        pg.batch_execute(&format!(
            "SET maintenance_work_mem = '{}MB'; SET max_parallel_maintenance_workers = {}; SET enable_nestloop = off; \
             SET idle_in_transaction_session_timeout = '1min'",
            self.how.memory_mb, self.how.workers
        ))?;
        loop {
            if self.failed().error.is_some() {
                return Ok(());
            }
            let done = match self.next(pg)? {
                Next::Nothing => return Ok(()),
                Next::Index(indexes) => self.index(pg, &indexes)?,
                Next::Add(key) => alone(pg, 0, |pg| add(pg, &key))?,
                Next::Validate(keys) => self.validate(pg, &keys)?,
            };
            if !done {
                std::thread::sleep(LOOK_AGAIN);
            }
        }
    }

    /// Indexes come first: a foreign key takes a lock of its table that waits for them.
    fn next(&self, pg: &mut PgConnection) -> Result<Next, OfflineError> {
        let mut due = missing(pg, self.steps)?;
        {
            let failed = self.failed();
            due.retain(|one| !failed.keys.contains(&one.id));
        }
        let (indexes, keys): (Vec<_>, Vec<_>) = due.into_iter().partition(|one| one.is_index);
        let absent = keys.iter().find(|key| key.found.is_none());
        Ok(match absent {
            _ if !indexes.is_empty() => Next::Index(indexes),
            Some(key) => Next::Add(Box::new(key.clone())),
            None if keys.is_empty() => Next::Nothing,
            None => Next::Validate(keys),
        })
    }

    /// Builds the first index that nobody builds. `false` where there is none.
    fn index(&self, pg: &mut PgConnection, indexes: &[Missing]) -> Result<bool, OfflineError> {
        for index in indexes {
            if self.build(pg, index)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn build(&self, pg: &mut PgConnection, index: &Missing) -> Result<bool, OfflineError> {
        let claim = format!(
            "SELECT true AS taken FROM replant.replant_constraints WHERE id = {} AND restored_at IS NULL FOR UPDATE SKIP LOCKED",
            index.id
        );
        let failed = |source| OfflineError::Statement { what: index.what(), attempted: "built again", source };
        pg.transaction(|pg| {
            if diesel::sql_query(claim).get_result::<Taken>(pg).optional()?.is_none() {
                return Ok(false);
            }
            match &index.found {
                None => {
                    let tablespace = index.tablespace.as_deref().map_or_else(|| "''".to_owned(), quoted);
                    pg.batch_execute(&format!("SET LOCAL default_tablespace = {tablespace}"))?;
                    pg.batch_execute(&index.definition).map_err(failed)?;
                    if let Some(remark) = &index.remark {
                        let sql = format!("COMMENT ON INDEX {} IS {}", in_schema(pg, &index.name)?, literal(remark));
                        pg.batch_execute(&sql).map_err(failed)?;
                    }
                }
                Some(found) if *found == index.definition => {}
                Some(_) => return Err(OfflineError::Taken { what: index.what() }),
            }
            self.is_back(pg, index)?;
            Ok(true)
        })
    }

    /// Validates a foreign key of a table that nobody is at. `false` where there is none: several validations of one table
    /// would wait for each other.
    fn validate(&self, pg: &mut PgConnection, keys: &[Missing]) -> Result<bool, OfflineError> {
        let mut tried: Vec<&str> = Vec::new();
        for key in keys {
            if tried.contains(&&*key.table_name) {
                continue;
            }
            tried.push(&key.table_name);
            if key.found.as_deref().map(|found| found.trim_end_matches(NOT_VALID)) != Some(&*key.definition) {
                return Err(OfflineError::Taken { what: key.what() });
            }
            let (table, name) = (in_schema(pg, &key.table_name)?, quoted(&key.name));
            let oid = format!("SELECT {}::regclass::oid::bigint AS oid", literal(&table));
            let oid = diesel::sql_query(oid).get_result::<Oid>(pg)?.oid;
            let lock = i32::try_from(oid & i64::from(i32::MAX)).unwrap_or_default();
            let validated = alone(pg, lock, |pg| {
                diesel::sql_query(format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}")).execute(pg)?;
                self.is_back(pg, key)
            });
            match validated {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(source) if matches!(Failure::of(&source), Failure::Constraint(_)) => {
                    let orphans = orphans::of(pg, key)?;
                    let mut failed = self.failed();
                    if !failed.keys.contains(&key.id) {
                        failed.keys.push(key.id);
                        failed.orphans.push(orphans);
                    }
                    return Ok(true);
                }
                Err(source) => {
                    return Err(OfflineError::Statement { what: key.what(), attempted: "validated", source });
                }
            }
        }
        Ok(false)
    }

    /// Marks something as built again; of two who validated it, the second finds it so.
    fn is_back(&self, pg: &mut PgConnection, one: &Missing) -> QueryResult<()> {
        let sql = "UPDATE replant.replant_constraints SET restored_at = now() WHERE id = $1 AND restored_at IS NULL";
        let built = diesel::sql_query(sql).bind::<BigInt, _>(one.id).execute(pg)?;
        *self.built.lock().unwrap_or_else(PoisonError::into_inner) += built;
        Ok(())
    }
}

const NOT_VALID: &str = " NOT VALID";

#[derive(QueryableByName)]
struct Oid {
    #[diesel(sql_type = BigInt)]
    oid: i64,
}

/// Adds a foreign key that is not there, so that from then on rows are held against it.
fn add(pg: &mut PgConnection, key: &Missing) -> Result<(), OfflineError> {
    let failed = |source| OfflineError::Statement { what: key.what(), attempted: "added", source };
    let name = quoted(&key.name);
    pg.transaction(|pg| {
        let table = in_schema(pg, &key.table_name)?;
        let there = diesel::sql_query(format!(
            "SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = {}::regclass AND conname = {}) AS taken",
            literal(&table),
            literal(&key.name)
        ));
        if there.get_result::<Taken>(pg)?.taken {
            return Ok(());
        }
        pg.batch_execute(&format!("ALTER TABLE {table} ADD CONSTRAINT {name} {}{NOT_VALID}", key.definition))?;
        if let Some(remark) = &key.remark {
            pg.batch_execute(&format!("COMMENT ON CONSTRAINT {name} ON {table} IS {}", literal(remark)))?;
        }
        Ok(())
    })
    .map_err(failed)
}

/// Does something in a transaction while nobody else does the same. `false` where somebody does.
fn alone<E: From<diesel::result::Error>>(
    pg: &mut PgConnection,
    what: i32,
    work: impl FnOnce(&mut PgConnection) -> Result<(), E>,
) -> Result<bool, E> {
    let lock = format!("SELECT pg_try_advisory_xact_lock({LOCKS}, {what}) AS taken");
    pg.transaction(|pg| {
        if !diesel::sql_query(lock).get_result::<Taken>(pg)?.taken {
            return Ok(false);
        }
        work(pg)?;
        Ok(true)
    })
}
