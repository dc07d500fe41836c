//! The rows of a chunk, as they were read, and how they are judged: on rayon, a unit at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::error::ChunkError;
use super::forms::{ReadRows, ReadyChunk};
use super::judged::{Judged, Packing, unit_rows};
use crate::contract::draft::{Draft, Unit};
use crate::contract::legacy::{LegacyRow, weight};
use crate::contract::refusal::Refusal;
use crate::contract::step::Step;
use crate::storage::bulk::Rows as _;
use crate::storage::ledger::standings::Standing;
use crate::words::{Key, Root};

/// Units that one rayon task judges at the least: what tasks found is put together in the end, so there are but a few for
/// each thread.
const TASK: usize = 256;
const TASKS_A_THREAD: usize = 2;

/// The rows of a chunk of a step.
pub(crate) struct ChunkRows<S: Step> {
    pub(crate) rows: Vec<S::Legacy>,
    /// Where each unit begins; none where every row is a unit.
    pub(crate) starts: Option<Vec<usize>>,
    /// Keys that were planned, and of which there is no row.
    pub(crate) absent: Vec<Key>,
    /// Rows that follow one of these, by their keys.
    pub(crate) waiting: FxHashMap<Key, Key>,
    pub(crate) lookups: Arc<S::Lookups>,
}

impl<S: Step> ReadRows for ChunkRows<S> {
    fn transform(self: Box<Self>, packing: Packing) -> Result<Box<dyn ReadyChunk>, ChunkError> {
        let units = self.starts.as_ref().map_or(self.rows.len(), Vec::len);
        let task = units.div_ceil(TASKS_A_THREAD * rayon::current_num_threads()).max(TASK);
        let tasks: Vec<(usize, usize)> = (0..units).step_by(task).map(|from| (from, units.min(from + task))).collect();
        let parts: Vec<Draft<S::Rows>> = tasks.into_par_iter().map(|(from, to)| self.judge(from..to)).collect();
        let mut parts = parts.into_iter();
        let mut draft = parts.next().unwrap_or_default();
        parts.for_each(|part| draft.append(part));
        draft.rows.arrange();
        let bytes = weight(&self.rows) + draft.bytes;
        Judged::<S>::new((self.rows, self.absent), self.starts, draft, bytes, packing)
            .map(|judged| Box::new(judged) as Box<dyn ReadyChunk>)
    }
}

impl<S: Step> ChunkRows<S> {
    fn judge(&self, units: std::ops::Range<usize>) -> Draft<S::Rows> {
        let mut draft = Draft::default();
        for unit in units {
            let unit = Unit::new(unit_rows(&self.rows, self.starts.as_deref(), unit));
            if let Some(leader) = self.waiting.get(&unit.leader().key()) {
                let root = Standing::Quarantined(Root { step: S::NAME.to_owned(), key: *leader });
                draft.close(Refusal::of_parents([&root]).and(Err(Refusal::unforeseen("its leader was not read"))));
                continue;
            }
            // A defect in a rule must not take the run down: the row that shows it waits in quarantine.
            let judged = catch_unwind(AssertUnwindSafe(|| S::transform(&self.lookups, &unit, &mut draft)));
            draft.close(
                judged.unwrap_or_else(|_| Err(Refusal::unforeseen("the transform panicked: a defect of its rule"))),
            );
        }
        draft
    }
}
