//! pgloader, where it is installed: the legacy tables copied into PostgreSQL as they are, by a tool that is made for that.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use replant_core::{KeySet, Stop};

use crate::error::BenchError;
use crate::measure::Measure;
use crate::replant::measured;
use crate::stage::Stage;

const PROGRAM: &str = "pgloader";

/// As its documentation advises for speed, on as many connections as Replant has: it makes tables, indexes and primary keys of its
/// own, and no foreign keys.
const COMMAND: &str = "\
LOAD DATABASE FROM {legacy} INTO {target}
WITH include drop, create tables, create indexes, reset sequences, no foreign keys,
     workers = {workers}, concurrency = 1, multiple readers per thread, rows per range = 50000,
     batch rows = 25000, prefetch rows = 50000
SET PostgreSQL PARAMETERS maintenance_work_mem to '256MB', work_mem to '32MB';
";

/// Whether it is there.
pub(crate) fn is_installed() -> bool {
    let asked = Command::new(PROGRAM).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// Copies all legacy tables into an empty database.
pub(crate) fn copy(stage: &mut Stage, connections: usize, stop: &Stop) -> Result<Measure, BenchError> {
    let into = stage.postgres.database()?;
    let folder = tempfile::tempdir().map_err(BenchError::io("make a folder for pgloader"))?;
    let (load, out) = (folder.path().join("copy.load"), folder.path().join("out"));
    let command = COMMAND
        .replace("{legacy}", stage.legacy.address())
        .replace("{target}", &into.address().replacen("postgres://", "postgresql://", 1))
        .replace("{workers}", &(2 * connections).to_string());
    fs::write(&load, command).map_err(BenchError::io("write what pgloader is to do"))?;
    let said = File::create(&out).map_err(BenchError::io("make a file for what pgloader says"))?;
    let errors = said.try_clone().map_err(BenchError::io("make a file for what pgloader says"))?;

    stage.meter.settled()?;
    let mut program = Command::new(PROGRAM);
    program.arg("--root-dir").arg(folder.path()).arg(&load).stdin(Stdio::null()).stdout(said).stderr(errors);
    let mut measure = measured(stage, PROGRAM, program, &out, stop)?;
    measure.rows = stage.keys.values().map(KeySet::len).sum();
    measure.measured_rows = measure.rows;
    Ok(measure.scaled_to(measure.rows))
}
