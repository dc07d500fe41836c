//! Taking back the last state of the legacy database: the target stands as it did before it was brought to that, and the ledger says so.
//! It is as if the catch-up had been killed before it wrote anything: a catch-up, and nothing else, may go on.
//!
//! All that was done is taken back first, last things first, whichever step did it: so each of it stands as it stood when it was done. Then
//! the rows that came in go, chunk by chunk, and the ledger says of the chunk what it said. What the target refuses may be let go of when
//! other rows are gone, so all of this is done again for as long as it helps.

use rustc_hash::{FxHashMap, FxHashSet};

use super::chunk_before::Before;
use super::take::Taking;
use super::told::{Kept, StepUndone, Taken, Undone};
use super::undoing::{Undoing, failed};
use super::units::Why;
use crate::engine::chunks::each;
use crate::engine::error::RunError;
use crate::engine::event::Event;
use crate::engine::step::AnyStep;
use crate::storage::bulk::take_back;
use crate::storage::ledger::plan::FIRST;
use crate::storage::ledger::{changes, earlier, erased, generations, moved, recorded};
use crate::words::Key;

/// How often all is gone through at the most: what one chunk gives back another one may have to let go of first.
const PASSES: usize = 64;

/// Changes that are taken back in one transaction.
const AT_ONCE: i64 = 200;

/// Changes that the target refuses to take back, and how many were taken back, by step.
type PutBack = (Vec<i64>, FxHashMap<String, u64>);

/// What of a step is to be taken back.
struct Open<'a> {
    taking: Taking<'a>,
    /// The chunks with rows that the state has added.
    added: Vec<i64>,
    /// Chunks of earlier states that it has changed.
    changed: Vec<i64>,
    done: StepUndone,
}

