//! In which state of the legacy database a row was first written: a value that a rule takes from that state stays what it was.

use std::sync::Arc;

use diesel::prelude::*;
use jiff::Timestamp;
use rustc_hash::FxHashMap;

use super::error::{Attempt, LedgerError};
use super::generations::{self, Generation};
use super::plan::StepPlan;
use super::standings::{Standing, Standings};
use super::tables::replant_first as f;
use crate::storage::db::Db;
use crate::words::Key;

/// When the state of the legacy database was frozen in which each row of a step was first written.
#[derive(Debug, Clone, Default)]
pub struct FirstWritten {
    now: Timestamp,
    earlier: Option<Earlier>,
}

/// What is known of earlier states.
#[derive(Debug, Clone)]
struct Earlier {
    before: Arc<Standings>,
    /// It knows which state added a key.
    plan: Arc<StepPlan>,
    /// Rows that came in in a later state than that which added them.
    later: FxHashMap<Key, i64>,
    snapshots: FxHashMap<i64, Timestamp>,
}

impl FirstWritten {
    /// Where there is one state.
    pub fn at(now: Timestamp) -> Self {
        Self { now, earlier: None }
    }

    /// That of a row; of one that is not in the target, the last one.
    pub fn of(&self, key: Key) -> Timestamp {
        let Some(Earlier { before, plan, later, snapshots }) = &self.earlier else { return self.now };
        if !matches!(before.of(Some(key)), Standing::Live(_)) {
            return self.now;
        }
        let generation = later.get(&key).copied().unwrap_or_else(|| plan.layer_of(key));
        snapshots.get(&generation).copied().unwrap_or(self.now)
    }
}

/// Reads them. `before`: what became of the step's rows before.
///
/// # Errors
/// The database fails.
pub(crate) fn read(
    db: &mut Db,
    step: &str,
    (before, plan): (Arc<Standings>, Arc<StepPlan>),
    states: &[Generation],
    now: Timestamp,
) -> Result<FirstWritten, LedgerError> {
    let snapshots = states.iter().map(|state| (state.n, state.snapshot_at)).collect();
    let later = f::table.filter(f::step.eq(step.to_owned())).select((f::legacy_key, f::generation));
    let later = later.load(db).attempt("read")?.into_iter().collect();
    Ok(FirstWritten { now, earlier: Some(Earlier { before, plan, later, snapshots }) })
}

/// Notes rows that have come in, unless there is but one state.
///
/// # Errors
/// The database fails.
pub(crate) fn note(db: &mut Db, step: &str, keys: &[Key]) -> QueryResult<()> {
    let generation = generations::number(db)?;
    if generation < 2 {
        return Ok(());
    }
    for key in keys {
        diesel::delete(f::table.find((step.to_owned(), *key))).execute(db)?;
        let row = (f::step.eq(step), f::legacy_key.eq(key), f::generation.eq(generation));
        diesel::insert_into(f::table).values(row).execute(db)?;
    }
    Ok(())
}
