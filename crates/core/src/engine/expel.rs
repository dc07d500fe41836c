//! Rows that an offline load let in although a foreign key would have refused them: taken out again and quarantined, with
//! what the ledger would say of them on a live target.

use std::time::Instant;

use diesel::prelude::*;
use roaring::RoaringBitmap;
use rustc_hash::{FxHashMap, FxHashSet};

use super::chunk::{Judged, balanced};
use super::ends::Kept;
use super::error::{ChunkError, RunError};
use super::rejudge::is_in;
use super::run::Running;
use super::step::{AnyStep, PreparedStep, Weight};
use crate::contract::legacy::LegacyRow;
use crate::contract::step::Step;
use crate::storage::bulk::{Refused, Rows as _, UnitIndex, Writing, settle};
use crate::storage::constraints::{self, OfflineError};
use crate::storage::db::Db;
use crate::storage::ledger::tables::{replant_changes as ch, replant_quarantine as q};
use crate::storage::ledger::{LedgerError, close, history, plan, recorded, stage};
use crate::words::{Code, Key, KeyRange};

/// Legacy rows that are taken out, each with the foreign key that refuses what was written for it.
pub(super) type Expelled = FxHashMap<Key, String>;

/// A target row: its table and its id.
type Row = (String, i64);

impl Running<'_> {
    /// Takes out what the missing foreign keys of a step refuse, in one transaction. Units that the target refused for the
    /// sake of one that goes may come in for it, and point to nothing in their turn: the caller looks again. `before`: what
    /// went in earlier rounds, and stays out.
    ///
    /// # Errors
    /// A row cannot be taken out, or a database fails. Nothing is changed then.
    pub(super) fn expel(
        &self,
        step: &dyn AnyStep,
        prepared: &dyn PreparedStep,
        before: Expelled,
    ) -> Result<Expelled, RunError> {
        let mut target = self.databases.target.get()?;
        target.write(|db| {
            stage::lock(db, step.name()).map_err(OfflineError::from)?;
            let orphans = orphans(db, step)?;
            if orphans.is_empty() {
                return Ok(before);
            }
            constraints::take_away(db, step.name()).map_err(OfflineError::from)?;
            let mut out = before;
            let mut chunks = with_refused(db, step.name())?;
            for (chunk, key, name) in behind(db, step, &orphans)? {
                out.insert(key, name);
                chunks.insert(chunk);
            }
            let ranges: FxHashMap<i64, KeyRange> = recorded::chunks(db, step.name())?.into_iter().collect();
            let mut chunks: Vec<i64> = chunks.into_iter().collect();
            chunks.sort_unstable_by_key(|chunk| ranges.get(chunk).map(|range| range.lo));
            for chunk in chunks {
                let Some(range) = ranges.get(&chunk).copied() else { continue };
                let started = Instant::now();
                let failed = |source| match source {
                    ChunkError::Entangled { key } => {
                        let name = out.get(&key).map_or("a foreign key", String::as_str);
                        let orphans = format!("the legacy row {key} against `{name}`");
                        RunError::Entangled { step: step.name(), orphans }
                    }
                    source => RunError::Chunk { step: step.name(), lo: range.lo, hi: range.hi, source },
                };
                let (rows, _) =
                    prepared.read(&self.databases.legacy, &self.mends, range, Weight::ANY).map_err(failed)?;
                rows.transform().and_then(|judged| judged.expel(db, chunk, &out, started)).map_err(failed)?;
            }
            Ok(out)
        })
    }

    /// Whether the missing foreign keys of a step have nothing to refuse any more: another process has taken it out.
    pub(super) fn is_mended(&self, step: &dyn AnyStep) -> Result<bool, RunError> {
        Ok(orphans(&mut *self.databases.target.get()?, step)?.is_empty())
    }
}

impl From<diesel::result::Error> for RunError {
    fn from(source: diesel::result::Error) -> Self {
        Self::Ledger(LedgerError::from(source))
    }
}

/// The rows of the tables of a step that its missing foreign keys refuse; of a table without ids, the rows that they belong to.
fn orphans(db: &mut Db, step: &dyn AnyStep) -> Result<FxHashMap<Row, String>, RunError> {
    let mut orphans = FxHashMap::default();
    let own = [step.target_table()].into_iter().chain(step.also().iter().copied()).map(|table| (table, "id", table));
    let parts = step.parts().iter().map(|(part, column)| (*part, *column, step.target_table()));
    for (table, column, of) in own.chain(parts) {
        for (id, name) in constraints::ids(db, step.name(), table, column)? {
            orphans.entry((of.to_owned(), id)).or_insert(name);
        }
    }
    Ok(orphans)
}

