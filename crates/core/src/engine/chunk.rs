//! The life of a chunk: its rows read, judged on rayon, written and closed in one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::error::ChunkError;
use crate::contract::draft::{Draft, Unit};
use crate::contract::legacy::LegacyRow;
use crate::contract::refusal::Refusal;
use crate::contract::step::{Step, merged_code};
use crate::storage::bulk::{Refused, Rows as _, UnitIndex, settle};
use crate::storage::db::Db;
use crate::storage::ledger::claim::Claim;
use crate::storage::ledger::close::{self, ChunkResult, Migrated, NewOutcome, NewQuarantined, NewRepair};
use crate::storage::ledger::runs::Owner;
use crate::storage::types::Instant as At;
use crate::words::{Code, Counts, Key, Outcome, Root};

/// Units that one rayon task judges.
const TASK: usize = 256;

/// The rows of a chunk, as they were read.
pub trait ReadRows: Send {
    /// Judges every unit.
    ///
    /// # Errors
    /// The rows are not those that were planned.
    fn transform(self: Box<Self>) -> Result<Box<dyn ReadyChunk>, ChunkError>;
}

/// A chunk that only has to be written.
pub trait ReadyChunk: Send {
    /// Writes it and closes it, in one transaction. Can be called again after it failed.
    ///
    /// # Errors
    /// The database fails, the chunk does not balance, or its lease was lost. Nothing is written then.
    fn commit(&self, db: &mut Db, owner: &Owner, claim: &Claim, started: Instant) -> Result<Committed, ChunkError>;
}

/// What a committed chunk did.
#[derive(Debug, Clone, Copy)]
pub struct Committed {
    /// Its counts.
    pub counts: Counts,
    /// Units that the target refused.
    pub refused: usize,
}

pub(super) struct Rows<S: Step> {
    pub(super) rows: Vec<S::Legacy>,
    /// Where each unit begins; none where every row is a unit.
    pub(super) starts: Option<Vec<usize>>,
    pub(super) found: u64,
    pub(super) planned: u64,
    /// Whether these are the keys that were planned.
    pub(super) as_planned: bool,
    pub(super) lookups: Arc<S::Lookups>,
}

struct Judged<S: Step> {
    rows: Vec<S::Legacy>,
    starts: Option<Vec<usize>>,
    draft: Draft<S::Rows>,
}

impl<S: Step> ReadRows for Rows<S> {
    fn transform(self: Box<Self>) -> Result<Box<dyn ReadyChunk>, ChunkError> {
        if !self.as_planned {
            return Err(ChunkError::SourceChanged { planned: self.planned, found: self.found });
        }
        let units = self.starts.as_ref().map_or(self.rows.len(), Vec::len);
        let tasks: Vec<(usize, usize)> = (0..units).step_by(TASK).map(|from| (from, units.min(from + TASK))).collect();
        let parts: Vec<Draft<S::Rows>> = tasks.into_par_iter().map(|(from, to)| self.judge(from..to)).collect();
        let mut parts = parts.into_iter();
        let mut draft = parts.next().unwrap_or_default();
        parts.for_each(|part| draft.append(part));
        Ok(Box::new(Judged::<S> { rows: self.rows, starts: self.starts, draft }))
    }
}

fn unit_rows<'a, L>(rows: &'a [L], starts: Option<&[usize]>, unit: usize) -> &'a [L] {
    match starts {
        None => &rows[unit..=unit],
        Some(starts) => &rows[starts[unit]..starts.get(unit + 1).copied().unwrap_or(rows.len())],
    }
}

impl<S: Step> Rows<S> {
    fn judge(&self, units: std::ops::Range<usize>) -> Draft<S::Rows> {
        let mut draft = Draft::default();
        for unit in units {
            let unit = Unit::new(unit_rows(&self.rows, self.starts.as_deref(), unit));
            // A defect in a rule must not take the run down: the row that shows it waits in quarantine.
            let judged = catch_unwind(AssertUnwindSafe(|| S::transform(&self.lookups, &unit, &mut draft)));
            draft.close(
                judged.unwrap_or_else(|_| Err(Refusal::unforeseen("the transform panicked: a defect of its rule"))),
            );
        }
        draft
    }
}

impl<S: Step> ReadyChunk for Judged<S> {
    fn commit(&self, db: &mut Db, owner: &Owner, claim: &Claim, started: Instant) -> Result<Committed, ChunkError> {
        db.write(|db| {
            let units = UnitIndex::try_from(self.draft.verdicts.len()).expect("a chunk has fewer than 2^32 units");
            let refused = settle(db, S::NAME, claim.chunk, units, &self.draft.rows)?;
            let mut result = self.result(claim, &refused);
            if !result.counts.balance() {
                return Err(ChunkError::Unbalanced(format!("rows are unaccounted for: {:?}", result.counts)));
            }
            if let Some((currency, flow)) = result.money.imbalance() {
                return Err(ChunkError::Unbalanced(format!("money in {currency} does not balance: {flow:?}")));
            }
            result.busy_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            if !close::close(db, owner, claim, &result)? {
                return Err(ChunkError::LeaseLost);
            }
            Ok(Committed { counts: result.counts, refused: refused.len() })
        })
    }
}

/// What became of one legacy row.
struct RowEnd {
    outcome: Outcome,
    code: Option<Code>,
    reason: String,
    root: Option<Root>,
    target: Option<i64>,
}

