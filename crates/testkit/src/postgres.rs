//! PostgreSQL: how a throwaway server is started, and databases in the one that this process shares.

use std::fs;
use std::path::{Path, PathBuf};

use crate::database::Database;
use crate::servers::supervisor::{Home, Supervised, find_program};
use crate::servers::{self, Durability, Kind, ServerError};

const PACKAGE: &str = "postgresql";

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
    binaries().map(|bin| bin.join(name)).filter(|program| program.is_file()).or_else(|| find_program(name))
}

pub(crate) fn launch(port: u16, durability: Durability, further: &[&str]) -> Result<Supervised, ServerError> {
    let bin = binaries().ok_or(ServerError::Missing { program: "initdb", package: PACKAGE })?;
    let home = Home::make("postgres", "postgres", PACKAGE)?;
    let data = home.path().join("data");
    let data = data.to_string_lossy();
    let cluster =
        ["-D", &data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"];
    home.run(&bin.join("initdb"), &cluster)?;

    let port = format!("port={port}");
    let mut settings =
        vec![&*port, "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=250", "timezone=UTC"];
    if durability == Durability::None {
        settings.extend(["fsync=off", "full_page_writes=off", "synchronous_commit=off"]);
    }
    settings.extend(further);
    let mut args = vec!["-D".to_owned(), data.into_owned()];
    args.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting.to_owned()]));
    Supervised::start(home, "QUIT", &bin.join("postgres"), &args, is_ready)
}

/// The server writes its state into the eighth line of its pid file.
fn is_ready(home: &Path) -> bool {
    fs::read_to_string(home.join("data/postmaster.pid"))
        .is_ok_and(|file| file.lines().nth(7).is_some_and(|state| state.trim() == "ready"))
}

/// The folder of the newest version's programs: Debian keeps each version in its own and off the PATH.
fn binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let of_version =
        |folder: &PathBuf| folder.parent().and_then(|folder| folder.file_name()?.to_str()?.parse::<u32>().ok());
    let newest =
        versions.map(|version| version.path().join("bin")).filter(|bin| is_complete(bin)).max_by_key(of_version);
    newest.or_else(|| Some(find_program("initdb")?.parent()?.to_owned()).filter(|bin| is_complete(bin)))
}

fn is_complete(bin: &Path) -> bool {
    bin.join("initdb").is_file() && bin.join("postgres").is_file()
}
