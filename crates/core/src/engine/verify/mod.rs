//! A verification: every row on three sides. What today's rules make of the source, what the ledger says was written, and what stands
//! in the target. Nothing is written but that it was done, and when.
//!
//! A chunk is looked at in one state of the target, ledger and rows together ([`first`]). Rows that do not stand as they should are
//! looked at once more when the step is through ([`again`]): what customers do meanwhile is theirs then, and what a run does is known
//! to the ledger. [`others`] are rows that no chunk has written, and that steps have changed;
//! [`structure`] the constraints, indexes and sequences around the rows.

mod again;
mod first;
mod others;
mod structure;
mod sums;
mod verdict;

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::{FxHashMap, FxHashSet};

use first::{Looked, Looking, Suspects, Told};
use sums::Sums;
pub use verdict::{Difference, MoneyVerified, StepVerified, Tally, Verdict, Verified};

use super::catch_up;
use super::chunk::Stale;
use super::chunks::{Chunks, Ready, ahead, look_at_each};
use super::error::RunError;
use super::event::Event;
use super::run::Running;
use super::step::{AnyStep, PreparedStep};
use super::written::Sheet;
use crate::contract::inspect::Finding;
use crate::storage::db::Db;
use crate::storage::ledger::changes::RowName;
use crate::storage::ledger::plan::{self, Span, StepPlan};
use crate::storage::ledger::verifications::{self, Verification};
use crate::storage::ledger::{LedgerError, erased, generations, imprints, recorded};
use crate::storage::types::Instant;

/// Against what rows are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// What today's rules make of the legacy database, and what the ledger says.
    Source,
    /// What the ledger says alone: the legacy database is not read.
    Ledger,
}

impl Against {
    /// As the ledger notes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Ledger => "ledger",
        }
    }
}

/// Verifies steps, and hands on each row that does not stand as it should.
///
/// # Errors
/// Why it cannot go on.
pub(crate) fn verify(
    run: &Running<'_>,
    steps: &[&dyn AnyStep],
    against: Against,
    found: &(dyn Fn(&Difference) + Sync),
) -> Result<Verified, RunError> {
    // Lookups read tables of steps that are not verified.
    let all = planned(run, &if against == Against::Source { run.registry.ordered()? } else { steps.to_vec() })?;
    let is_asked = |step: &dyn AnyStep| steps.iter().any(|asked| asked.name() == step.name());
    let planned: Vec<(&dyn AnyStep, &StepPlan)> =
        all.iter().filter(|(step, _)| is_asked(*step)).map(|(step, plan)| (*step, plan)).collect();
    let told = Mutex::default();
    let found = |difference: &Difference| {
        if let Some(row @ RowName::Key(_)) = &difference.row {
            let mut told: MutexGuard<'_, FxHashSet<(String, RowName)>> =
                told.lock().unwrap_or_else(PoisonError::into_inner);
            // A row without an id may have been looked at with its chunk.
            if !told.insert((difference.table.clone(), row.clone())) {
                return false;
            }
        }
        found(difference);
        true
    };
    let mut verifying = Verifying { run, found: &found, sums: Sums::default() };
    // What is around the rows is looked at beside them: neither depends on what is found of the other.
    let around = || run.patiently(TARGET, || structure::look(run, &planned));
    let (rows, around) = match run.databases.target.size() {
        ..2 => (verifying.rows(&all, &planned, against), around()),
        2.. => std::thread::scope(|scope| {
            let around = scope.spawn(around);
            let rows = verifying.rows(&all, &planned, against);
            (rows, around.join().unwrap_or_else(|defect| resume_unwind(defect)))
        }),
    };
    let (Some(mut verified), Some(mut findings)) = (rows?, around?) else { return Ok(stopped()) };
    findings.extend(verifying.others(&planned, &mut verified)?);
    let not_planned = steps.iter().filter(|step| !planned.iter().any(|(planned, _)| planned.name() == step.name()));
    verified.extend(not_planned.map(|step| StepVerified::not_planned(step.name())));
    let place = |one: &StepVerified| steps.iter().position(|step| step.name() == one.step);
    verified.sort_by_key(place);
    let verified = Verified { complete: true, steps: verified, money: verifying.sums.told(), findings };
    run.patiently(TARGET, || Ok(note(&mut *run.databases.target.get()?, &verified)?))?;
    Ok(verified)
}

