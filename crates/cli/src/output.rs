//! All that the program prints: results on standard output, errors on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use std::ops::Range;
use std::time::Duration;

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;

use crate::error::Error;

/// Prints a result. A reader that has gone away (`| head`) is no error.
pub fn print(text: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Prints a result without a line end.
pub(crate) fn print_raw(bytes: &[u8]) {
    let _ = io::stdout().lock().write_all(bytes);
}

/// Prints a result for a script.
pub fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(text),
        Err(_) => complain("a defect: a result has no JSON form"),
    }
}

/// Says something on standard error.
pub fn complain(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Asks on standard error and reads the answer.
pub(crate) fn ask(question: impl Display) -> io::Result<String> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question}")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// Whether a person can be asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Renders an error, with its causes and what to do about it.
pub(crate) fn error(error: Error) {
    let wide = io::stderr().is_terminal();
    // A log keeps a message on one line, so that it can be searched for.
    let _ = miette::set_hook(Box::new(move |_| {
        let options = miette::MietteHandlerOpts::new().wrap_lines(wide).terminal_links(false);
        Box::new(options.build())
    }));
    complain(format!("{:?}", miette::Report::new(error)).trim_end());
}

/// A number with its thousands set apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Rows a second; `None` where there is nothing to tell it from.
pub fn rate(rows: u64, elapsed: Duration) -> Option<u64> {
    let micros = u64::try_from(elapsed.as_micros()).ok().filter(|micros| *micros > 0)?;
    (rows > 0).then(|| rows.saturating_mul(1_000_000) / micros)
}

/// Columns of a terminal below which tables are not fitted to it.
const NARROW: u16 = 60;

/// A line below the heads, and no other.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// An empty table in the house's style.
pub fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    // A narrow terminal wraps a line better than a table wraps its cells.
    if table.width().is_some_and(|columns| columns >= NARROW) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.set_header(heads.iter().map(|head| Cell::new(head).add_attribute(Attribute::Bold)));
    table
}

/// A table as text, with the columns from `from` on, which hold numbers, aligned to the right.
pub fn render(mut table: Table, numbers: Range<usize>) -> String {
    for column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let texts = [0, 7, 999, 1_000, 12_345, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "7", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn a_rate_is_rows_by_time() {
        assert_eq!(rate(500, Duration::from_millis(250)), Some(2_000));
        assert_eq!(rate(0, Duration::from_secs(1)), None);
        assert_eq!(rate(5, Duration::ZERO), None);
    }
}
