//! What happens where a test asks for a server that this machine does not have: it is skipped, or fails, and never silently.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::{env, fs, io};

use super::{Kind, Server, ServerError, ServerOptions};

/// Which servers a run of the tests must have, in a list with commas: `postgres`, `mariadb`; `postgres-13`, or another
/// version, for [`postgres_of`]; `german` for [`german`]; `tls` for [`own_with_tls`]. A required one that is missing fails the test that asks for it.
pub const REQUIRE: &str = "REPLANT_REQUIRE";

/// A file that gets a line for every suite that was skipped, so that CI can refuse a run that skipped what it should not.
pub const SKIPPED: &str = "REPLANT_SKIPPED";

const GERMAN: &str = "german";
const TLS: &str = "tls";

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
    found(kind.name(), kind, shared.get_or_init(|| Server::start(kind)).as_ref())
}

/// A server of one's own; `None` as [`available`] has it.
///
/// # Panics
/// As [`available`] does.
pub fn own(kind: Kind, options: &ServerOptions) -> Option<Server> {
    found(kind.name(), kind, Server::start_with(kind, options))
}

/// A PostgreSQL of one's own for a client that speaks TLS; `None` as [`available`] has it.
///
/// # Panics
/// As [`available`] does.
pub fn own_with_tls(options: &ServerOptions) -> Option<Server> {
    let started = match cfg!(feature = "tls") {
        true => Server::start_with(Kind::Postgres, options),
        false => Err(ServerError::NoTls),
    };
    found(TLS, Kind::Postgres, started)
}

/// Whether the programs of a version of PostgreSQL are there.
pub fn has_postgres(major: u32) -> bool {
    crate::postgres::folder_of(major).is_ok()
}

/// A server of one's own of a version of PostgreSQL; `None` as [`available`] has it.
///
/// # Panics
/// As [`available`] does.
pub fn postgres_of(major: u32) -> Option<Server> {
    found(&format!("{}-{major}", Kind::Postgres.name()), Kind::Postgres, Server::start_postgres_of(major))
}

/// A PostgreSQL of one's own that speaks German; `None` as [`available`] has it.
///
/// # Panics
/// As [`available`] does.
pub fn german() -> Option<Server> {
    found(GERMAN, Kind::Postgres, Server::start_german())
}

fn found<S, E: std::borrow::Borrow<ServerError>>(name: &str, kind: Kind, started: Result<S, E>) -> Option<S> {
    match started {
        Ok(server) => Some(server),
        Err(error) if error.borrow().is_absence() && !is_required(name) => {
            record_skip(kind, error.borrow());
            None
        }
        Err(error) => panic!("a throwaway server ({name}): {}", chain(error.borrow())),
    }
}

fn is_required(name: &str) -> bool {
    env::var(REQUIRE).is_ok_and(|list| {
        list.split(',').map(str::trim).filter(|word| !word.is_empty()).any(|word| {
            assert!(is_known(word), "{REQUIRE}: no server is called `{word}`");
            word == name
        })
    })
}

fn is_known(word: &str) -> bool {
    let is_version = |word: &str| {
        word.split_once('-').is_some_and(|(kind, major)| kind == Kind::Postgres.name() && major.parse::<u32>().is_ok())
    };
    [Kind::Postgres.name(), Kind::MariaDb.name(), GERMAN, TLS].contains(&word) || is_version(word)
}

fn record_skip(kind: Kind, error: &ServerError) {
    let how = match error {
        ServerError::NoClient => "build with --features mysql".to_owned(),
        ServerError::NoTls => "build with --features tls".to_owned(),
        ServerError::NoVersion { .. } | ServerError::NoLocale { .. } => error.to_string(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_known_by_their_number() {
        assert!(is_known("postgres") && is_known("postgres-13") && is_known("german"));
        assert!(!is_known("postgres-x") && !is_known("mariadb-10") && !is_known("mysql"));
    }
}