/// The steps that were planned, each with its plan.
fn planned<'a>(run: &Running<'_>, steps: &[&'a dyn AnyStep]) -> Result<Vec<(&'a dyn AnyStep, StepPlan)>, RunError> {
    let mut planned = Vec::new();
    for step in steps {
        let plan = plan::load(&mut *run.databases.target.get()?, step.name())?;
        planned.extend(plan.map(|plan| (*step, plan)));
    }
    Ok(planned)
}

/// It was asked to stop: what was found until then was handed on.
fn stopped() -> Verified {
    Verified { complete: false, steps: Vec::new(), money: Vec::new(), findings: Vec::new() }
}

/// Notes in the ledger what was verified.
fn note(db: &mut Db, verified: &Verified) -> Result<(), LedgerError> {
    let (now, generation) = (Instant::now(), generations::current(db)?.map_or(plan::FIRST, |current| current.n));
    let noted = verified.steps.iter().map(|step| Verification {
        step: step.step.to_owned(),
        verified_at: now,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generation,
        against: step.judged.map_or(Against::Ledger, |_| Against::Source).as_str().to_owned(),
        rows: step.rows,
        equal: step.equal,
        changed: step.tally.of(Verdict::Changed),
        removed: step.tally.of(Verdict::Removed),
        added: step.tally.of(Verdict::Added),
        stale: step.tally.those(Verdict::is_stale),
        unexpected: step.tally.of(Verdict::Unexpected),
        defects: step.tally.of(Verdict::Defect),
        unexplained: step.tally.of(Verdict::Unexplained),
    });
    verifications::note(db, noted)
}

struct Verifying<'a> {
    run: &'a Running<'a>,
    /// Hands on a row; not where that was done.
    found: &'a (dyn Fn(&Difference) -> bool + Sync),
    sums: Sums,
}

impl Verifying<'_> {
    /// Looks at every row of the steps in `planned`; `all`: whose tables lookups may read. None: the run was asked to stop.
    fn rows(
        &mut self,
        all: &[(&dyn AnyStep, StepPlan)],
        planned: &[(&dyn AnyStep, &StepPlan)],
        against: Against,
    ) -> Result<Option<Vec<StepVerified>>, RunError> {
        let run = self.run;
        let is_judged = |plan: &StepPlan| against == Against::Source && plan.done;
        let judged: Vec<&dyn AnyStep> =
            planned.iter().filter(|(_, plan)| is_judged(plan)).map(|(step, _)| *step).collect();
        let mut behind: FxHashMap<&str, (u64, u64)> = FxHashMap::default();
        if against == Against::Source {
            let steps: Vec<&dyn AnyStep> = all.iter().map(|(step, _)| *step).collect();
            let states = all.iter().map(|(step, plan)| catch_up::differences(run, *step, plan));
            let states = states.collect::<Result<Vec<_>, _>>()?;
            catch_up::lay_over(run, &steps, &states)?;
            behind.extend(steps.iter().zip(&states).map(|(step, state)| (step.name(), state.behind())));
        }
        let first = ahead(run, &judged, |step, Ready { prepared, plan, .. }| {
            let one = self.step(step, &plan, Some(&*prepared))?;
            let behind = behind.get(step.name()).copied().unwrap_or_default();
            Ok(one.map(|one| StepVerified { behind, ..one }))
        })?;
        let Some(mut verified) = first else { return Ok(None) };
        for (step, plan) in planned.iter().filter(|(_, plan)| !is_judged(plan)) {
            let Some(one) = self.step(*step, plan, None)? else { return Ok(None) };
            verified.push(one);
        }
        Ok(Some(verified))
    }

    /// Looks at every chunk of a step; `prepared`: and judges it. None: the run was asked to stop.
    fn step(
        &mut self,
        step: &dyn AnyStep,
        plan: &StepPlan,
        prepared: Option<&dyn PreparedStep>,
    ) -> Result<Option<StepVerified>, RunError> {
        let (run, name, target) = (self.run, step.name(), &self.run.databases.target);
        let sheets = Sheet::all(&mut *target.get()?, step)?;
        let cluster = imprints::cluster(&mut *target.get()?).map_err(LedgerError::from)?;
        let waiting = Looking::waiting(&mut *target.get()?, name, &sheets)?;
        let erasures = erased::load(&mut *target.get()?)?;
        let erased = erasures.of_table(step.legacy_table()).into_iter().flatten().map(|(key, _)| *key).collect();
        let target_table = step.target_table();
        let looking = Looking { sheets: &sheets, plan, step: name, target: target_table, cluster, waiting, erased };
        let chunks = recorded::all_chunks(&mut *target.get()?, name)?;
        let done = chunks.iter().all(|(.., is_done)| *is_done);
        let chunks: Vec<(i64, Span)> = chunks.into_iter().map(|(chunk, span, _)| (chunk, span)).collect();
        let looks = Looks { run, step, looking: &looking, prepared, found: self.found };
        let in_hand = AtomicUsize::new(0);
        let first = look_at_each(run, &chunks, &|chunk| looks.first(*chunk, &in_hand))?;
        let Some(Looked { read, waiting, rows, sums, suspects, mut told }) = first else { return Ok(None) };
        let Some(again) = look_at_each(run, &suspects, &|suspects| looks.again(suspects))? else { return Ok(None) };
        told += again;
        self.sums += sums;
        self.sums += told.sums;
        let equal = rows.saturating_sub(told.differing);
        run.reporter.event(&Event::Verified { step: name, rows, equal });
        let judged = prepared.map(|_| read);
        Ok(Some(StepVerified { step: name, judged, rows, equal, tally: told.tally, waiting, behind: (0, 0), done }))
    }

    /// Looks at what was done to rows that no chunk has written.
    fn others(
        &mut self,
        planned: &[(&dyn AnyStep, &StepPlan)],
        verified: &mut [StepVerified],
    ) -> Result<Vec<Finding>, RunError> {
        let steps: Vec<&dyn AnyStep> = planned.iter().map(|(step, _)| *step).collect();
        let (differences, findings) = self.run.patiently(TARGET, || others::look(self.run, &steps))?;
        for difference in differences {
            let step = verified.iter_mut().find(|step| step.step == difference.step);
            if let Some(step) = step.filter(|_| (self.found)(&difference)) {
                step.tally.add(difference.verdict);
            }
        }
        Ok(findings)
    }
}

