//! PostgreSQL: how a throwaway server is started, and databases in the one that this process shares.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::database::Database;
use crate::servers::supervisor::{Home, Launch, Supervised, find_program, io};
use crate::servers::{self, Kind, ServerError, ServerOptions};

const PACKAGE: &str = "postgresql";

/// Folders of further versions of PostgreSQL, each with `bin`, `lib` and `share` in it, in a list like that of `PATH`.
pub const FOLDERS: &str = "REPLANT_POSTGRES_DIRS";

/// A new, empty database in the shared server; `None` when the test is to be skipped (see [`servers::available`]).
///
/// # Panics
/// The server refuses.
pub fn database() -> Option<Database> {
    let server = servers::available(Kind::Postgres)?;
    Some(server.database().unwrap_or_else(|error| panic!("a new PostgreSQL database: {error:?}")))
}

/// A copy of a database of the shared server, to which nobody may be connected; `None` when the test is to be skipped.
///
/// # Panics
/// The server refuses.
pub fn clone_of(template: &Database) -> Option<Database> {
    let server = servers::available(Kind::Postgres)?;
    Some(server.clone_of(template).unwrap_or_else(|error| panic!("a copy of a PostgreSQL database: {error:?}")))
}

/// A program of the newest PostgreSQL on this machine: `psql`, `pg_dump`. `None` where it is not installed.
pub fn program(name: &str) -> Option<PathBuf> {
    newest().map(|bin| bin.join(name)).filter(|program| program.is_file()).or_else(|| find_program(name))
}

pub(crate) fn launch(port: u16, options: &ServerOptions) -> Result<Supervised, ServerError> {
    let bin = match &options.programs {
        Some(folder) => folder.join("bin"),
        None => newest().ok_or(ServerError::Missing { program: "initdb", package: PACKAGE })?,
    };
    let home = Home::make("postgres", "postgres", PACKAGE)?;
    home.can_read(&bin)?;
    let data = home.path().join("data").display().to_string();
    let mut cluster = vec!["-D", &data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
    cluster.extend(options.initdb.iter().map(String::as_str));
    home.run(&bin.join("initdb"), &cluster)?;
    home.write(&options.files)?;

    let port_setting = format!("port={port}");
    let mut settings = vec![
        &*port_setting,
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "max_connections=250",
        "timezone=UTC",
        // The log is read by the codes of errors: their words may be in any language.
        "log_line_prefix=%m [%p] %e ",
    ];
    if !options.durable {
        settings.extend(["fsync=off", "full_page_writes=off", "synchronous_commit=off"]);
    }
    settings.extend(options.settings.iter().map(String::as_str));
    let mut args = vec!["-D".to_owned(), data];
    args.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting.to_owned()]));
    Supervised::start(home, Launch { program: bin.join("postgres"), args, stop: "QUIT", is_ready, port })
}

/// The server writes its state into the eighth line of its pid file.
fn is_ready(home: &Path, _port: u16) -> bool {
    fs::read_to_string(home.join("data/postmaster.pid"))
        .is_ok_and(|file| file.lines().nth(7).is_some_and(|state| state.trim() == "ready"))
}

/// The folder of the newest version's programs: Debian keeps each version in its own and off the PATH.
fn newest() -> Option<PathBuf> {
    let newest = installed().into_iter().max_by_key(|(major, _)| *major).map(|(_, folder)| folder.join("bin"));
    newest.or_else(|| Some(find_program("initdb")?.parent()?.to_owned()).filter(|bin| is_complete(bin)))
}

/// The versions that Debian's packages have brought, and the folder of each.
fn installed() -> Vec<(u32, PathBuf)> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let of_version = |folder: &Path| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let complete = versions.map(|version| version.path()).filter(|folder| is_complete(&folder.join("bin")));
    complete.filter_map(|folder| Some((of_version(&folder)?, folder))).collect()
}

/// The folder that holds `bin`, `lib` and `share` of a version, among those that [`FOLDERS`] names and those of Debian.
pub(crate) fn folder_of(major: u32) -> Result<PathBuf, ServerError> {
    let named = env::var_os(FOLDERS).unwrap_or_default();
    for folder in env::split_paths(&named).filter(|folder| !folder.as_os_str().is_empty()) {
        if major_of(&folder)? == major {
            return Ok(folder);
        }
    }
    let found = installed().into_iter().find(|(installed, _)| *installed == major);
    found.map(|(_, folder)| folder).ok_or(ServerError::NoVersion { major })
}

/// `postgres (PostgreSQL) 18.4`
fn major_of(folder: &Path) -> Result<u32, ServerError> {
    let program = folder.join("bin/postgres");
    let said = Command::new(&program)
        .arg("--version")
        .output()
        .map_err(io(format!("ask {} for its version ({FOLDERS} names it)", program.display())))?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let number = said.split_whitespace().last().and_then(|version| version.split(|c: char| !c.is_ascii_digit()).next());
    number.and_then(|major| major.parse().ok()).ok_or_else(|| ServerError::Failed {
        program: program.display().to_string(),
        what: "does not say its version",
        log: said,
    })
}

fn is_complete(bin: &Path) -> bool {
    bin.join("initdb").is_file() && bin.join("postgres").is_file()
}

/// Whether the C library of this machine knows a locale.
pub(crate) fn has_locale(name: &str) -> bool {
    let plain = |name: &str| name.to_lowercase().replace('-', "");
    let known = Command::new("locale").arg("-a").output();
    known.is_ok_and(|known| String::from_utf8_lossy(&known.stdout).lines().any(|known| plain(known) == plain(name)))
}
