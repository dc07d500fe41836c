//! Quarantined rows as sheets that a person mends: one CSV file a legacy table, `\\N` for NULL.

use std::path::Path;

use replant_core::ledger::quarantine::QuarantineEntry;
use replant_core::shape::Kind;
use replant_core::{Key, TableShape};
use serde_json::{Map, Value};

/// What stands for NULL.
const NULL: &str = "\\N";

/// Columns before those of the row: why it is quarantined. They are not read back.
pub(super) const WHY: [&str; 4] = [ROW, "replant_code", "replant_reason", "replant_waits_for"];

/// Which row it was when it was exported: an id that was changed, or a sheet that is out of date, is found out by it.
const ROW: &str = "replant_row";

/// A legacy table, as its step reads it.
pub(super) struct Sheet {
    pub(super) step: String,
    pub(super) shape: TableShape,
    pub(super) key: &'static str,
}

/// A row whose cells were changed.
#[derive(Debug, PartialEq)]
pub(super) struct Mended {
    pub(super) key: Key,
    pub(super) row: Value,
    /// The columns that were changed.
    pub(super) columns: Vec<&'static str>,
}

/// How a cell of a quarantined row is shown. What its type could not hold is shown as it was stored.
fn shown(cell: Option<&Value>) -> String {
    match cell {
        None | Some(Value::Null) => NULL.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(bad)) => bad.get("raw").and_then(Value::as_str).unwrap_or_default().to_owned(),
        Some(other) => other.to_string(),
    }
}

impl Sheet {
    /// The header of the file.
    pub(super) fn header(&self) -> Vec<&str> {
        WHY.into_iter().chain(self.shape.columns.iter().map(|column| column.name)).collect()
    }

    /// A quarantined row as a line of the file.
    pub(super) fn line(&self, entry: &QuarantineEntry) -> Vec<String> {
        let row = parsed(entry);
        let own = entry.root_step == entry.step && entry.root_key == entry.legacy_key;
        let waits_for = if own { String::new() } else { format!("{} {}", entry.root_step, entry.root_key) };
        let cells = self.shape.columns.iter().map(|column| shown(row.get(column.name)));
        [mark(entry), entry.code.clone(), entry.reason.clone(), waits_for].into_iter().chain(cells).collect()
    }

