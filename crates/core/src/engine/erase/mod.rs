//! Erasing a person: the right to be forgotten reaches the ledger.
//!
//! A person is the legacy rows that became one row of the target, or have one address ([`whose`]). From then on their cells are read as
//! marks ([`Erasures`]), wherever a legacy row is read, and an address that stands elsewhere is read as the mark of its person: rules
//! that compare addresses come to what they came to, so counts and money stay. All that the ledger keeps is told anew, as if that had
//! been read and written ([`forget`]), in one transaction. What stands in the target is the site's: it is named.

mod found;
mod platform;
mod rows;
mod search;
mod told;
mod whose;

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde_json::Value as Json;

pub use told::{Erase, Erased, Holding, StepErased};

use super::catch_up;
use super::chunk::Forgotten;
use super::chunks::{Chunks, Ready, ahead};
use super::error::RunError;
use super::run::Running;
use super::step::{AnyStep, PreparedStep};
use crate::contract::person::Person;
use crate::storage::db::Db;
use crate::storage::imprint::Table;
use crate::storage::ledger::erased::{self, ErasedRows, Erasure, Erasures, Marks};
use crate::storage::ledger::forget::{self, Forget, OfChunk};
use crate::storage::ledger::plan::{self, Span, StepPlan};
use crate::storage::ledger::{LedgerError, earlier, generations, recorded, seen};
use crate::words::Key;
use found::Found;
use rows::Erasing;
use whose::{Whose, whose};

/// Erases a person, or only looks what that would be.
///
/// # Errors
/// It is no address, or nobody's; why it cannot go on. Nothing was written then.
pub(crate) fn erase(run: &Running<'_>, erase: &Erase, look: bool) -> Result<Erased, RunError> {
    let steps = run.registry.ordered()?;
    let persons: Vec<(&dyn AnyStep, Person)> = steps.iter().filter_map(|step| Some((*step, step.person()?))).collect();
    let Some((_, first)) = persons.first() else {
        let what = "no step says that its legacy rows are persons (`PERSON`): nobody can be erased";
        return Err(RunError::Settings(what.to_owned()));
    };
    let Some(address) = (first.normal)(&erase.address) else {
        return Err(RunError::Settings("that is no address of a person".to_owned()));
    };
    // What was written is told anew from what the legacy database says: it has to be what was written.
    let current = generations::current(&mut *run.databases.target.get()?)?;
    if current.is_some_and(|current| run.snapshot > current.snapshot_at) {
        let what = "the legacy database is of a later state than the target: catch up first";
        return Err(RunError::Settings(what.to_owned()));
    }
    let mut planned: Vec<(&dyn AnyStep, StepPlan)> = Vec::new();
    for step in &steps {
        let plan = plan::load(&mut *run.databases.target.get()?, step.name())?;
        planned.extend(plan.map(|plan| (*step, plan)));
    }
    let states = planned.iter().map(|(step, plan)| catch_up::differences(run, *step, plan));
    let states = states.collect::<Result<Vec<_>, _>>()?;
    let known: Vec<&dyn AnyStep> = planned.iter().map(|(step, _)| *step).collect();
    let (overlay, _) = catch_up::overlay(run, &known, &states)?;
    let erasing = Erasing { run, steps: &steps, persons: &persons, overlay: &overlay };
    let Some(whose) = whose(&erasing, (address, &erase.address))? else { return Ok(stopped()) };
    let Some(found) = erasing.found(&whose)? else { return Ok(stopped()) };
    if found.erasures.is_empty() && whose.platform.named.is_empty() {
        return Err(RunError::Nobody);
    }
    let told = erasing.told(&found, &whose);
    if look {
        return Ok(told);
    }
    let theirs = erasing.theirs(&whose)?;
    let normal = first.normal;
    let marks = {
        let mut rows = erased::rows(&mut *run.databases.target.get()?)?;
        rows.extend(theirs.clone());
        Marks::erasing(rows, whose.search.addresses().to_vec(), normal)
    };
    run.lay_over(overlay.erasing(&found.erasures, marks));
    let ready: Vec<&dyn AnyStep> = ready(run, &planned)?;
    let Some(chunks) = anew(run, &ready, &found)? else { return Ok(stopped()) };
    let ledger =
        forget(run, &Forgetting { steps: &steps, persons: &persons, whose: &whose, found: &found, theirs }, chunks)?;
    Ok(Erased { ledger, ..told })
}

/// It was asked to stop before anything was written.
fn stopped() -> Erased {
    Erased { complete: false, steps: Vec::new(), ledger: Vec::new(), platform: Vec::new() }
}

