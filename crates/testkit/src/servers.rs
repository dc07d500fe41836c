//! Throwaway database servers: one of each kind per test process, started when a test first asks for it.

pub(crate) mod supervisor;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fmt, fs};

use diesel::connection::SimpleConnection;
use replant_core::db::{Backend, Db, OpenError, Role};

use crate::database::Database;
use crate::{mariadb, postgres};
use supervisor::Supervised;

/// Which servers a run of the tests must have: a comma list of `postgres` and `mariadb`. A required one that is missing fails.
pub const REQUIRE: &str = "REPLANT_REQUIRE";

/// A file that gets a line for every suite that was skipped, so that CI can refuse a run that skipped what it should not.
pub const SKIPPED: &str = "REPLANT_SKIPPED";

const START_ATTEMPTS: u32 = 3;

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
    /// This build cannot speak to MariaDB.
    #[error("this build has no MariaDB client: build with --features mysql (needs libmariadb-dev)")]
    NoClient,
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
        matches!(self, Self::Missing { .. } | Self::NoClient)
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
        Self::start_with(kind, Durability::None, &[])
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
        Self::start_with(kind, Durability::Real, settings)
    }

    fn start_with(kind: Kind, durability: Durability, settings: &[&str]) -> Result<Self, ServerError> {
        let launch = |port| match kind {
            Kind::Postgres => postgres::launch(port, durability, settings),
            Kind::MariaDb => mariadb::launch(port, durability, settings),
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
            Kind::Postgres => self.make(|name| format!("CREATE DATABASE {name} TEMPLATE template0")),
            Kind::MariaDb => self.make(|name| format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")),
        }
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

/// Whether a server may forget what it said was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    None,
    Real,
}

/// The server of this kind that the tests of this process share, started by the first who asks.
///
/// `None` when the machine has no such server: the test that asked is then skipped, which is printed and written to the
/// file that [`SKIPPED`] names.
///
/// # Panics
/// The server is there and does not start, or is not there though [`REQUIRE`] names it: a test must not skip silently.
pub fn available(kind: Kind) -> Option<&'static Server> {
    static POSTGRES: OnceLock<Result<Server, ServerError>> = OnceLock::new();
    static MARIADB: OnceLock<Result<Server, ServerError>> = OnceLock::new();
    let shared = match kind {
        Kind::Postgres => &POSTGRES,
        Kind::MariaDb => &MARIADB,
    };
    match shared.get_or_init(|| Server::start(kind)) {
        Ok(server) => Some(server),
        Err(error) if error.is_absence() && !is_required(kind) => {
            record_skip(kind, error);
            None
        }
        Err(error) => panic!("a throwaway {kind} server: {}", chain(error)),
    }
}

fn is_required(kind: Kind) -> bool {
    env::var(REQUIRE).is_ok_and(|list| {
        list.split(',').map(str::trim).filter(|word| !word.is_empty()).any(|word| {
            assert!(
                [Kind::Postgres, Kind::MariaDb].iter().any(|known| known.name() == word),
                "{REQUIRE}: no server is called `{word}`"
            );
            word == kind.name()
        })
    })
}

fn record_skip(kind: Kind, error: &ServerError) {
    let how = match error {
        ServerError::NoClient => "build with --features mysql".to_owned(),
        _ => format!("install {}", kind.package()),
    };
    let line = format!("skipped: {} ({how})\n", suite());
    #[expect(clippy::print_stderr, reason = "the reader of a test's output must see that it was skipped")]
    {
        eprint!("{line}");
    }
    if let Some(file) = env::var_os(SKIPPED).map(PathBuf::from) {
        let written = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&file)
            .and_then(|mut file| io::Write::write_all(&mut file, line.as_bytes()));
        written.unwrap_or_else(|error| panic!("{SKIPPED}: append to {}: {error}", file.display()));
    }
}

/// The test binary without cargo's hash, and the test, whose name its thread bears.
fn suite() -> String {
    let binary = env::current_exe()
        .ok()
        .and_then(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .unwrap_or_default();
    let binary = binary.rsplit_once('-').map_or(binary.as_str(), |(name, _)| name);
    match std::thread::current().name() {
        Some(test) if test != "main" => format!("{binary}::{test}"),
        _ => binary.to_owned(),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