    /// The rows of a file that were changed. `quarantined`: what the ledger knows of the row of a key.
    ///
    /// # Errors
    /// Every mistake of the file, by line. Holds no values.
    pub(super) fn read(
        &self,
        file: &Path,
        mut quarantined: impl FnMut(Key) -> Known,
    ) -> Result<Vec<Mended>, Vec<String>> {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let whole = |what: &str| vec![format!("{name}: {what}")];
        let bytes = std::fs::read(file).map_err(|error| whole(&error.to_string()))?;
        // Spreadsheets put a mark before UTF-8.
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut reader = csv::ReaderBuilder::new().from_reader(text);
        let header = reader.headers().map_err(|error| whole(&said(&error)))?.clone();
        let columns = self.columns(&header).map_err(|what| whole(&what))?;
        let (mut mended, mut wrong) = (Vec::new(), Vec::new());
        let mut seen = std::collections::HashSet::new();
        for record in reader.records() {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    wrong.push(format!("{name}: {}", said(&error)));
                    continue;
                }
            };
            let line = record.position().map_or(0, csv::Position::line);
            let at = |what: &str| format!("{name}, line {line}: {what}");
            let Some(key) = columns.key.and_then(|place| record[place].trim().parse::<Key>().ok()) else {
                wrong.push(at(&format!("`{}` is no key", self.key)));
                continue;
            };
            if !seen.insert(key) {
                wrong.push(at("a row with this key stands above"));
                continue;
            }
            let entry = match quarantined(key) {
                Known::Quarantined(entry) => *entry,
                Known::Mended => continue,
                Known::No => {
                    wrong.push(at("no row with this key is quarantined: delete the line, or export anew"));
                    continue;
                }
            };
            if columns.mark.is_some_and(|place| record[place] != mark(&entry)) {
                wrong.push(at(&format!(
                    "this is not the row that was exported: `{}` or `{ROW}` was changed, or the row was mended since; export anew",
                    self.key
                )));
                continue;
            }
            match self.mend(&entry, &columns, &record) {
                Ok(changed) => mended.extend(changed),
                Err(problems) => wrong.extend(problems.iter().map(|problem| at(problem))),
            }
        }
        if wrong.is_empty() { Ok(mended) } else { Err(wrong) }
    }

    fn columns(&self, header: &csv::StringRecord) -> Result<Columns, String> {
        let mut columns = Columns { key: None, mark: None, cells: Vec::new() };
        let mut seen = std::collections::HashSet::new();
        for (place, name) in header.iter().enumerate() {
            let name = name.trim();
            if !seen.insert(name) {
                return Err(format!("the column `{name}` stands there twice"));
            }
            if name == ROW {
                columns.mark = Some(place);
            } else if name == self.key {
                columns.key = Some(place);
            } else if let Some(column) = self.shape.columns.iter().position(|column| column.name == name) {
                columns.cells.push((place, column));
            } else if !WHY.contains(&name) {
                return Err(format!("`{}` has no column `{name}`; are the columns apart by commas?", self.shape.name));
            }
        }
        match columns.key {
            Some(_) => Ok(columns),
            None => Err(format!("the column `{}` is missing", self.key)),
        }
    }

    /// The row as the line says it; none where it says what is quarantined already.
    fn mend(
        &self,
        entry: &QuarantineEntry,
        columns: &Columns,
        record: &csv::StringRecord,
    ) -> Result<Option<Mended>, Vec<String>> {
        let mut row = parsed(entry);
        let (mut changed, mut wrong) = (Vec::new(), Vec::new());
        for (place, column) in &columns.cells {
            let column = &self.shape.columns[*column];
            let text = &record[*place];
            if text == shown(row.get(column.name)) {
                continue;
            }
            match cell(column.kind, text) {
                Ok(value) => {
                    row.insert(column.name.to_owned(), value);
                    changed.push(column.name);
                }
                Err(expected) => wrong.push(format!("column `{}`: {expected}, or {NULL} for NULL", column.name)),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let key = entry.legacy_key;
        Ok((!changed.is_empty()).then_some(Mended { key, row: Value::Object(row), columns: changed }))
    }
}

/// What the ledger knows of a row that a line names.
pub(super) enum Known {
    /// It is quarantined.
    Quarantined(Box<QuarantineEntry>),
    /// It was mended, and came in: a replay that was interrupted is being done again.
    Mended,
    /// Nothing.
    No,
}

/// Where the columns of a file stand.
struct Columns {
    key: Option<usize>,
    mark: Option<usize>,
    /// Place in the file, and among the table's columns.
    cells: Vec<(usize, usize)>,
}

/// Stands for a row as it is quarantined.
fn mark(entry: &QuarantineEntry) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(entry.legacy_row.as_bytes()))
}

fn parsed(entry: &QuarantineEntry) -> Map<String, Value> {
    match serde_json::from_str(&entry.legacy_row) {
        Ok(Value::Object(row)) => row,
        _ => Map::new(),
    }
}

/// A cell of a column from its text.
///
/// # Errors
/// What is expected there instead.
fn cell(kind: Kind, text: &str) -> Result<Value, &'static str> {
    if text == NULL {
        return Ok(Value::Null);
    }
    let number = text.trim();
    match kind {
        Kind::Text => Ok(Value::from(text)),
        Kind::SmallInt | Kind::Integer | Kind::BigInt => {
            number.parse::<i64>().map(Value::from).map_err(|_| "an integer is expected")
        }
        Kind::Float | Kind::Double => match number.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Value::from(value)),
            _ => Err("a number is expected"),
        },
        Kind::Bool => number.parse::<bool>().map(Value::from).map_err(|_| "true or false is expected"),
        Kind::Wall => match number.parse::<jiff::civil::DateTime>() {
            Ok(at) => Ok(Value::from(at.strftime("%Y-%m-%d %H:%M:%S").to_string())),
            Err(_) => Err("a time like 2019-04-01 12:00:00 is expected"),
        },
        Kind::Date => match number.parse::<jiff::civil::Date>() {
            Ok(day) => Ok(Value::from(day.to_string())),
            Err(_) => Err("a date like 2019-04-01 is expected"),
        },
        Kind::Instant => match number.parse::<jiff::Timestamp>() {
            Ok(at) => Ok(Value::from(at.to_string())),
            Err(_) => Err("a time like 2019-04-01T12:00:00Z is expected"),
        },
    }
}

/// What is wrong with the form of a file, without its content.
fn said(error: &csv::Error) -> String {
    let line = error.position().map(|at| format!("line {}: ", at.line())).unwrap_or_default();
    let what = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} cells, but the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "the text is no UTF-8: save the file as CSV in UTF-8".to_owned(),
        _ => "the file cannot be read as CSV".to_owned(),
    };
    format!("{line}{what}")
}
