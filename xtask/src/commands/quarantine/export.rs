//! `quarantine export`: quarantined rows as files that a person can mend.

use std::fs;

use replant_core::ledger::history;
use replant_core::ledger::quarantine::{self, QuarantineFilter};

use super::sheet::Sheet;
use super::step_of;
use crate::cli::QuarantineExport;
use crate::commands::At;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{grouped, print};
use crate::registry::registry;
use crate::report::on;

pub(super) fn run(args: &QuarantineExport, at: &At) -> Result<Exit, Error> {
    let mut db = at.ledger(&args.on.env)?;
    let only = args.step.as_deref().map(|asked| step_of(&mut db, asked)).transpose()?;
    fs::create_dir_all(&args.out).map_err(Error::io(format!("make the folder {}", args.out.display())))?;
    let known: Vec<String> = history::known_steps(&mut db)?.into_iter().map(|step| step.name).collect();
    let registry = registry();
    let mut files = 0;
    for step in registry.steps().filter(|step| known.iter().any(|name| name == step.name())) {
        if only.as_ref().is_some_and(|only| only != step.name()) {
            continue;
        }
        let filter = QuarantineFilter { step: Some(step.name().to_owned()), code: args.code.clone(), limit: None };
        let mut rows = quarantine::list(&mut db, &filter)?;
        rows.retain(|row| args.all || (row.root_step == row.step && row.root_key == row.legacy_key));
        if rows.is_empty() {
            continue;
        }
        let (shape, key) = step.legacy_shape();
        let sheet = Sheet { step: step.name().to_owned(), shape, key };
        let file = args.out.join(format!("{}.csv", sheet.shape.name));
        let failed = || Error::io(format!("write {}", file.display()));
        let mut writer = csv::Writer::from_writer(tempfile::NamedTempFile::new_in(&args.out).map_err(failed())?);
        let written = |result: csv::Result<()>| result.map_err(|error| failed()(error.into()));
        written(writer.write_record(sheet.header()))?;
        for row in &rows {
            written(writer.write_record(sheet.line(row)))?;
        }
        let file_written = writer.into_inner().map_err(|error| failed()(error.into_error()))?;
        file_written.persist(&file).map_err(|error| failed()(error.error))?;
        print(format!("{}: {} rows of {}", file.display(), grouped(rows.len() as u64), sheet.step));
        files += 1;
    }
    match files {
        0 => print("No such row is quarantined."),
        _ => print(format!(
            "\nMend cells, then: cargo xtask quarantine replay --from {}{}",
            args.out.display(),
            on(&args.on.env)
        )),
    }
    Ok(Exit::Done)
}
