//! A row of the target as text: what the migration left there, what stands there, and what was done to it.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, Color};
use replant_core::ledger::generations::Generation;
use replant_core::{Columns, RowChange, RowState, TargetRow};
use serde_json::Value;

use crate::output::{render, table};

/// Letters of a value that are shown.
const LETTERS: usize = 72;

/// A text, or its beginning.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A value in a cell.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => shortened(text),
        other => shortened(&other.to_string()),
    }
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
    let side = |side: &Option<Columns>, column: &str| match side {
        Some(columns) => columns.get(column).map_or_else(|| "?".to_owned(), |json| quoted(json)),
        None => "?".to_owned(),
    };
    match (&change.before, &change.after) {
        (_, None) => text.push_str("             taken out\n"),
        (_, Some(after)) => {
            for column in after.keys() {
                let (before, after) = (side(&change.before, column), side(&change.after, column));
                let _ = writeln!(text, "             {column}: {before} -> {after}");
            }
        }
    }
}

fn quoted(json: &Value) -> String {
    match json {
        Value::String(text) => format!("{:?}", shortened(text)),
        other => value(other),
    }
}

/// The columns: as the migration left them, and what stands there where that is something else.
fn columns(row: &TargetRow, differs: bool) -> String {
    let stands = row.state == RowState::Stands;
    let is_ours = row.columns.iter().any(|column| column.left.is_some());
    let left = row.columns.iter().any(|column| column.left != column.written && column.written.is_some());
    let mut heads = vec!["", "column"];
    heads.push(if is_ours { "written" } else { "now" });
    if is_ours && left {
        heads.push("left");
    }
    if is_ours && stands && differs {
        heads.push("now");
    }
    let mut table = table(&heads);
    for column in &row.columns {
        let json = |json: &Option<Value>| json.as_ref().map(value).unwrap_or_default();
        let mark = |text: String| match column.changed {
            true => Cell::new(text).fg(Color::Red).add_attribute(Attribute::Bold),
            false => Cell::new(text),
        };
        let name = if column.secret { format!("{} (hash)", column.name) } else { column.name.clone() };
        let own = column.written.clone().or(column.left.clone()).or(column.now.clone());
        let mut cells =
            vec![mark(if column.changed { "*" } else { "" }.to_owned()), Cell::new(name), Cell::new(json(&own))];
        if is_ours && left {
            let other = column.left.clone().filter(|left| Some(left) != own.as_ref());
            cells.push(Cell::new(json(&other)));
        }
        if is_ours && stands && differs {
            let other = column.now.clone().filter(|_| column.changed);
            cells.push(mark(json(&other)));
        }
        table.add_row(cells);
    }
    render(table, 0..0)
}
