//! Taking back steps, or chunks of them: what the end of a step has done, then its chunks, then what was left of some.

use rustc_hash::FxHashSet;

use super::scope::Scope;
use super::take::{Page, Taking};
use super::told::{Extent, Row, StepUndone, Taken, Undo};
use crate::engine::chunk::ChunkError;
use crate::engine::chunks::each;
use crate::engine::error::RunError;
use crate::engine::event::Event;
use crate::engine::run::Running;
use crate::engine::step::AnyStep;
use crate::engine::written::Sheet;
use crate::storage::bulk::take_back;
use crate::storage::constraints::sound;
use crate::storage::db::Db;
use crate::storage::indexes::{self, IndexError};
use crate::storage::ledger::changes::{self, Done};
use crate::storage::ledger::plan::{self, Ours};
use crate::storage::ledger::{LedgerError, frozen, moved, recorded, stage, undone};
use crate::storage::pointing::{self, Pointing};
use crate::storage::pool::PoolError;
use crate::words::Key;

/// Takes something back.
pub(super) struct Undoing<'a> {
    pub(super) run: &'a Running<'a>,
    pub(super) undo: &'a Undo,
    pub(super) look: bool,
    /// Where it is only looked: what goes.
    pub(super) scope: Scope,
    pub(super) ours: &'a Ours,
}

/// How often what is left of a step is gone through at the most: rows point to each other.
const PASSES: usize = 64;

/// Tables of fewer bytes are read as a whole: an index would not help.
const SMALL: i64 = 1 << 20;

