//! `bench`: measures Replant beside the plain ways of moving the same rows.

mod tables;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use replant_bench::{self as bench, BenchError, Replant, Results, Source, Way};
use replant_core::Stop;
use tempfile::TempDir;

use super::At;
use crate::cli::{Bench, Measured};
use crate::config::{self, Environment, Vars};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{complain, json, print};
use crate::places::{Places, workspace};
use crate::registry::registry;
use crate::signals;

/// The environment that is measured: the defaults, with what the call says.
const ENVIRONMENT: &str = "bench";

const STOPPING: &str = "asked to stop: what is under way is given up; a second signal ends at once";

pub(crate) fn run(args: &Bench, at: &At) -> Result<Exit, Error> {
    let folder = settings_folder(args, &at.places()?)?;
    let settings =
        environment(folder.path(), &config::vars())?.settings(Vec::new(), false, args.workers.map(usize::from));
    let ways = ways(&args.only);
    let stop = Stop::default();
    signals::install_saying(&stop, STOPPING).map_err(Error::io("listen for signals"))?;
    let registry = registry();
    let program = std::env::current_exe().map_err(Error::io("find this program"))?;
    let workers = args.workers.map(|workers| ["--workers".to_owned(), workers.to_string()]);
    let measuring = bench::Bench {
        registry: &registry,
        source: match args.sample {
            true => Source::Sample,
            false => Source::Simulated { rows: args.rows, seed: args.seed },
        },
        ways,
        repeat: usize::from(args.repeat),
        slice: args.slice,
        connections: settings.writers,
        readers: settings.readers,
        chunk_rows: settings.chunk_rows,
        replant: Replant {
            program,
            config: folder.path().to_owned(),
            environment: ENVIRONMENT.to_owned(),
            arguments: workers.into_iter().flatten().collect(),
        },
        commit: commit(),
        stop: &stop,
        tell: &|what| tracing::info!("{what}"),
    };
    let measured = match measuring.run() {
        Ok(measured) => measured,
        Err(BenchError::Stopped) => {
            complain(BenchError::Stopped);
            return Ok(Exit::Stopped);
        }
        // A signal that reaches what is measured as well makes it fail.
        Err(_) if stop.requested() => {
            complain(BenchError::Stopped);
            return Ok(Exit::Stopped);
        }
        Err(error) => return Err(failed(error)),
    };
    tell(args, &measured.results)?;
    if args.keep {
        let databases = measured.databases.iter().map(|(what, address)| format!("  {what:<16} {address}"));
        complain(format!("The databases stay until Ctrl-C:\n{}", databases.collect::<Vec<_>>().join("\n")));
        while !stop.requested() {
            thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(Exit::Done)
}

fn tell(args: &Bench, results: &Results) -> Result<(), Error> {
    if let Some(file) = &args.svg {
        let picture = bench::chart(results).map_err(|error| Error::Failed {
            what: error.to_string(),
            hint: "a defect: the results stand in the table".to_owned(),
        })?;
        fs::write(file, picture).map_err(Error::io(format!("write {}", file.display())))?;
    }
    match &args.json {
        Some(file) if file == Path::new("-") => json(results),
        Some(file) => {
            let text = serde_json::to_string_pretty(results).map_err(std::io::Error::from);
            let written = text.and_then(|text| fs::write(file, text + "\n"));
            written.map_err(Error::io(format!("write {}", file.display())))?;
            print(tables::text(results));
        }
        None => print(tables::text(results)),
    }
    Ok(())
}

/// What was asked for, as ways.
fn ways(only: &[Measured]) -> BTreeSet<Way> {
    let asked = |what: Measured| only.is_empty() || only.contains(&what);
    let of = |what: Measured, ways: &[Way]| if asked(what) { ways.to_vec() } else { Vec::new() };
    [
        of(Measured::Naive, &[Way::Naive, Way::NaivePer1000]),
        of(Measured::Cached, &[Way::Cached]),
        of(Measured::Replant, &[Way::Replant, Way::ReplantSteps]),
        of(Measured::Offline, &[Way::ReplantOffline]),
        of(Measured::Limit, &[Way::Limit]),
        of(Measured::Reading, &[Way::Reading, Way::ReadingParallel]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A folder with the default settings and an environment of our own, whatever the environments of the workspace say.
fn settings_folder(args: &Bench, places: &Places) -> Result<TempDir, Error> {
    let folder = tempfile::tempdir().map_err(Error::io("make a folder for settings"))?;
    let threads = [("readers", args.readers), ("writers", args.writers)];
    let threads = threads.into_iter().filter_map(|(name, threads)| Some(format!("{name} = {}\n", threads?)));
    let ours = format!("[run]\n{}", threads.collect::<String>());
    fs::copy(places.config.join("default.toml"), folder.path().join("default.toml"))
        .and_then(|_| fs::write(folder.path().join(format!("{ENVIRONMENT}.toml")), ours))
        .map_err(Error::io("write settings to measure with"))?;
    Ok(folder)
}

fn environment(folder: &Path, vars: &Vars) -> Result<Environment, Error> {
    let places = Places { config: folder.to_owned(), work: folder.to_owned() };
    Ok(Environment::load(ENVIRONMENT, &places, vars)?)
}

/// The commit of the workspace, with `-dirty` where files differ from it.
fn commit() -> Option<String> {
    let mut git = Command::new("git");
    git.arg("-C").arg(workspace()?).args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]);
    let said = git.stderr(Stdio::null()).output().ok().filter(|said| said.status.success())?;
    Some(String::from_utf8(said.stdout).ok()?.trim().to_owned())
}

fn failed(error: BenchError) -> Error {
    let hint = match &error {
        BenchError::Io { .. } | BenchError::Database { .. } => {
            "the servers' folders are in the temp folder: is there room?"
        }
        BenchError::Server(_) | BenchError::NoPsql => {
            "the bench measures on servers of its own; Debian: apt-get install postgresql mariadb-server libmariadb-dev pkg-config"
        }
        BenchError::Simulate(_) => "name more: --rows 100k",
        BenchError::Program { .. } => "the same command with --keep and RUST_LOG=debug says more",
        _ => "please report it, with the rows and the seed",
    };
    match error {
        BenchError::Io { attempt, source } => Error::Io { attempt, source },
        error => Error::Failed { what: error.to_string(), hint: hint.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_those_that_were_asked_for() {
        assert_eq!(ways(&[]).len(), Way::ALL.len());
        let two = ways(&[Measured::Limit, Measured::Cached]);
        assert_eq!(two.into_iter().collect::<Vec<_>>(), [Way::Cached, Way::Limit]);
    }
}
