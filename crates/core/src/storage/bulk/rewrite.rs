//! Rows that were written before and come out otherwise: what has to change of each, column by column.
//!
//! A column that holds what was written last is the migration's to change. One that holds something else was changed by somebody
//! since: it stays, and so do the columns that are one with it.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::batch::{Batch, UnitIndex};
use super::before::{Known, Was};
use super::pass::Pass;
use super::rewritten::Conflict;
use crate::storage::db::{Backend, Db};
use crate::storage::failure::Told;
use crate::storage::imprint::{Imprints, Lock, Reading, Value, has_row_triggers};
use crate::storage::ledger::LedgerError;
use crate::storage::ledger::changes::{self, Change};
use crate::storage::model::{Insert, Model};
use crate::storage::sql::quoted;
use crate::words::Key;

/// Rows that a statement changes.
const PAGE: usize = 500;

/// Values for some columns of a row.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) unit: UnitIndex,
    pub(super) key: Vec<Value>,
    /// By the places of the columns.
    pub(super) values: Vec<(usize, Value)>,
}

/// A row that was written before and comes out otherwise.
struct Due<'a> {
    unit: UnitIndex,
    key: Vec<Value>,
    was: &'a Was,
    /// As it comes out.
    values: Vec<Value>,
}

/// Writes those rows of a batch anew that were written before and come out otherwise. Returns the rows that are new.
///
/// # Errors
/// Those of the database. Where a row is to blame, the unit is found by halves; in SQLite it is refused.
pub(super) fn rewrite<T: Insert>(pass: &mut Pass<'_>, batch: &Batch<T>) -> QueryResult<Batch<T>> {
    let shape = T::shape();
    let Some(known) = pass.before.and_then(|before| before.table(shape.name)) else {
        return Ok(batch.only(&|unit| !pass.out.contains(unit)));
    };
    let mut sent = Imprints::default();
    sent.raw(batch.iter().map(|(unit, row)| (Key::from(unit), row)));
    let Some(table) = sent.tables.first() else { return Ok(Batch::default()) };
    let (mut fresh, mut due) = (Batch::default(), Vec::new());
    for (place, (unit, row)) in batch.iter().enumerate().filter(|(_, (unit, _))| !pass.out.contains(*unit)) {
        let values = known.reading.arranged(table, place);
        let key = known.reading.key(&values);
        match known.rows.get(&key) {
            None => {
                pass.rewritten.units.insert(unit);
                fresh.push(unit, row.clone());
            }
            Some(was) => {
                if was.values != known.hashed(&values) {
                    due.push(Due { unit, key, was, values });
                }
            }
        }
    }
    if !due.is_empty() {
        write(pass, (shape.name, known), &due)?;
    }
    Ok(fresh)
}

fn write(pass: &mut Pass<'_>, (table, known): (&'static str, &Known), due: &[Due<'_>]) -> QueryResult<()> {
    let reading = &known.reading;
    let keys: Vec<Vec<Value>> = due.iter().map(|due| due.key.clone()).collect();
    let standing = reading.rows(pass.db, &keys, Lock::Values)?;
    let groups = groups_of(&known.model, &known.reading);
    let mut updates = Vec::new();
    for Due { unit, key, was, values } in due {
        let row = || (table, key.clone());
        let Some(stands) = standing.get(key) else {
            pass.rewritten.conflicts.push(Conflict { unit: *unit, row: row(), columns: Vec::new() });
            pass.rewritten.imprints.insert(row(), was.values.clone());
            continue;
        };
        let (now, new) = (known.hashed(stands), known.hashed(values));
        let (mut imprint, mut update, mut kept) = (was.values.clone(), Vec::new(), Vec::new());
        for group in &groups {
            let same = |a: &[Value], b: &[Value]| group.iter().all(|place| a[*place] == b[*place]);
            if same(&was.values, &new) {
                continue;
            }
            if !same(&now, &was.left) && !same(&now, &new) {
                kept.extend(group.iter().filter(|place| was.values[**place] != new[**place]));
                continue;
            }
            for place in group {
                imprint[*place] = new[*place].clone();
                if now[*place] != new[*place] {
                    update.push((*place, values[*place].clone()));
                }
            }
        }
        if !kept.is_empty() {
            let columns = kept.iter().map(|place: &&usize| reading.columns()[**place].0.clone()).collect();
            pass.rewritten.conflicts.push(Conflict { unit: *unit, row: row(), columns });
        }
        if !update.is_empty() {
            let places = || update.iter().map(|(place, _)| *place);
            let change = Change {
                table: table.into(),
                row: known.name(key),
                legacy_key: Some(was.key),
                what: changes::REWRITTEN.into(),
                before: Some(reading.some_columns(&now, places())),
                after: Some(reading.some_columns(&new, places())),
            };
            // What later steps made of the row is told by changes alone, and this comes after them.
            pass.rewritten.changes.push((change, !was.layered));
            pass.rewritten.units.insert(*unit);
            updates.push(Update { unit: *unit, key: key.clone(), values: update });
        }
        if was.layered {
            let anew = (0..imprint.len()).filter(|place| imprint[*place] != was.values[*place]);
            let anew = reading.some_columns(&imprint, anew);
            changes::rebase(pass.db, table, &known.name(key), &anew).map_err(LedgerError::into_diesel)?;
        }
        pass.rewritten.imprints.insert(row(), imprint);
    }
    update(pass, reading, &updates)?;
    if updates.is_empty() || !has_row_triggers(pass.db, table)? {
        return Ok(());
    }
    let keys: Vec<Vec<Value>> = updates.into_iter().map(|update| update.key).collect();
    for (key, after) in reading.rows(pass.db, &keys, Lock::No)? {
        let (before, after) = (known.hashed(&standing[&key]), known.hashed(&after));
        let imprint = pass.rewritten.imprints.entry((table, key)).or_insert_with(|| after.clone());
        for ((imprint, before), after) in imprint.iter_mut().zip(before).zip(after) {
            if before != after {
                *imprint = after;
            }
        }
    }
    Ok(())
}

