//! One row of the target, as the migration wrote it, beside what stands there. For whoever asks for one row: nothing is locked.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use serde::Serialize;
use serde_json::Value as Json;

use crate::storage::db::Db;
use crate::storage::imprint::{Columns, Lock, Reading, Table, Value, hashed, is_hash};
use crate::storage::ledger::changes::RowName;
use crate::storage::ledger::origin::{self, Keeps, RowChange};
use crate::storage::ledger::{Attempt, LedgerError};
use crate::storage::shape::TableShape;
use crate::words::Key;

/// A row of the target. Of columns that hold a secret all values are hashes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetRow {
    /// The table.
    pub table: String,
    /// Its `id`; none where it has none.
    pub id: Option<i64>,
    /// The columns of its key.
    pub key: Columns,
    /// The legacy row for whose sake it was written, the leader of its unit; none where the migration did not write it with a chunk:
    /// the platform did, or the end of a step.
    pub leader: Option<Key>,
    /// What became of it.
    pub state: RowState,
    /// Its columns: of a row that a chunk wrote those that were written, of any other one those that are known.
    pub columns: Vec<TargetColumn>,
    /// What was done to it after it was written, or before it was ours, first things first.
    pub changes: Vec<RowChange>,
    /// What customers keep of it although the source says otherwise.
    pub kept: Vec<Keeps>,
}

/// What became of a row of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// It stands there.
    Stands,
    /// The migration has left it there, and it is not there any more.
    Removed,
    /// The migration has taken it out again.
    TakenOut,
}

/// A column of a row of the target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetColumn {
    /// Its name.
    pub name: String,
    /// As the row was written; none where the migration did not write it.
    pub written: Option<Json>,
    /// As the migration has left it, with all that later steps did to it; none where it never wrote it.
    pub left: Option<Json>,
    /// As it stands; none where the row is not there.
    pub now: Option<Json>,
    /// Whether somebody else has changed it since: it stands otherwise than the migration has left it.
    pub changed: bool,
    /// Whether it holds a secret.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

/// What is known of a table of the target whose rows are told.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) shape: TableShape,
    /// Columns of which a hash is told alone.
    pub(crate) secret: Vec<&'static str>,
}

/// The rows that an imprint has of a table.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn by_imprint(db: &mut Db, told: &Told, imprint: &Table) -> Result<Vec<TargetRow>, LedgerError> {
    let reading = Reading::new(db, &told.shape, &imprint.columns).attempt("read")?;
    let written = (0..imprint.keys.len()).map(|place| {
        let values = reading.arranged(imprint, place);
        Known { key: reading.key(&values), leader: Some(imprint.keys[place]), written: Some(values) }
    });
    let written = written.collect();
    rows(db, told, &reading, written)
}

/// Rows of a table that no imprint has, by their names.
///
/// # Errors
/// The database fails, or a change cannot be read back.
pub(crate) fn by_name(db: &mut Db, told: &Told, names: &[RowName]) -> Result<Vec<TargetRow>, LedgerError> {
    let columns: Vec<Cow<'static, str>> = told.shape.columns.iter().map(|column| Cow::Borrowed(column.name)).collect();
    let reading = Reading::new(db, &told.shape, &columns).attempt("read")?;
    let unreadable = || LedgerError::Unreadable { what: "key of a row", of: told.shape.name.to_owned() };
    let key = |name: &RowName| -> Result<Vec<Value>, LedgerError> {
        let columns: Columns = match name {
            RowName::Id(id) => std::iter::once(("id".to_owned(), Json::from(*id))).collect(),
            RowName::Key(json) => serde_json::from_str(json).map_err(|_| unreadable())?,
        };
        let value = |(name, kind): &(String, _)| Some(Value::from_json(columns.get(name)?, *kind));
        reading.keyed().iter().map(value).collect::<Option<_>>().ok_or_else(unreadable)
    };
    let known = |name| Ok(Known { key: key(name)?, leader: None, written: None });
    let known = names.iter().map(known).collect::<Result<Vec<_>, LedgerError>>()?;
    rows(db, told, &reading, known)
}

