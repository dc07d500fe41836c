//! Quarantined rows as sheets that a person mends: one CSV file a legacy table, `\\N` for NULL.

use std::path::Path;

use replant_core::ledger::quarantine::QuarantineEntry;
use replant_core::{Key, TableShape};
use serde_json::{Map, Value};

use super::cells::{self, NULL, safe, shown, stored, unmarked};
use super::problems::Problems;
use super::respelled::{Order, respelled};

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
    /// Where it stands in the file.
    pub(super) line: u64,
}

/// What a file says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Read {
    pub(super) mended: Vec<Mended>,
    pub(super) respelled: Respelled,
}

/// Cells that a spreadsheet wrote anew in a form of its own: they say what they said before, and are no mends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Respelled {
    pub(super) cells: u64,
    /// The line and column of the first of them.
    pub(super) first: Option<(u64, &'static str)>,
}

impl Respelled {
    fn add(&mut self, line: u64, column: &'static str) {
        self.cells += 1;
        self.first.get_or_insert((line, column));
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
        let cells = self.shape.columns.iter().map(|column| shown(column.kind, row.get(column.name)));
        [mark(entry), entry.code.clone(), safe(entry.reason.clone()), waits_for].into_iter().chain(cells).collect()
    }

    /// The rows of a file that were changed. `quarantined`: what the ledger knows of the row of a key. `exact`: cells that a
    /// spreadsheet wrote anew are changes as well.
    ///
    /// # Errors
    /// Every mistake of the file, by line. Holds no values.
    pub(super) fn read(
        &self,
        file: &Path,
        exact: bool,
        quarantined: impl FnMut(Key) -> Known,
    ) -> Result<Read, Vec<String>> {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let whole = |what: &str| vec![format!("{name}: {what}")];
        let bytes = std::fs::read(file).map_err(|error| whole(&error.to_string()))?;
        let text = decoded(&bytes).map_err(whole)?;
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter(text)).from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| whole(&said(&error)))?.clone();
        let columns = self.columns(&header).map_err(|what| whole(&what))?;
        let mut problems = Problems::of(name);
        let lines = self.lines(text, &mut reader, &columns, &mut problems, quarantined);
        let order = Order::of(lines.iter().flat_map(|line| self.pairs(line, &columns)));
        let mut read = Read::default();
        for line in &lines {
            if let Some(mended) =
                self.mend(line, &columns, (!exact).then_some(order), &mut read.respelled, &mut problems)
            {
                read.mended.push(mended);
            }
        }
        if problems.is_empty() { Ok(read) } else { Err(problems.said()) }
    }

    /// The lines of rows that are quarantined.
    fn lines(
        &self,
        text: &str,
        reader: &mut csv::Reader<&[u8]>,
        columns: &Columns,
        problems: &mut Problems,
        mut quarantined: impl FnMut(Key) -> Known,
    ) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for record in reader.records() {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    problems.add(line_of(text, error.position()), None, said(&error));
                    continue;
                }
            };
            let line = line_of(text, record.position());
            let Some(key) = columns.key.and_then(|place| record[place].trim().parse::<Key>().ok()) else {
                problems.add(line, None, format!("`{}` is no key", self.key));
                continue;
            };
            if !seen.insert(key) {
                problems.add(line, None, "a row with this key stands above");
                continue;
            }
            let entry = match quarantined(key) {
                Known::Quarantined(entry) => *entry,
                Known::Mended => continue,
                Known::No => {
                    problems.add(line, None, "no row with this key is quarantined: delete the line, or export anew");
                    continue;
                }
            };
            if columns.mark.is_some_and(|place| !is_mark(&record[place], &entry)) {
                problems.add(line, None, format!(
                    "this is not the row that was exported: `{}` or `{ROW}` was changed, or the row was mended since; export anew",
                    self.key
                ));
                continue;
            }
            lines.push(Line { line, row: parsed(&entry), key, record });
        }
        lines
    }

    /// The cells of a line that look otherwise than they did, as they were and as they are.
    fn pairs<'a>(&'a self, line: &'a Line, columns: &'a Columns) -> impl Iterator<Item = (&'a str, &'a str)> {
        let cells = columns.cells.iter().filter_map(|(place, column)| {
            let was = line.row.get(self.shape.columns[*column].name)?.as_str()?;
            Some((was, &line.record[*place]))
        });
        cells.filter(|(was, is)| was != is)
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

    /// The row as the line says it; none where it says what is quarantined already, or makes no sense. `order`: how dates
    /// are written where a spreadsheet wrote them; none where every difference is a change.
    fn mend(
        &self,
        line: &Line,
        columns: &Columns,
        order: Option<Order>,
        respellings: &mut Respelled,
        problems: &mut Problems,
    ) -> Option<Mended> {
        let mut row = line.row.clone();
        let (mut changed, mut is_wrong) = (Vec::new(), false);
        for (place, column) in &columns.cells {
            let column = &self.shape.columns[*column];
            let (was, is) = (stored(row.get(column.name)), unmarked(&line.record[*place]));
            if is == was {
                continue;
            }
            if order.is_some_and(|order| respelled(&was, is, order)) {
                respellings.add(line.line, column.name);
                continue;
            }
            match cells::parsed(column.kind, is) {
                Ok(value) => {
                    row.insert(column.name.to_owned(), value);
                    changed.push(column.name);
                }
                Err(expected) => {
                    is_wrong = true;
                    problems.add(line.line, Some(column.name), format!("{expected}, or {NULL} for NULL"));
                }
            }
        }
        let is_mended = !is_wrong && !changed.is_empty();
        is_mended.then_some(Mended { key: line.key, row: Value::Object(row), columns: changed, line: line.line })
    }
}

