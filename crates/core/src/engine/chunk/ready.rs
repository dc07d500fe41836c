//! A judged chunk of any step is ready to be written: as one that is held, anew, or without the rows that foreign keys refuse.

use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;

use super::closing::{Closing, close};
use super::due::{Looked, look};
use super::ends::{ByTarget, Kept};
use super::erase::{Forgotten, anew};
use super::error::ChunkError;
use super::expel::expel;
use super::forms::{Committed, Expelled, ReadyChunk, Trial, TrialRow};
use super::judged::Judged;
use super::rejudge::{Beside, rejudge};
use super::rejudged::Rejudged;
use super::stale::{Stale, stale};
use super::writer::Writer;
use crate::contract::legacy::LegacyRow;
use crate::contract::step::Step;
use crate::storage::bulk::{Rows as _, Writing, settle};
use crate::storage::by_set;
use crate::storage::db::Db;
use crate::storage::ledger::alive;
use crate::storage::ledger::claim::Claim;
use crate::storage::ledger::close::{ChunkResult, Closed};
use crate::storage::ledger::forget::Written;
use crate::storage::ledger::{self, moved, recorded};

impl<S: Step> ReadyChunk for Judged<S> {
    fn bytes(&self) -> u64 {
        self.weight()
    }

    fn commit(&self, db: &mut Db, writer: Writer<'_>, claim: &Claim, took: Duration) -> Result<Committed, ChunkError> {
        let began = Instant::now();
        // Customers wait for what the transaction holds: this takes a while, so it comes before.
        self.seen();
        self.imprint().iter().for_each(|packed| {
            packed.compressed();
        });
        db.write(|db| {
            let Writer { owner, by_set, .. } = writer;
            by_set::guarded(db)?;
            alive::name_work(db, owner, S::NAME, claim.chunk)?;
            let left = if moved::any(db, S::NAME)? { moved::keys(db, S::NAME)? } else { FxHashSet::default() };
            if self.rows.iter().any(|row| left.contains(&row.key())) {
                // Rows of it stood in other chunks: it begins as one that has none, and is judged again.
                let result = &mut ChunkResult::default();
                let nothing = Closed { result, imprint: &[], seen: None, cluster: None };
                if !ledger::close::close(db, S::NAME, owner, claim, &nothing)? {
                    return Err(ChunkError::LeaseLost);
                }
                let (done, counts) = rejudge(self, db, claim.chunk, (began, Beside::Left(&left)))?;
                let refused = usize::try_from(done.refused).unwrap_or(usize::MAX);
                return Ok(Committed { counts: counts.unwrap_or_default(), refused, absent: self.absent.len() });
            }
            let writing = Writing { step: S::NAME, chunk: claim.chunk, units: self.units(), before: None, by_set };
            let settled = settle(db, &writing, &self.draft.rows)?;
            let counts = close(db, self, (&settled, &Kept::default()), Closing::Held(writer, claim), (took, began))?;
            Ok(Committed { counts, refused: settled.refused.len(), absent: self.absent.len() })
        })
    }

    fn commit_again(&self, db: &mut Db, chunk: i64, started: Instant) -> Result<Rejudged, ChunkError> {
        let last_time = recorded::last_time(db, chunk)?;
        if last_time.is(self.digest) && last_time.is_settled() {
            return Ok(Rejudged { read: self.rows.len() as u64, ..Rejudged::default() });
        }
        if !last_time.is(self.digest) {
            // As above.
            self.seen();
        }
        db.write(|db| {
            by_set::guarded(db)?;
            rejudge(self, db, chunk, (started, Beside::Any)).map(|(done, _)| done)
        })
    }

    fn look(&self, db: &mut Db, chunk: i64) -> Result<Looked, ChunkError> {
        let last_time = recorded::last_time(db, chunk)?;
        match last_time.is(self.digest) {
            true => Ok(Looked {
                waiting: (!last_time.is_settled()).then_some(chunk).into_iter().collect(),
                ..Looked::default()
            }),
            false => look(self, db, chunk),
        }
    }

    fn stale(&self, db: &mut Db, chunk: i64) -> Result<Stale, ChunkError> {
        stale(self, db, chunk)
    }

    fn anew(&self, db: &mut Db, chunk: i64, forgotten: &Forgotten<'_>) -> Result<Written, ChunkError> {
        anew(self, db, chunk, forgotten)
    }

    fn shown(&self) -> Vec<Trial> {
        let nothing_refused = ByTarget::new(&[]);
        let mut shown: Vec<Trial> = (0..self.units())
            .map(|unit| {
                let ends = self.unit(unit).iter().zip(self.ends(unit, &nothing_refused));
                let rows = ends.map(|(row, (key, end))| TrialRow {
                    key,
                    legacy: serde_json::to_value(row).unwrap_or_default(),
                    outcome: end.outcome,
                    code: end.code.map(|code| code.as_str()),
                    reason: end.reason,
                    target: end.target,
                });
                Trial { rows: rows.collect(), written: Vec::new(), repairs: Vec::new(), stands: Vec::new() }
            })
            .collect();
        self.draft.rows.show(&mut |unit, batch, row| shown[unit as usize].written.push((batch, row)));
        for (unit, repair) in &self.draft.repairs {
            shown[*unit as usize].repairs.push(repair.clone());
        }
        shown
    }

    fn expel(&self, db: &mut Db, chunk: i64, out: &Expelled, started: Instant) -> Result<(), ChunkError> {
        expel(self, db, chunk, out, started)
    }
}