/// What is known of a row before the target is asked.
struct Known {
    key: Vec<Value>,
    leader: Option<Key>,
    written: Option<Vec<Value>>,
}

fn rows(db: &mut Db, told: &Told, reading: &Reading, known: Vec<Known>) -> Result<Vec<TargetRow>, LedgerError> {
    let table = reading.table();
    let name = |known: &Known| RowName::of_key(&reading.key_columns(&known.key));
    let names: Vec<RowName> = known.iter().map(name).collect();
    let keys: Vec<Vec<Value>> = known.iter().map(|known| known.key.clone()).collect();
    let standing = reading.rows(db, &keys, Lock::No).attempt("compared")?;
    let mut changes: FxHashMap<RowName, Vec<RowChange>> = FxHashMap::default();
    for change in origin::changes_of(db, table, &names)? {
        let Some(row) = change.row() else { continue };
        changes.entry(row).or_default().push(change);
    }
    let mut rows = Vec::with_capacity(known.len());
    for (known, name) in known.into_iter().zip(names) {
        let kept = origin::kept(db, table, &name)?;
        let changes = changes.remove(&name).unwrap_or_default();
        let stands = standing.get(&known.key).map(|stands| &stands[..]);
        rows.push(row(told, reading, (known, &name), (stands, changes, kept)));
    }
    Ok(rows)
}

fn row(
    told: &Told,
    reading: &Reading,
    (known, name): (Known, &RowName),
    (stands, mut changes, kept): (Option<&[Value]>, Vec<RowChange>, Vec<Keeps>),
) -> TargetRow {
    let Known { key, leader, written } = known;
    let mut left: Vec<Option<Value>> = match &written {
        Some(written) => written.iter().cloned().map(Some).collect(),
        None => vec![None; reading.columns().len()],
    };
    let mut is_out = false;
    for change in changes.iter().filter(|change| !change.in_imprint || written.is_none()) {
        is_out = change.after.is_none();
        for (place, (name, kind)) in reading.columns().iter().enumerate() {
            if let Some(json) = change.after.as_ref().and_then(|after| after.get(name)) {
                left[place] = Some(Value::from_json(json, *kind));
            }
        }
    }
    let state = match (stands, is_out) {
        (Some(_), _) => RowState::Stands,
        (None, true) => RowState::TakenOut,
        (None, false) => RowState::Removed,
    };
    let column = |(place, (name, kind)): (usize, &(String, _))| {
        let secret = told.secret.contains(&name.as_str());
        let now = stands.map(|stands| stands[place].kept(name, &told.secret));
        let json = |value: &Value| {
            let json = value.to_json(*kind);
            if secret { masked(&json) } else { json }
        };
        TargetColumn {
            name: name.clone(),
            written: written.as_ref().map(|written| json(&written[place])),
            left: left[place].as_ref().map(&json),
            now: now.as_ref().map(&json),
            changed: now.is_some_and(|now| left[place].as_ref().is_some_and(|left| *left != now)),
            secret,
        }
    };
    let columns = reading.columns().iter().enumerate().map(column).collect();
    for change in &mut changes {
        mask(change, &told.secret);
    }
    let id = if let RowName::Id(id) = name { Some(*id) } else { None };
    let (table, key) = (reading.table().to_owned(), reading.key_columns(&key));
    TargetRow { table, id, key, leader, state, columns, changes, kept }
}

/// A secret that the ledger may have as a hash.
fn masked(value: &Json) -> Json {
    if is_hash(value) { value.clone() } else { hashed(value) }
}

fn mask(change: &mut RowChange, secret: &[&str]) {
    let sides = [&mut change.before, &mut change.after];
    for (name, value) in sides.into_iter().flatten().flatten() {
        if secret.contains(&name.as_str()) {
            *value = masked(value);
        }
    }
}