impl<S: Step> Judged<S> {
    /// What the ledger keeps of the chunk, given the units that the target refused.
    fn result(&self, claim: &Claim, refused: &[Refused]) -> ChunkResult {
        let refused: FxHashMap<UnitIndex, &Refused> = refused.iter().map(|r| (r.unit, r)).collect();
        let mut result = ChunkResult::default();
        result.counts.read = self.rows.len() as u64;
        let mut ends: FxHashMap<Key, Outcome> = FxHashMap::default();
        let needs_ends = !self.draft.carried.is_empty();
        let now = At::now();

        for (unit, verdict) in (0..).zip(&self.draft.verdicts) {
            let rows = unit_rows(&self.rows, self.starts.as_deref(), unit as usize);
            let leader = rows[0].key();
            let by_target = refused.get(&unit).map(|r| Refusal::quarantine_as(r.code, r.reason.clone()));
            let judged = match &by_target {
                Some(refusal) => Err(refusal),
                None => verdict.result.as_ref().map(|target| *target),
            };
            for row in rows {
                let end = end_of::<S>(judged, leader, row.key());
                result.counts.add(end.outcome);
                if needs_ends {
                    ends.insert(row.key(), end.outcome);
                }
                match (end.outcome, end.code) {
                    (Outcome::Migrated, _) | (_, None) => result.migrated.push(Migrated {
                        key: row.key(),
                        target: end.target.unwrap_or_default(),
                        fingerprint: verdict.fingerprint.to_le_bytes(),
                        also: Vec::new(),
                    }),
                    (outcome, Some(code)) => {
                        if outcome == Outcome::Quarantined {
                            let root = end.root.unwrap_or(Root { step: S::NAME.to_owned(), key: row.key() });
                            result.quarantined.push(NewQuarantined {
                                step: S::NAME.to_owned(),
                                legacy_key: row.key(),
                                chunk_id: claim.chunk,
                                code: code.as_str(),
                                reason: end.reason,
                                root_step: root.step,
                                root_key: root.key,
                                legacy_row: serde_json::to_string(row).expect("a legacy row has a JSON form"),
                                quarantined_at: now,
                            });
                        }
                        result.outcomes.push(NewOutcome {
                            step: S::NAME.to_owned(),
                            legacy_key: row.key(),
                            chunk_id: claim.chunk,
                            outcome: outcome.as_str(),
                            code: code.as_str(),
                            target_id: end.target,
                        });
                    }
                }
            }
        }
        self.extras(claim, &refused, &ends, &mut result);
        result
    }

    fn extras(
        &self,
        claim: &Claim,
        refused: &FxHashMap<UnitIndex, &Refused>,
        ends: &FxHashMap<Key, Outcome>,
        result: &mut ChunkResult,
    ) {
        let stays = |unit: &UnitIndex| !refused.contains_key(unit);
        for (unit, table, id) in self.draft.also.iter().filter(|(unit, _, _)| stays(unit)) {
            let leader = unit_rows(&self.rows, self.starts.as_deref(), *unit as usize)[0].key();
            if let Ok(place) = result.migrated.binary_search_by_key(&leader, |row| row.key) {
                result.migrated[place].also.push(((*table).to_owned(), *id));
            }
        }
        result.repairs = self
            .draft
            .repairs
            .iter()
            .filter(|(unit, _)| stays(unit))
            .map(|(_, repair)| NewRepair {
                step: S::NAME.to_owned(),
                legacy_key: repair.key,
                chunk_id: claim.chunk,
                code: repair.code.as_str(),
                column_name: repair.column,
                value_before: repair.before.as_deref().map(storable),
                value_after: repair.after.as_deref().map(storable),
            })
            .collect();
        result.counts.repairs = result.repairs.len() as u64;
        for carried in &self.draft.carried {
            let outcome = ends.get(&carried.key).copied().unwrap_or(Outcome::Quarantined);
            result.money.row(carried.amount, carried.exact_minor, outcome);
        }
        self.draft.rows.money(&mut |unit, money| {
            if stays(&unit) {
                result.money.written(money);
            }
        });
    }
}

/// PostgreSQL keeps no NUL in a text: its picture stands there instead.
fn storable(value: &str) -> String {
    value.replace('\0', "\u{2400}")
}

/// The end of a row of a unit, given that of its leader.
fn end_of<S: Step>(judged: Result<i64, &Refusal>, leader: Key, key: Key) -> RowEnd {
    let leads = key == leader;
    let end = |outcome, code: Option<Code>| RowEnd { outcome, code, reason: String::new(), root: None, target: None };
    match judged {
        Ok(target) if leads => RowEnd { target: Some(target), ..end(Outcome::Migrated, None) },
        Ok(target) => RowEnd { target: Some(target), ..end(Outcome::Merged, Some(merged_code::<S>())) },
        Err(Refusal::Skipped(code)) if leads => end(Outcome::Skipped, Some(*code)),
        Err(Refusal::Skipped(_)) => end(Outcome::Skipped, Some(Code::PARENT_SKIPPED)),
        Err(Refusal::Quarantined { code, reason, root }) if leads => {
            RowEnd { reason: reason.clone(), root: root.clone(), ..end(Outcome::Quarantined, Some(*code)) }
        }
        Err(Refusal::Quarantined { root, .. }) => {
            let root = root.clone().unwrap_or(Root { step: S::NAME.to_owned(), key: leader });
            let reason = format!("waits for row {} of {}, with which it is one", root.key, root.step);
            RowEnd { reason, root: Some(root), ..end(Outcome::Quarantined, Some(Code::PARENT_QUARANTINED)) }
        }
    }
}