impl Undoing<'_> {
    /// Takes back a state, which has to be the last one, or only looks what that would be.
    ///
    /// # Errors
    /// It is another one; a right is missing; why it cannot go on. All that was committed stays.
    pub(super) fn state(&self, steps: &[&dyn AnyStep], state: i64) -> Result<Undone, RunError> {
        let target = &self.run.databases.target;
        let current = generations::current(&mut *target.get()?)?;
        let last = current.as_ref().map_or(FIRST, |last| last.n);
        if state != last || state == FIRST {
            let what = match last {
                FIRST => "the target was brought to one state alone: `--all` takes it back".to_owned(),
                last => format!("only the last state can be taken back, which is {last}"),
            };
            return Err(RunError::Settings(what));
        }
        if let Some(current) = current
            && erased::any_since(&mut *target.get()?, current.begun_at)?
        {
            let what = "a person was erased since: what the ledger said before that state is forgotten, and it cannot be taken back any more";
            return Err(RunError::Settings(what.to_owned()));
        }
        let changed = earlier::chunks(&mut *target.get()?, state)?;
        let mut open = Vec::new();
        for step in steps.iter().rev() {
            let chunks = recorded::chunks(&mut *target.get()?, step.name())?;
            let mut of_step: Vec<i64> =
                chunks.iter().map(|(chunk, _)| *chunk).filter(|chunk| changed.contains(chunk)).collect();
            of_step.reverse();
            let (taking, added) = (self.taking(*step)?, self.chunks(step.name())?);
            open.push(Open { taking, added, changed: of_step, done: StepUndone::nothing(step.name()) });
        }
        if self.look {
            return self.look_at_state(open, state);
        }
        target.get()?.write(|db| {
            generations::reopen(db)?;
            earlier::begin(db, state)
        })?;
        let ended = self.take_state(&mut open, state);
        let dropped = self.drop_built();
        let complete = ended?;
        dropped?;
        if complete {
            earlier::end(&mut *target.get()?)?;
        }
        Ok(Undone { complete, steps: open.into_iter().map(|open| open.done).collect() })
    }

    fn look_at_state(&self, open: Vec<Open<'_>>, state: i64) -> Result<Undone, RunError> {
        let (mut stays, mut steps) = (FxHashSet::default(), Vec::new());
        let done = changes::counts(&mut *self.run.databases.target.get()?, state)?;
        for Open { taking, added, changed, .. } in open {
            let Some(mut one) = self.look(&taking, &added, &mut stays)? else {
                return Ok(Undone { complete: false, steps });
            };
            let of_step = done.iter().find(|(step, _)| step == taking.step.name());
            one.restored += of_step.map_or(0, |(_, changes)| changes.cast_unsigned());
            one.chunks += changed.len() as u64;
            steps.push(one);
        }
        Ok(Undone { complete: true, steps })
    }

    /// Whether it came to its end.
    fn take_state(&self, open: &mut [Open<'_>], state: i64) -> Result<bool, RunError> {
        for one in &*open {
            self.index(&one.taking)?;
        }
        let (mut insists, mut refused) = (false, Vec::new());
        for _ in 0..PASSES {
            let Some((still, restored)) = self.changes_of(state)? else { return Ok(false) };
            refused = still;
            let mut progress = restored.values().sum::<u64>() > 0;
            for one in &mut *open {
                one.done.restored += restored.get(one.taking.step.name()).copied().unwrap_or_default();
                let Some(some) = self.pass(one, &refused, insists)? else { return Ok(false) };
                progress |= some;
            }
            if open.iter().all(|one| one.added.is_empty() && one.changed.is_empty()) {
                break;
            }
            // What is refused still stays, and is named.
            insists = !progress;
        }
        if open.iter().any(|one| !one.changed.is_empty()) {
            return Ok(false);
        }
        self.name_what_stays(open, state, &refused)?;
        for one in &mut *open {
            self.left_of(one)?;
            let (name, done) = (one.taking.step.name(), &one.done);
            self.run.reporter.event(&Event::Undone { step: name, rows: done.rows, kept: done.kept.len() as u64 });
        }
        Ok(true)
    }

    /// Takes back what was done in a state, last things first. Returns the changes that the target refuses, and how many were taken
    /// back, by step. None: the run was asked to stop.
    fn changes_of(&self, state: i64) -> Result<Option<PutBack>, RunError> {
        let (mut before, mut refused) = (i64::MAX, Vec::new());
        let mut restored: FxHashMap<String, u64> = FxHashMap::default();
        loop {
            if self.run.stop.requested() {
                return Ok(None);
            }
            let page = self.run.patiently("target", || {
                self.run.databases.target.get()?.write(|db| {
                    let done = changes::of_state(db, state, before, AT_ONCE)?;
                    let Some(last) = done.last().map(|(_, done)| done.id) else { return Ok(None) };
                    let mut of_page = Vec::new();
                    for (step, done) in done {
                        of_page.push((step, done.id, take_back::but_for_secrets(db, done)?));
                    }
                    Ok::<_, RunError>(Some((last, of_page)))
                })
            })?;
            let Some((last, of_page)) = page else { return Ok(Some((refused, restored))) };
            before = last;
            for (step, change, taken) in of_page {
                match taken {
                    Some(taken) => *restored.entry(step).or_default() += u64::from(taken),
                    None => refused.push(change),
                }
            }
        }
    }

    /// Names the rows of which customers keep something that was done in a state, and those that the target does not let go of.
    fn name_what_stays(&self, open: &mut [Open<'_>], state: i64, refused: &[i64]) -> Result<(), RunError> {
        let mut before = i64::MAX;
        loop {
            let page = changes::of_state(&mut *self.run.databases.target.get()?, state, before, AT_ONCE)?;
            let Some((_, last)) = page.last() else { return Ok(()) };
            before = last.id;
            for (step, done) in page.into_iter().filter(|(_, done)| !done.is_secret()) {
                let why = if refused.contains(&done.id) { Why::Refused } else { Why::Changed };
                let Some(one) = open.iter_mut().find(|one| one.taking.step.name() == step) else { continue };
                let (step, row) = (one.taking.step.name(), Some(done.row));
                one.done.kept.push(Kept { step, legacy_key: None, table: done.table, row, why });
            }
        }
    }

    /// Goes through what is open of a step once. Returns whether some of it was taken back. None: the run was asked to stop.
    fn pass(&self, open: &mut Open<'_>, refused: &[i64], insists: bool) -> Result<Option<bool>, RunError> {
        let (run, taking, target) = (self.run, &open.taking, &self.run.databases.target);
        let (step, name) = (taking.step, taking.step.name());
        let added = std::mem::take(&mut open.added);
        let mut progress = !added.is_empty();
        let taken = each(run, &added, &|chunk| {
            run.patiently(name, || {
                taking.chunk(&mut *target.get()?, *chunk).map_err(|source| failed(step, *chunk, source))
            })
        })?;
        let Some(taken) = taken else { return Ok(None) };
        // What stays of these is told in the end.
        open.done.add(Taken { kept: Vec::new(), ..taken });
        let mut still = Vec::new();
        for chunk in std::mem::take(&mut open.changed) {
            if run.stop.requested() {
                return Ok(None);
            }
            let back = || {
                let before = Before { taking, refused, insists };
                before.back(&mut *target.get()?, chunk).map_err(|source| failed(step, chunk, source))
            };
            let (taken, is_done) = run.patiently(name, back)?;
            progress |= is_done || taken.rows > 0;
            open.done.add(taken);
            if !is_done {
                still.push(chunk);
            }
        }
        open.changed = still;
        Ok(Some(progress))
    }

    /// Rows of chunks that the state has added, which others kept until now.
    fn left_of(&self, open: &mut Open<'_>) -> Result<(), RunError> {
        let (name, target) = (open.taking.step.name(), &self.run.databases.target);
        let mut left = Vec::new();
        while moved::any(&mut *target.get()?, name)? {
            let again = self.pages(&open.taking, &|db, after: Key| open.taking.left(db, after))?;
            let progress = again.legacy > 0;
            left.clone_from(&again.kept);
            open.done.add(Taken { kept: Vec::new(), ..again });
            if !progress {
                break;
            }
        }
        open.done.kept.extend(left);
        Ok(target.get()?.write(|db| earlier::restore_end(db, name))?)
    }
}
