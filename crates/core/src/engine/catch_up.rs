//! A catch-up: the target is brought to a later state of the legacy database.
//!
//! Keys that were added get chunks and ids of their own, keys that have gone are noted, and every row is judged anew, in the order
//! of the steps, with all that later rows change about earlier ones. What customers have changed since stays theirs, as in a replay.

use rustc_hash::FxHashSet;
use serde::Serialize;

use super::chunk::Rejudged;
use super::error::RunError;
use super::event::Event;
use super::replay::{self, Pass};
use super::report::Moved;
use super::run::{self, Databases, Running};
use super::step::AnyStep;
use crate::contract::errors::PrepareError;
use crate::storage::db::Db;
use crate::storage::ledger::erased::{Erasures, Marks};
use crate::storage::ledger::mends::{Mends, SetAside};
use crate::storage::ledger::overlay::Overlay;
use crate::storage::ledger::plan::{self, Later, NewStep, StepPlan};
use crate::storage::ledger::{claim, earlier, erased, generations, mends, recorded, seen};
use crate::words::{Counts, Key, KeySet};

/// More keys of a table than so many, and than so many of a hundred, do not go by themselves: the legacy database is half-restored, say.
const MOST_GONE: (u64, u64) = (100, 1);

/// Likewise, rows that come out otherwise.
const MOST_CHANGED: (u64, u64) = (1_000, 10);

/// What a catch-up did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatchUp {
    /// Whether it came to its end.
    pub complete: bool,
    /// The state to which the target was brought, as states are counted.
    pub generation: i64,
    /// By step.
    pub steps: Vec<(&'static str, CaughtUp)>,
    /// Mends that are taken no more: their legacy rows read otherwise than they did when they were mended.
    pub set_aside: Vec<SetAside>,
}

/// What a catch-up did with the rows of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CaughtUp {
    /// Rows that no earlier state had.
    pub added: u64,
    /// Rows that are not there any more, and were in the state before.
    pub gone: u64,
    /// Rows that are there again.
    pub back: u64,
    /// What became of those that were added.
    pub moved: Counts,
    /// What became of all others.
    pub rejudged: Rejudged,
}

/// What the legacy table of a step, which was planned, has become.
pub(crate) fn moved(plan: &StepPlan, now: &KeySet) -> Moved {
    let Later { added, gone } = Later::of(plan, now);
    Moved { added: added.len(), gone: gone.without(&plan.gone).len(), changed: None }
}

/// How many rows of each step that the ledger keeps read otherwise than they did when they were judged last. Every row is read, and
/// none judged.
///
/// # Errors
/// A database fails, or rows cannot be read back.
pub(crate) fn changed(databases: &Databases, steps: &[&dyn AnyStep]) -> Result<Vec<(&'static str, u64)>, RunError> {
    let mut target = databases.target.get()?;
    let mut legacy = databases.legacy.get()?;
    let (mut mends, erasures) = (mends::load(&mut target)?, erased::load(&mut target)?);
    let mut changed = Vec::new();
    for step in steps {
        let (name, table) = (step.name(), step.legacy_table());
        let failed = |source| {
            let source = PrepareError::Query { what: format!("rows of {table}"), source };
            RunError::Prepare { step: name, source }
        };
        // What was mended was kept as it was mended.
        let mended: FxHashSet<Key> = mends.keys(table).into_iter().collect();
        let mut rows = let_go(*step, &mut legacy, &mut mends, &erasures)?.len() as u64;
        for (chunk, span) in recorded::chunks(&mut target, name)? {
            let Some(mut was) = seen::of_chunk(&mut target, table, chunk)? else { continue };
            was.retain(|key| !mended.contains(&key));
            rows += step.altered(&mut legacy, span, &was, &erasures).map_err(failed)?;
        }
        changed.push((name, rows));
    }
    Ok(changed)
}

/// Of how many rows a table may lose more than it does by itself, or change: the table, and how many.
pub type Expected = Vec<(String, u64)>;