/// The steps of which chunks are done, and that can be judged: what they wait for is done.
fn ready<'a>(run: &Running<'_>, planned: &[(&'a dyn AnyStep, StepPlan)]) -> Result<Vec<&'a dyn AnyStep>, RunError> {
    let is_done = |name: &&str| planned.iter().any(|(step, plan)| step.name() == *name && plan.done);
    let mut ready = Vec::new();
    for (step, plan) in planned {
        let begun = plan.done || !recorded::chunks(&mut *run.databases.target.get()?, step.name())?.is_empty();
        if begun && step.after().iter().all(&is_done) {
            ready.push(*step);
        }
    }
    Ok(ready)
}

/// What chunks say without the person.
type OfChunks = BTreeMap<i64, OfChunk>;

/// Judges the chunks with rows of the person without their values. Every step is prepared, so that what it has read of the target is told
/// anew. None: the run was asked to stop.
fn anew(run: &Running<'_>, ready: &[&dyn AnyStep], found: &Found) -> Result<Option<OfChunks>, RunError> {
    let erasures = run.overlay().erasures();
    let none = FxHashMap::default();
    let judged = ahead(run, ready, |step, Ready { prepared, chunks, .. }| {
        let mut of_step = OfChunks::new();
        let Some(wanted) = found.chunks.get(step.name()) else { return Ok(Some(of_step)) };
        let erased = erasures.of_table(step.legacy_table()).unwrap_or(&none);
        for chunk in chunks.iter().filter(|(chunk, _)| wanted.contains(chunk)) {
            if run.stop.requested() {
                return Ok(None);
            }
            of_step.insert(chunk.0, of_chunk((run, step), *chunk, (&*prepared, erased), erasures)?);
        }
        Ok(Some(of_step))
    })?;
    Ok(judged.map(|judged| judged.into_iter().flatten().collect()))
}

fn of_chunk(
    (run, step): (&Running<'_>, &dyn AnyStep),
    chunk: (i64, Span),
    (prepared, erased): (&dyn PreparedStep, &FxHashMap<Key, Erasure>),
    erasures: &Erasures,
) -> Result<OfChunk, RunError> {
    let seen = seen_of(&mut *run.databases.target.get()?, step, chunk.0, erasures)?;
    let forgotten = Forgotten { erased, seen: seen.as_deref() };
    let written = Chunks { run, step, prepared, chunks: &[] }
        .judge(chunk, &|judged, _| judged.anew(&mut *run.databases.target.get()?, chunk.0, &forgotten))?;
    let packed = seen.map(|seen| seen::packed(seen.into_iter()));
    Ok(OfChunk { seen: packed, written: Some(written) })
}

/// Adds the chunks of steps that cannot be judged yet: they keep rows as they were read as well.
fn unjudged(run: &Running<'_>, steps: &[&dyn AnyStep], found: &Found, chunks: &mut OfChunks) -> Result<(), RunError> {
    let mut target = run.databases.target.get()?;
    for step in steps {
        for chunk in found.chunks.get(step.name()).into_iter().flatten() {
            if chunks.contains_key(chunk) {
                continue;
            }
            let seen = seen_of(&mut target, *step, *chunk, run.overlay().erasures())?;
            let seen = seen.map(|seen| seen::packed(seen.into_iter()));
            chunks.insert(*chunk, OfChunk { seen, written: None });
        }
    }
    Ok(())
}

/// The rows of a chunk as they were read last, without erased cells.
fn seen_of(
    db: &mut Db,
    step: &dyn AnyStep,
    chunk: i64,
    erasures: &Erasures,
) -> Result<Option<Vec<Table>>, LedgerError> {
    let unreadable = || LedgerError::Unreadable { what: "rows of a chunk", of: step.name().to_owned() };
    let seen = seen::of_chunk(db, step.legacy_table(), chunk)?;
    seen.map(|seen| step.erased(&seen, erasures).ok_or_else(unreadable)).transpose()
}

/// What is forgotten.
struct Forgetting<'a> {
    steps: &'a [&'a dyn AnyStep],
    persons: &'a [(&'a dyn AnyStep, Person)],
    whose: &'a Whose,
    found: &'a Found,
    theirs: ErasedRows,
}

/// Forgets, in one transaction. Returns how many rows of the ledger's tables say something else now.
fn forget(
    run: &Running<'_>,
    what: &Forgetting<'_>,
    mut chunks: OfChunks,
) -> Result<Vec<(&'static str, u64)>, RunError> {
    let Forgetting { steps, persons, whose, found, theirs } = what;
    let names: Vec<(&'static str, &'static str)> =
        steps.iter().map(|step| (step.name(), step.legacy_table())).collect();
    // Of rows that were erased before, all that was erased then.
    let (erasures, mut merged) = (run.overlay().erasures(), Erasures::default());
    for (step, table) in &names {
        for key in found.rows.get(step).into_iter().flat_map(|(theirs, others)| theirs.iter().chain(others)) {
            if let Some(erasure) = erasures.of(table, *key) {
                merged.add(table, *key, erasure.clone());
            }
        }
    }
    let addresses = whose.search.spellings();
    let held = |table: &str| persons.first().map_or(&[][..], |(_, person)| person.held_in(table));
    let text = |name: &str, row: &Json| steps.iter().find(|step| step.name() == name)?.text(row);
    let masked = |text: &str| whose.search.masked(text);
    let forgetting = Forget {
        steps: &names,
        erasures: &merged,
        rows: theirs,
        addresses: addresses.clone(),
        masked: &masked,
        held: &held,
        text: &text,
    };
    unjudged(run, steps, found, &mut chunks)?;
    let mut target = run.databases.target.get()?;
    let readings = run.overlay().marks().told_anew();
    let told = target.write(|db| {
        erased::save(db, &merged, theirs)?;
        let still = forget::readings(db, &readings, &addresses)?;
        if !still.is_empty() {
            return Err(RunError::HeldStill { readings: still.join(", ") });
        }
        for (chunk, of_chunk) in &chunks {
            forget::of_chunk(db, *chunk, of_chunk)?;
        }
        let mut told = forgetting.everywhere(db)?;
        told.push(("replant_earlier", earlier::forget(db, None)? as u64));
        told.insert(0, ("replant_seen", chunks.values().filter(|one| one.seen.is_some()).count() as u64));
        told.insert(1, ("replant_imprints", chunks.values().filter(|one| one.written.is_some()).count() as u64));
        told.push(("replant_frozen", readings.len() as u64));
        Ok(told)
    })?;
    Ok(told)
}
