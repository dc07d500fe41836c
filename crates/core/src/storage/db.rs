//! One connection type over the databases that Replant reads and writes, opened by the scheme of its URL.

#![allow(missing_docs, reason = "diesel's derive makes public items without docs")]

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::{Connection, ConnectionError, PgConnection, QueryResult, SqliteConnection};
use secrecy::{ExposeSecret, SecretString};

use crate::storage::failure::Failure;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// The address of a database. It may hold a password, so it is never printed.
#[derive(Clone)]
pub struct DbUrl {
    backend: Backend,
    url: SecretString,
}

/// Why an address was refused. Its text never holds the address.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// No scheme, or no URL at all.
    #[error(
        "a database address looks like mysql://user:password@host/database, postgres://… or sqlite:///path/to/file.db"
    )]
    Shape,
    /// A scheme that no backend answers to.
    #[error("`{0}` is no database that Replant knows: use mysql, mariadb, postgres, postgresql or sqlite")]
    Scheme(String),
}

impl FromStr for DbUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Shape)?;
        if rest.is_empty() {
            return Err(UrlError::Shape);
        }
        let (backend, url) = match scheme {
            "mysql" | "mariadb" => (Backend::MariaDb, format!("mysql://{rest}")),
            "postgres" | "postgresql" => (Backend::Postgres, format!("postgres://{rest}")),
            "sqlite" => (Backend::Sqlite, rest.to_owned()),
            other => return Err(UrlError::Scheme(other.to_owned())),
        };
        let url = match backend {
            Backend::Sqlite => url,
            Backend::MariaDb => url::Url::parse(&url).map_err(|_| UrlError::Shape)?.into(),
            Backend::Postgres => with_keepalives(url::Url::parse(&url).map_err(|_| UrlError::Shape)?),
        };
        Ok(Self { backend, url: url.into() })
    }
}

/// A network that swallows packets must look like a lost connection, not like a slow server.
fn with_keepalives(mut url: url::Url) -> String {
    let wished = [
        ("connect_timeout", "10"),
        ("keepalives_idle", "30"),
        ("keepalives_interval", "10"),
        ("keepalives_count", "3"),
        ("tcp_user_timeout", "60000"),
        ("application_name", "replant"),
    ];
    let given: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    for (name, value) in wished.iter().filter(|(name, _)| !given.iter().any(|g| g == name)) {
        url.query_pairs_mut().append_pair(name, value);
    }
    url.into()
}

impl fmt::Debug for DbUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DbUrl({}, [hidden])", self.backend)
    }
}

impl DbUrl {
    /// The address of a SQLite file.
    pub fn sqlite(path: &std::path::Path) -> Self {
        Self { backend: Backend::Sqlite, url: path.to_string_lossy().into_owned().into() }
    }

    /// The backend that its scheme names.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Where it is, for people: `platform at db1:5432 as replant`, or the file. Never the password.
    pub fn place(&self) -> String {
        let text = self.url.expose_secret();
        if self.backend == Backend::Sqlite {
            return text.to_owned();
        }
        let Ok(url) = url::Url::parse(text) else { return self.backend.to_string() };
        // A password with a sign of addresses in it, not encoded, is taken for the host or what stands behind it.
        if url.fragment().is_some()
            || [Some(url.path()), url.query()].into_iter().flatten().any(|part| part.contains('@'))
        {
            return self.backend.to_string();
        }
        let port = url.port().unwrap_or(if self.backend == Backend::Postgres { 5432 } else { 3306 });
        let database = url.path().trim_start_matches('/');
        let user = if url.username().is_empty() { String::new() } else { format!(" as {}", url.username()) };
        format!("{database} at {}:{port}{user}", url.host_str().unwrap_or("localhost"))
    }

    /// The file of a SQLite database.
    pub fn sqlite_path(&self) -> Option<PathBuf> {
        (self.backend == Backend::Sqlite).then(|| PathBuf::from(self.url.expose_secret()))
    }
}

/// Why a database could not be opened. Its text holds no address and no password.
#[derive(Debug, thiserror::Error)]
#[error("the {role} database ({backend}) cannot be opened: {reason}")]
pub struct OpenError {
    /// Which side it is.
    pub role: Role,
    /// Which kind.
    pub backend: Backend,
    /// What went wrong, in our words: a client library's own text may repeat the password.
    pub reason: &'static str,
    /// Whether trying again later may help.
    pub transient: bool,
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
    /// Opens a database for `role` and sets the session up: read only for the legacy side, UTC, foreign keys on.
    ///
    /// # Errors
    /// The server cannot be reached, refuses, or is not in this build; a SQLite file that is not there.
    pub fn open(url: &DbUrl, role: Role) -> Result<Self, OpenError> {
        let refused = |reason, transient| OpenError { role, backend: url.backend, reason, transient };
        let address = url.url.expose_secret();
        let connected = match url.backend {
            #[cfg(feature = "mysql")]
            Backend::MariaDb => diesel::MysqlConnection::establish(address).map(Db::My),
            #[cfg(not(feature = "mysql"))]
            Backend::MariaDb => return Err(refused(NO_MYSQL, false)),
            Backend::Postgres => PgConnection::establish(address).map(Db::Pg),
            Backend::Sqlite => {
                if !std::path::Path::new(address).is_file() {
                    return Err(refused(
                        "the file does not exist; `cargo xtask demo` makes one from the sample",
                        false,
                    ));
                }
                SqliteConnection::establish(address).map(Db::Lite)
            }
        };
        let mut db = connected.map_err(|error| {
            let (reason, transient) = reason(&error);
            refused(reason, transient)
        })?;
        db.batch_execute(session(url.backend, role)).map_err(|error| {
            let failure = Failure::of(&error);
            tracing::debug!(%role, backend = %url.backend, failure = failure.kind(), "session set-up failed");
            match failure {
                Failure::Lost => refused("the connection was lost while the session was set up", true),
                _ => refused("it was reached but refused the session's settings", false),
            }
        })?;
        Ok(db)
    }

