//! `lineage`: what became of every legacy row, as a CSV file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use replant_core::ledger::history;
use tempfile::NamedTempFile;

use crate::arguments::On;
use crate::command::Command;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{grouped, print};
use crate::typed::typed;

/// Write what became of every legacy row into a CSV file
#[derive(Debug, Args)]
#[command(after_help = "\
Columns: legacy_table,legacy_id,outcome,code,targets,repairs
  targets   table:id, the primary one first, joined by `;`
  code      of a row that was merged, skipped or quarantined
  repairs   codes, sorted, joined by `;`")]
pub(crate) struct Lineage {
    /// The file; it appears when it is complete
    #[arg(long, value_name = "FILE.csv")]
    out: PathBuf,
    #[command(flatten)]
    on: On,
}

const HEADER: [&str; 6] = ["legacy_table", "legacy_id", "outcome", "code", "targets", "repairs"];

impl Command for Lineage {
    const NAME: &'static str = "lineage";

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let mut db = cx.ledger(&self.on.env)?;
        let file = beside(&self.out)?;
        let failed = || Error::io(format!("write {}", self.out.display()));
        let mut writer = csv::Writer::from_writer(io::BufWriter::new(file));
        writer.write_record(HEADER).map_err(io::Error::from).map_err(failed())?;
        let mut rows: u64 = 0;
        for step in history::known_steps(&mut db)? {
            history::lineage(&mut db, &step, |row| {
                rows += 1;
                writer.write_record(record(&row)).map_err(io::Error::from).map_err(failed())
            })?;
        }
        let file = writer.into_inner().map_err(|error| error.into_error()).map_err(failed())?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error).map_err(failed())?;
        keep(file, &self.out).map_err(failed())?;
        print(format!("{} legacy rows in {}", grouped(rows), self.out.display()));
        if replant_core::ledger::status::steps(&mut db)?.iter().any(|step| !step.done) {
            tracing::warn!(
                "the migration is not complete, so neither is the file: see `{}`",
                typed("status", &self.on.env)
            );
        }
        Ok(Exit::Done)
    }
}

/// A row of the file.
fn record(row: &history::Lineage) -> [String; 6] {
    let targets: Vec<String> = row.targets.iter().map(|(table, id)| format!("{table}:{id}")).collect();
    [
        row.legacy_table.clone(),
        row.legacy_id.to_string(),
        row.outcome.to_string(),
        row.code.clone().unwrap_or_default(),
        targets.join(";"),
        row.repairs.join(";"),
    ]
}

/// A new file in the folder of `out`, which takes its name once it is complete.
fn beside(out: &Path) -> Result<NamedTempFile, Error> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::Builder::new().prefix(".lineage-").suffix(".part").tempfile_in(folder);
    file.map_err(Error::io(format!("make a file in {}", folder.display())))
}

fn keep(mut file: NamedTempFile, out: &Path) -> io::Result<()> {
    file.flush()?;
    file.as_file().sync_all()?;
    file.persist(out).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use replant_core::Outcome;

    use super::*;

    fn line(row: &history::Lineage) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(record(row)).unwrap();
        String::from_utf8(writer.into_inner().unwrap()).unwrap()
    }

    fn row(outcome: Outcome) -> history::Lineage {
        history::Lineage {
            legacy_table: "card".to_owned(),
            legacy_id: 7,
            outcome,
            code: None,
            targets: Vec::new(),
            repairs: Vec::new(),
            chunk: 1,
            imprint: None,
        }
    }

    #[test]
    fn the_header_is_the_one_that_readers_expect() {
        assert_eq!(HEADER.join(","), "legacy_table,legacy_id,outcome,code,targets,repairs");
    }

    #[test]
    fn a_migrated_row_names_its_targets_and_repairs() {
        let targets = vec![("readers".to_owned(), 900), ("reader_emails".to_owned(), 12)];
        let repairs = vec!["email_case".to_owned(), "name_trimmed".to_owned()];
        let row = history::Lineage { targets, repairs, ..row(Outcome::Migrated) };
        assert_eq!(line(&row), "card,7,migrated,,readers:900;reader_emails:12,email_case;name_trimmed\n");
    }

    #[test]
    fn a_refused_row_has_a_code() {
        let row = history::Lineage { code: Some("email_invalid".to_owned()), ..row(Outcome::Quarantined) };
        assert_eq!(line(&row), "card,7,quarantined,email_invalid,,\n");
    }

    #[test]
    fn the_file_appears_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("lineage.csv");
        let mut file = beside(&out).unwrap();
        file.write_all(b"x").unwrap();
        assert!(!out.exists());
        keep(file, &out).unwrap();
        assert_eq!(std::fs::read(&out).unwrap(), b"x");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
