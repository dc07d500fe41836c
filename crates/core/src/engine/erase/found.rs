//! What says something of a person: legacy rows, the chunks that keep them, and the rows of the target that are the person's.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value as Json;

use super::rows::{Erasing, each_row};
use super::search::Search;
use super::told::{Erased, StepErased};
use super::whose::Whose;
use crate::contract::person::Person;
use crate::engine::error::RunError;
use crate::engine::step::AnyStep;
use crate::storage::ledger::erased::{self, ERASED, ErasedRow, ErasedRows, Erasure, Erasures};
use crate::storage::ledger::recorded;
use crate::storage::shape::Kind;
use crate::words::Key;

/// What says something of the person.
#[derive(Default)]
pub(super) struct Found {
    pub(super) erasures: Erasures,
    /// The legacy rows, by step: those that are the person's, and others.
    pub(super) rows: BTreeMap<&'static str, (BTreeSet<Key>, BTreeSet<Key>)>,
    /// Chunks that keep such rows, by step.
    pub(super) chunks: FxHashMap<&'static str, BTreeSet<i64>>,
}

impl Erasing<'_> {
    /// All that says something of a person. None: the run was asked to stop.
    pub(super) fn found(&self, whose: &Whose) -> Result<Option<Found>, RunError> {
        let (run, mut found) = (self.run, Found::default());
        for step in self.steps {
            let person = self.persons.iter().find(|(of, _)| of.name() == step.name()).map(|(_, person)| person);
            let own = whose.rows.get(step.name());
            let is_own = |key: Key| own.is_some_and(|own| own.contains(&key));
            let goes_on = each_row(run, (*step, self.overlay), &mut |chunk, table| {
                let mut places = whose.search.rows(table);
                places.extend(table.keys.iter().copied().enumerate().filter(|(_, key)| is_own(*key)));
                for (place, key) in places {
                    let Some(row) = step.read_last(table, key) else { continue };
                    let erasure = match person.filter(|_| is_own(key)) {
                        Some(person) => whole(*step, person, &whose.search, &row),
                        None => cells(&whose.search, &row),
                    };
                    debug_assert_eq!(table.keys[place], key, "a row has one key");
                    if erasure == Erasure::default() {
                        continue;
                    }
                    let (theirs, others) = found.rows.entry(step.name()).or_default();
                    if erasure.is_whole() {
                        theirs.insert(key)
                    } else {
                        others.insert(key)
                    };
                    found.erasures.add(step.legacy_table(), key, erasure);
                    found.chunks.entry(step.name()).or_default().extend(chunk);
                }
            })?;
            if !goes_on {
                return Ok(None);
            }
        }
        let mut target = run.databases.target.get()?;
        for (step, (theirs, others)) in &found.rows {
            for key in theirs.iter().chain(others) {
                if let Some((chunk, _)) = recorded::of_row(&mut target, step, *key)? {
                    found.chunks.entry(step).or_default().insert(chunk);
                }
            }
        }
        Ok(Some(found))
    }

    pub(super) fn told(&self, found: &Found, whose: &Whose) -> Erased {
        let step = |step: &&dyn AnyStep| {
            let (whole, cells) = found.rows.get(step.name())?;
            let cells = cells.difference(whole).copied().collect();
            let whole = whole.iter().copied().collect();
            Some(StepErased { step: step.name(), legacy_table: step.legacy_table(), whole, cells })
        };
        let steps = self.steps.iter().filter_map(step).collect();
        Erased { complete: true, steps, ledger: Vec::new(), platform: whose.platform.named.clone() }
    }

    /// The rows of the target that are the person's: what their legacy rows became, what was merged into that, and rows of persons that
    /// have an address of theirs. Those that were somebody's who was erased before stay that one's.
    pub(super) fn theirs(&self, whose: &Whose) -> Result<ErasedRows, RunError> {
        let mut theirs = ErasedRows::default();
        let mut target = self.run.databases.target.get()?;
        let before = erased::rows(&mut target)?;
        let Some(default) = whose.search.addresses().first().map(|(_, mark)| mark.clone()) else { return Ok(theirs) };
        for (step, person) in self.persons {
            let Some((table, columns)) = person.held.first() else { continue };
            let row = |mark: String| ErasedRow { mark, held: columns.iter().map(|one| (*one).to_owned()).collect() };
            for key in whose.rows.get(step.name()).into_iter().flatten() {
                let mut ids: Vec<i64> = erased::touched(&mut target, step.name(), *key, table)?;
                let became = recorded::of_row(&mut target, step.name(), *key)?.map(|(_, row)| row);
                ids.extend(became.filter(|row| row.table.is_none()).and_then(|row| row.target));
                let mark = whose.marks.get(&(step.name(), *key)).unwrap_or(&default);
                theirs.extend(ids.into_iter().map(|id| (((*table).to_owned(), id), row(mark.clone()))));
            }
            for (of, id, address) in whose.platform.addresses.iter().filter(|(of, ..)| of == table) {
                let mark = whose.search.of(address).unwrap_or(&default);
                theirs.entry(((*of).to_owned(), *id)).or_insert_with(|| row(mark.to_owned()));
            }
        }
        theirs.retain(|row, _| !before.contains_key(row));
        Ok(theirs)
    }
}

/// A cell that held something that its type cannot say, without that.
fn unfit(bad: &serde_json::Map<String, Json>) -> Json {
    let mut unfit = bad.clone();
    unfit.insert("raw".to_owned(), ERASED.into());
    Json::Object(unfit)
}

/// What is read in the place of the cells of a row that is the person's: the mark in the place of the address, and nothing of all
/// texts that are not kept.
fn whole(step: &dyn AnyStep, person: &Person, search: &Search, row: &Json) -> Erasure {
    let texts: FxHashSet<&str> = {
        let (shape, _) = step.legacy_shape();
        shape.columns.iter().filter(|column| column.kind == Kind::Text).map(|column| column.name).collect()
    };
    let (mut erasure, mut kept) = (cells(search, row), Vec::new());
    for (column, value) in row.as_object().into_iter().flatten() {
        let name = column.as_str();
        if erasure.cells.contains_key(name) {
            continue;
        }
        let is_kept = person.kept.contains(&name);
        match value {
            // What a number or a time should be may be a text.
            Json::Object(bad) if !is_kept => {
                erasure.cells.insert(column.clone(), unfit(bad));
            }
            _ if is_kept || !texts.contains(name) => kept.push(column.clone()),
            _ => {}
        }
    }
    Erasure { kept: Some(kept), ..erasure }
}

/// What is read in the place of cells that hold an address.
fn cells(search: &Search, row: &Json) -> Erasure {
    let mut erasure = Erasure::default();
    for (column, value) in row.as_object().into_iter().flatten() {
        let masked = match value {
            Json::String(text) => search.masked(text).map(Json::String),
            Json::Object(bad) => {
                let holds = |raw: &Json| raw.as_str().is_some_and(|raw| search.within(raw).is_some());
                bad.get("raw").is_some_and(holds).then(|| unfit(bad))
            }
            _ => None,
        };
        if let Some(masked) = masked {
            erasure.cells.insert(column.clone(), masked);
        }
    }
    erasure
}