impl Undoing<'_> {
    /// What goes of some steps.
    ///
    /// # Errors
    /// The database fails.
    pub(super) fn scope(&self, steps: &[&dyn AnyStep]) -> Result<Scope, RunError> {
        let mut scope = Scope::new(&self.undo.extent);
        for step in steps {
            if matches!(self.undo.extent, Extent::Whole(_)) {
                scope.add_whole(*step);
                continue;
            }
            let chunks = self.chunks(step.name())?;
            scope.add_chunks(&mut *self.run.databases.target.get()?, *step, &chunks)?;
            if self.with_end(step.name())? {
                scope.add_end(*step);
            }
        }
        Ok(scope)
    }

    /// What is to be known of a step to take something of it back.
    ///
    /// # Errors
    /// The database fails, or it may not be asked who points to its rows.
    pub(super) fn taking<'b>(&'b self, step: &'b dyn AnyStep) -> Result<Taking<'b>, RunError> {
        let (name, target) = (step.name(), &self.run.databases.target);
        let gone = plan::load(&mut *target.get()?, name)?.map(|plan| plan.gone).unwrap_or_default();
        let sheets = Sheet::all(&mut *target.get()?, step)?;
        let mut pointing = Vec::new();
        for sheet in &sheets {
            pointing.push(pointing::pointing(&mut *target.get()?, sheet.model.shape.name)?);
        }
        self.may(&pointing)?;
        Ok(Taking { step, sheets, pointing, ours: self.ours, gone, scope: &self.scope })
    }

    /// Takes back a step, or the chunks of it that are meant. None: the run was asked to stop. `stays`: where it is only looked, rows that
    /// would stay.
    pub(super) fn step(&self, step: &dyn AnyStep, stays: &mut FxHashSet<Row>) -> Result<Option<StepUndone>, RunError> {
        let (chunks, with_end) = (self.chunks(step.name())?, self.with_end(step.name())?);
        if !with_end && chunks.is_empty() && !self.has_left(step.name())? {
            return Ok(Some(StepUndone::nothing(step.name())));
        }
        let taking = self.taking(step)?;
        if self.look { self.look(&taking, &chunks, stays) } else { self.take(&taking, &chunks, with_end) }
    }

    /// Whether an undo has left rows of a step that may go by now. Those of a step that is done wait for a replay.
    fn has_left(&self, step: &str) -> Result<bool, RunError> {
        let mut target = self.run.databases.target.get()?;
        Ok(moved::any(&mut target, step)? && !stage::done(&mut target)?.iter().any(|done| done == step))
    }

    /// Whether what the end of a step has done is meant.
    fn with_end(&self, step: &str) -> Result<bool, RunError> {
        match &self.undo.extent {
            Extent::Whole(_) => Ok(true),
            Extent::Run(run) => Ok(undone::has_ended(&mut *self.run.databases.target.get()?, step, run)?),
            Extent::Chunk(_) | Extent::State(_) => Ok(false),
        }
    }

    /// The chunks of a step that are meant, the last ones first.
    pub(super) fn chunks(&self, step: &str) -> Result<Vec<i64>, RunError> {
        let target = &self.run.databases.target;
        let mut chunks: Vec<i64> =
            recorded::chunks(&mut *target.get()?, step)?.into_iter().map(|(chunk, _)| chunk).collect();
        match &self.undo.extent {
            Extent::Whole(_) => {}
            Extent::State(state) => {
                let spans = recorded::chunks(&mut *target.get()?, step)?;
                let of_state = |chunk: &i64| spans.iter().any(|(of, span)| of == chunk && span.layer == *state);
                chunks.retain(of_state);
            }
            Extent::Chunk(chunk) => chunks.retain(|of| of == chunk),
            Extent::Run(of) => {
                let of_run = undone::of_run(&mut *target.get()?, step, of)?;
                chunks.retain(|chunk| of_run.contains(chunk));
            }
        }
        chunks.reverse();
        Ok(chunks)
    }

    /// Looks what would be taken back. What stays keeps what it points to, in other chunks as well.
    pub(super) fn look(
        &self,
        taking: &Taking<'_>,
        chunks: &[i64],
        stays: &mut FxHashSet<Row>,
    ) -> Result<Option<StepUndone>, RunError> {
        let mut one = StepUndone::nothing(taking.step.name());
        for pass in 1..=PASSES {
            let known = &*stays;
            let of_chunks = self.each(taking, chunks, &|db, chunk| taking.look(db, chunk, known))?;
            let Some(mut taken) = of_chunks else { return Ok(None) };
            taken += self.pages(taking, &|db, after| taking.look_left(db, after, known))?;
            let before = stays.len();
            stays.extend(taken.stays.iter().cloned());
            if stays.len() == before || pass == PASSES {
                one.add(taken);
                break;
            }
        }
        Ok(Some(one))
    }

    fn take(&self, taking: &Taking<'_>, chunks: &[i64], with_end: bool) -> Result<Option<StepUndone>, RunError> {
        let (run, step, target) = (self.run, taking.step, &self.run.databases.target);
        let (name, mut one) = (step.name(), StepUndone::nothing(step.name()));
        self.index(taking)?;
        target.get()?.write(|db| undone::reopen(db, name, with_end))?;
        if with_end {
            // Rows that were there before may share what the index does not admit.
            self.drop_indexes(step)?;
            one.restored += self.end(step)?;
        }
        let of_chunks = self.each(taking, chunks, &|db, chunk| taking.chunk(db, chunk))?;
        let Some(mut taken) = of_chunks else { return Ok(None) };
        let lasting = std::mem::take(&mut taken.lasting);
        // What is left is told when nothing of it goes any more: of this undo, and of earlier ones.
        taken.kept.clear();
        one.add(taken);
        let mut left = Vec::new();
        for _ in 0..PASSES {
            if run.stop.requested() || !moved::any(&mut *target.get()?, name)? {
                break;
            }
            let again = self.pages(taking, &|db, after| taking.left(db, after))?;
            let progress = again.legacy > 0;
            left.clone_from(&again.kept);
            one.add(Taken { kept: Vec::new(), ..again });
            if !progress {
                break;
            }
        }
        one.kept.extend(left);
        one.kept.extend(lasting);
        if run.stop.requested() {
            return Ok(None);
        }
        if with_end && self.is_free(name)? {
            one.restored += self.put_back(step, changes::of_step)?;
            if changes::of_step(&mut *target.get()?, name, i64::MAX, 1)?.is_empty() {
                undone::never_done(&mut *target.get()?, name)?;
            }
        }
        run.reporter.event(&Event::Undone { step: name, rows: one.rows, kept: one.kept.len() as u64 });
        Ok(Some(one))
    }

    /// Goes through chunks of a step, by several workers. None: the run was asked to stop.
    fn each(
        &self,
        taking: &Taking<'_>,
        chunks: &[i64],
        of_chunk: &(dyn Fn(&mut Db, i64) -> Result<Taken, ChunkError> + Sync),
    ) -> Result<Option<Taken>, RunError> {
        let (run, step, target) = (self.run, taking.step, &self.run.databases.target);
        each(run, chunks, &|chunk| {
            run.patiently(step.name(), || {
                of_chunk(&mut *target.get()?, *chunk).map_err(|source| failed(step, *chunk, source))
            })
        })
    }

    /// Goes through what is left of a step's chunks once: `page` is handed the last key of the one before.
    pub(super) fn pages(
        &self,
        taking: &Taking<'_>,
        page: &dyn Fn(&mut Db, Key) -> Result<Page, ChunkError>,
    ) -> Result<Taken, RunError> {
        let (run, step, target) = (self.run, taking.step, &self.run.databases.target);
        let (mut after, mut sum) = (Key::MIN, Taken::default());
        while let Some((last, taken)) =
            run.patiently(step.name(), || page(&mut *target.get()?, after).map_err(|source| failed(step, 0, source)))?
        {
            sum += taken;
            after = last;
        }
        Ok(sum)
    }

    /// Whether nothing of a step is in the target that would have to be taken back.
    fn is_free(&self, step: &str) -> Result<bool, RunError> {
        let mut db = self.run.databases.target.get()?;
        Ok(!moved::any(&mut db, step)? && recorded::chunks(&mut db, step)?.is_empty())
    }

    /// Takes back what the end of a step has done. Returns how many changes were put back.
    fn end(&self, step: &dyn AnyStep) -> Result<u64, RunError> {
        let restored = self.put_back(step, changes::of_end)?;
        self.run.databases.target.get()?.write(|db| undone::forget_end(db, step.name()))?;
        Ok(restored)
    }

    /// Puts changes back, last things first. Returns how many.
    pub(super) fn put_back(&self, step: &dyn AnyStep, page: ReadChanges) -> Result<u64, RunError> {
        let (run, name) = (self.run, step.name());
        let (mut before, mut restored) = (i64::MAX, 0);
        loop {
            let (last, some) = run.patiently(name, || {
                run.databases.target.get()?.write(|db| {
                    let done = page(db, name, before, AT_ONCE)?;
                    let restored = take_back::each(db, &done)?;
                    Ok::<_, RunError>((done.last().map(|done| done.id), restored))
                })
            })?;
            let Some(last) = last else { return Ok(restored) };
            before = last;
            restored += some;
        }
    }

    /// Makes sure that everything which may point to a row can be asked.
    pub(super) fn may(&self, pointing: &[Vec<Pointing>]) -> Result<(), RunError> {
        let hidden = pointing.iter().flatten().find(|key| !key.may_read);
        match hidden {
            None => Ok(()),
            Some(key) => {
                let place = &key.place;
                let what = format!(
                    "rows of {place} may point to what is taken back, and the database user may not read it: GRANT SELECT ON {place} TO CURRENT_USER;"
                );
                Err(RunError::Settings(what))
            }
        }
    }

    /// Builds an index for each column that points to the step's rows and has none: the server looks for rows that point to each one that is
    /// deleted.
    pub(super) fn index(&self, taking: &Taking<'_>) -> Result<(), RunError> {
        for key in taking.pointing.iter().flatten().filter(|key| !key.is_indexed && key.bytes > SMALL) {
            let (place, column) = (&key.place, &key.column);
            if !key.may_index {
                let what = format!(
                    "{place} points to what is taken back by the column `{column}`, which has no index: the server would read the whole table \
                     for each row. CREATE INDEX CONCURRENTLY ON {place} (\"{column}\"); or let the database user be a member of its owner"
                );
                return Err(RunError::Settings(what));
            }
            let mut db = self.run.databases.target.dedicated().map_err(PoolError::from)?;
            indexes::temporary(&mut db, place, column)?;
        }
        Ok(())
    }

    pub(super) fn drop_built(&self) -> Result<(), RunError> {
        let mut db = self.run.databases.target.dedicated().map_err(PoolError::from)?;
        Ok(indexes::drop_temporary(&mut db)?)
    }

    /// Drops the unique indexes that the step has made.
    fn drop_indexes(&self, step: &dyn AnyStep) -> Result<(), RunError> {
        for index in step.indexes() {
            if sound::was_there(&mut *self.run.databases.target.get()?, index.table, index.name)? {
                continue;
            }
            let mut db = self.run.databases.target.dedicated().map_err(PoolError::from)?;
            indexes::take_away(&mut db, index).map_err(|error| match error {
                IndexError::Database(source) => RunError::from(source),
                taken @ IndexError::Taken { .. } => RunError::Settings(taken.to_string()),
            })?;
        }
        Ok(())
    }

    /// Forgets what steps have read of the target, where nothing of any is left: it is read anew.
    pub(super) fn forget_readings(&self, all: &[&dyn AnyStep]) -> Result<(), RunError> {
        for step in all {
            if !self.is_free(step.name())? {
                return Ok(());
            }
        }
        Ok(frozen::forget_readings(&mut *self.run.databases.target.get()?)?)
    }
}

/// Reads some changes of a step before one of them, last things first.
type ReadChanges = fn(&mut Db, &str, i64, i64) -> Result<Vec<Done>, LedgerError>;

/// Changes that are put back in one transaction.
const AT_ONCE: i64 = 200;

pub(super) fn failed(step: &dyn AnyStep, chunk: i64, source: ChunkError) -> RunError {
    RunError::Undo { step: step.name(), chunk, source }
}
