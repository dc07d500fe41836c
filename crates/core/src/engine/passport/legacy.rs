//! From a legacy row to what was written for it.

use super::asking::{Asking, Chunk};
use super::told::{AsLegacy, States, Waits};
use crate::engine::error::RunError;
use crate::engine::step::AnyStep;
use crate::storage::bulk::{TargetRow, by_imprint, by_name};
use crate::storage::imprint::{Table, hashed};
use crate::storage::ledger::changes::RowName;
use crate::storage::ledger::history::{self, KnownStep, Lineage, RepairEntry};
use crate::storage::ledger::origin::{self, Mended, RowChange};
use crate::storage::ledger::quarantine;
use crate::words::{Key, Outcome};

/// Whether the rows of the target stand with a passport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum With {
    /// All that were written for its unit.
    Rows,
    /// None of a row that was merged: they stand with its leader.
    RowsOfTheLeader,
}

/// The passports of a legacy row, by the steps that moved it.
pub(super) fn passports(asking: &mut Asking<'_>, table: &str, key: Key) -> Result<Vec<AsLegacy>, RunError> {
    let mut found = Vec::new();
    for (step, known) in asking.steps().into_iter().filter(|(_, known)| known.legacy_table == table) {
        found.extend(passport(asking, (step, &known), key, With::Rows)?);
    }
    Ok(found)
}

/// The passport of a legacy row of a step; none where the step has not come to it, or there is no such row.
pub(super) fn passport(
    asking: &mut Asking<'_>,
    (step, known): (&dyn AnyStep, &KnownStep),
    key: Key,
    with: With,
) -> Result<Option<AsLegacy>, RunError> {
    let Some(mut lineage) = history::without_imprint(asking.db, known, key)? else { return Ok(None) };
    let chunk = asking.chunk(step, lineage.chunk)?;
    history::imprint(&chunk.imprints, std::slice::from_mut(&mut lineage));
    let leader = leader(&chunk, known, &lineage);
    let rows = match (with, lineage.outcome) {
        (With::RowsOfTheLeader, Outcome::Merged) => Vec::new(),
        _ => written(asking, &chunk, &lineage, leader)?,
    };
    let touched = touched(asking, step, key, &rows)?;
    let read_last = chunk.seen.as_ref().and_then(|seen| step.read_last(seen, key));
    let mended = origin::mended(asking.db, step.legacy_table(), key)?;
    let mut values_repaired = history::repairs(asking.db, step.name(), key)?;
    values_repaired.iter_mut().filter(|repair| asking.is_secret(step, &repair.column)).for_each(without_secret);
    let quarantine = quarantine::of_row(asking.db, step.name(), key)?;
    let merged = match (leader == Some(key), lineage.targets.first()) {
        (true, Some((_, id))) => {
            let followers = origin::followers(asking.db, lineage.chunk, *id)?;
            followers.into_iter().filter(|(_, table)| table.is_none()).map(|(key, _)| key).collect()
        }
        _ => Vec::new(),
    };
    let (added_in, came_in) = origin::states_of(asking.db, step.name(), key)?;
    let gone = origin::is_gone(asking.db, step.name(), key)?;
    Ok(Some(AsLegacy {
        step: step.name().to_owned(),
        leader,
        merged,
        now: asking.now(step, key),
        read_last: read_last.map(|row| asking.without_secrets(step, row)),
        secret: asking.secrets(step),
        mended: mended.map(|mended| Mended { row: asking.without_secrets(step, mended.row), ..mended }),
        values_repaired,
        quarantine: quarantine.map(|entry| Waits {
            reason: entry.reason,
            root_step: entry.root_step,
            root_key: entry.root_key,
        }),
        came: States { added_in, came_in, gone },
        rows,
        touched,
        lineage,
    }))
}

fn without_secret(repair: &mut RepairEntry) {
    for value in [&mut repair.before, &mut repair.after] {
        *value = value.take().and_then(|text| hashed(&text.into()).as_str().map(str::to_owned));
    }
}

/// The row that leads the unit of a row which is in the target.
fn leader(chunk: &Chunk, step: &KnownStep, lineage: &Lineage) -> Option<Key> {
    if chunk.record.iter().any(|row| row.key == lineage.legacy_id) {
        return Some(lineage.legacy_id);
    }
    let (table, id) = lineage.targets.first()?;
    let written = || chunk.written(table, *id).map(|(imprint, place)| imprint.keys[place]);
    match lineage.outcome {
        Outcome::Merged => chunk.holder(&step.target_table, table, *id).or_else(written),
        Outcome::Migrated | Outcome::Skipped | Outcome::Quarantined => written(),
    }
}

/// The rows that were written for a legacy row, and those that were there and that it became.
fn written(
    asking: &mut Asking<'_>,
    chunk: &Chunk,
    lineage: &Lineage,
    leader: Option<Key>,
) -> Result<Vec<TargetRow>, RunError> {
    let follows = leader != Some(lineage.legacy_id) && lineage.outcome == Outcome::Migrated;
    let mut rows = Vec::new();
    for imprint in &chunk.imprints {
        let ids: Vec<i64> =
            lineage.targets.iter().filter(|(table, _)| *table == imprint.name).map(|(_, id)| *id).collect();
        let own: Table = match (follows, leader) {
            (true, _) => {
                let place = ids.first().and_then(|id| imprint.place_of(*id));
                imprint.picked(|row| Some(row) == place)
            }
            (false, leader) => imprint.picked(|row| Some(imprint.keys[row]) == leader),
        };
        if let (false, Some(told)) = (own.keys.is_empty(), asking.told(&imprint.name)) {
            rows.extend(by_imprint(asking.db, &told, &own)?);
        }
    }
    for (table, id) in &lineage.targets {
        if !rows.iter().any(|row| row.table == *table && row.id == Some(*id))
            && let Some(told) = asking.told(table)
        {
            rows.extend(by_name(asking.db, &told, &[RowName::Id(*id)])?);
        }
    }
    // The row that it became stands first.
    let first = lineage.targets.first();
    rows.sort_by_key(|row| first.is_none_or(|(table, id)| row.table != *table || row.id != Some(*id)));
    Ok(rows)
}

/// Rows that were changed for the sake of a legacy row, but for `rows`.
fn touched(
    asking: &mut Asking<'_>,
    step: &dyn AnyStep,
    key: Key,
    rows: &[TargetRow],
) -> Result<Vec<TargetRow>, RunError> {
    let is_told = |change: &RowChange| {
        let names = |row: &TargetRow| match change.id {
            Some(id) => row.id == Some(id),
            None => change.key.as_deref() == Some(&*serde_json::Value::Object(row.key.clone()).to_string()),
        };
        rows.iter().any(|row| row.table == change.table && names(row))
    };
    let mut by_table: Vec<(String, Vec<RowName>)> = Vec::new();
    for change in origin::changes_for(asking.db, step.name(), key)? {
        let Some(name) = change.row().filter(|_| !change.in_imprint && !is_told(&change)) else { continue };
        let place = by_table.iter().position(|(table, _)| *table == change.table).unwrap_or_else(|| {
            by_table.push((change.table.clone(), Vec::new()));
            by_table.len() - 1
        });
        if !by_table[place].1.contains(&name) {
            by_table[place].1.push(name);
        }
    }
    let mut touched = Vec::new();
    for (table, names) in by_table {
        if let Some(told) = asking.told(&table) {
            touched.extend(by_name(asking.db, &told, &names)?);
        }
    }
    for row in &mut touched {
        // Of a row that was only changed, what it was changed in.
        row.columns.retain(|column| column.left.is_some());
    }
    Ok(touched)
}
