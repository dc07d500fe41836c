//! `lineage`: what became of every legacy row, as a CSV file.

use std::io::{self, Write};
use std::path::Path;

use replant_core::ledger::history;
use replant_core::ledger::history::Lineage;
use tempfile::NamedTempFile;

use super::At;
use crate::cli;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{grouped, print};
use crate::report::on;

const HEADER: [&str; 6] = ["legacy_table", "legacy_id", "outcome", "code", "targets", "repairs"];

pub(crate) fn run(args: &cli::Lineage, at: &At) -> Result<Exit, Error> {
    let mut db = at.ledger(&args.on.env)?;
    let file = beside(&args.out)?;
    let failed = || Error::io(format!("write {}", args.out.display()));
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
    keep(file, &args.out).map_err(failed())?;
    print(format!("{} legacy rows in {}", grouped(rows), args.out.display()));
    if replant_core::ledger::status::steps(&mut db)?.iter().any(|step| !step.done) {
        tracing::warn!(
            "the migration is not complete, so neither is the file: see `cargo xtask status{}`",
            on(&args.on.env)
        );
    }
    Ok(Exit::Done)
}

/// A row of the file.
fn record(row: &Lineage) -> [String; 6] {
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

    fn line(row: &Lineage) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(record(row)).unwrap();
        String::from_utf8(writer.into_inner().unwrap()).unwrap()
    }

    fn row(outcome: Outcome) -> Lineage {
        Lineage {
            legacy_table: "user".to_owned(),
            legacy_id: 7,
            outcome,
            code: None,
            targets: Vec::new(),
            repairs: Vec::new(),
            chunk: 1,
            fingerprint: None,
        }
    }

    #[test]
    fn the_header_is_the_one_that_readers_expect() {
        assert_eq!(HEADER.join(","), "legacy_table,legacy_id,outcome,code,targets,repairs");
    }

    #[test]
    fn a_migrated_row_names_its_targets_and_repairs() {
        let targets = vec![("accounts".to_owned(), 900), ("account_emails".to_owned(), 12)];
        let repairs = vec!["email_case".to_owned(), "name_trimmed".to_owned()];
        let row = Lineage { targets, repairs, ..row(Outcome::Migrated) };
        assert_eq!(line(&row), "user,7,migrated,,accounts:900;account_emails:12,email_case;name_trimmed\n");
    }

    #[test]
    fn a_refused_row_has_a_code() {
        let row = Lineage { code: Some("email_invalid".to_owned()), ..row(Outcome::Quarantined) };
        assert_eq!(line(&row), "user,7,quarantined,email_invalid,,\n");
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
