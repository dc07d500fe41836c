//! What a step saw of the live target before it wrote anything. The site goes on living, and the step's own writes change
//! what can be seen: every later reading, by any worker, must be the first one.

use diesel::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{Attempt, LedgerError};
use super::tables::replant_frozen as f;
use crate::storage::db::Db;

/// The value that was frozen under a name, if one was.
///
/// # Errors
/// The database fails, or the value cannot be read back.
pub fn load<T: DeserializeOwned>(db: &mut Db, name: &str) -> Result<Option<T>, LedgerError> {
    let found: Option<Vec<u8>> = f::table.find(name.to_owned()).select(f::data).first(db).optional().attempt("read")?;
    found.map(|bytes| postcard::from_bytes(&bytes).map_err(|_| unreadable(name))).transpose()
}

fn unreadable(name: &str) -> LedgerError {
    LedgerError::Unreadable { what: "frozen reading", of: name.to_owned() }
}

/// A value as it is kept.
///
/// # Errors
/// It has no form.
pub(crate) fn packed<T: Serialize>(name: &str, value: &T) -> Result<Vec<u8>, LedgerError> {
    postcard::to_stdvec(value).map_err(|_| unreadable(name))
}

/// Freezes a value, unless one of that name is frozen: of two processes that do so at once, one does.
///
/// # Errors
/// The database fails.
pub(crate) fn save_once<T: Serialize>(db: &mut Db, name: &str, value: &T) -> Result<(), LedgerError> {
    let data = packed(name, value)?;
    let row = (f::name.eq(name), f::data.eq(data));
    match db {
        Db::Pg(pg) => diesel::insert_into(f::table).values(row).on_conflict_do_nothing().execute(pg),
        Db::Lite(lite) => diesel::insert_or_ignore_into(f::table).values(row).execute(lite),
        #[cfg(feature = "mysql")]
        Db::My(_) => return Err(LedgerError::Install { hint: "MariaDB is no target" }),
    }
    .attempt("written")
    .map(|_| ())
}

/// Forgets what steps have read of the target: not what the tables had when the migration began.
///
/// # Errors
/// The database fails.
pub(crate) fn forget_readings(db: &mut Db) -> Result<(), LedgerError> {
    diesel::delete(f::table.filter(f::name.not_like("replant.%"))).execute(db).attempt("written").map(|_| ())
}

/// Puts a packed value in the place of the one that is frozen under a name.
///
/// # Errors
/// The database fails.
pub(crate) fn replace(db: &mut Db, name: &str, data: &[u8]) -> Result<(), LedgerError> {
    diesel::update(f::table.find(name.to_owned())).set(f::data.eq(data)).execute(db).attempt("written").map(|_| ())
}

/// Freezes a value, in the place of an earlier one of that name. The same one is not written again.
///
/// # Errors
/// The database fails.
pub fn save<T: Serialize>(db: &mut Db, name: &str, value: &T) -> Result<(), LedgerError> {
    let data = packed(name, value)?;
    let place = || f::table.find(name.to_owned());
    let known: Option<Vec<u8>> = place().select(f::data).first(db).optional().attempt("read")?;
    match known {
        Some(known) if known == data => return Ok(()),
        Some(_) => diesel::update(place()).set(f::data.eq(data)).execute(db).attempt("written")?,
        None => {
            diesel::insert_into(f::table).values((f::name.eq(name), f::data.eq(data))).execute(db).attempt("written")?
        }
    };
    Ok(())
}
