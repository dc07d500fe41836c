//! Loads folders of CSV files into a database: fixtures, the sample, made-up data.
//!
//! `TABLE.csv` or `TABLE.csv.gz`: UTF-8, RFC 4180, the first line names the columns (or some of them: the others get
//! their default), `\N` is NULL, an empty field is the empty text, lines end in LF, times are UTC with `+00`.

mod mariadb;
mod postgres;
mod read;
mod sqlite;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use diesel::{Connection, QueryResult};
use replant_core::db::Db;

use crate::catalog;
use read::{Row, Source};

/// Rows of one statement.
const BATCH_ROWS: usize = 500;

/// Why a folder could not be loaded. All of it is rolled back then (in MariaDB: what LOAD DATA had not yet taken).
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A folder or file cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no CSV, or no UTF-8; the source names the line.
    #[error("read {}", file.display())]
    Csv {
        /// The file.
        file: PathBuf,
        /// Where and why.
        source: csv::Error,
    },
    /// No table has the file's name.
    #[error("{}: the database has no such table", file.display())]
    NoTable {
        /// The file.
        file: PathBuf,
    },
    /// The first line names a column that the table does not have.
    #[error("{}:1: the table has no column `{column}`", file.display())]
    NoColumn {
        /// The file.
        file: PathBuf,
        /// The name.
        column: String,
    },
    /// A value is not in the shape that the format has for its column.
    #[error("{}:{line}: column `{column}` wants {wanted}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The line where the row begins.
        line: u64,
        /// The column.
        column: String,
        /// The shape.
        wanted: &'static str,
    },
    /// The database refused a row, or took it with a warning.
    #[error("{}:{line}: the database refuses the row", file.display())]
    Row {
        /// The file.
        file: PathBuf,
        /// The line where the row begins.
        line: u64,
        /// Why.
        source: diesel::result::Error,
    },
    /// MariaDB bent a value to make it fit.
    #[error("{}:{line}: {warning}", file.display())]
    Bent {
        /// The file.
        file: PathBuf,
        /// The line where the row begins.
        line: u64,
        /// What MariaDB says.
        warning: String,
    },
    /// Rows refer to rows that neither the files nor the database hold (SQLite looks at the end).
    #[error("{}: {rows} rows refer to no row of `{parent}`, first the one of rowid {rowid}", file.display())]
    Orphans {
        /// The file.
        file: PathBuf,
        /// The table referred to.
        parent: String,
        /// How many.
        rows: usize,
        /// The first of them.
        rowid: i64,
    },
    /// Something else about the database.
    #[error("load into the database")]
    Database(#[from] diesel::result::Error),
}

/// Loads every file of a folder into the table of its name, in the order that foreign keys need, and moves the
/// sequences of new ids past the highest. Other files are left alone. Returns the tables and how many rows each got.
///
/// # Errors
/// See [`LoadError`]: it names the file and the line.
pub fn load_dir(db: &mut Db, folder: &Path) -> Result<Vec<(String, usize)>, LoadError> {
    load(db, sources(folder)?)
}

/// [`load_dir`] of these tables alone.
///
/// # Errors
/// See [`LoadError`].
pub fn load_tables(db: &mut Db, folder: &Path, tables: &[&str]) -> Result<Vec<(String, usize)>, LoadError> {
    let mut sources = sources(folder)?;
    sources.retain(|source| tables.contains(&source.table.as_str()));
    load(db, sources)
}

fn load(db: &mut Db, mut sources: Vec<Source>) -> Result<Vec<(String, usize)>, LoadError> {
    sources.sort_by(|a, b| a.table.cmp(&b.table));
    for source in &sources {
        check_columns(db, source)?;
    }
    match db {
        #[cfg(feature = "mysql")]
        Db::My(_) => mariadb::load(db, &sources),
        Db::Pg(_) => db.transaction(|db| postgres::load(db, &sources)),
        Db::Lite(_) => db.transaction(|db| sqlite::load(db, &sources)),
    }
}

/// Moves the sequences of a table's new ids past the highest. SQLite and MariaDB do so by themselves.
///
/// # Errors
/// The database refuses.
pub fn move_sequences(db: &mut Db, table: &str) -> QueryResult<()> {
    match db {
        Db::Pg(_) => postgres::move_sequences(db, table),
        #[cfg(feature = "mysql")]
        Db::My(_) => Ok(()),
        Db::Lite(_) => Ok(()),
    }
}

fn sources(folder: &Path) -> Result<Vec<Source>, LoadError> {
    let unreadable = |source| LoadError::Read { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(table) = name.strip_suffix(".csv.gz").or_else(|| name.strip_suffix(".csv")) {
            found.push(Source::open(path.clone(), table)?);
        }
    }
    Ok(found)
}

fn check_columns(db: &mut Db, source: &Source) -> Result<(), LoadError> {
    let columns = catalog::columns(db, &source.table)?;
    if columns.is_empty() {
        return Err(LoadError::NoTable { file: source.file.clone() });
    }
    match source.columns.iter().find(|name| columns.iter().all(|column| column.name != **name)) {
        Some(unknown) => Err(LoadError::NoColumn { file: source.file.clone(), column: unknown.clone() }),
        None => Ok(()),
    }
}

/// A statement of many rows was refused: finds the first row that is refused by itself once all others are in. Rows may
/// refer to later ones, so what fails is tried again as long as that helps.
fn blame(
    db: &mut Db,
    source: &Source,
    rows: &[Row],
    error: diesel::result::Error,
    insert: impl Fn(&mut Db, &[Row]) -> QueryResult<usize>,
) -> LoadError {
    let mut waiting: Vec<(&Row, Option<diesel::result::Error>)> = rows.iter().map(|row| (row, None)).collect();
    loop {
        let before = waiting.len();
        let refused =
            |(row, _)| db.transaction(|db| insert(db, std::slice::from_ref(row))).err().map(|alone| (row, Some(alone)));
        waiting = waiting.into_iter().filter_map(refused).collect();
        if waiting.len() == before || waiting.is_empty() {
            break;
        }
    }
    match waiting.into_iter().next() {
        Some((row, Some(source_error))) => {
            LoadError::Row { file: source.file.clone(), line: row.line, source: source_error }
        }
        _ => LoadError::Database(error),
    }
}
