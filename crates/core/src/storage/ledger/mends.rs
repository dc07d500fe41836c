//! Mended rows: legacy rows as a person mended them, read in the place of the legacy ones. The legacy database stays as it is.

use diesel::prelude::*;
use rustc_hash::FxHashMap;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{Attempt, LedgerError};
use super::tables::replant_mends as m;
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

/// All mended rows.
#[derive(Debug, Default)]
pub struct Mends(FxHashMap<String, FxHashMap<Key, Value>>);

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
                *row = L::deserialize(mended)
                    .map_err(|_| LedgerError::Unreadable { what: "mended row", of: table.to_owned() })?;
            }
        }
        Ok(())
    }

    /// The row as it was mended before.
    pub fn get(&self, table: &str, key: Key) -> Option<&Value> {
        self.0.get(table)?.get(&key)
    }
}

/// The mended rows.
///
/// # Errors
/// The database fails, or one cannot be read back.
pub fn load(db: &mut Db) -> Result<Mends, LedgerError> {
    let rows: Vec<(String, Key, String)> =
        m::table.select((m::legacy_table, m::legacy_key, m::legacy_row)).load(db).attempt("read")?;
    let mut mends = Mends::default();
    for (table, key, row) in rows {
        let row = serde_json::from_str(&row)
            .map_err(|_| LedgerError::Unreadable { what: "mended row", of: table.clone() })?;
        mends.0.entry(table).or_default().insert(key, row);
    }
    Ok(mends)
}

/// Keeps mended rows, all or none of them.
///
/// # Errors
/// The database fails.
pub fn save(db: &mut Db, mends: &[Mend]) -> Result<(), LedgerError> {
    db.write(|db| {
        for mend in mends {
            let (row, now) = (mend.row.to_string(), Instant::now());
            let known = diesel::update(m::table.find((mend.table.clone(), mend.key)))
                .set((m::legacy_row.eq(&row), m::mended_at.eq(now)))
                .execute(db)?;
            if known == 0 {
                diesel::insert_into(m::table)
                    .values((
                        m::legacy_table.eq(&mend.table),
                        m::legacy_key.eq(mend.key),
                        m::legacy_row.eq(&row),
                        m::mended_at.eq(now),
                    ))
                    .execute(db)?;
            }
        }
        Ok::<_, diesel::result::Error>(())
    })
    .attempt("written")
}
