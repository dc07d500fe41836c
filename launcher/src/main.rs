//! What `cargo xtask` runs: it has cargo build the program that a command needs, shows that it builds, and becomes it. It has no
//! dependencies, so that it is there at once.

mod build;
mod mysql;
mod openssl;
mod pkg_config;

use std::env;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use build::Build;

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("crates");
    let build = Build::of_call(&args, env::vars_os().map(|(name, _)| name), &crates);
    match made(&build) {
        Ok(true) => {}
        Ok(false) => return ExitCode::FAILURE,
        Err(error) => return complain(&error),
    }
    let mut program = cargo("run", &build);
    program.arg("--quiet").arg("--").args(args);
    for (variable, value) in HEAPS {
        if env::var_os(variable).is_none() {
            program.env(variable, value);
        }
    }
    become_it(program)
}

/// How many heaps glibc and jemalloc keep: none gives another one what was freed, and many threads have many. With a few of
/// them Replant takes a third less memory. What jemalloc was given back it keeps for four seconds: the next chunks take it.
const HEAPS: [(&str, &str); 2] = [("MALLOC_ARENA_MAX", "4"), ("MALLOC_CONF", "narenas:4,dirty_decay_ms:4000")];

fn cargo(command: &str, build: &Build) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg(command).args(build.arguments());
    cargo
}

/// Builds the program. What cargo says is shown once it builds something: where nothing is to be done it says so in lines that
/// nobody wants to read before each command.
fn made(build: &Build) -> io::Result<bool> {
    let mut cargo = cargo("build", build);
    if io::stderr().is_terminal() {
        cargo.args(["--color", "always"]);
    }
    let mut cargo = cargo.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let (mut kept, mut shown) = (Vec::new(), false);
    for line in BufReader::new(cargo.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?).lines() {
        kept.push(line?);
        shown |= kept.last().is_some_and(|line| !SILENT.iter().any(|word| line.contains(word)));
        if shown {
            kept.drain(..).for_each(|line| say(&line));
        }
    }
    let made = cargo.wait()?.success();
    if !made {
        kept.drain(..).for_each(|line| say(&line));
    }
    Ok(made)
}

/// What cargo says where there is nothing to build.
const SILENT: [&str; 2] = ["Finished", "Blocking"];

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
fn say(line: &str) {
    eprintln!("{line}");
}

fn complain(error: &io::Error) -> ExitCode {
    say(&format!("cargo xtask: cargo cannot be run: {error}"));
    ExitCode::FAILURE
}
