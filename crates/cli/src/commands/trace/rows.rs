//! A row of the target as text: what the migration left there, what stands there, and what was done to it.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, Color};
use replant_core::ledger::generations::Generation;
use replant_core::{RowChange, RowState, TargetRow};
use serde_json::Value;

use crate::output::{render, table};

/// Letters of a value that are shown.
const LETTERS: usize = 72;

/// A text, or its beginning, on one line: a row may hold what moves the cursor of a terminal.
pub(super) fn shortened(text: &str) -> String {
    let mut shown = String::new();
    for (place, letter) in text.chars().enumerate() {
        match letter {
            _ if place == LETTERS => {
                shown.push('…');
                break;
            }
            letter if letter.is_control() => shown.extend(letter.escape_default()),
            letter => shown.push(letter),
        }
    }
    shown
}

/// A value in a cell.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => shortened(text),
        other => shortened(&other.to_string()),
    }
}

/// The name of a column, of which there may be hashes alone.
pub(super) fn named(column: &str, is_secret: bool) -> String {
    if is_secret { format!("{column} (hash)") } else { column.to_owned() }
}

/// A state of the legacy database: its number and its day.
pub(super) fn state(n: i64, states: &[Generation]) -> String {
    match states.iter().find(|state| state.n == n) {
        Some(state) => format!("state {n} ({})", state.snapshot_at.strftime("%F")),
        None => format!("state {n}"),
    }
}

/// The block of a row.
pub(super) fn block(row: &TargetRow, head: &str, states: &[Generation]) -> String {
    let key = match row.id {
        Some(id) => id.to_string(),
        None => row.key.iter().map(|(name, part)| format!("{name}={}", value(part))).collect::<Vec<_>>().join(" "),
    };
    let mut text = format!("Target row {} {key}, {head}\n", row.table);
    let changed = row.columns.iter().filter(|column| column.changed).count();
    let is_ours = row.columns.iter().any(|column| column.left.is_some());
    let _ = match (row.state, changed) {
        (RowState::Removed, _) => writeln!(text, "  now      removed since: it is not there any more"),
        (RowState::TakenOut, _) => writeln!(text, "  now      taken out by the migration"),
        (RowState::Stands, 0) if is_ours => writeln!(text, "  now      as the migration left it"),
        (RowState::Stands, 0) => Ok(()),
        (RowState::Stands, 1) => writeln!(text, "  now      somebody has changed 1 column since"),
        (RowState::Stands, changed) => writeln!(text, "  now      somebody has changed {changed} columns since"),
    };
    for kept in &row.kept {
        let state = state(kept.generation, states);
        let _ = match &kept.columns[..] {
            [] => writeln!(text, "  kept     removed by a customer, although {} would write it, {state}", kept.step),
            columns => writeln!(
                text,
                "  kept     {}: a customer's, although {} says otherwise, {state}",
                columns.join(", "),
                kept.step
            ),
        };
    }
    for change in &row.changes {
        write(&mut text, change, states);
    }
    if row.columns.is_empty() {
        return text.trim_end().to_owned();
    }
    format!("{text}\n{}", columns(row, changed > 0))
}

fn write(text: &mut String, change: &RowChange, states: &[Generation]) {
    let chunk = change.chunk.map_or_else(|| ", at its end".to_owned(), |chunk| format!(", chunk {chunk}"));
    let key = change.legacy_key.map(|key| format!(", for legacy row {key}")).unwrap_or_default();
    let state = state(change.generation, states);
    let _ = writeln!(text, "  {:<7}  by {}{chunk}{key}, {state}", change.what, change.step);
    let Some(after) = &change.after else {
        text.push_str("             the row was taken out\n");
        return;
    };
    let Some(before) = &change.before else {
        let columns: Vec<String> = after.keys().cloned().collect();
        let _ = writeln!(text, "             {}: not there before, or nobody noted what was", columns.join(", "));
        return;
    };
    for (column, after) in after {
        let before = before.get(column).map_or_else(|| "?".to_owned(), quoted);
        let _ = writeln!(text, "             {column}: {before} -> {}", quoted(after));
    }
}

fn quoted(json: &Value) -> String {
    match json {
        Value::String(text) => format!("\"{}\"", shortened(text)),
        other => value(other),
    }
}

/// The columns: of a row that the migration wrote as they were written, and what stands there where that is something else; of any
/// other one as they stand, and what the migration left in those that it changed.
fn columns(row: &TargetRow, differs: bool) -> String {
    let text = |json: &Option<Value>| json.as_ref().map(value).unwrap_or_default();
    let stands = row.state == RowState::Stands;
    let written = row.columns.iter().any(|column| column.written.is_some());
    let layered = written && row.columns.iter().any(|column| column.left != column.written);
    let ours = !written && stands && row.columns.iter().any(|column| column.left.is_some());
    let mut heads = vec!["", "column"];
    heads.push(if written || !stands { "written" } else { "now" });
    heads.extend((layered || ours).then_some("left"));
    heads.extend((written && stands && differs).then_some("now"));
    let mut table = table(&heads);
    for column in &row.columns {
        let mark = |text: String| match column.changed {
            true => Cell::new(text).fg(Color::Red).add_attribute(Attribute::Bold),
            false => Cell::new(text),
        };
        let name = named(&column.name, column.secret);
        let mut cells = vec![mark(if column.changed { "*" } else { "" }.to_owned()), Cell::new(name)];
        match (written, stands) {
            (true, _) => cells.push(Cell::new(text(&column.written))),
            (false, true) => cells.push(mark(text(&column.now))),
            (false, false) => cells.push(Cell::new(text(&column.left))),
        }
        if layered || ours {
            let beside = if written { &column.written } else { &column.now };
            let left = match column.left == *beside {
                true if written => String::new(),
                true => "the same".to_owned(),
                false => text(&column.left),
            };
            cells.push(Cell::new(left));
        }
        if written && stands && differs {
            let now = column.now.as_ref().filter(|_| column.changed);
            cells.push(mark(now.map(value).unwrap_or_default()));
        }
        table.add_row(cells);
    }
    render(table, 0..0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_shown_on_one_line_and_not_without_end() {
        assert_eq!(shortened("a\nb\u{1b}[2J 🌳"), "a\\nb\\u{1b}[2J 🌳");
        assert_eq!(shortened(&"ü".repeat(LETTERS)), "ü".repeat(LETTERS));
        assert_eq!(shortened(&"ü".repeat(LETTERS + 1)), format!("{}…", "ü".repeat(LETTERS)));
    }
}
