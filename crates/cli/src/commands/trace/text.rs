//! A passport as text: a block a row.

use std::fmt::Write as _;

use replant_core::ledger::generations::Generation;
use replant_core::{AsLegacy, LegacyNow, Outcome, Passport};
use serde_json::Value;

use super::rows::{self, shortened, value};
use crate::output::{render, table};
use crate::typed::typed;

/// A passport, for a person at a terminal.
pub(super) fn of(passport: &Passport, env: &str) -> String {
    let Passport { table, id, as_legacy, target, as_target, planned_for, states } = passport;
    let mut blocks = Vec::new();
    let is_target = target.is_some() || !as_target.is_empty();
    if is_target && !as_legacy.is_empty() {
        blocks.push(format!("`{table}` {id} is on both sides."));
    }
    for origin in as_legacy {
        blocks.extend(legacy(origin, states, env));
    }
    if let Some(row) = target {
        let behind: Vec<String> = as_target.iter().map(name).collect();
        let made = row.changes.iter().find(|change| change.before.is_none() && row.leader.is_none());
        let head = match (&behind[..], made) {
            ([], Some(change)) => format!("made by {}", change.step),
            ([], None) => "of the platform: no legacy row is behind it".to_owned(),
            (behind, _) => format!("from legacy row {}", behind.join(", ")),
        };
        blocks.push(rows::block(row, &head, states));
    }
    if let Some(planned) = planned_for {
        blocks.push(format!("Its id was planned for legacy row {} of {}.", planned.key, planned.step));
    }
    for origin in as_target {
        blocks.extend(legacy(origin, states, env));
    }
    blocks.join("\n\n")
}

fn name(origin: &AsLegacy) -> String {
    format!("{} {}", origin.lineage.legacy_table, origin.lineage.legacy_id)
}

/// Rows that were changed for the sake of one and are shown.
const TOUCHED: usize = 20;

/// The blocks of a legacy row: itself, then what was written for it.
fn legacy(origin: &AsLegacy, states: &[Generation], env: &str) -> Vec<String> {
    let mut blocks = vec![format!("{}{}", became(origin, states, env), columns(origin))];
    let leader = origin.leader.filter(|leader| *leader != origin.lineage.legacy_id);
    for row in &origin.rows {
        let head = match (row.leader, origin.lineage.outcome, leader) {
            (None, ..) => "of the platform: the migration did not write it".to_owned(),
            (Some(_), Outcome::Merged, Some(leader)) => {
                format!("written for legacy row {} {leader}", origin.lineage.legacy_table)
            }
            _ => format!("written for legacy row {}", name(origin)),
        };
        blocks.push(rows::block(row, &head, states));
    }
    for row in origin.touched.iter().take(TOUCHED) {
        blocks.push(rows::block(row, &format!("changed for legacy row {}", name(origin)), states));
    }
    let more = origin.touched.len().saturating_sub(TOUCHED);
    if more > 0 {
        blocks.push(format!("{more} more rows were changed for it: `--json` has them."));
    }
    blocks
}

/// What became of a legacy row.
fn became(origin: &AsLegacy, states: &[Generation], env: &str) -> String {
    let row = &origin.lineage;
    let mut text = format!("Legacy row {}\n", name(origin));
    let code = row.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    let _ = writeln!(text, "  outcome  {}{code}, by {}, chunk {}", row.outcome, origin.step, row.chunk);
    for (place, (table, id)) in row.targets.iter().enumerate() {
        let _ = writeln!(text, "  {}  {table} {id}", if place == 0 { "target " } else { "       " });
    }
    match origin.leader.filter(|leader| *leader != row.legacy_id) {
        Some(leader) if row.outcome == Outcome::Merged => {
            let _ = writeln!(text, "  merged   into that of {} {leader}", row.legacy_table);
        }
        Some(leader) => {
            let _ = writeln!(text, "  follows  {} {leader}", row.legacy_table);
        }
        None => {}
    }
    if !origin.merged.is_empty() {
        let merged: Vec<String> = origin.merged.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "  with     {} {}, merged into it", row.legacy_table, merged.join(", "));
    }
    if let Some(imprint) = &row.imprint {
        let _ = writeln!(text, "  written  imprint {imprint}");
    }
    for repair in &origin.values_repaired {
        let shown = |value: &Option<String>| shortened(value.as_deref().unwrap_or("NULL"));
        let (before, after) = (shown(&repair.before), shown(&repair.after));
        let _ = writeln!(text, "  repair   {} of {}: \"{before}\" -> \"{after}\"", repair.code, repair.column);
    }
    if let Some(cause) = &origin.quarantine {
        let _ = writeln!(text, "  cause    {}", cause.reason);
        if (&cause.root_step, cause.root_key) != (&origin.step, row.legacy_id) {
            let _ = writeln!(text, "  waits    for {} {}", cause.root_step, cause.root_key);
        }
        let show = format!("quarantine show {} {}", row.legacy_table, row.legacy_id);
        let _ = writeln!(text, "  whole    {}", typed(&show, env));
    }
    if let Some(mended) = &origin.mended {
        let aside = mended.set_aside.map(|state| format!(", set aside in {}", rows::state(state, states)));
        let _ = writeln!(text, "  mended   {}{}", mended.mended_at, aside.unwrap_or_default());
    }
    if states.len() > 1 {
        let came = origin.came.came_in.map(|state| format!(", in the target since {}", rows::state(state, states)));
        let gone = if origin.came.gone { ", gone from the last" } else { "" };
        let added = rows::state(origin.came.added_in, states);
        let _ = writeln!(text, "  states   first in {added}{}{gone}", came.unwrap_or_default());
    }
    match &origin.now {
        LegacyNow::There { .. } => {}
        LegacyNow::Gone => text.push_str("  legacy   the row is not there any more\n"),
        LegacyNow::Unknown { why } => {
            let _ = writeln!(text, "  legacy   not asked: {why}");
        }
    }
    text
}

/// The columns of a legacy row: as it is now, as it was read last where that is another value, and as it was mended likewise.
fn columns(origin: &AsLegacy) -> String {
    let now = if let LegacyNow::There { row } = &origin.now { Some(row) } else { None };
    let sides =
        [("now", now), ("read last", origin.read_last.as_ref()), ("mended", origin.mended.as_ref().map(|m| &m.row))];
    let mut sides = sides.into_iter().filter_map(|(head, row)| Some((head, row?.as_object()?)));
    let Some((first, base)) = sides.next() else { return String::new() };
    let differs = |(_, row): &(&str, &serde_json::Map<String, Value>)| base.iter().any(|(c, v)| row.get(c) != Some(v));
    let others: Vec<_> = sides.filter(differs).collect();
    let mut heads = vec!["", "column", first];
    heads.extend(others.iter().map(|(head, _)| *head));
    let mut table = table(&heads);
    for (column, own) in base {
        let other = |row: &serde_json::Map<String, Value>| row.get(column).filter(|value| *value != own).map(value);
        let others: Vec<Option<String>> = others.iter().map(|(_, row)| other(row)).collect();
        let mark = if others.iter().any(Option::is_some) { "~" } else { "" };
        let mut cells = vec![mark.to_owned(), rows::named(column, origin.secret.contains(column)), value(own)];
        cells.extend(others.into_iter().map(Option::unwrap_or_default));
        table.add_row(cells);
    }
    format!("\n{}", render(table, 0..0))
}
