//! `quarantine export`: quarantined rows as files that a person can mend.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use replant_core::ledger::history;
use replant_core::ledger::quarantine::{self, QuarantineEntry, QuarantineFilter};
use tempfile::NamedTempFile;

use super::sheet::Sheet;
use super::step_of;
use crate::arguments::On;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{grouped, print};
use crate::typed::typed;

/// Write quarantined rows into CSV files that a person can mend in a spreadsheet
#[derive(Debug, Args)]
#[command(after_help = "\
One file a legacy table, FOLDER/TABLE.csv: the row's columns as they are stored, before them why it
is quarantined. \\N is NULL. Change cells, leave `id` and the header as they are; rows and columns
that need no mending may be deleted. What a spreadsheet would take for a formula has a ' before it.
A file that is there and says something else is not written over, for it may hold mends.
The files hold personal data.")]
pub(super) struct Export {
    #[command(flatten)]
    on: On,
    /// The folder; it is made where it is not there
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Of this step or legacy table
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// With this code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// The rows that only wait for others too
    #[arg(long)]
    all: bool,
    /// Write over files that are there and may hold mends
    #[arg(long)]
    replace: bool,
}

impl Export {
    pub(super) fn run(&self, cx: &Context) -> Result<Exit, Error> {
        let mut db = cx.ledger(&self.on.env)?;
        let only = self.step.as_deref().map(|asked| step_of(&mut db, asked)).transpose()?;
        fs::create_dir_all(&self.out).map_err(Error::io(format!("make the folder {}", self.out.display())))?;
        let known: Vec<String> = history::known_steps(&mut db)?.into_iter().map(|step| step.name).collect();
        let registry = cx.registry();
        let mut files = Vec::new();
        for step in registry.steps().filter(|step| known.iter().any(|name| name == step.name())) {
            if only.as_ref().is_some_and(|only| only != step.name()) {
                continue;
            }
            let filter = QuarantineFilter { step: Some(step.name().to_owned()), code: self.code.clone(), limit: None };
            let mut rows = quarantine::list(&mut db, &filter)?;
            rows.retain(|row| self.all || (row.root_step == row.step && row.root_key == row.legacy_key));
            if !rows.is_empty() {
                let (shape, key) = step.legacy_shape();
                let sheet = Sheet { step: step.name().to_owned(), shape, key };
                files.push(Written::new(&self.out, sheet, &rows)?);
            }
        }
        if !self.replace {
            refuse_mended(&files)?;
        }
        for file in &mut files {
            file.persist()?;
            print(format!("{}: {} rows of {}", file.place.display(), grouped(file.rows as u64), file.step));
        }
        print(match files.as_slice() {
            [] => "No such row is quarantined.".to_owned(),
            _ => {
                let replay = format!("quarantine replay --from {}", self.out.display());
                format!("\nMend cells, then: {}", typed(&replay, &self.on.env))
            }
        });
        Ok(Exit::Done)
    }
}

/// A file that is written, but not where it is to be.
struct Written {
    step: String,
    rows: usize,
    place: PathBuf,
    content: Option<NamedTempFile>,
}

impl Written {
    fn new(folder: &Path, sheet: Sheet, rows: &[QuarantineEntry]) -> Result<Self, Error> {
        let place = folder.join(format!("{}.csv", sheet.shape.name));
        let failed = || Error::io(format!("write {}", place.display()));
        let mut writer = csv::Writer::from_writer(NamedTempFile::new_in(folder).map_err(failed())?);
        let written = |result: csv::Result<()>| result.map_err(|error| failed()(error.into()));
        written(writer.write_record(sheet.header()))?;
        for row in rows {
            written(writer.write_record(sheet.line(row)))?;
        }
        let content = writer.into_inner().map_err(|error| failed()(error.into_error()))?;
        Ok(Self { step: sheet.step, rows: rows.len(), content: Some(content), place })
    }

    /// Whether another content than this one stands in its place.
    fn differs(&self) -> Result<bool, Error> {
        let Some(content) = &self.content else { return Ok(false) };
        let read = |path: &Path| fs::read(path).map_err(Error::io(format!("read {}", path.display())));
        Ok(self.place.exists() && read(&self.place)? != read(content.path())?)
    }

    fn persist(&mut self) -> Result<(), Error> {
        let Some(content) = self.content.take() else { return Ok(()) };
        let failed = Error::io(format!("write {}", self.place.display()));
        content.persist(&self.place).map(|_| ()).map_err(|error| failed(error.error))
    }
}

/// A file that is there and says something else was mended, or is older: nothing is written over it unasked.
fn refuse_mended(files: &[Written]) -> Result<(), Error> {
    let mut mended = Vec::new();
    for file in files {
        if file.differs()? {
            mended.push(file.place.display().to_string());
        }
    }
    if mended.is_empty() {
        return Ok(());
    }
    let what = format!("nothing was written: these files are there and say something else: {}", mended.join(", "));
    let hint = "they may hold mends: replay them first, export into another folder, or write over them with --replace";
    Err(Error::Refused { what, hint: hint.to_owned() })
}
