//! From a row of the target to the legacy rows behind it.

use super::asking::Asking;
use super::legacy::{self, With};
use super::told::{AsLegacy, LegacyName};
use crate::engine::error::RunError;
use crate::engine::step::AnyStep;
use crate::storage::bulk::{TargetRow, by_imprint, by_name};
use crate::storage::imprint::Table;
use crate::storage::ledger::changes::RowName;
use crate::storage::ledger::history::KnownStep;
use crate::storage::ledger::{origin, recorded};
use crate::words::Key;

/// What is known of a row of the target.
#[derive(Default)]
pub(super) struct Found {
    pub(super) row: Option<TargetRow>,
    pub(super) behind: Vec<AsLegacy>,
    pub(super) planned_for: Option<LegacyName>,
}

/// Looks for a row of the target by its `id`.
pub(super) fn look(asking: &mut Asking<'_>, table: &str, id: i64) -> Result<Found, RunError> {
    let Some(told) = asking.told(table).filter(|told| told.shape.columns.iter().any(|column| column.name == "id"))
    else {
        return Ok(Found::default());
    };
    let changes = origin::changes_of(asking.db, table, &[RowName::Id(id)])?;
    let mut found = Found::default();
    let mut imprint: Option<Table> = None;
    for (step, known) in asking.steps() {
        if known.target_table != table && !step.also().contains(&table) {
            continue;
        }
        let planned = origin::planned_for(asking.db, step.name(), table, id)?;
        let of_step = changes.iter().filter(|change| change.step == step.name());
        let mut candidates: Vec<Key> =
            planned.into_iter().chain(of_step.filter_map(|change| change.legacy_key)).collect();
        candidates.dedup();
        let place = (step, &known);
        let Some(behind) = of_one(asking, place, &candidates, (table, id))? else {
            if let (Some(key), None) = (planned, &found.planned_for) {
                found.planned_for = Some(LegacyName { step: step.name().to_owned(), key });
            }
            continue;
        };
        if imprint.is_none() {
            let chunk = asking.chunk(step, behind.chunk)?;
            imprint = chunk.written(table, id).map(|(imprint, place)| imprint.picked(|row| row == place));
        }
        for key in behind.keys {
            found.behind.extend(legacy::passport(asking, place, key, With::RowsOfTheLeader)?);
        }
    }
    if !found.behind.is_empty() {
        found.planned_for = None;
    }
    for row in found.behind.iter_mut().map(|behind| &mut behind.rows) {
        row.retain(|row| row.table != table || row.id != Some(id));
    }
    found.row = match imprint {
        Some(imprint) => by_imprint(asking.db, &told, &imprint)?.pop(),
        None if changes.is_empty() && found.behind.is_empty() => None,
        None => by_name(asking.db, &told, &[RowName::Id(id)])?.pop(),
    };
    Ok(found)
}

/// The legacy rows of a step behind a row of the target, the leader first, and the chunk that has them.
struct Behind {
    chunk: i64,
    keys: Vec<Key>,
}

fn of_one(
    asking: &mut Asking<'_>,
    (step, known): (&dyn AnyStep, &KnownStep),
    candidates: &[Key],
    (table, id): (&str, i64),
) -> Result<Option<Behind>, RunError> {
    for key in candidates {
        let Some((chunk, _)) = recorded::of_row(asking.db, step.name(), *key)? else { continue };
        if let Some(behind) = of_chunk(asking, (step, known), chunk, (table, id))? {
            return Ok(Some(behind));
        }
    }
    let other = (known.target_table != table).then_some(table);
    let Some(holder) = origin::holder(asking.db, step.name(), (other, id))? else { return Ok(None) };
    let Some((chunk, _)) = recorded::of_row(asking.db, step.name(), holder)? else { return Ok(None) };
    of_chunk(asking, (step, known), chunk, (table, id))
}

fn of_chunk(
    asking: &mut Asking<'_>,
    (step, known): (&dyn AnyStep, &KnownStep),
    chunk: i64,
    (table, id): (&str, i64),
) -> Result<Option<Behind>, RunError> {
    let kept = asking.chunk(step, chunk)?;
    let leader = kept.holder(&known.target_table, table, id);
    let named = |of: &Option<String>| of.as_deref().unwrap_or(&known.target_table) == table;
    let followers = origin::followers(asking.db, chunk, id)?;
    let mut keys: Vec<Key> = followers.into_iter().filter(|(_, of)| named(of)).map(|(key, _)| key).collect();
    keys.retain(|key| Some(*key) != leader);
    keys.splice(0..0, leader);
    if keys.is_empty() {
        // A further row of a unit, which no legacy row names as its own.
        keys.extend(kept.written(table, id).map(|(imprint, place)| imprint.keys[place]));
    }
    Ok((!keys.is_empty()).then_some(Behind { chunk, keys }))
}
