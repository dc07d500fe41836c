//! Rows that are there already, of whomever: changed as a rule says, and judged again as if nothing of it had been done.
//!
//! What the migration did to such a row before is known from the ledger. Where it still stands it is taken back in thought, and the
//! rule decides anew; where somebody has changed it since, it is theirs.

use std::borrow::Cow;

use diesel::QueryResult;
use diesel::result::Error;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::de::DeserializeOwned;

use super::batch::UnitIndex;
use super::pass::Pass;
use super::rewrite::{Update, groups_of, update};
use super::rewritten::Conflict;
use crate::storage::imprint::{Imprints, Lock, Reading, Value, row};
use crate::storage::ledger::LedgerError;
use crate::storage::ledger::changes::{self, Change, Known, RowName};
use crate::storage::model::{Insert, Model};
use crate::storage::types::Instant;
use crate::words::{Code, Key};

/// A row that is there and that a rule changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amendment {
    /// For which unit; any, where a step is finished.
    pub unit: UnitIndex,
    /// The row.
    pub id: i64,
    /// The legacy row for whose sake; none where there is none.
    pub legacy_key: Option<Key>,
    /// What is locked while it is changed: the key too where a column of a unique index may change, or one that others point to.
    pub lock: Lock,
}

/// How rows are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amending {
    /// In a word: `filled`.
    pub what: &'static str,
    /// The column in which the platform notes when a row was changed: now, where anything else is.
    pub stamp: Option<&'static str>,
}

/// What has to change of a row.
struct Due {
    values: Vec<(usize, Value)>,
    conflict: Vec<String>,
}

/// Of columns that the migration has changed before: what stands there without that, or that they are somebody else's now.
enum Own {
    Before(Value),
    Theirs,
}

pub(super) struct Amends<'a, T> {
    pub(super) step: &'a str,
    pub(super) amending: Amending,
    pub(super) rows: &'a [Amendment],
    /// The row with a place among them, as it is to be; or why its unit is refused. None: there is no such row.
    pub(super) change: &'a mut dyn FnMut(usize, Option<T>) -> Result<T, (Code, String)>,
}

impl<T: Insert + DeserializeOwned> Amends<'_, T> {
    /// Changes what has to be changed. `at_once`: rows are locked before they are looked at, because most will be changed.
    pub(super) fn apply(self, pass: &mut Pass<'_>, at_once: bool) -> QueryResult<Vec<Change>> {
        let model = Model::of::<T>();
        let columns: Vec<Cow<'static, str>> =
            model.shape.columns.iter().map(|column| Cow::Borrowed(column.name)).collect();
        let reading = Reading::new(pass.db, &model.shape, &columns)?;
        let groups = groups_of(&model, &reading);
        let mut looked = Looked { model, reading, groups, amends: self };
        let rows = looked.amends.rows;
        let mut once = FxHashSet::default();
        let first = |place: &usize| !pass.out.contains(rows[*place].unit) && once.insert(rows[*place].id);
        let all: Vec<usize> = (0..rows.len()).filter(first).collect();
        let places = match at_once {
            true => all,
            false => looked.due(pass, &all, false)?.into_iter().map(|(place, ..)| place).collect(),
        };
        let due = looked.due(pass, &places, true)?;
        looked.write(pass, due)
    }
}

struct Looked<'a, T> {
    model: Model,
    reading: Reading,
    /// The columns that are one to whoever changes them.
    groups: Vec<Vec<usize>>,
    amends: Amends<'a, T>,
}