/// So many rows that need another look are kept in memory at the most: what comes then is looked at again at once.
const MANY: usize = 200_000;

/// As whom the end of a verification tells that it tries again.
const TARGET: &str = "target";

/// How often a chunk is looked at that a run closes anew meanwhile.
const TRIES: usize = 5;

/// Looks at the chunks of a step.
struct Looks<'a> {
    run: &'a Running<'a>,
    step: &'a dyn AnyStep,
    looking: &'a Looking<'a>,
    prepared: Option<&'a dyn PreparedStep>,
    /// Hands on a row; not where that was done.
    found: &'a (dyn Fn(&Difference) -> bool + Sync),
}

impl Looks<'_> {
    /// The first look at a chunk, and the second one where too many rows wait for it.
    fn first(&self, chunk: (i64, Span), in_hand: &AtomicUsize) -> Result<Looked, RunError> {
        let mut looked = self.look(chunk)?;
        let more: usize = looked.suspects.iter().map(Suspects::rows).sum();
        if in_hand.fetch_add(more, Ordering::Relaxed) + more > MANY {
            for suspects in std::mem::take(&mut looked.suspects) {
                looked.told += self.again(&suspects)?;
            }
        }
        Ok(looked)
    }

    /// Looks at a chunk, ledger and rows in one state of the target.
    fn look(&self, chunk: (i64, Span)) -> Result<Looked, RunError> {
        let Self { run, step, looking, .. } = self;
        let Some(prepared) = self.prepared else {
            return run.patiently(step.name(), || {
                Ok(run.databases.target.get()?.snapshot(|db| looking.look(db, chunk, Stale::default()))?)
            });
        };
        Chunks { run, step: *step, prepared, chunks: &[] }.judge(chunk, &|judged, _| {
            run.databases.target.get()?.snapshot(|db| {
                let stale = judged.stale(db, chunk.0)?;
                Ok(looking.look(db, chunk, stale)?)
            })
        })
    }

    /// The second look at rows of a chunk: what differs still is handed on.
    fn again(&self, suspects: &Suspects) -> Result<Told, RunError> {
        let (target, mut anew) = (&self.run.databases.target, None);
        for _ in 0..TRIES {
            let suspects = anew.as_ref().unwrap_or(suspects);
            let found = self
                .run
                .patiently(self.step.name(), || Ok(target.get()?.snapshot(|db| self.looking.again(db, suspects))?))?;
            if let Some(found) = found {
                found.differences.iter().for_each(|difference| {
                    (self.found)(difference);
                });
                return Ok(found.told());
            }
            match self.look(suspects.chunk)?.suspects.pop() {
                Some(other) => anew = Some(other),
                None => return Ok(Told::default()),
            }
        }
        // It is being closed again and again: the next verification tells.
        Ok(Told::default())
    }
}
