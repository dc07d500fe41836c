//! `test`: every test, and an account of those that could not run here.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use clap::{Args, ValueEnum};
use replant_cli::output::complain;
use replant_cli::{Command, Context, Error, Exit};

/// Run every test; suites that need a server which is not installed are named at the end
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask test                              everything that this machine can run
  cargo xtask test --require postgres,mariadb   fail rather than skip
  cargo xtask test -- a_test_name               arguments for `cargo test`")]
pub(crate) struct Test {
    /// Servers whose suites must run
    #[arg(long, value_name = "SERVERS", value_enum, value_delimiter = ',')]
    require: Vec<Server>,
    /// Arguments for `cargo test`
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<OsString>,
}

/// A server that tests start for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Server {
    Postgres,
    Mariadb,
}

impl Server {
    /// The word that the testkit knows it by.
    fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mariadb => "mariadb",
        }
    }
}

/// Variables of the testkit.
const REQUIRE: &str = "REPLANT_REQUIRE";
const SKIPPED: &str = "REPLANT_SKIPPED";
const POSTGRES_DIRS: &str = "REPLANT_POSTGRES_DIRS";

/// Where `.ci/run` puts further versions of PostgreSQL, a folder each.
const FETCHED: &str = "work/postgres";

const HAS_MARIADB: bool = cfg!(feature = "mysql");

impl Command for Test {
    const NAME: &'static str = "test";

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        if self.require.contains(&Server::Mariadb) && !HAS_MARIADB {
            let what =
                "mariadb is required, but this build cannot speak to it: its client library was not found".to_owned();
            return Err(Error::Failed { what, hint: "Debian: apt-get install libmariadb-dev pkg-config".to_owned() });
        }
        let skipped = tempfile::NamedTempFile::new()
            .map_err(Error::io("make a file for the names of suites that are skipped"))?;
        let asked = env::var(REQUIRE).unwrap_or_default();
        let required = required(&asked, self.require.iter().map(|server| server.as_str()));
        let mut cargo = process::Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["test", "--profile", "tests", "--workspace"]);
        if HAS_MARIADB {
            cargo.args(["--features", "xtask/mysql,replant-testkit/mysql"]);
        }
        if cfg!(feature = "tls") {
            cargo.args(["--features", "xtask/tls,replant-testkit/tls"]);
        }
        if cfg!(feature = "jemalloc") {
            cargo.args(["--features", "xtask/jemalloc"]);
        }
        cargo.args(&self.args).env(REQUIRE, required).env(SKIPPED, skipped.path());
        let root = root(cx)?;
        if env::var_os(POSTGRES_DIRS).is_none() {
            let folders = fetched(&root.join(FETCHED));
            cargo.env(POSTGRES_DIRS, env::join_paths(folders).unwrap_or_default());
        }
        cargo.current_dir(root);
        // A test of the program finds its settings by itself, whatever this one was told.
        for name in ["REPLANT_CONFIG_DIR", "REPLANT_WORK_DIR"] {
            cargo.env_remove(name);
        }
        let status = cargo.status().map_err(Error::io("run `cargo test`"))?;
        let lines =
            fs::read_to_string(skipped.path()).map_err(Error::io("read the names of suites that were skipped"))?;
        let account = account(&lines);
        if !account.is_empty() {
            complain(format!("\n{account}"));
        }
        match status.success() {
            true => Ok(Exit::Done),
            false => Err(Error::Failed { what: "tests failed".to_owned(), hint: "their names stand above".to_owned() }),
        }
    }
}

fn root(cx: &Context) -> Result<PathBuf, Error> {
    cx.workspace()
        .or_else(|| env::current_dir().ok())
        .ok_or_else(|| Error::Io { attempt: "find the workspace".to_owned(), source: io::ErrorKind::NotFound.into() })
}

/// The servers that the variable asks for, and those of the command line.
fn required<'a>(asked: &'a str, more: impl Iterator<Item = &'a str>) -> String {
    let asked = asked.split(',').map(str::trim).filter(|word| !word.is_empty());
    let mut words: Vec<&str> = asked.chain(more).collect();
    words.sort_unstable();
    words.dedup();
    words.join(",")
}

/// The versions of PostgreSQL in a folder.
fn fetched(folder: &Path) -> Vec<PathBuf> {
    let versions = fs::read_dir(folder).into_iter().flatten().flatten().map(|version| version.path());
    versions.filter(|version| version.join("bin/postgres").is_file()).collect()
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
        None if lack.contains("tls") => "to run them: apt-get install libssl-dev pkg-config".to_owned(),
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
    fn a_required_server_is_named_once_wherever_it_is_asked_for() {
        assert_eq!(required("german, postgres,", ["postgres", "mariadb"].into_iter()), "german,mariadb,postgres");
        assert_eq!(required("", [].into_iter()), "");
    }

    #[test]
    fn what_was_fetched_is_found_where_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        assert!(fetched(&folder.path().join("none")).is_empty());
        fs::create_dir_all(folder.path().join("18.new")).unwrap();
        fs::create_dir_all(folder.path().join("18/bin")).unwrap();
        fs::write(folder.path().join("18/bin/postgres"), "").unwrap();
        assert_eq!(fetched(folder.path()), [folder.path().join("18")]);
    }

    #[test]
    fn nothing_skipped_is_nothing_told() {
        assert_eq!(account(""), "");
    }
}
