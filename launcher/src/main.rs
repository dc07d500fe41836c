//! What `cargo xtask` runs: it looks for the client library of MariaDB and MySQL, has cargo build xtask with or without
//! it, and becomes xtask. It has no dependencies, so that it is there at once.

mod mysql;

use std::env;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg("run");
    if is_built() {
        cargo.arg("--quiet");
    }
    cargo.args(["--release", "--package", "xtask"]);
    if mysql::is_installed() {
        cargo.args(["--features", "mysql"]);
    }
    cargo.arg("--").args(env::args_os().skip(1));
    // glibc keeps a heap for each of many threads, and none gives another one what was freed: with a few of them Replant
    // takes a third less memory. Other allocators ignore it.
    if env::var_os(ARENAS).is_none() {
        cargo.env(ARENAS, "4");
    }
    become_it(cargo)
}

/// The variable that tells glibc how many heaps there may be.
const ARENAS: &str = "MALLOC_ARENA_MAX";

/// Whether xtask was built before. The first build takes minutes, so it is shown.
fn is_built() -> bool {
    let beside = format!("xtask{}", env::consts::EXE_SUFFIX);
    env::current_exe().is_ok_and(|launcher| launcher.with_file_name(beside).is_file())
}

/// Replaces this process, so that signals and the exit code are those of xtask itself.
#[cfg(unix)]
fn become_it(mut cargo: Command) -> ExitCode {
    use std::os::unix::process::CommandExt;
    complain(&cargo.exec())
}

#[cfg(not(unix))]
fn become_it(mut cargo: Command) -> ExitCode {
    match cargo.status() {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => complain(&error),
    }
}

#[expect(clippy::print_stderr, reason = "nobody is there yet who could say it otherwise")]
fn complain(error: &std::io::Error) -> ExitCode {
    eprintln!("cargo xtask: cargo cannot be run: {error}");
    ExitCode::FAILURE
}
