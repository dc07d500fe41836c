//! Rows that no chunk has written and that steps have changed, or added when they were finished: they stand as they were left, or
//! somebody has changed them since.

use rustc_hash::FxHashSet;

use super::again::is_unexpected;
use super::verdict::{Difference, Verdict};
use crate::contract::inspect::Finding;
use crate::engine::error::RunError;
use crate::engine::run::Running;
use crate::engine::step::AnyStep;
use crate::engine::written::{Kept, Sheet};
use crate::storage::db::{Db, Role};
use crate::storage::fields::Field;
use crate::storage::imprint::{Columns, Lock, Reading, Value};
use crate::storage::ledger::changes::{self, Known, RowName};
use crate::storage::ledger::plan::{self, Ours};
use crate::storage::ledger::{Attempt, LedgerError};

/// Rows that are asked for at once.
const PAGE: i64 = 1_000;

/// Looks at what the steps have changed, or added when they were finished. Returns what differs, and the tables of which nobody knows
/// the columns.
///
/// # Errors
/// A database fails, or a change cannot be read back.
pub(super) fn look(run: &Running<'_>, steps: &[&dyn AnyStep]) -> Result<(Vec<Difference>, Vec<Finding>), RunError> {
    let mut db = run.databases.target.get()?;
    let (planned, finished) = plan::ours_by_time(&mut db)?;
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for table in changes::tables(&mut db)? {
        let Some(sheet) = Sheet::of(&mut db, run.registry, &table)? else {
            let what = format!(
                "rows of `{table}` were changed, and no step says what its columns hold: they are not verified"
            );
            unknown.push(Finding::note(Role::Target, what));
            continue;
        };
        let other = Other { steps, sheet: &sheet, planned: &planned, finished: &finished };
        let mut after = i64::MIN;
        loop {
            let ids = changes::changed_ids(&mut db, &table, after, PAGE)?;
            let Some(last) = ids.last() else { break };
            after = *last;
            let names = ids.into_iter().filter(|id| !planned.made(&table, *id)).map(RowName::Id).collect();
            found.extend(db.snapshot(|db| other.rows(db, names))?);
        }
        let mut after = String::new();
        loop {
            let keys = changes::changed_keys(&mut db, &table, &after, PAGE)?;
            let Some(last) = keys.last() else { break };
            after.clone_from(last);
            found.extend(db.snapshot(|db| other.rows(db, keys.into_iter().map(RowName::Key).collect()))?);
        }
        found.extend(db.snapshot(|db| other.unnamed(db))?);
    }
    Ok((found, unknown))
}

/// A table of which rows were changed.
struct Other<'a> {
    steps: &'a [&'a dyn AnyStep],
    sheet: &'a Sheet,
    planned: &'a Ours,
    finished: &'a Ours,
}

impl Other<'_> {
    /// How some rows stand that were changed.
    fn rows(&self, db: &mut Db, names: Vec<RowName>) -> Result<Vec<Difference>, LedgerError> {
        let (table, reading) = (self.sheet.model.shape.name, self.sheet.whole());
        let done = changes::of_rows(db, table, &names)?;
        let key = |name: &RowName| self.sheet.key_of(&reading, name);
        let keys: Vec<Vec<Value>> = names.iter().filter_map(key).collect();
        let standing = reading.rows(db, &keys, Lock::No).attempt("compared")?;
        let mut found = Vec::new();
        for name in names {
            let Some(key) = key(&name) else { continue };
            let done: Vec<&Known> = done.get(&name).into_iter().flatten().filter(|done| !done.in_imprint).collect();
            let Some(last) = done.last() else { continue };
            let Some(step) = self.steps.iter().find(|step| step.name() == last.step) else { continue };
            // One that was taken out may have been added by anybody since.
            if last.after.is_none() {
                continue;
            }
            let mut left = Columns::new();
            done.iter().filter_map(|done| done.after.as_ref()).for_each(|after| left.extend(after.clone()));
            let stands = standing.get(&key).map(|stands| self.sheet.hashed(&reading, stands));
            found.extend(self.told(db, step.name(), &reading, (name, &left), stands)?);
        }
        Ok(found)
    }

    fn told(
        &self,
        db: &mut Db,
        step: &'static str,
        reading: &Reading,
        (name, left): (RowName, &Columns),
        stands: Option<Vec<Value>>,
    ) -> Result<Option<Difference>, LedgerError> {
        let place = |name: &str| reading.columns().iter().position(|(known, _)| known == name);
        let mut expected = stands.clone();
        if let Some(expected) = &mut expected {
            for (name, json) in left {
                if let Some(place) = place(name) {
                    expected[place] = Value::from_json(json, reading.columns()[place].1);
                }
            }
        }
        let others: Vec<usize> = match (&expected, &stands) {
            (Some(expected), Some(stands)) => (0..stands.len()).filter(|at| expected[*at] != stands[*at]).collect(),
            _ => Vec::new(),
        };
        let verdict = match &stands {
            None => Verdict::Removed,
            Some(_) if others.is_empty() => return Ok(None),
            Some(_) if is_unexpected(db, self.sheet, reading, (expected.as_deref(), stands.as_deref()), &others)? => {
                Verdict::Unexpected
            }
            Some(_) => Verdict::Changed,
        };
        let some = |values: &Vec<Value>| reading.some_columns(values, others.iter().copied());
        Ok(Some(Difference {
            step,
            legacy_key: None,
            table: self.sheet.model.shape.name.to_owned(),
            row: Some(name),
            columns: others.iter().map(|place| reading.columns()[*place].0.clone()).collect(),
            verdict,
            expected: expected.as_ref().map_or_else(|| left.clone(), some),
            found: stands.as_ref().map(some).unwrap_or_default(),
        }))
    }

    /// Rows with ids that were handed out when a step was finished, and that nothing names.
    fn unnamed(&self, db: &mut Db) -> Result<Vec<Difference>, LedgerError> {
        let table = self.sheet.model.shape.name;
        if self.sheet.rows != Kept::ById {
            return Ok(Vec::new());
        }
        let reading = self.sheet.whole();
        let mut found = Vec::new();
        let Some(first) = self.steps.first() else { return Ok(found) };
        for range in self.finished.ranges(table) {
            let held = reading.between(db, (range.first, range.last())).attempt("compared")?;
            let ids = held.values[reading.first_of_key()].iter();
            let ids = ids
                .enumerate()
                .filter_map(|(row, id)| if let Field::Integer(id) = id { Some((row, id)) } else { None });
            let ids: Vec<(usize, i64)> = ids.filter(|(_, id)| self.finished.made(table, *id)).collect();
            let names: Vec<RowName> = ids.iter().map(|(_, id)| RowName::Id(*id)).collect();
            let done = changes::of_rows(db, table, &names)?;
            let named: FxHashSet<&RowName> = done.keys().collect();
            for (row, id) in ids.iter().filter(|(_, id)| !named.contains(&RowName::Id(*id))) {
                debug_assert!(!self.planned.made(table, *id), "no id is handed out twice");
                let stands = self.sheet.hashed(&reading, &held.row(*row));
                found.push(Difference {
                    step: first.name(),
                    legacy_key: None,
                    table: table.to_owned(),
                    row: Some(RowName::Id(*id)),
                    columns: Vec::new(),
                    verdict: Verdict::Unexplained,
                    expected: Columns::new(),
                    found: reading.some_columns(&stands, 0..stands.len()),
                });
            }
        }
        Ok(found)
    }
}
