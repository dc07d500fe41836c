//! What `cargo xtask` runs: it looks for the client library of MariaDB and MySQL, for OpenSSL and for what builds jemalloc, has
//! cargo build xtask with or without them, and becomes xtask. It has no dependencies, so that it is there at once.

mod mysql;
mod openssl;
mod pkg_config;

use std::env;
use std::process::{Command, ExitCode, Stdio};

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
    if openssl::is_installed() {
        cargo.args(["--features", "tls"]);
    }
    if builds_jemalloc() {
        cargo.args(["--features", "jemalloc"]);
    }
    cargo.arg("--").args(env::args_os().skip(1));
    for (variable, value) in HEAPS {
        if env::var_os(variable).is_none() {
            cargo.env(variable, value);
        }
    }
    become_it(cargo)
}

/// How many heaps glibc and jemalloc keep: none gives another one what was freed, and many threads have many. With a few of
/// them Replant takes a third less memory. What jemalloc was given back it keeps for four seconds: the next chunks take it.
const HEAPS: [(&str, &str); 2] = [("MALLOC_ARENA_MAX", "4"), ("MALLOC_CONF", "narenas:4,dirty_decay_ms:4000")];

/// Whether jemalloc can be built: its sources come with its crate, but not `make`.
fn builds_jemalloc() -> bool {
    let mut make = Command::new("make");
    make.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    cfg!(target_os = "linux") && make.status().is_ok_and(|status| status.success())
}

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
