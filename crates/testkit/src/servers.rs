//! Throwaway database servers: one of each kind per test process, started when a test first asks for it.

mod crash;
mod options;
mod require;
pub(crate) mod supervisor;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fmt, fs, io};

use diesel::connection::SimpleConnection;
use replant_core::db::{Backend, Db, OpenError, Role};

use crate::database::Database;
use crate::{mariadb, postgres};
use supervisor::Supervised;

pub use options::ServerOptions;
pub use require::{REQUIRE, SKIPPED, available, german, has_postgres, own, own_with_tls, postgres_of};

const START_ATTEMPTS: u32 = 3;
const GERMAN: &str = "de_DE.UTF-8";

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL, the target.
    Postgres,
    /// MariaDB, the legacy side.
    MariaDb,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MariaDb => "mariadb",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::MariaDb => "mariadb-server",
        }
    }

    fn backend(self) -> Backend {
        match self {
            Self::Postgres => Backend::Postgres,
            Self::MariaDb => Backend::MariaDb,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why there is no server, or no database in it.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A program of the server is not on this machine.
    #[error("no `{program}` on this machine: apt-get install {package}")]
    Missing {
        /// The program looked for.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// That version of PostgreSQL is not on this machine.
    #[error("no PostgreSQL {major} on this machine: {} names no folder of it", postgres::FOLDERS)]
    NoVersion {
        /// The version.
        major: u32,
    },
    /// The C library does not know the locale.
    #[error("the locale {name} is not on this machine: localedef makes it")]
    NoLocale {
        /// The locale.
        name: &'static str,
    },
    /// The user whom the server runs as may not look into a folder.
    #[error("the user {user}, as whom the server runs, may not read {}: move it to where all may", folder.display())]
    Closed {
        /// The folder.
        folder: PathBuf,
        /// The user.
        user: &'static str,
    },
    /// This build cannot speak to MariaDB.
    #[error("this build has no MariaDB client: build with --features mysql (needs libmariadb-dev)")]
    NoClient,
    /// This build speaks no TLS to PostgreSQL.
    #[error("this build speaks no TLS to PostgreSQL: build with --features tls (needs libssl-dev)")]
    NoTls,
    /// A system call on the way failed.
    #[error("{attempt}")]
    Io {
        /// What was attempted, on what.
        attempt: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A program of the server gave up, or never became ready.
    #[error("{program} {what}; the end of its log:\n{log}")]
    Failed {
        /// The program.
        program: String,
        /// What it did.
        what: &'static str,
        /// The last lines that it printed.
        log: String,
    },
    /// The server is there and cannot be connected to.
    #[error("connect to a throwaway server")]
    Open(#[from] OpenError),
    /// The server refused to make a database.
    #[error("make a database in a throwaway server")]
    Make(#[from] diesel::result::Error),
}

impl ServerError {
    /// Whether the machine or the build lacks what it takes, which is no failure unless [`REQUIRE`] says so.
    fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. } | Self::NoVersion { .. } | Self::NoLocale { .. } | Self::NoClient | Self::NoTls
        )
    }
}

/// A running server of our own on a free port of 127.0.0.1, its data in the system's temp folder.
///
/// It is stopped and its folder removed when this is dropped, and as well when the process that started it ends in any
/// other way: by exit with the server in a `static`, by panic, by SIGKILL.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    port: u16,
    databases: AtomicU32,
    process: Supervised,
}

impl Server {
    /// Starts a server that is fast and forgets all when the machine fails: what tests want.
    ///
    /// # Errors
    /// Its programs are missing, or it does not come up.
    pub fn start(kind: Kind) -> Result<Self, ServerError> {
        Self::start_with(kind, &ServerOptions::new())
    }

    /// Starts a server that syncs to disk as a real one does: what measurements want.
    ///
    /// # Errors
    /// Its programs are missing, or it does not come up.
    pub fn start_durable(kind: Kind) -> Result<Self, ServerError> {
        Self::start_durable_with(kind, &[])
    }

    /// As [`start_durable`](Self::start_durable), with further settings in the server's own words: `shared_buffers=1GB`,
    /// `innodb-buffer-pool-size=1G`.
    ///
    /// # Errors
    /// Its programs are missing, or it does not come up: it may not know a setting.
    pub fn start_durable_with(kind: Kind, settings: &[&str]) -> Result<Self, ServerError> {
        Self::start_with(kind, &ServerOptions::new().durable().settings(settings))
    }

    /// Starts a PostgreSQL of this version, from a folder that [`postgres::FOLDERS`] names or from Debian's packages.
    ///
    /// # Errors
    /// There is none of that version, or it does not come up.
    pub fn start_postgres_of(major: u32) -> Result<Self, ServerError> {
        Self::start_with(Kind::Postgres, &ServerOptions::new().programs(postgres::folder_of(major)?))
    }

    /// Starts a PostgreSQL whose messages are German.
    ///
    /// # Errors
    /// The locale is missing, or it does not come up.
    pub fn start_german() -> Result<Self, ServerError> {
        if !postgres::has_locale(GERMAN) {
            return Err(ServerError::NoLocale { name: GERMAN });
        }
        Self::start_with(Kind::Postgres, &ServerOptions::new().setting(format!("lc_messages={GERMAN}")))
    }

    /// Starts a server that differs from an ordinary one as `options` say.
    ///
    /// # Errors
    /// Its programs are missing, or it does not come up: it may not know an option.
    pub fn start_with(kind: Kind, options: &ServerOptions) -> Result<Self, ServerError> {
        let launch = |port| match kind {
            Kind::Postgres => postgres::launch(port, options),
            Kind::MariaDb => mariadb::launch(port, options),
        };
        let mut attempt = 1;
        loop {
            // Another process may take the port between here and the start: then once more.
            let port = supervisor::free_port()?;
            match launch(port) {
                Ok(process) => {
                    return Ok(Self { kind, port, databases: AtomicU32::new(0), process });
                }
                Err(ServerError::Failed { .. }) if attempt < START_ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The folder that holds its data and its log, as long as it lives.
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// The process that is the server, or at the head of its processes. `None` where it is gone.
    pub fn pid(&self) -> Option<u32> {
        let file = match self.kind {
            Kind::Postgres => "data/postmaster.pid",
            Kind::MariaDb => "pid",
        };
        fs::read_to_string(self.folder().join(file)).ok()?.lines().next()?.trim().parse().ok()
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The address of one of its databases, as a configuration would name it.
    pub fn url(&self, database: &str) -> String {
        match self.kind {
            Kind::Postgres => format!("postgres://postgres@127.0.0.1:{}/{database}", self.port),
            Kind::MariaDb => format!("mysql://{}@127.0.0.1:{}/{database}", mariadb::CREDENTIALS, self.port),
        }
    }

    /// Makes a new, empty database. It goes when the handle is dropped.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub fn database(&self) -> Result<Database, ServerError> {
        match self.kind {
            Kind::Postgres => self.database_with("TEMPLATE template0"),
            Kind::MariaDb => self.database_with("CHARACTER SET utf8mb4"),
        }
    }

    /// As [`database`](Self::database), with these options of CREATE DATABASE alone: `TEMPLATE template0 ENCODING LATIN1`.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub fn database_with(&self, options: &str) -> Result<Database, ServerError> {
        self.make(|name| format!("CREATE DATABASE {name} {options}"))
    }

    /// Makes a copy of a PostgreSQL database of this server, to which nobody may be connected.
    ///
    /// # Errors
    /// The server cannot be reached or refuses: MariaDB has no such thing.
    pub fn clone_of(&self, template: &Database) -> Result<Database, ServerError> {
        self.make(|name| format!("CREATE DATABASE {name} TEMPLATE {}", template.name()))
    }

    fn make(&self, sql: impl Fn(&str) -> String) -> Result<Database, ServerError> {
        let name = format!("replant_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let maintenance = match self.kind {
            Kind::Postgres => "postgres",
            Kind::MariaDb => "mysql",
        };
        let database = Database::new(self.kind.backend(), name, |name| self.url(name), maintenance);
        Db::open(&database.maintenance(), Role::Target)?.batch_execute(&sql(database.name()))?;
        Ok(database)
    }
}