/// Brings the target to the state of the legacy database.
///
/// # Errors
/// More keys have gone than go by themselves, or more rows have changed; why it cannot begin or go on.
pub(crate) fn catch_up(run: &Running<'_>, steps: &[&dyn AnyStep], expected: &Expected) -> Result<CatchUp, RunError> {
    let mut found = Vec::new();
    for step in steps {
        let plan = plan::load(&mut *run.databases.target.get()?, step.name())?.ok_or(RunError::NotDone(step.name()))?;
        let state = differences(run, *step, &plan)?;
        guard_gone(*step, &state, expected)?;
        found.push(state);
    }
    let set_aside = lay_over(run, steps, &found)?;
    let Some(looked) = replay::look(run, steps)? else { return stopped(run) };
    for (step, (state, looked)) in steps.iter().zip(found.iter().zip(&looked)) {
        guard_changed(*step, state, looked.changed, expected)?;
    }
    let (generation, goes_on) = open(run, steps, &found)?;
    mends::set_aside(&mut *run.databases.target.get()?, generation, &set_aside)?;
    let any = looked.iter().any(|looked| looked.any);
    let is_same = !any && found.iter().all(|state| state.has_same_keys() && !state.is_open);
    let ended = if is_same { Some(replay::ends(run, steps, &looked)?) } else { None };
    drop(looked);
    let passes = match ended {
        Some((ended, false)) => ended,
        ended => {
            steps.iter().zip(&found).try_for_each(|(step, state)| extend(run, *step, generation, state))?;
            let passes = replay::passes(run, steps)?;
            ended.into_iter().fold(passes, |passes, (ended, _)| passes.after(&ended))
        }
    };
    if passes.complete {
        generations::end(&mut *run.databases.target.get()?)?;
    }
    let caught_up = passes.steps.into_iter().zip(found).map(|((step, Pass { moved, rejudged }), state)| {
        let (gone, back) = (state.newly_gone(), state.gone_before.without(&state.later.gone).len());
        // One that goes on planned them before it was killed.
        let planned =
            state.layers.iter().filter(|(layer, _)| goes_on && *layer == generation).map(|(_, keys)| keys).sum::<u64>();
        (step, CaughtUp { added: state.later.added.len() + planned, gone, back, moved, rejudged })
    });
    Ok(CatchUp { complete: passes.complete, generation, steps: caught_up.collect(), set_aside })
}

/// Has rows count that are gone, and mends whose rows read as they did. Returns the others.
///
/// # Errors
/// A database fails.
pub(crate) fn lay_over(run: &Running<'_>, steps: &[&dyn AnyStep], found: &[State]) -> Result<Vec<SetAside>, RunError> {
    let (overlay, set_aside) = overlay(run, steps, found)?;
    run.lay_over(overlay);
    Ok(set_aside)
}

/// What is not read from the legacy database, and mends whose rows read otherwise than they did.
///
/// # Errors
/// A database fails.
pub(crate) fn overlay(
    run: &Running<'_>,
    steps: &[&dyn AnyStep],
    found: &[State],
) -> Result<(Overlay, Vec<SetAside>), RunError> {
    let (mut mends, erasures) = {
        let target = &mut *run.databases.target.get()?;
        (mends::load(target)?, erased::load(target)?)
    };
    let mut set_aside = Vec::new();
    for step in steps {
        let let_go = || let_go(*step, &mut *run.databases.legacy.get()?, &mut mends, &erasures);
        let other = run.patiently(step.name(), let_go)?;
        set_aside.extend(other.into_iter().map(|key| SetAside { table: step.legacy_table().to_owned(), key }));
    }
    let target = &mut *run.databases.target.get()?;
    let mut overlay = Overlay::of(mends, erasures, Marks::of(erased::rows(target)?));
    for (step, state) in steps.iter().zip(found) {
        overlay.revive(target, (step.name(), step.legacy_table()), &state.later.gone)?;
    }
    Ok((overlay, set_aside))
}

/// Lets go of the mends of a step whose legacy rows read otherwise now. Returns their keys.
fn let_go(step: &dyn AnyStep, legacy: &mut Db, mends: &mut Mends, erasures: &Erasures) -> Result<Vec<Key>, RunError> {
    let table = step.legacy_table();
    let mut now = step.whole(legacy, &mends.keys(table)).map_err(|source| {
        let source = PrepareError::Query { what: format!("mended rows of {table}"), source };
        RunError::Prepare { step: step.name(), source }
    })?;
    for (key, row) in &mut now {
        // A mend tells no erased cell either.
        if let Some(erasure) = erasures.of(table, *key) {
            erasure.apply(row);
        }
    }
    let other = now.into_iter().filter(|(key, now)| mends.let_go(table, *key, now));
    Ok(other.map(|(key, _)| key).collect())
}

/// It was asked to stop before anything was written.
fn stopped(run: &Running<'_>) -> Result<CatchUp, RunError> {
    let generation = generations::current(&mut *run.databases.target.get()?)?.map_or(plan::FIRST, |current| current.n);
    Ok(CatchUp { complete: false, generation, steps: Vec::new(), set_aside: Vec::new() })
}

