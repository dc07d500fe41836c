//! `bench`: measures Replant beside the plain ways of moving the same rows.

mod tables;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use replant_bench::{self as bench, BenchError, Replant, Results, Source, Way};
use replant_cli::output::{complain, json, print};
use replant_cli::{Command, Context, Error, Exit, signals};
use replant_core::Stop;
use tempfile::TempDir;

use super::simulate;

/// Measure Replant beside the plain ways of moving the same rows, and beside the limit of the server
#[derive(Debug, Args)]
#[command(after_help = "\
It starts a MariaDB and a PostgreSQL of its own, which sync to disk and go when it ends, and needs
no settings. At a million rows it takes some minutes and 2 GB of the temp folder's disk.
docs/performance tells what is measured and how to read it.

What is measured, by word or letter:
  naive    a  a row at a time: autocommit, and a commit per 1,000 rows; on a slice
  cached   b  cached lookups and multi-row INSERTs; on a slice
  replant  c  Replant: all steps in one process, and each step in one of its own
  by-row      Replant with foreign keys checked by row
  catch-up    after that, a catch-up with a state that brings nothing new
  verify      after that, a verification of every row
  offline     Replant into a platform that is not live
  limit    d  the rows that Replant added, by plain \\copy
  reading  e  the legacy tables read, and nothing written

Examples:
  cargo xtask bench --rows 1m --json bench.json --svg bench.svg
  cargo xtask bench --rows 200k --only replant,limit --writers 4
  cargo xtask bench --rows 1m --repeat 5 --only replant --beside ./xtask-of-yesterday")]
pub(crate) struct Bench {
    /// Legacy rows, made up as `simulate` does it: 250000, 100k, 7m
    #[arg(long, value_name = "ROWS", default_value = "1m", value_parser = simulate::rows)]
    rows: u64,
    /// Where all chance comes from
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Measure on the sample of fixtures, about 70,000 rows, instead of made-up rows
    #[arg(long, conflicts_with_all = ["rows", "seed"])]
    sample: bool,
    /// Rounds; of each figure the median is told
    #[arg(long, value_name = "ROUNDS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    repeat: u16,
    /// Legacy rows of each step that the naive ways move; the cached one moves ten times as many
    #[arg(long, value_name = "ROWS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..))]
    slice: u64,
    /// What is measured; what it is compared with is measured as well [default: all]
    #[arg(long, value_name = "WAYS", value_enum, value_delimiter = ',')]
    only: Vec<Measured>,
    /// Another build of this program: measured as well, by turns with this one
    #[arg(long, value_name = "PROGRAM")]
    beside: Option<PathBuf>,
    /// Threads of Replant that read and judge [default: as default.toml has it]
    #[arg(long, value_name = "THREADS")]
    readers: Option<usize>,
    /// Threads of Replant that write [default: as default.toml has it]
    #[arg(long, value_name = "THREADS")]
    writers: Option<usize>,
    /// As of `migrate`: threads that read, and as many that write
    #[arg(long, value_name = "N", conflicts_with_all = ["readers", "writers"], value_parser = clap::value_parser!(u8).range(1..))]
    workers: Option<u8>,
    /// Write the results as JSON into this file; `-`: print them instead of tables
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a chart into this file
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// Keep the databases for a look until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// What `bench` measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measured {
    #[value(alias = "a")]
    Naive,
    #[value(alias = "b")]
    Cached,
    #[value(alias = "c")]
    Replant,
    ByRow,
    CatchUp,
    Verify,
    Offline,
    #[value(alias = "d")]
    Limit,
    #[value(alias = "e")]
    Reading,
    #[value(alias = "f")]
    Pgloader,
}

/// The environment that is measured: the defaults, with what the call says.
const ENVIRONMENT: &str = "bench";

const STOPPING: &str = "asked to stop: what is under way is given up; a second signal ends at once";

impl Command for Bench {
    const NAME: &'static str = "bench";

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let args = &self;
        let folder = settings_folder(args, &cx.config_folder()?)?;
        let environment = cx.with_config(folder.path()).environment(ENVIRONMENT)?;
        let settings = environment.settings(Vec::new(), false, args.workers.map(usize::from));
        let mut ways = ways(&args.only);
        ways.extend(args.beside.iter().map(|_| Way::Beside));
        let stop = Stop::default();
        signals::install_saying(&stop, STOPPING).map_err(Error::io("listen for signals"))?;
        let registry = cx.registry();
        let program = std::env::current_exe().map_err(Error::io("find this program"))?;
        let workers = args.workers.map(|workers| ["--workers".to_owned(), workers.to_string()]);
        let replant = Replant {
            program,
            config: folder.path().to_owned(),
            environment: ENVIRONMENT.to_owned(),
            arguments: workers.into_iter().flatten().collect(),
        };
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
            beside: args.beside.clone().map(|program| Replant { program, ..replant.clone() }),
            replant,
            commit: commit(cx),
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
        of(Measured::ByRow, &[Way::ReplantByRow]),
        of(Measured::CatchUp, &[Way::ReplantByRow, Way::CatchUp]),
        of(Measured::Verify, &[Way::ReplantByRow, Way::Verify]),
        of(Measured::Offline, &[Way::ReplantOffline]),
        of(Measured::Limit, &[Way::Limit]),
        of(Measured::Pgloader, &[Way::Pgloader]),
        of(Measured::Reading, &[Way::Reading, Way::ReadingParallel]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A folder with the default settings and an environment of our own, whatever the environments of the workspace say.
fn settings_folder(args: &Bench, config: &Path) -> Result<TempDir, Error> {
    let folder = tempfile::tempdir().map_err(Error::io("make a folder for settings"))?;
    let threads = [("readers", args.readers), ("writers", args.writers)];
    let threads = threads.into_iter().filter_map(|(name, threads)| Some(format!("{name} = {}\n", threads?)));
    let ours = format!("[run]\n{}", threads.collect::<String>());
    fs::copy(config.join("default.toml"), folder.path().join("default.toml"))
        .and_then(|_| fs::write(folder.path().join(format!("{ENVIRONMENT}.toml")), ours))
        .map_err(Error::io("write settings to measure with"))?;
    Ok(folder)
}

/// The commit of the workspace, with `-dirty` where files differ from it.
fn commit(cx: &Context) -> Option<String> {
    let mut git = process::Command::new("git");
    git.arg("-C").arg(cx.workspace()?).args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]);
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
        let without_beside = Way::ALL.into_iter().filter(|way| *way != Way::Beside).collect();
        assert_eq!(ways(&[]), without_beside, "another build is measured where one is named");
        let two = ways(&[Measured::Limit, Measured::Cached]);
        assert_eq!(two.into_iter().collect::<Vec<_>>(), [Way::Cached, Way::Limit]);
    }
}