/// The places of the columns that are one to whoever changes them.
pub(super) fn groups_of(model: &Model, reading: &Reading) -> Vec<Vec<usize>> {
    let columns = reading.columns();
    let place = |name: &&str| columns.iter().position(|(column, _)| column == name);
    // Two lists that share a column are one.
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for together in model.together {
        let mut group: Vec<usize> = together.iter().filter_map(place).collect();
        groups.retain(|other| {
            let shares = other.iter().any(|place| group.contains(place));
            if shares {
                group.extend(other.iter().filter(|place| !together.contains(&columns[**place].0.as_str())));
            }
            !shares
        });
        groups.push(group);
    }
    let alone = (0..columns.len()).filter(|place| !groups.iter().flatten().any(|grouped| grouped == place));
    let alone: Vec<Vec<usize>> = alone.map(|place| vec![place]).collect();
    groups.extend(alone);
    groups
}

/// Changes columns of rows. In SQLite a refused row's unit is refused.
///
/// # Errors
/// Those of the database.
pub(super) fn update(pass: &mut Pass<'_>, reading: &Reading, updates: &[Update]) -> QueryResult<()> {
    let mut by_columns: BTreeMap<Vec<usize>, Vec<&Update>> = BTreeMap::new();
    for update in updates {
        by_columns.entry(update.values.iter().map(|(place, _)| *place).collect()).or_default().push(update);
    }
    for (places, updates) in by_columns {
        for some in updates.chunks(PAGE) {
            match &mut *pass.db {
                Db::Lite(_) if !pass.finishing => {
                    for update in some {
                        let sql = statement(reading, &places, &[update], Backend::Sqlite);
                        pass.each_lite(update.unit, reading.table(), |lite| diesel::sql_query(sql).execute(lite))?;
                    }
                }
                db => {
                    let sql = statement(reading, &places, some, db.backend());
                    if pass.execute(&sql)? != some.len() {
                        return Err(Told::not_taken(reading.table()));
                    }
                    pass.touched.extend(some.iter().map(|update| update.unit));
                }
            }
        }
    }
    Ok(())
}

fn statement(reading: &Reading, places: &[usize], updates: &[&Update], backend: Backend) -> String {
    let (keys, columns) = (reading.keyed(), reading.columns());
    let named = |letter: char, count: usize| (0..count).map(move |n| format!("{letter}{n}"));
    let names: Vec<String> = named('k', keys.len()).chain(named('c', places.len())).collect();
    let row = |update: &&Update| {
        let key = update.key.iter().zip(keys).map(|(value, (_, kind))| value.sql(*kind, backend));
        let values = update.values.iter().map(|(place, value)| value.sql(columns[*place].1, backend));
        format!("({})", key.chain(values).collect::<Vec<_>>().join(", "))
    };
    let set = places.iter().enumerate().map(|(n, place)| format!("{} = v.c{n}", quoted(&columns[*place].0)));
    let same = keys.iter().enumerate().map(|(n, (name, _))| format!("t.{} = v.k{n}", quoted(name)));
    format!(
        "WITH v ({}) AS (VALUES {}) UPDATE {} AS t SET {} FROM v WHERE {}",
        names.join(", "),
        updates.iter().map(row).collect::<Vec<_>>().join(", "),
        quoted(reading.table()),
        set.collect::<Vec<_>>().join(", "),
        same.collect::<Vec<_>>().join(" AND ")
    )
}
