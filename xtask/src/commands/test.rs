//! `test`: every test, and an account of those that could not run here.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::cli::{Server, Test};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::complain;
use crate::places::workspace;

/// Variables of the testkit.
const REQUIRE: &str = "REPLANT_REQUIRE";
const SKIPPED: &str = "REPLANT_SKIPPED";

const HAS_MARIADB: bool = cfg!(feature = "mysql");

pub(crate) fn run(args: &Test) -> Result<Exit, Error> {
    if args.require.contains(&Server::Mariadb) && !HAS_MARIADB {
        let what =
            "mariadb is required, but this build cannot speak to it: its client library was not found".to_owned();
        return Err(Error::Failed { what, hint: "Debian: apt-get install libmariadb-dev pkg-config".to_owned() });
    }
    let skipped =
        tempfile::NamedTempFile::new().map_err(Error::io("make a file for the names of suites that are skipped"))?;
    let required: Vec<&str> = args.require.iter().map(|server| server.as_str()).collect();
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--release", "--workspace"]);
    if HAS_MARIADB {
        cargo.args(["--features", "xtask/mysql,replant-testkit/mysql"]);
    }
    if cfg!(feature = "jemalloc") {
        cargo.args(["--features", "xtask/jemalloc"]);
    }
    cargo.args(&args.args).env(REQUIRE, required.join(",")).env(SKIPPED, skipped.path());
    cargo.current_dir(root()?);
    // A test of the program finds its settings by itself, whatever this one was told.
    for name in ["REPLANT_CONFIG_DIR", "REPLANT_WORK_DIR"] {
        cargo.env_remove(name);
    }
    let status = cargo.status().map_err(Error::io("run `cargo test`"))?;
    let lines = fs::read_to_string(skipped.path()).map_err(Error::io("read the names of suites that were skipped"))?;
    let account = account(&lines);
    if !account.is_empty() {
        complain(format!("\n{account}"));
    }
    match status.success() {
        true => Ok(Exit::Done),
        false => Err(Error::Failed { what: "tests failed".to_owned(), hint: "their names stand above".to_owned() }),
    }
}

fn root() -> Result<PathBuf, Error> {
    workspace()
        .or_else(|| env::current_dir().ok())
        .ok_or_else(|| Error::Io { attempt: "find the workspace".to_owned(), source: io::ErrorKind::NotFound.into() })
}

/// What did not run, by what it lacks, from the lines of the testkit: `skipped: suite::test (install postgresql)`.
fn account(lines: &str) -> String {
    let mut by_lack: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in lines.lines() {
        let line = line.strip_prefix("skipped: ").unwrap_or(line);
        let (name, lack) = line.rsplit_once(" (").unwrap_or((line, ""));
        let names = by_lack.entry(lack.trim_end_matches(')')).or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let told = by_lack.into_iter().map(|(lack, mut names)| {
        names.sort_unstable();
        let names: Vec<String> = names.iter().map(|name| format!("  {name}")).collect();
        format!("{} tests did not run; {}:\n{}", names.len(), remedy(lack), names.join("\n"))
    });
    told.collect::<Vec<_>>().join("\n\n")
}

/// How to get what a suite lacks.
fn remedy(lack: &str) -> String {
    match lack.strip_prefix("install ") {
        Some(package) => format!("to run them: apt-get install {package}"),
        None if lack.contains("mysql") => {
            "to run them: apt-get install libmariadb-dev pkg-config mariadb-server".to_owned()
        }
        None => lack.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_run_is_told_by_what_it_lacks() {
        let lines = "skipped: sample::b (install postgresql)\nskipped: sample::a (install postgresql)\n\
                     skipped: sample::a (install postgresql)\nskipped: servers::m (build with --features mysql)\n";
        let account = account(lines);
        assert!(
            account.contains("2 tests did not run; to run them: apt-get install postgresql:\n  sample::a\n  sample::b"),
            "{account}"
        );
        assert!(account.contains("1 tests did not run; to run them: apt-get install libmariadb-dev"), "{account}");
    }

    #[test]
    fn nothing_skipped_is_nothing_told() {
        assert_eq!(account(""), "");
    }
}
