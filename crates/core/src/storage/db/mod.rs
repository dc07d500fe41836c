//! One connection type over the databases that Replant reads and writes, opened by the scheme of its URL.

#![allow(missing_docs, reason = "diesel's derive makes public items without docs")]

pub(crate) mod diagnosis;
#[cfg(feature = "mysql")]
mod mariadb;
mod open;
pub(crate) mod session;
mod tls;
mod trouble;
mod url;

use std::fmt;

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::{Connection, PgConnection, QueryResult, RunQueryDsl, SqliteConnection};

use crate::storage::failure::caught;

pub use open::OpenError;
pub use url::{DbUrl, UrlError};

/// A connection to one of the databases.
#[derive(diesel::MultiConnection)]
pub enum Db {
    /// MariaDB or MySQL: legacy databases.
    #[cfg(feature = "mysql")]
    My(diesel::MysqlConnection),
    /// PostgreSQL: the live target.
    Pg(PgConnection),
    /// SQLite: demos, rehearsals and tests, on either side.
    Lite(SqliteConnection),
}

/// Which database server or library a URL speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// MariaDB or MySQL.
    MariaDb,
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MariaDb => "MariaDB",
            Self::Postgres => "PostgreSQL",
            Self::Sqlite => "SQLite",
        })
    }
}

/// Whether a connection reads the legacy database or writes the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read only, and the server is told so.
    Legacy,
    /// Read and written.
    Target,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Legacy => "legacy",
            Self::Target => "target",
        })
    }
}

/// Does something with the connection that a [`Db`] holds, compiled for each backend: reading through the enum looks up the
/// backend again for every field of every row.
#[cfg(feature = "mysql")]
#[doc(hidden)]
#[macro_export]
macro_rules! on_backend {
    ($db:expr, |$one:ident| $work:expr) => {
        match $db {
            $crate::db::Db::My($one) => $work,
            $crate::db::Db::Pg($one) => $work,
            $crate::db::Db::Lite($one) => $work,
        }
    };
}

/// Does something with the connection that a [`Db`] holds, compiled for each backend.
#[cfg(not(feature = "mysql"))]
#[doc(hidden)]
#[macro_export]
macro_rules! on_backend {
    ($db:expr, |$one:ident| $work:expr) => {
        match $db {
            $crate::db::Db::Pg($one) => $work,
            $crate::db::Db::Lite($one) => $work,
        }
    };
}

impl Db {
    /// Which backend this is.
    pub fn backend(&self) -> Backend {
        match self {
            #[cfg(feature = "mysql")]
            Db::My(_) => Backend::MariaDb,
            Db::Pg(_) => Backend::Postgres,
            Db::Lite(_) => Backend::Sqlite,
        }
    }

    /// Executes a statement without parameters, in a block in which PostgreSQL tells what refuses it; how many rows it touched.
    ///
    /// # Errors
    /// Whatever refuses it.
    pub(crate) fn execute_caught(&mut self, sql: &str) -> QueryResult<usize> {
        match self {
            Db::Pg(pg) => caught::execute(pg, sql),
            db => diesel::sql_query(sql).execute(db),
        }
    }

    /// Runs `work` in a transaction that takes SQLite's write lock at once (a lock that is taken half-way may fail).
    /// Inside a transaction it is a savepoint.
    ///
    /// # Errors
    /// Whatever `work` or the database returns; all is rolled back then.
    pub fn write<T, E: From<diesel::result::Error>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        type Enum = <Db as Connection>::TransactionManager;
        let outermost = match self {
            Db::Lite(lite) => depth(lite)? == 0,
            _ => false,
        };
        match self {
            Db::Lite(lite) if outermost => AnsiTransactionManager::begin_transaction_sql(lite, "BEGIN IMMEDIATE")?,
            _ => Enum::begin_transaction(self)?,
        }
        match work(self) {
            Ok(done) => Enum::commit_transaction(self).map(|()| done).map_err(E::from),
            Err(error) => {
                // The first error says why; a rollback that fails as well means that the connection is gone.
                let _ = Enum::rollback_transaction(self);
                Err(error)
            }
        }
    }
}