/// The legacy rows behind target rows, with their chunks.
fn behind(
    db: &mut Db,
    step: &dyn AnyStep,
    rows: &FxHashMap<Row, String>,
) -> Result<Vec<(i64, Key, String)>, LedgerError> {
    let Some(known) = history::known_steps(db)?.into_iter().find(|known| known.name == step.name()) else {
        return Ok(Vec::new());
    };
    let mut behind = Vec::new();
    history::lineage(db, &known, |row| {
        if let Some(name) = row.targets.iter().find_map(|target| rows.get(target)) {
            behind.push((row.chunk, row.legacy_id, name.clone()));
        }
        Ok::<_, LedgerError>(())
    })?;
    Ok(behind)
}

/// The chunks of which the target refused something.
fn with_refused(db: &mut Db, step: &str) -> QueryResult<FxHashSet<i64>> {
    let refused = q::table.filter(q::step.eq(step.to_owned())).filter(q::code.eq(Code::CONSTRAINT_VIOLATED.as_str()));
    Ok(refused.select(q::chunk_id).distinct().load::<i64>(db)?.into_iter().collect())
}

impl<S: Step> Judged<S> {
    /// See [`ReadyChunk::expel`](super::chunk::ReadyChunk::expel).
    pub(super) fn without(&self, db: &mut Db, chunk: i64, out: &Expelled, started: Instant) -> Result<(), ChunkError> {
        let recorded = recorded::of_chunk(db, S::NAME, chunk)?;
        let ours = plan::ours(db)?;
        let was_in = |unit: UnitIndex| self.unit(unit).iter().any(|row| recorded.get(&row.key()).is_some_and(is_in));
        let mut refused: Vec<Refused> = Vec::new();
        let mut again = RoaringBitmap::new();
        let mut going = Vec::new();
        for unit in 0..self.units() {
            if self.draft.verdicts[unit as usize].result.is_err() {
                continue;
            }
            match self.unit(unit).iter().find_map(|row| out.get(&row.key())) {
                Some(name) => {
                    let reason = format!("refused by `{name}`");
                    refused.push(Refused { unit, code: Code::CONSTRAINT_VIOLATED, reason });
                    if was_in(unit) {
                        going.push(unit);
                    }
                }
                None if !was_in(unit) => {
                    again.insert(unit);
                }
                None => {}
            }
        }
        if let Some(key) = self.entangled(db, chunk, &going)? {
            return Err(ChunkError::Entangled { key });
        }
        // What a row points to can be taken out once the row is.
        while !going.is_empty() {
            let before = going.len();
            let mut still = Vec::new();
            for unit in going {
                if self.deleted(db, unit, &recorded, &ours)?.is_none() {
                    still.push(unit);
                }
            }
            if still.len() == before {
                return Err(ChunkError::Entangled { key: self.unit(still[0])[0].key() });
            }
            going = still;
        }
        let writing = Writing { step: S::NAME, chunk, units: self.units(), again: &RoaringBitmap::new() };
        refused.extend(settle(db, &writing, &self.draft.rows.only(&|unit| again.contains(unit)))?);
        let mut result = self.result(chunk, &refused, &Kept::default());
        balanced(&result)?;
        result.busy_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        close::close_again(db, S::NAME, chunk, &[], &[], &mut result)?;
        Ok(())
    }

    /// The first of some units for whose sake rows were changed that were there before, as far as the ledger tells: that
    /// cannot be taken back. A change for nobody's sake may be for any of them.
    fn entangled(&self, db: &mut Db, chunk: i64, units: &[UnitIndex]) -> QueryResult<Option<Key>> {
        if units.is_empty() {
            return Ok(None);
        }
        let changes = ch::table.filter(ch::chunk_id.eq(chunk)).select(ch::legacy_key);
        let changes: FxHashSet<Option<Key>> = changes.distinct().load(db)?.into_iter().collect();
        let changed = |key: Key| changes.contains(&None) || changes.contains(&Some(key));
        let entangled = units.iter().find(|unit| self.unit(**unit).iter().any(|row| changed(row.key())));
        Ok(entangled.map(|unit| self.unit(*unit)[0].key()))
    }
}
