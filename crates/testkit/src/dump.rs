//! The content of tables as text that is the same from every database that holds the same data, and its comparison.

use std::cmp::Ordering;
use std::fmt::Write;

use diesel::prelude::*;
use diesel::sql_types::Text;
use replant_core::db::{Backend, Db};

use crate::catalog::{self, Column, Shape, literal, quoted};

pub use crate::catalog::tables;

const DIFFERENCES_SHOWN: usize = 10;

/// A table's rows in the order of its key, every value as text: times as `2024-01-16 03:00:00.000000` in UTC, booleans
/// as 0 and 1, floats in their shortest form, all else as the database writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDump {
    /// The table.
    pub name: String,
    /// Its columns in the schema's order.
    pub columns: Vec<String>,
    /// The places of the key's columns among them; all columns if the table has no key.
    pub key: Vec<usize>,
    /// The rows, a value a column; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

impl TableDump {
    /// Without these columns: those that two databases may differ in.
    ///
    /// # Panics
    /// One of them is part of the key, or the table does not have it.
    #[must_use]
    pub fn without(mut self, columns: &[&str]) -> Self {
        for name in columns {
            let place = self
                .columns
                .iter()
                .position(|column| column == name)
                .unwrap_or_else(|| panic!("{} has no column {name}", self.name));
            assert!(!self.key.contains(&place), "{name} is part of the key of {}", self.name);
            self.columns.remove(place);
            self.key.iter_mut().filter(|key| **key > place).for_each(|key| *key -= 1);
            for row in &mut self.rows {
                row.remove(place);
            }
        }
        self
    }

    fn key_of<'a>(&self, row: &'a [Option<String>]) -> Vec<Option<&'a str>> {
        self.key.iter().map(|place| row[*place].as_deref()).collect()
    }
}

