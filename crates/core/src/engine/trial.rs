//! A trial: some rows judged as a replay would judge them, and shown. Writes nothing.

use std::sync::Arc;

use serde_json::Value;

use super::chunk::{Packing, Weight};
use super::error::RunError;
use super::run::Running;
use super::step::{AnyStep, PreparedStep};
use crate::contract::cache::LookupCache;
use crate::contract::step::Again;
use crate::storage::bulk::whole_row;
use crate::storage::db::Db;
use crate::storage::ledger::history::{self, KnownStep};
use crate::storage::ledger::plan::{self, Span};
use crate::words::{Key, KeyRange, KeySet};

pub use super::chunk::{Trial, TrialRow};

/// Which rows of a step are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Those of some ranges of keys.
    Keys(Vec<KeyRange>),
    /// Those that ended with a code, or have a repair with it, as the ledger knows them.
    Code(String),
    /// So many, evenly spread over all keys.
    Sample(u64),
}

/// At most so many units are tried at once.
const MOST: usize = 1_000;

/// Judges the units of the rows that are selected.
///
/// # Errors
/// The step is not done, or why it cannot be prepared or read.
pub(crate) fn judge(run: &Running<'_>, step: &dyn AnyStep, selection: &Selection) -> Result<Vec<Trial>, RunError> {
    let plan = plan::load(&mut *run.databases.target.get()?, step.name())?;
    let plan = Arc::new(plan.filter(|plan| plan.done).ok_or(RunError::NotDone(step.name()))?);
    let prepared = run.prepare(step, &plan, &LookupCache::keeping(), Again::Rereading, &|_| true)?;
    let mut leaders: Vec<Key> = Vec::new();
    for key in selected(run, step, &plan.keys, selection)? {
        let leader = prepared.leader_of(key);
        if !leaders.contains(&leader) {
            leaders.push(leader);
        }
        if leaders.len() == MOST {
            break;
        }
    }
    let steps = history::known_steps(&mut *run.databases.target.get()?)?;
    let known = steps.into_iter().find(|known| known.name == step.name()).ok_or(RunError::NotDone(step.name()))?;
    let mut trials = Vec::new();
    for leader in leaders {
        let mut judged = unit(run, step, &*prepared, leader)?;
        let stands = stands(&mut *run.databases.target.get()?, &known, leader)?;
        judged.iter_mut().for_each(|trial| trial.stands.clone_from(&stands));
        trials.extend(judged);
    }
    Ok(trials)
}

fn unit(
    run: &Running<'_>,
    step: &dyn AnyStep,
    prepared: &dyn PreparedStep,
    leader: Key,
) -> Result<Vec<Trial>, RunError> {
    let range = KeyRange { lo: leader, hi: leader };
    let span = Span { layer: prepared.layer_of(leader), range };
    let read = prepared.read(&run.databases.legacy, run.overlay(), span, Weight::ANY);
    let judged = read.and_then(|(rows, _)| rows.transform(Packing::WhenAsked));
    let failed = |source| RunError::Chunk { step: step.name(), lo: leader, hi: leader, source };
    Ok(judged.map_err(failed)?.shown())
}

/// The target rows of a legacy row, as the ledger knows them.
fn stands(db: &mut Db, step: &KnownStep, key: Key) -> Result<Vec<(String, i64, Option<Value>)>, RunError> {
    let Some(lineage) = history::of_legacy(db, step, key)? else { return Ok(Vec::new()) };
    let mut stands = Vec::new();
    for (table, id) in lineage.targets {
        let row = whole_row(db, &table, &format!("t.id = {id}"))?.and_then(|row| serde_json::from_str(&row).ok());
        stands.push((table, id, row));
    }
    Ok(stands)
}

fn selected(run: &Running<'_>, step: &dyn AnyStep, keys: &KeySet, selection: &Selection) -> Result<Vec<Key>, RunError> {
    Ok(match selection {
        Selection::Keys(ranges) => ranges.iter().flat_map(|range| keys.range(*range)).collect(),
        Selection::Code(code) => history::keys_with(&mut *run.databases.target.get()?, step.name(), code)?,
        Selection::Sample(rows) => {
            let rows = (*rows).min(keys.len());
            let place = |n: u64| u128::from(n) * u128::from(keys.len()) / u128::from(rows.max(1));
            (0..rows).filter_map(|n| keys.at(u64::try_from(place(n)).ok()?)).collect()
        }
    })
}