/// Plans what the state has of a step that earlier ones had not, and what it has not any more.
fn extend(run: &Running<'_>, step: &dyn AnyStep, generation: i64, state: &State) -> Result<(), RunError> {
    if state.has_same_keys() {
        return Ok(());
    }
    let new = NewStep {
        name: step.name(),
        position: 0,
        legacy_table: step.legacy_table(),
        target_table: step.target_table(),
        also: step.also(),
    };
    let rows = run.settings.range_rows(state.later.added.len());
    Ok(plan::extend(&mut *run.databases.target.get()?, new, generation, &state.later, rows)?)
}

/// What the legacy table of a step has become.
pub(crate) struct State {
    /// All that it ever had.
    keys: u64,
    later: Later,
    /// Keys that had gone before.
    gone_before: KeySet,
    /// The states that added keys, and how many.
    layers: Vec<(i64, u64)>,
    /// Whether some of them are not moved yet.
    is_open: bool,
}

impl State {
    /// Whether it has the keys that the state before had.
    fn has_same_keys(&self) -> bool {
        self.later.added.is_empty() && self.later.gone == self.gone_before
    }

    /// How many keys no state had, and how many the state before had and it has not.
    pub(crate) fn behind(&self) -> (u64, u64) {
        (self.later.added.len(), self.newly_gone())
    }

    /// How many keys the state before had, and it has not.
    fn newly_gone(&self) -> u64 {
        self.later.gone.without(&self.gone_before).len()
    }

    /// Whether so many of its rows are more than `most` and more than `of_a_hundred` of a hundred, and nobody has said that it is so.
    fn is_too_much(&self, table: &str, rows: u64, (most, of_a_hundred): (u64, u64), expected: &Expected) -> bool {
        let is_expected = expected.iter().any(|(of, most)| of == table && *most >= rows);
        rows > most && rows * 100 > self.keys * of_a_hundred && !is_expected
    }
}

/// What the legacy table of a step has become since it was planned.
///
/// # Errors
/// A database fails.
pub(crate) fn differences(run: &Running<'_>, step: &dyn AnyStep, plan: &StepPlan) -> Result<State, RunError> {
    run.reporter.event(&Event::Planning { step: step.name() });
    let now = run.patiently(step.name(), || run::keys(step, &run.databases.legacy))?;
    let later = Later::of(plan, &now);
    let layers = plan.layers.iter().map(|layer| (layer.generation, layer.keys.len())).collect();
    let is_open = !claim::open(&mut *run.databases.target.get()?, step.name())?.is_empty();
    Ok(State { keys: plan.keys.len(), later, gone_before: plan.gone.clone(), layers, is_open })
}

/// A legacy database that is half-restored must not look like one whose rows were deleted.
fn guard_gone(step: &dyn AnyStep, state: &State, expected: &Expected) -> Result<(), RunError> {
    let (table, gone) = (step.legacy_table(), state.newly_gone());
    match state.is_too_much(table, gone, MOST_GONE, expected) {
        true => Err(RunError::ManyGone { table, gone, of: state.keys }),
        false => Ok(()),
    }
}

/// Nor must one of another company, or with a column emptied by mistake, look like one that was kept up.
fn guard_changed(step: &dyn AnyStep, state: &State, changed: u64, expected: &Expected) -> Result<(), RunError> {
    let table = step.legacy_table();
    match state.is_too_much(table, changed, MOST_CHANGED, expected) {
        true => Err(RunError::ManyChanged { table, changed, of: state.keys }),
        false => Ok(()),
    }
}

/// The state that the target is brought to: a new one where the legacy database is later than that of the last, or has keys that
/// cannot be of it any more. And whether it was begun before.
fn open(run: &Running<'_>, steps: &[&dyn AnyStep], found: &[State]) -> Result<(i64, bool), RunError> {
    let mut target = run.databases.target.get()?;
    let current = generations::current(&mut target)?.ok_or_else(|| RunError::NotDone(steps[0].name()))?;
    let taken = found
        .iter()
        .any(|state| !state.later.added.is_empty() && state.layers.iter().any(|(layer, _)| *layer == current.n));
    let generation = if run.snapshot > current.snapshot_at || taken { current.n + 1 } else { current.n };
    generations::begin(&mut target, generation, run.snapshot)?;
    earlier::forget(&mut target, Some(generation))?;
    Ok((generation, generation == current.n && current.ended_at.is_none()))
}
