//! Taking back: what was written is deleted, and what was done to rows that were there before is put back, but for what customers have
//! made theirs.
//!
//! Steps go last things first: what the end of a step has done, then its chunks, each in one transaction ([`take`]). A unit of which a
//! row was changed, removed or is pointed to stays as a whole ([`units`]): the chunk is free again all the same, with the ids that it
//! had, and what is recorded of such units waits in the ledger for whoever moves the chunk again. So the next run judges them as a replay
//! does, and what a customer has removed stays removed. Where the last state of the legacy database is taken back, the chunks of earlier
//! ones stand as they stood before it ([`state`]).

mod chunk_before;
mod scope;
mod state;
mod take;
mod told;
mod undoing;
mod units;

use rustc_hash::FxHashSet;
pub use told::{Extent, Kept, StepUndone, Undo, Undone};
pub use units::Why;

use super::error::RunError;
use super::run::Running;
use super::step::AnyStep;
use crate::storage::ledger::{plan, recorded};
use scope::Scope;
use undoing::Undoing;

/// Takes back what `undo` says, or only looks what that would be.
///
/// # Errors
/// Steps that are not to go build on it; a right is missing; why it cannot go on. All that was committed stays.
pub(crate) fn undo(run: &Running<'_>, undo: &Undo, look: bool) -> Result<Undone, RunError> {
    let all = run.registry.ordered()?;
    let chosen = chosen(run, &all, undo)?;
    let is_whole = matches!(undo.extent, Extent::Whole(_));
    let ours = plan::ours(&mut *run.databases.target.get()?)?;
    let mut stays = FxHashSet::default();
    let mut undoing = Undoing { run, undo, look, scope: Scope::default(), ours: &ours };
    if look {
        undoing.scope = undoing.scope(&chosen)?;
    }
    if let Extent::State(state) = undo.extent {
        return undoing.state(&chosen, state);
    }
    let mut steps = Vec::new();
    let ended = chosen.iter().rev().try_fold(true, |goes_on, step| {
        let one = if goes_on { undoing.step(*step, &mut stays)? } else { None };
        let goes_on = one.is_some();
        steps.extend(one);
        Ok::<_, RunError>(goes_on)
    });
    if look {
        return Ok(Undone { complete: ended?, steps });
    }
    // Indexes that were built for the time go, however it ended. The first error says why.
    let dropped = undoing.drop_built();
    let complete = ended?;
    dropped?;
    if complete && is_whole && chosen.len() == all.len() {
        undoing.forget_readings(&all)?;
    }
    Ok(Undone { complete, steps })
}

/// The steps that go, in their order.
fn chosen<'a>(run: &Running<'_>, all: &[&'a dyn AnyStep], undo: &Undo) -> Result<Vec<&'a dyn AnyStep>, RunError> {
    let mut db = run.databases.target.get()?;
    let mut planned = Vec::new();
    for step in all {
        if plan::load(&mut db, step.name())?.is_some() {
            planned.push(*step);
        }
    }
    let Extent::Whole(only) = &undo.extent else { return Ok(planned) };
    let wanted: Vec<&str> = run.registry.named(only)?.iter().map(|step| step.name()).collect();
    let mut names: Vec<&str> = planned.iter().map(|step| step.name()).filter(|name| wanted.contains(name)).collect();
    let mut others = Vec::new();
    for step in planned.iter().filter(|step| !wanted.contains(&step.name())) {
        let builds_on = step.after().iter().any(|before| names.contains(before));
        let chunks = recorded::chunks(&mut db, step.name())?.len();
        if builds_on {
            names.push(step.name());
            if chunks > 0 {
                others.push(format!("{} ({chunks} chunks)", step.name()));
            }
        }
    }
    if !others.is_empty() && !undo.with_dependants {
        return Err(RunError::BuiltUpon { steps: others.join(", ") });
    }
    Ok(planned.into_iter().filter(|step| names.contains(&step.name())).collect())
}
