//! Reads the CSV files.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;

use flate2::read::MultiGzDecoder;

use super::LoadError;

/// A file, its table, and the columns that it names.
pub(super) struct Source {
    pub(super) file: PathBuf,
    pub(super) table: String,
    pub(super) columns: Vec<String>,
}

/// A row and the line where it begins.
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) cells: Vec<Option<String>>,
}

impl Source {
    pub(super) fn open(file: PathBuf, table: &str) -> Result<Self, LoadError> {
        let mut source = Self { file, table: table.to_owned(), columns: Vec::new() };
        let mut reader = source.reader()?;
        let header = reader.headers().map_err(|error| source.broken(error))?;
        source.columns = header.iter().map(str::to_owned).collect();
        Ok(source)
    }

    pub(super) fn column_names(&self) -> Vec<&str> {
        self.columns.iter().map(String::as_str).collect()
    }

    /// The rows in batches, in the file's order.
    pub(super) fn batches(&self, size: usize) -> Result<impl Iterator<Item = Result<Vec<Row>, LoadError>>, LoadError> {
        let mut records = self.reader()?.into_records();
        Ok(std::iter::from_fn(move || {
            let batch: Result<Vec<Row>, csv::Error> =
                records.by_ref().take(size).map(|record| record.map(|record| Row::of(&record))).collect();
            match batch {
                Ok(rows) if rows.is_empty() => None,
                batch => Some(batch.map_err(|error| self.broken(error))),
            }
        }))
    }

    fn reader(&self) -> Result<csv::Reader<Box<dyn Read>>, LoadError> {
        let file = File::open(&self.file).map_err(|source| LoadError::Read { path: self.file.clone(), source })?;
        let file = BufReader::new(file);
        let input: Box<dyn Read> = if self.file.extension().is_some_and(|suffix| suffix == "gz") {
            Box::new(MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        };
        // A carriage return is a character of the value like any other.
        Ok(csv::ReaderBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_reader(input))
    }

    fn broken(&self, source: csv::Error) -> LoadError {
        LoadError::Csv { file: self.file.clone(), source }
    }
}

impl Row {
    fn of(record: &csv::StringRecord) -> Self {
        let line = record.position().map_or(0, csv::Position::line);
        Self { line, cells: record.iter().map(|cell| (cell != "\\N").then(|| cell.to_owned())).collect() }
    }
}