impl<T: Insert + DeserializeOwned> Looked<'_, T> {
    /// The rows that have to be changed, by their places, as they stand.
    fn due(
        &mut self,
        pass: &mut Pass<'_>,
        places: &[usize],
        locked: bool,
    ) -> QueryResult<Vec<(usize, Vec<Value>, Due)>> {
        let key = |place: usize| vec![Value::Integer(self.amends.rows[place].id)];
        let mut standing = FxHashMap::default();
        for lock in [Lock::Key, Lock::Values] {
            let some = places.iter().filter(|place| self.amends.rows[**place].lock == lock);
            let keys: Vec<Vec<Value>> = some.map(|place| key(*place)).collect();
            standing.extend(self.reading.rows(pass.db, &keys, if locked { lock } else { Lock::No })?);
        }
        let names: Vec<RowName> = places.iter().map(|place| self.amends.rows[*place].id.into()).collect();
        let done = changes::of_rows(pass.db, self.model.shape.name, &names).map_err(LedgerError::into_diesel)?;
        let mut due = Vec::new();
        for place in places {
            let stands = standing.get(&key(*place));
            let own = done.get(&RowName::Id(self.amends.rows[*place].id)).map_or(&[][..], Vec::as_slice);
            if let Some(found) = self.judge(pass, *place, stands, own)? {
                let stands = stands.cloned().unwrap_or_default();
                due.push((*place, stands, found));
            }
        }
        Ok(due)
    }

    /// What has to change of a row; none: nothing, or its unit is refused.
    fn judge(
        &mut self,
        pass: &mut Pass<'_>,
        place: usize,
        stands: Option<&Vec<Value>>,
        done: &[Known],
    ) -> QueryResult<Option<Due>> {
        let unit = self.amends.rows[place].unit;
        let own = stands.map(|stands| self.own(stands, done));
        let mut base = stands.cloned().unwrap_or_default();
        for (column, own) in own.iter().flatten() {
            if let Own::Before(value) = own {
                base[*column] = value.clone();
            }
        }
        let row = match stands {
            None => None,
            Some(_) => {
                let columns =
                    self.reading.columns().iter().map(|(name, _)| name.as_str()).zip(base.iter().map(Value::field));
                Some(row::<T>(columns).map_err(|no_row| Error::DeserializationError(Box::new(no_row)))?)
            }
        };
        let wished = match (self.amends.change)(place, row) {
            Ok(wished) => wished,
            Err((code, reason)) => {
                pass.refuse(unit, code, reason);
                return Ok(None);
            }
        };
        let (Some(stands), Some(own)) = (stands, own) else { return Ok(None) };
        let mut sent = Imprints::default();
        sent.raw(std::iter::once((0, &wished)));
        let wished = match sent.tables.first() {
            Some(table) => self.reading.arranged(table, 0),
            None => return Ok(None),
        };
        let mut due = Due { values: Vec::new(), conflict: Vec::new() };
        for group in &self.groups {
            let theirs = group.iter().any(|column| matches!(own.get(column), Some(Own::Theirs)));
            let differs = |column: &&usize| wished[**column] != stands[**column] && !self.is_stamp(**column);
            let differing = group.iter().filter(differs);
            match theirs {
                true => due.conflict.extend(differing.map(|column| self.reading.columns()[*column].0.clone())),
                false => due.values.extend(differing.map(|column| (*column, wished[*column].clone()))),
            }
        }
        let nothing = due.values.is_empty() && due.conflict.is_empty();
        Ok((!nothing).then_some(due))
    }

    fn is_stamp(&self, column: usize) -> bool {
        Some(self.reading.columns()[column].0.as_str()) == self.amends.amending.stamp
    }

    fn hashed(&self, column: usize, value: &Value) -> Value {
        value.kept(&self.reading.columns()[column].0, self.model.secret)
    }

    /// The columns of a row that the migration has changed before.
    fn own(&self, stands: &[Value], done: &[Known]) -> FxHashMap<usize, Own> {
        let mut own = FxHashMap::default();
        for (column, (name, kind)) in
            self.reading.columns().iter().enumerate().filter(|(column, _)| !self.is_stamp(*column))
        {
            let Amends { step, amending, .. } = &self.amends;
            let same_deed = |known: &&Known| known.step == *step && known.what == amending.what;
            let of_column = |known: &Known| {
                let (before, after) = (known.before.as_ref()?.get(name)?, known.after.as_ref()?.get(name)?);
                Some((Value::from_json(before, *kind), Value::from_json(after, *kind)))
            };
            let done: Vec<(Value, Value)> = done.iter().filter(same_deed).filter_map(of_column).collect();
            let now = self.hashed(column, &stands[column]);
            let Some((_, last)) = done.last() else { continue };
            if now != *last {
                own.insert(column, Own::Theirs);
                continue;
            }
            let mut value = now;
            for (before, after) in done.into_iter().rev() {
                if value != after {
                    break;
                }
                value = before;
            }
            // Of a secret that was there, the ledger has a hash alone.
            let lost = value != Value::Null && value != self.hashed(column, &value);
            if !lost {
                own.insert(column, Own::Before(value));
            }
        }
        own
    }

    fn write(&self, pass: &mut Pass<'_>, due: Vec<(usize, Vec<Value>, Due)>) -> QueryResult<Vec<Change>> {
        let table = self.model.shape.name;
        let stamp = (0..self.reading.columns().len()).find(|column| self.is_stamp(*column));
        let now = Value::Integer(Instant::now().micros());
        let (mut updates, mut made) = (Vec::new(), Vec::new());
        for (place, stands, Due { mut values, conflict }) in due {
            let Amendment { unit, id, legacy_key, .. } = self.amends.rows[place];
            if !conflict.is_empty() {
                let row = (table, vec![Value::Integer(id)]);
                pass.rewritten.conflicts.push(Conflict { unit, row, columns: conflict });
            }
            if values.is_empty() {
                continue;
            }
            values.extend(stamp.map(|stamp| (stamp, now.clone())));
            let columns = |value: &dyn Fn(usize, &Value) -> Value| {
                let column = |(column, new): &(usize, Value)| {
                    let (name, kind) = &self.reading.columns()[*column];
                    (name.clone(), self.hashed(*column, &value(*column, new)).to_json(*kind))
                };
                values.iter().map(column).collect()
            };
            let (before, after) = (columns(&|column, _| stands[column].clone()), columns(&|_, new| new.clone()));
            let what = self.amends.amending.what.into();
            made.push((
                unit,
                Change {
                    table: table.into(),
                    row: id.into(),
                    legacy_key,
                    what,
                    before: Some(before),
                    after: Some(after),
                },
            ));
            pass.rewritten.units.insert(unit);
            updates.push(Update { unit, key: vec![Value::Integer(id)], values });
        }
        update(pass, &self.reading, &updates)?;
        Ok(made.into_iter().filter(|(unit, _)| !pass.out.contains(*unit)).map(|(_, change)| change).collect())
    }
}
