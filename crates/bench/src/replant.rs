//! Replant itself, as an operator runs it: a process of its own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use replant_core::Stop;
use replant_testkit::Database;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::BenchError;
use crate::measure::Measure;
use crate::stage::Stage;
use crate::usage;

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(2);

/// How often its memory is looked at, in looks.
const LOOKS: u32 = 10;

/// Lines of what it said that an error repeats.
const LINES: usize = 12;

/// The variables that make one way of Replant another one.
pub(crate) const LIVE: &str = "REPLANT__TARGET__LIVE";
pub(crate) const FOREIGN_KEYS: &str = "REPLANT__RUN__FOREIGN_KEYS";

/// The program and how it is called.
#[derive(Debug, Clone)]
pub struct Replant {
    /// The program.
    pub program: PathBuf,
    /// The folder of its settings.
    pub config: PathBuf,
    /// The environment in it, which names no databases.
    pub environment: String,
    /// Further arguments of `migrate`.
    pub arguments: Vec<String>,
}

/// Which steps, and what is otherwise than in the settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) only: Option<&'a str>,
    pub(crate) variables: &'a [(&'a str, &'a str)],
}

/// What it says of a command that goes through every row again.
#[derive(Deserialize)]
struct Through {
    complete: bool,
}

/// What it says of its run.
#[derive(Deserialize)]
struct Account {
    complete: bool,
    steps: Vec<StepLine>,
}

#[derive(Deserialize)]
struct StepLine {
    step: String,
    read: u64,
    rows_per_second: Option<u64>,
}

/// A run of it.
pub(crate) struct Ran {
    pub(crate) measure: Measure,
    /// Rows a second of each step, in its own words.
    pub(crate) paces: BTreeMap<String, u64>,
}

impl Replant {
    /// Runs a migration, or a step of it, into a platform.
    pub(crate) fn run(
        &self,
        stage: &mut Stage,
        into: &Database,
        part: Part<'_>,
        stop: &Stop,
    ) -> Result<Ran, BenchError> {
        let only = part.only.map(|step| ["--only", step]).into_iter().flatten();
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).chain(only).collect();
        let (mut measure, account): (_, Account) =
            self.call(stage, into, ("migrate", &arguments), part.variables, stop)?;
        if !account.complete {
            return Err(BenchError::Stopped);
        }
        let moved = account.steps.iter().filter(|line| part.only.is_none_or(|step| step == line.step));
        measure.rows = moved.map(|line| line.read).sum();
        measure.measured_rows = measure.rows;
        let paces = account.steps.into_iter().filter_map(|line| Some((line.step, line.rows_per_second?))).collect();
        Ok(Ran { measure: measure.scaled_to(measure.rows), paces })
    }

    /// Has a command go through every row of a migrated platform again. Rows: all legacy rows.
    pub(crate) fn through(
        &self,
        stage: &mut Stage,
        on: &Database,
        (name, variables): (&str, &[(&str, &str)]),
        stop: &Stop,
    ) -> Result<Measure, BenchError> {
        let (mut measure, account): (_, Through) = self.call(stage, on, (name, &[]), variables, stop)?;
        if !account.complete {
            return Err(BenchError::Stopped);
        }
        measure.rows = stage.keys.values().map(replant_core::KeySet::len).sum();
        measure.measured_rows = measure.rows;
        Ok(measure.scaled_to(measure.rows))
    }

    /// Runs a command of it to its end. What it took, but for the rows, and what it says.
    fn call<T: DeserializeOwned>(
        &self,
        stage: &mut Stage,
        on: &Database,
        (name, arguments): (&str, &[&str]),
        variables: &[(&str, &str)],
        stop: &Stop,
    ) -> Result<(Measure, T), BenchError> {
        let folder = tempfile::tempdir().map_err(BenchError::io("make a folder for what Replant says"))?;
        let (out, err) = (folder.path().join("out"), folder.path().join("err"));
        let mut command = Command::new(&self.program);
        command.args([name, "--json", "--env", &self.environment]).args(arguments);
        command.arg("--config-dir").arg(&self.config).arg("--work-dir").arg(folder.path());
        for name in ["REPLANT__LEGACY__URL_FILE", "REPLANT__TARGET__URL_FILE", LIVE, FOREIGN_KEYS] {
            command.env_remove(name);
        }
        command.env("REPLANT__LEGACY__URL", stage.legacy.address()).env("REPLANT__TARGET__URL", on.address());
        command.envs(variables.iter().copied());
        let file = |path: &PathBuf| File::create(path).map_err(BenchError::io("make a file for what Replant says"));
        command.stdin(Stdio::null()).stdout(file(&out)?).stderr(file(&err)?);

        let measure = measured(stage, "Replant", command, &err, stop)?;
        let text = fs::read_to_string(&out).map_err(BenchError::io("read what Replant says"))?;
        let account = serde_json::from_str(&text).map_err(|_| BenchError::Program {
            what: "what Replant says of its run cannot be read".to_owned(),
            said: last_lines(&out),
        })?;
        Ok((measure, account))
    }
}

/// Runs a program to its end; it says into the file `says` why it fails. What it took, but for the rows, which it alone knows.
pub(crate) fn measured(
    stage: &mut Stage,
    name: &str,
    mut command: Command,
    says: &PathBuf,
    stop: &Stop,
) -> Result<Measure, BenchError> {
    let before = stage.meter.read()?;
    let (status, peak) = watch(command.spawn().map_err(BenchError::io(format!("start {name}")))?, stop)?;
    let mut measure = stage.meter.since(&before, 0)?;
    if !status.success() {
        return Err(BenchError::Program { what: format!("{name} ended with {status}"), said: last_lines(says) });
    }
    measure.own_cpu_s = stage.meter.children_since(&before);
    measure.peak_rss_mb = peak.map(|kib| kib as f64 / 1024.0);
    Ok(measure)
}

/// Waits for its end. Returns it with the peak of its memory in KiB.
fn watch(mut child: Child, stop: &Stop) -> Result<(ExitStatus, Option<u64>), BenchError> {
    let mut peak = None;
    for look in 0_u32.. {
        // A process that has ended has no memory: the last reading before is the peak.
        if look.is_multiple_of(LOOKS) {
            peak = usage::peak_kib(child.id()).or(peak);
        }
        if let Some(status) = child.try_wait().map_err(BenchError::io("wait for a program"))? {
            return Ok((status, peak));
        }
        if stop.requested() {
            // Nothing of it is wanted any more.
            let _ = child.kill();
            let _ = child.wait();
            return Err(BenchError::Stopped);
        }
        thread::sleep(LOOK);
    }
    Err(BenchError::Stopped)
}

fn last_lines(file: &PathBuf) -> String {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
