//! Mended rows: legacy rows as a person mended them, read in the place of the legacy ones. The legacy database stays as it is.
//!
//! A mend holds for as long as its legacy row reads as it did when it was mended. In a later state that reads otherwise it is set
//! aside: what a person has seen is not what is there now.

use diesel::prelude::*;
use rustc_hash::FxHashMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{Attempt, LedgerError};
use super::tables::{replant_mends as m, replant_quarantine as q, replant_steps as s};
use crate::storage::db::Db;
use crate::storage::types::Instant;
use crate::words::Key;

/// A legacy row as a person mended it.
#[derive(Debug, Clone, PartialEq)]
pub struct Mend {
    /// The legacy table.
    pub table: String,
    /// The row's key.
    pub key: Key,
    /// The whole row, as the quarantine keeps it.
    pub row: Value,
}

/// A mend that is taken no more: the legacy row has changed since.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SetAside {
    /// The legacy table.
    pub table: String,
    /// The row's key.
    pub key: Key,
}

/// All mended rows that hold.
#[derive(Debug, Default)]
pub struct Mends(FxHashMap<String, FxHashMap<Key, Mended>>);

#[derive(Debug)]
struct Mended {
    row: Value,
    /// The legacy row as it read when it was mended; none where nobody knows.
    read_as: Option<Value>,
}

impl Mends {
    /// Puts the mended rows of a legacy table in the place of those that were read.
    ///
    /// # Errors
    /// A mended row is no row of its table.
    pub(crate) fn apply<L: DeserializeOwned>(
        &self,
        table: &str,
        rows: &mut [L],
        key: impl Fn(&L) -> Key,
    ) -> Result<(), LedgerError> {
        let Some(mends) = self.0.get(table) else { return Ok(()) };
        for row in rows {
            if let Some(mended) = mends.get(&key(row)) {
                *row = L::deserialize(&mended.row).map_err(|_| unreadable(table))?;
            }
        }
        Ok(())
    }

    /// The row as it was mended before.
    pub fn get(&self, table: &str, key: Key) -> Option<&Value> {
        self.0.get(table)?.get(&key).map(|mended| &mended.row)
    }

    /// The rows of a legacy table that are mended, ascending.
    pub(crate) fn keys(&self, table: &str) -> Vec<Key> {
        let mut keys: Vec<Key> = self.0.get(table).into_iter().flat_map(|mends| mends.keys().copied()).collect();
        keys.sort_unstable();
        keys
    }

    /// Lets go of a mend whose legacy row, which reads like `now`, reads otherwise than it did. Whether it has.
    pub(crate) fn let_go(&mut self, table: &str, key: Key, now: &Value) -> bool {
        let Some(mends) = self.0.get_mut(table) else { return false };
        // A column that only one of them has was declared, or left out, since.
        let otherwise = |was: &Value| match (was.as_object(), now.as_object()) {
            (Some(was), Some(now)) => was.iter().any(|(name, value)| now.get(name).is_some_and(|now| now != value)),
            _ => was != now,
        };
        let goes = mends.get(&key).and_then(|mended| mended.read_as.as_ref()).is_some_and(otherwise);
        goes && mends.remove(&key).is_some()
    }
}

fn unreadable(table: &str) -> LedgerError {
    LedgerError::Unreadable { what: "mended row", of: table.to_owned() }
}

/// The mended rows that hold.
///
/// # Errors
/// The database fails, or one cannot be read back.
pub fn load(db: &mut Db) -> Result<Mends, LedgerError> {
    let rows: Vec<(String, Key, String, Option<String>)> = m::table
        .filter(m::set_aside.is_null())
        .select((m::legacy_table, m::legacy_key, m::legacy_row, m::read_as))
        .load(db)
        .attempt("read")?;
    let mut mends = Mends::default();
    for (table, key, row, read_as) in rows {
        let json = |text: &str| serde_json::from_str(text).map_err(|_| unreadable(&table));
        let mended = Mended { row: json(&row)?, read_as: read_as.as_deref().map(json).transpose()? };
        mends.0.entry(table).or_default().insert(key, mended);
    }
    Ok(mends)
}

/// Keeps mended rows, all or none of them, each with its legacy row as it reads now.
///
/// # Errors
/// The database fails.
pub fn save(db: &mut Db, mends: &[Mend]) -> Result<(), LedgerError> {
    db.write(|db| {
        for mend in mends {
            let (row, now) = (mend.row.to_string(), Instant::now());
            let place = || m::table.find((mend.table.clone(), mend.key));
            let held = diesel::update(place().filter(m::set_aside.is_null()))
                .set((m::legacy_row.eq(&row), m::mended_at.eq(now)))
                .execute(db)?;
            if held > 0 {
                // What waits in quarantine may be the row as it was mended before.
                continue;
            }
            let waits = q::table.inner_join(s::table.on(s::name.eq(q::step)));
            let waits = waits.filter(s::legacy_table.eq(mend.table.clone())).filter(q::legacy_key.eq(mend.key));
            let read_as: Option<String> = waits.select(q::legacy_row).first(db).optional()?;
            diesel::delete(place()).execute(db)?;
            diesel::insert_into(m::table)
                .values((
                    m::legacy_table.eq(&mend.table),
                    m::legacy_key.eq(mend.key),
                    m::legacy_row.eq(&row),
                    m::mended_at.eq(now),
                    m::read_as.eq(read_as),
                ))
                .execute(db)?;
        }
        Ok::<_, diesel::result::Error>(())
    })
    .attempt("written")
}

/// Notes mends that are taken no more, and the state in which their rows read otherwise.
///
/// # Errors
/// The database fails.
pub(crate) fn set_aside(db: &mut Db, generation: i64, aside: &[SetAside]) -> Result<(), LedgerError> {
    for SetAside { table, key } in aside {
        let mend = m::table.find((table.clone(), *key)).filter(m::set_aside.is_null());
        diesel::update(mend).set(m::set_aside.eq(generation)).execute(db).attempt("written")?;
    }
    Ok(())
}

/// The mends that are taken no more, by table and key.
///
/// # Errors
/// The database fails.
pub fn aside(db: &mut Db) -> Result<Vec<SetAside>, LedgerError> {
    let aside = m::table.filter(m::set_aside.is_not_null()).order((m::legacy_table, m::legacy_key));
    let aside: Vec<(String, Key)> = aside.select((m::legacy_table, m::legacy_key)).load(db).attempt("read")?;
    Ok(aside.into_iter().map(|(table, key)| SetAside { table, key }).collect())
}
