//! Which program a call needs, and how cargo is to build it.
//!
//! What moves the sample on this machine needs no optimisation, no server's client and no tools of measuring: it is built in a
//! third of the time. What goes to a server is built whole, to run fast. What runs the tests is built as they are. What tries a rule
//! is built of one domain.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{mysql, openssl};

/// A program, as a call needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Build {
    /// For SQLite files of this machine.
    Local,
    /// For everything.
    Whole,
    /// For everything, of the parts that the tests are built of.
    Tests,
    /// For the rules of one domain: its package, and the example there that is named after the legacy table.
    Trial { package: String, example: String },
}

/// Commands that need nothing else in the environment `local`.
const LOCAL: [&str; 16] = [
    "demo",
    "plan",
    "migrate",
    "work",
    "catch-up",
    "verify",
    "undo",
    "erase",
    "status",
    "trace",
    "lineage",
    "quarantine",
    "conflicts",
    "constraints",
    "completions",
    "try",
];

/// All others.
const OTHERS: [&str; 6] = ["bench", "dist", "reconcile", "simulate", "statement", "test"];

impl Build {
    /// The program for a call with these arguments, where these variables are set.
    pub(crate) fn of_call(args: &[OsString], variables: impl IntoIterator<Item = OsString>, crates: &Path) -> Self {
        let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
        let command = words.iter().position(|word| LOCAL.contains(word) || OTHERS.contains(word));
        let elsewhere = words.iter().zip(words.iter().skip(1)).any(|(a, b)| *a == "--env" && *b != "local")
            || words.iter().any(|word| word.strip_prefix("--env=").is_some_and(|name| name != "local"))
            || variables.into_iter().any(|name| is_address(&name));
        match command {
            Some(place) if words[place] == "try" && !elsewhere => {
                let table = words.get(place + 1).copied().unwrap_or_default();
                package_of(table, crates)
                    .map_or(Self::Local, |package| Self::Trial { package, example: table.to_owned() })
            }
            Some(place) if words[place] == "test" => Self::Tests,
            Some(place) if LOCAL.contains(&words[place]) && !elsewhere => Self::Local,
            // Whoever asks what there is has not asked for all of it yet.
            None if matches!(words.as_slice(), [] | ["help" | "-h" | "--help" | "-V" | "--version"]) => Self::Local,
            _ => Self::Whole,
        }
    }

    /// What cargo is to be told.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let args: Vec<&str> = match self {
            Self::Local => vec!["--profile", "quick", "--package", "xtask", "--no-default-features"],
            Self::Trial { package, example } => {
                vec!["--profile", "quick", "--package", package, "--example", example]
            }
            Self::Whole | Self::Tests => {
                let profile = if *self == Self::Tests { "tests" } else { "server" };
                let mut args = vec!["--profile", profile, "--package", "xtask"];
                if mysql::is_installed() {
                    args.extend(["--features", "mysql"]);
                }
                if openssl::is_installed() {
                    args.extend(["--features", "tls"]);
                }
                if builds_jemalloc() {
                    args.extend(["--features", "jemalloc"]);
                }
                args
            }
        };
        args.into_iter().map(str::to_owned).collect()
    }
}

/// Whether a variable gives the address of a database.
fn is_address(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    ["REPLANT__LEGACY__URL", "REPLANT__TARGET__URL"].iter().any(|address| name.starts_with(address))
}

/// The package of the domain that moves a legacy table: it has an example of that name.
fn package_of(table: &str, crates: &Path) -> Option<String> {
    let packages = fs::read_dir(crates).ok()?.flatten().map(|package| package.path());
    let found = packages.into_iter().find(|package| package.join("examples").join(format!("{table}.rs")).is_file())?;
    Some(found.file_name()?.to_str()?.to_owned())
}

/// Whether jemalloc can be built: its sources come with its crate, but not `make`.
fn builds_jemalloc() -> bool {
    let mut make = Command::new("make");
    make.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    cfg!(target_os = "linux") && make.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    fn build(args: &str, variables: &[&str]) -> Build {
        let folder = env::temp_dir().join(format!("replant-launcher-{}", std::process::id()));
        fs::create_dir_all(folder.join("shop/examples")).unwrap();
        fs::write(folder.join("shop/examples/order.rs"), "").unwrap();
        let args: Vec<OsString> = args.split(' ').map(Into::into).collect();
        Build::of_call(&args, variables.iter().map(Into::into), &folder)
    }

    #[test]
    fn what_stays_on_this_machine_is_built_quickly() {
        for call in [
            "demo",
            "demo --fresh",
            "status",
            "--log-format json plan --env local",
            "trace user 5",
            "verify --env local",
            "undo --env local --all --plan",
            "try unknown",
            "--help",
        ] {
            assert_eq!(build(call, &[]), Build::Local, "{call}");
        }
    }

    #[test]
    fn what_goes_elsewhere_is_built_whole() {
        for call in [
            "plan --env uat",
            "migrate --env=prod --dry-run",
            "bench --rows 1m",
            "bench --only verify",
            "bench --help",
            "try order --env uat",
        ] {
            assert_eq!(build(call, &[]), Build::Whole, "{call}");
        }
        assert_eq!(build("migrate", &["replant__target__url_file"]), Build::Whole);
        assert_eq!(build("migrate", &["REPLANT__RUN__CHUNK_ROWS"]), Build::Local);
    }

    #[test]
    fn tests_are_run_by_what_is_built_as_they_are() {
        assert_eq!(build("test --require postgres", &[]), Build::Tests);
        assert_eq!(build("test -- undo", &[]), Build::Tests);
        assert_eq!(Build::Tests.arguments()[..2], ["--profile", "tests"]);
        assert_eq!(Build::Whole.arguments()[..2], ["--profile", "server"]);
    }

    #[test]
    fn a_rule_is_tried_with_its_domain_alone() {
        let trial = Build::Trial { package: "shop".to_owned(), example: "order".to_owned() };
        assert_eq!(build("try order --keys 5", &[]), trial);
        assert_eq!(trial.arguments(), ["--profile", "quick", "--package", "shop", "--example", "order"]);
    }
}
