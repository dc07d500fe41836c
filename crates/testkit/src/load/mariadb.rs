//! MariaDB: LOAD DATA LOCAL INFILE from a temporary file in MariaDB's own escaping, which knows no dialects of NULL.
#![cfg(feature = "mysql")]

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use replant_core::db::{Backend, Db};

use super::{BATCH_ROWS, LoadError, Source};
use crate::catalog::{list, literal, quoted};

pub(super) fn load(db: &mut Db, sources: &[Source]) -> Result<Vec<(String, usize)>, LoadError> {
    // Without NO_ZERO_DATE, as the legacy database has it.
    db.batch_execute("SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION'")?;
    sources.iter().map(|source| Ok((source.table.clone(), load_one(db, source)?))).collect()
}

fn load_one(db: &mut Db, source: &Source) -> Result<usize, LoadError> {
    let folder = std::env::temp_dir();
    let unwritable = |error| LoadError::Read { path: folder.clone(), source: error };
    let file = tempfile::NamedTempFile::new_in(&folder).map_err(unwritable)?;
    let lines = write(source, file.as_file(), &folder)?;
    let (table, columns) = (quoted(Backend::MariaDb, &source.table), list(Backend::MariaDb, &source.column_names()));
    let path = literal(&file.path().to_string_lossy());
    let sql = format!("LOAD DATA LOCAL INFILE {path} INTO TABLE {table} CHARACTER SET utf8mb4 ({columns})");
    db.batch_execute("SET @testkit_warning = NULL")?;
    db.batch_execute(&sql)?;
    no_warning(db, source, &lines)?;
    Ok(lines.len())
}

/// Writes the rows, and returns the line of each.
fn write(source: &Source, file: &File, folder: &Path) -> Result<Vec<u64>, LoadError> {
    let unwritable = |error| LoadError::Read { path: folder.to_owned(), source: error };
    let (mut lines, mut out) = (Vec::new(), BufWriter::new(file));
    for batch in source.batches(BATCH_ROWS)? {
        for row in batch? {
            let cells: Vec<String> =
                row.cells.iter().map(|cell| cell.as_deref().map_or_else(|| "\\N".to_owned(), escaped)).collect();
            writeln!(out, "{}", cells.join("\t")).map_err(unwritable)?;
            lines.push(row.line);
        }
    }
    out.into_inner().map_err(io::IntoInnerError::into_error).map_err(unwritable)?;
    Ok(lines)
}

fn escaped(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    for character in cell.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\0' => text.push_str("\\0"),
            other => text.push(other),
        }
    }
    text
}

#[derive(QueryableByName)]
struct Warning {
    #[diesel(sql_type = Nullable<Text>)]
    message: Option<String>,
}

/// LOCAL makes warnings of errors, and a row that is a duplicate vanishes: a fixture must arrive as it is written.
/// (SHOW WARNINGS cannot be prepared, and diesel prepares whatever returns rows.)
fn no_warning(db: &mut Db, source: &Source, lines: &[u64]) -> Result<(), LoadError> {
    db.batch_execute("GET DIAGNOSTICS CONDITION 1 @testkit_warning = MESSAGE_TEXT")?;
    let first: Warning = diesel::sql_query("SELECT @testkit_warning AS message").get_result(db)?;
    let Some(warning) = first.message else {
        return Ok(());
    };
    let row = warning.rsplit_once(" at row ").and_then(|(_, row)| row.parse::<usize>().ok());
    let line = row.and_then(|row| lines.get(row.checked_sub(1)?).copied()).unwrap_or(1);
    Err(LoadError::Bent { file: source.file.clone(), line, warning })
}