impl Db {
    /// Runs `read` in a transaction that only reads, and sees the database as it was at its beginning: what others commit meanwhile
    /// is not there.
    ///
    /// # Errors
    /// Whatever `read` or the database returns.
    pub(crate) fn snapshot<T, E: From<diesel::result::Error>>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transaction(|db| {
            if let Self::Pg(pg) = db {
                pg.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")?;
            }
            read(db)
        })
    }
}

fn depth(lite: &mut SqliteConnection) -> QueryResult<u32> {
    let status = <SqliteConnection as Connection>::TransactionManager::transaction_manager_status_mut(lite);
    Ok(status.transaction_depth()?.map_or(0, u32::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_sqlite_file_is_an_error_and_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.db");
        let error = Db::open(&DbUrl::sqlite(&path), Role::Target).err().expect("refused");
        assert!(error.to_string().contains("does not exist"));
        assert!(!path.exists());
    }

    #[test]
    fn a_password_is_never_shown() {
        let url: DbUrl = "postgres://joe:hunter2@127.0.0.1:1/x".parse().unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
        let error = Db::open(&url, Role::Target).err().expect("refused");
        assert!(!format!("{error:?}{error}").contains("hunter2"));
        assert!(error.to_string().contains("x at 127.0.0.1:1 as joe"), "{error}");
        assert!(error.transient);
    }

    #[test]
    fn a_legacy_session_refuses_to_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("legacy.db");
        std::fs::File::create(&path).unwrap();
        let mut db = Db::open(&DbUrl::sqlite(&path), Role::Legacy).unwrap();
        assert!(db.batch_execute("CREATE TABLE t (x INT)").is_err());
    }

    /// A database in WAL mode, as it was copied from under a process that has it open.
    fn copied_live(folder: &std::path::Path, with_log: bool) -> std::path::PathBuf {
        let source = folder.join("source.db");
        std::fs::File::create(&source).unwrap();
        let mut writer = Db::open(&DbUrl::sqlite(&source), Role::Target).unwrap();
        writer.batch_execute("CREATE TABLE t (x INT); INSERT INTO t VALUES (7)").unwrap();
        if !with_log {
            writer.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        }
        let copies = folder.join("copies %41?#");
        std::fs::create_dir(&copies).unwrap();
        std::fs::copy(&source, copies.join("legacy.db")).unwrap();
        if with_log {
            std::fs::copy(folder.join("source.db-wal"), copies.join("legacy.db-wal")).unwrap();
        }
        copies
    }

    fn bytes(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        // The index of a log is made anew by whoever reads it, and holds nothing of its own; nor does an empty log.
        let is_empty = |path: &std::path::PathBuf| path.metadata().unwrap().len() == 0;
        let mut files: Vec<_> =
            names.filter(|path| !path.to_string_lossy().ends_with("-shm") && !is_empty(path)).collect();
        files.sort();
        files.into_iter().map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect()
    }

    #[test]
    fn reading_a_legacy_file_changes_no_byte_of_it_or_of_its_log() {
        for with_log in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let copies = copied_live(folder.path(), with_log);
            let before = bytes(&copies);
            let mut db = Db::open(&DbUrl::sqlite(&copies.join("legacy.db")), Role::Legacy).unwrap();
            db.batch_execute("SELECT x FROM t").unwrap();
            drop(db);
            assert_eq!(before, bytes(&copies), "with a log: {with_log}");
        }
    }

    #[test]
    fn a_file_whose_log_holds_rows_is_not_taken_for_one_that_never_changes() {
        for with_log in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let file = copied_live(folder.path(), with_log).join("legacy.db");
            let url: DbUrl = format!("sqlite://{}?immutable=1", file.display()).parse().unwrap();
            let opened = Db::open(&url, Role::Legacy);
            let refused = opened.err().map(|error| error.to_string());
            assert_eq!(refused.is_some(), with_log, "{refused:?}");
            assert!(refused.is_none_or(|error| error.contains("-wal")));
        }
    }
}