    /// Which backend this is.
    pub fn backend(&self) -> Backend {
        match self {
            #[cfg(feature = "mysql")]
            Db::My(_) => Backend::MariaDb,
            Db::Pg(_) => Backend::Postgres,
            Db::Lite(_) => Backend::Sqlite,
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

fn depth(lite: &mut SqliteConnection) -> QueryResult<u32> {
    let status = <SqliteConnection as Connection>::TransactionManager::transaction_manager_status_mut(lite);
    Ok(status.transaction_depth()?.map_or(0, u32::from))
}

#[cfg(not(feature = "mysql"))]
const NO_MYSQL: &str = "this build has no MariaDB support, because its client library was not found: \
     install it (Debian: apt install libmariadb-dev pkg-config; macOS: brew install mariadb-connector-c) and run the command again";

fn session(backend: Backend, role: Role) -> &'static str {
    match (backend, role) {
        (Backend::MariaDb, Role::Legacy) => "SET SESSION TRANSACTION READ ONLY",
        (Backend::MariaDb, Role::Target) => "SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION'",
        (Backend::Postgres, Role::Legacy) => "SET default_transaction_read_only = on; SET timezone = 'UTC'",
        // The cost of a page: pages of parents are in memory while their children are written. With that of a hard disk
        // PostgreSQL reads a whole small table (countries) for each row that points into it.
        (Backend::Postgres, Role::Target) => {
            "SET application_name = 'replant'; SET timezone = 'UTC'; SET search_path = public, replant; SET lock_timeout = '30s'; \
             SET client_min_messages = 'warning'; SET idle_in_transaction_session_timeout = '15min'; \
             SET random_page_cost = 1.1; SET jit = off"
        }
        (Backend::Sqlite, Role::Legacy) => "PRAGMA busy_timeout = 30000; PRAGMA query_only = on",
        (Backend::Sqlite, Role::Target) => {
            "PRAGMA busy_timeout = 30000; PRAGMA journal_mode = wal; PRAGMA synchronous = normal; PRAGMA foreign_keys = on"
        }
    }
}

/// What a failure to connect means, and whether it may pass. Client libraries put addresses into their texts, so only
/// what they say of the cause is looked at, and nothing of it is repeated.
fn reason(error: &ConnectionError) -> (&'static str, bool) {
    let text = error.to_string().to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["authentication", "access denied", "no pg_hba", "password"]) {
        ("the server refuses the user or the password", false)
    } else if says(&["does not exist", "unknown database"]) {
        ("the server has no database or user of that name", false)
    } else if says(&["could not translate host", "unknown mysql server host", "unknown server host", "name or service"])
    {
        ("the host name cannot be resolved", false)
    } else if says(&["too many c", "remaining connection slots"]) {
        ("the server has no connection left", true)
    } else if says(&["starting up", "shutting down", "recovery"]) {
        ("the server is starting or stopping", true)
    } else if says(&["ssl", "tls"]) {
        ("the two ends do not agree on TLS", false)
    } else if says(&[
        "refused",
        "can't connect",
        "connection to server",
        "no such file",
        "timeout",
        "timed out",
        "lost connection",
    ]) {
        ("no server answers at that host and port", true)
    } else {
        ("the client library gave no reason that can be shown", true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_picks_the_backend() {
        let backend = |text: &str| text.parse::<DbUrl>().map(|url| url.backend());
        assert_eq!(backend("mariadb://u:p@h/db").unwrap(), Backend::MariaDb);
        assert_eq!(backend("postgresql://h/db").unwrap(), Backend::Postgres);
        assert_eq!(backend("sqlite:///tmp/x.db").unwrap(), Backend::Sqlite);
        assert!(matches!(backend("oracle://h/db"), Err(UrlError::Scheme(_))));
        assert!(matches!(backend("oracle.db"), Err(UrlError::Shape)));
    }

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
        assert!(error.transient);
    }

    #[test]
    fn a_place_names_everything_but_the_password() {
        for (url, expect) in [
            ("postgres://replant:hunter2@db1/platform", "platform at db1:5432 as replant"),
            ("postgres://replant:hunter2@db1:6432/platform?sslmode=disable", "platform at db1:6432 as replant"),
            ("mysql://reader:p%40ss%23@legacy/moretrees_legacy", "moretrees_legacy at legacy:3306 as reader"),
            ("postgres://db1/platform", "platform at db1:5432"),
            ("sqlite:///tmp/x.db", "/tmp/x.db"),
        ] {
            assert_eq!(url.parse::<DbUrl>().expect("an address").place(), expect);
        }
        // Signs of addresses in a password that are not encoded.
        for url in ["postgres://u:12/hunter2@h/db", "postgres://u:p@hunter2#x@h/db", "mysql://u:12?hunter2@h/db"] {
            let place = url.parse::<DbUrl>().map(|url| url.place()).unwrap_or_default();
            assert!(!place.contains("hunter2"), "{place}");
        }
    }

    #[test]
    fn a_legacy_session_refuses_to_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("legacy.db");
        std::fs::File::create(&path).unwrap();
        let mut db = Db::open(&DbUrl::sqlite(&path), Role::Legacy).unwrap();
        assert!(db.batch_execute("CREATE TABLE t (x INT)").is_err());
    }
}