/// All tables, in order of their names (see [`tables`]).
///
/// # Errors
/// The database refuses.
pub fn dump_all(db: &mut Db) -> QueryResult<Vec<TableDump>> {
    tables(db)?.iter().map(|table| dump(db, table)).collect()
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// One table. All of it is held in memory.
///
/// # Errors
/// The database refuses, or has no such table.
pub fn dump(db: &mut Db, table: &str) -> QueryResult<TableDump> {
    let backend = db.backend();
    let columns = catalog::columns(db, table)?;
    if columns.is_empty() {
        return Err(diesel::result::Error::QueryBuilderError(format!("no table `{table}`").into()));
    }
    let cells = columns.iter().map(|column| text_of(backend, column)).collect::<Vec<_>>().join(", ");
    let array = match backend {
        Backend::Postgres => format!("jsonb_build_array({cells})::text"),
        Backend::Sqlite | Backend::MariaDb => format!("json_array({cells})"),
    };
    let lines: Vec<Line> =
        diesel::sql_query(format!("SELECT {array} AS line FROM {}", quoted(backend, table))).load(db)?;

    let mut dump = TableDump {
        name: table.to_owned(),
        key: key(&columns),
        rows: Vec::with_capacity(lines.len()),
        columns: Vec::new(),
    };
    for Line { line } in lines {
        let mut row: Vec<Option<String>> =
            serde_json::from_str(&line).map_err(|error| diesel::result::Error::DeserializationError(error.into()))?;
        for (cell, column) in row.iter_mut().zip(&columns).filter(|(_, column)| column.shape() == Shape::Real) {
            *cell = cell.take().map(|text| shortest(&column.kind, text));
        }
        dump.rows.push(row);
    }
    dump.columns = columns.into_iter().map(|column| column.name).collect();
    let mut rows = std::mem::take(&mut dump.rows);
    rows.sort_by(|a, b| by_key(&dump.key_of(a), &dump.key_of(b)));
    dump.rows = rows;
    Ok(dump)
}

fn key(columns: &[Column]) -> Vec<usize> {
    let mut key: Vec<usize> = (0..columns.len()).filter(|place| columns[*place].key > 0).collect();
    key.sort_by_key(|place| columns[*place].key);
    if key.is_empty() { (0..columns.len()).collect() } else { key }
}

/// The expression that gives a column as text.
fn text_of(backend: Backend, column: &Column) -> String {
    let name = quoted(backend, &column.name);
    match (backend, column.shape()) {
        (Backend::Postgres, Shape::Instant) => {
            format!("to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')")
        }
        (Backend::Postgres, Shape::Date) => format!("to_char({name}, 'YYYY-MM-DD')"),
        (Backend::Postgres, Shape::Bool) => format!("{name}::int::text"),
        (Backend::Postgres, Shape::Real | Shape::Padded | Shape::Plain) => format!("{name}::text"),
        // A cast of a float to text would keep but 15 digits. A cell of SQLite may hold anything: bytes are shown as such.
        (Backend::Sqlite, shape) => {
            let text = if shape == Shape::Padded { format!("rtrim({name})") } else { format!("CAST({name} AS TEXT)") };
            format!(
                "CASE typeof({name}) WHEN 'real' THEN printf('%!.17g', {name}) WHEN 'blob' THEN 'x''' || hex({name}) || '''' ELSE {text} END"
            )
        }
        // MariaDB writes a FLOAT with six digits, and a DOUBLE with all.
        (Backend::MariaDb, Shape::Real) => format!("CAST(CAST({name} AS DOUBLE) AS CHAR)"),
        (Backend::MariaDb, _) => format!("CAST({name} AS CHAR)"),
    }
}

/// A FLOAT of MariaDB has the precision of four bytes. What is no number stays as it is: SQLite takes any text.
fn shortest(kind: &str, text: String) -> String {
    if kind == "float" {
        text.parse::<f32>().map_or(text, |number| number.to_string())
    } else {
        text.parse::<f64>().map_or(text, |number| number.to_string())
    }
}

fn by_key(a: &[Option<&str>], b: &[Option<&str>]) -> Ordering {
    let compare = |a: &Option<&str>, b: &Option<&str>| match (
        a.and_then(|a| a.parse::<i128>().ok()),
        b.and_then(|b| b.parse::<i128>().ok()),
    ) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    };
    a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Fails with the first differences if two dumps are not the same.
///
/// # Panics
/// They differ: the message names table, key, column and both values.
#[track_caller]
pub fn assert_same(left: &[TableDump], right: &[TableDump]) {
    let differences = differences(left, right);
    if !differences.is_empty() {
        let mut message = format!("{} differences (left | right)", differences.len());
        for line in differences.iter().take(DIFFERENCES_SHOWN) {
            let _ = write!(message, "\n  {line}");
        }
        panic!("{message}");
    }
}

/// Every difference between two dumps, a line each.
pub fn differences(left: &[TableDump], right: &[TableDump]) -> Vec<String> {
    let mut found = Vec::new();
    let only = |tables: &[TableDump], others: &[TableDump], side: &str| -> Vec<String> {
        let missing = tables.iter().filter(|table| others.iter().all(|other| other.name != table.name));
        missing.map(|table| format!("{}: the table is {side} only", table.name)).collect()
    };
    found.extend(only(left, right, "left"));
    found.extend(only(right, left, "right"));
    for table in left {
        if let Some(other) = right.iter().find(|other| other.name == table.name) {
            compare(table, other, &mut found);
        }
    }
    found
}

fn compare(left: &TableDump, right: &TableDump, found: &mut Vec<String>) {
    if left.columns != right.columns {
        found.push(format!("{}: columns {} | {}", left.name, left.columns.join(", "), right.columns.join(", ")));
        return;
    }
    let (mut lefts, mut rights) = (left.rows.iter().peekable(), right.rows.iter().peekable());
    loop {
        let order = match (lefts.peek(), rights.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => by_key(&left.key_of(a), &right.key_of(b)),
        };
        let a = if order.is_le() { lefts.next() } else { None };
        let b = if order.is_ge() { rights.next() } else { None };
        match (a, b) {
            (Some(a), Some(b)) => {
                for ((column, a_cell), b_cell) in left.columns.iter().zip(a).zip(b).filter(|((_, a), b)| a != b) {
                    found.push(format!(
                        "{} {}: {column} {} | {}",
                        left.name,
                        named_key(left, a),
                        shown(a_cell.as_deref()),
                        shown(b_cell.as_deref())
                    ));
                }
            }
            (Some(row), None) => found.push(format!("{} {}: the row is left only", left.name, named_key(left, row))),
            (None, Some(row)) => found.push(format!("{} {}: the row is right only", left.name, named_key(right, row))),
            (None, None) => return,
        }
    }
}

fn named_key(table: &TableDump, row: &[Option<String>]) -> String {
    let part = |place: &usize| format!("{}={}", table.columns[*place], row[*place].as_deref().unwrap_or("NULL"));
    table.key.iter().map(part).collect::<Vec<_>>().join(",")
}

fn shown(cell: Option<&str>) -> String {
    cell.map_or_else(|| "NULL".to_owned(), literal)
}
