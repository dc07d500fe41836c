//! `psql`, which copies tables to files and files to tables.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use replant_testkit::{Database, postgres};

use crate::error::BenchError;
use crate::tables::Table;

/// The program.
pub(crate) struct Psql(PathBuf);

/// Foreign keys are not looked at: what is written has satisfied them, in whatever order it comes now.
const UNCHECKED: &str = "-c session_replication_role=replica";

impl Psql {
    pub(crate) fn find() -> Result<Self, BenchError> {
        postgres::program("psql").map(Self).ok_or(BenchError::NoPsql)
    }

    /// Starts a command on a connection of its own.
    fn start(&self, database: &Database, command: &str, options: &str) -> Result<Child, BenchError> {
        Command::new(&self.0)
            .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--set", "VERBOSITY=terse"])
            .args(["--dbname", database.address(), "--command", command])
            .env("PGOPTIONS", options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(BenchError::io("start psql"))
    }

    /// Copies the rows of a query into a file.
    pub(crate) fn export(&self, database: &Database, query: &str, file: &Path) -> Result<(), BenchError> {
        let command = format!("\\copy ({query}) TO '{}'", file.display());
        wait("psql could not write a file of rows", self.start(database, &command, "")?)
    }

    /// Copies files into a table, all of them at the same time, each on a connection of its own.
    pub(crate) fn fill(&self, database: &Database, table: &Table, files: &[PathBuf]) -> Result<(), BenchError> {
        let start = |file: &PathBuf| self.start(database, &copy(table, file), "");
        let copying: Vec<Child> = files.iter().map(start).collect::<Result<_, _>>()?;
        let ends: Vec<Result<(), BenchError>> =
            copying.into_iter().map(|child| wait("psql could not copy rows into a table", child)).collect();
        ends.into_iter().collect()
    }

    /// Copies a file into a table whose parents may come later.
    pub(crate) fn fill_unchecked(&self, database: &Database, table: &Table, file: &Path) -> Result<(), BenchError> {
        wait("psql could not copy rows into a table", self.start(database, &copy(table, file), UNCHECKED)?)
    }
}

fn copy(table: &Table, file: &Path) -> String {
    format!("\\copy {} ({}) FROM '{}'", table.quoted(), table.columns(""), file.display())
}

fn wait(what: &str, child: Child) -> Result<(), BenchError> {
    let end = child.wait_with_output().map_err(BenchError::io("wait for psql"))?;
    if end.status.success() {
        return Ok(());
    }
    // The first line names the constraint; the values come after it.
    let said = String::from_utf8_lossy(&end.stderr).lines().next().unwrap_or_default().to_owned();
    Err(BenchError::Program { what: what.to_owned(), said })
}
