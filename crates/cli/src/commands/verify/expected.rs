//! `verify --against`: the target held against a file of anybody's own.

use std::path::Path;

use replant_core::db::Db;
use replant_core::expectations::{self, Expectation, ExpectationError};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::exit::Exit;
use crate::files::{self, Files};
use crate::output::{grouped, json, print, render, table};

/// Which file, and what becomes of what it finds.
pub(super) struct How<'a> {
    pub(super) file: &'a Path,
    pub(super) out: Option<&'a Path>,
    /// With the values that are expected and found.
    pub(super) values: bool,
    pub(super) json: bool,
}

/// A line of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    table: String,
    id: String,
    column: String,
    value: String,
}

/// What stands for NULL.
const NULL: &str = "\\N";

/// Lines that are looked at together.
const PAGE: usize = 1_000;

/// How many lines are shown.
const SHOWN: usize = 20;

/// An expectation that is not met.
#[derive(Debug, Default, Serialize)]
struct Line {
    line: u64,
    table: String,
    id: String,
    column: String,
    /// `differs` or `no_row`.
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
}

#[derive(Serialize)]
struct Account {
    expected: u64,
    unmet: u64,
}

/// Holds the target against the file.
///
/// # Errors
/// The file cannot be read, or names what the target does not have; the database fails.
pub(super) fn verify(db: &mut Db, how: &How<'_>) -> Result<Exit, Error> {
    let name = how.file.display();
    let mut reader = csv::Reader::from_path(how.file).map_err(|error| unreadable(&name.to_string(), &error))?;
    let (mut page, mut lines, mut all) = (Vec::with_capacity(PAGE), Vec::new(), 0);
    for (at, line) in (2..).zip(reader.deserialize::<Expected>()) {
        let Expected { table, id, column, value } = line.map_err(|error| unreadable(&name.to_string(), &error))?;
        let value = (value != NULL).then_some(value);
        page.push(Expectation { line: at, table, id, column, value });
        all += 1;
        if page.len() == PAGE {
            look(db, &mut page, how.values, &mut lines)?;
        }
    }
    look(db, &mut page, how.values, &mut lines)?;
    if all == 0 {
        let what = format!("{name} has no line but its first");
        return Err(Error::Refused { what, hint: "an empty list proves nothing: table, id, column, value".to_owned() });
    }
    if let Some(folder) = how.out {
        std::fs::create_dir_all(folder).map_err(Error::io(format!("make {}", folder.display())))?;
        let mut files = Files::default();
        files.add(folder.join("expectations.csv"), &files::csv(&lines))?;
        files.appear()?;
    }
    let account = Account { expected: all, unmet: lines.len() as u64 };
    match how.json {
        true => json(&account),
        false => print(text(&account, &lines)),
    }
    Ok(if lines.is_empty() { Exit::Done } else { Exit::Defects })
}

fn look(db: &mut Db, page: &mut Vec<Expectation>, values: bool, lines: &mut Vec<Line>) -> Result<(), Error> {
    let unmet = expectations::unmet(db, page).map_err(refused)?;
    for unmet in unmet {
        let Some(of) = page.iter().find(|of| of.line == unmet.line) else { continue };
        let shown = |value: Option<&String>| values.then(|| value.cloned().unwrap_or_else(|| NULL.to_owned()));
        lines.push(Line {
            line: of.line,
            table: of.table.clone(),
            id: of.id.clone(),
            column: of.column.clone(),
            verdict: if unmet.found.is_some() { "differs" } else { "no_row" },
            expected: shown(of.value.as_ref()),
            found: unmet.found.as_ref().and_then(|found| shown(found.as_ref())),
        });
    }
    page.clear();
    Ok(())
}

fn text(account: &Account, lines: &[Line]) -> String {
    let met = account.expected - account.unmet;
    let end = format!("{} of {} expectations are met.", grouped(met), grouped(account.expected));
    if lines.is_empty() {
        return end;
    }
    let mut table = table(&["line", "verdict", "table", "id", "column"]);
    for line in lines.iter().take(SHOWN) {
        table.add_row([&line.line.to_string(), line.verdict, &line.table, &line.id, &line.column]);
    }
    format!("{}\n\n{end}", render(table, 0..1))
}

fn unreadable(file: &str, error: &csv::Error) -> Error {
    let at = error.position().map(|position| format!(", line {}", position.line())).unwrap_or_default();
    Error::Refused {
        what: format!("{file}{at} is no list of expectations"),
        hint: "it is a CSV file with the columns table, id, column, value".to_owned(),
    }
}

fn refused(error: ExpectationError) -> Error {
    match error {
        ExpectationError::Database(source) => crate::error::query_failed(source),
        error => Error::Refused { what: error.to_string(), hint: "mend the line, and run it again".to_owned() },
    }
}