/// A line of a file, with the row that it is of.
struct Line {
    line: u64,
    key: Key,
    row: Map<String, Value>,
    record: csv::StringRecord,
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

/// Stands for a row as it is quarantined: the letter keeps a spreadsheet from taking it for a number.
fn mark(entry: &QuarantineEntry) -> String {
    format!("r-{}", digits(entry))
}

fn digits(entry: &QuarantineEntry) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(entry.legacy_row.as_bytes()))
}

/// Whether a text is the mark of a row. Files of earlier versions have it without the letter.
fn is_mark(text: &str, entry: &QuarantineEntry) -> bool {
    let text = text.trim();
    let digits = digits(entry);
    text == mark(entry) || text == digits || respelled(&digits, text, Order::DayFirst)
}

/// The text of a file.
///
/// # Errors
/// It is in no form that is read.
fn decoded(bytes: &[u8]) -> Result<&str, &'static str> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("the text is UTF-16: save the file as CSV in UTF-8");
    }
    // Spreadsheets put a mark before UTF-8.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(text).map_err(|_| "the text is no UTF-8: save the file as CSV in UTF-8")
}

/// The line of a record. A reader that has stopped between CR and LF, or before empty lines, is not at the record yet.
fn line_of(text: &str, position: Option<&csv::Position>) -> u64 {
    let Some(position) = position else { return 0 };
    let at = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    let ends = rest.iter().take_while(|byte| [b'\r', b'\n'].contains(byte)).filter(|byte| **byte == b'\n').count();
    position.line() + ends as u64
}

/// What stands between cells: no name of a column holds any of it.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    [b',', b';', b'\t'].into_iter().find(|delimiter| header.as_bytes().contains(delimiter)).unwrap_or(b',')
}

fn parsed(entry: &QuarantineEntry) -> Map<String, Value> {
    match serde_json::from_str(&entry.legacy_row) {
        Ok(Value::Object(row)) => row,
        _ => Map::new(),
    }
}

/// What is wrong with the form of a file, without its content.
fn said(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} cells, but the header has {expected_len}")
        }
        _ => "the file cannot be read as CSV".to_owned(),
    }
}

#[cfg(test)]
mod british;
#[cfg(test)]
mod tests;
