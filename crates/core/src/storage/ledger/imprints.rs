//! What was written for the rows of a chunk: the imprints of its target rows.

use diesel::prelude::*;

use super::error::{Attempt, LedgerError};
use super::tables::replant_imprints as i;
use crate::storage::db::Db;
use crate::storage::imprint::{Packed, Table};

/// Keeps the imprints of a chunk, in the place of those that it had.
///
/// # Errors
/// The database fails.
pub(super) fn save(db: &mut Db, chunk: i64, imprint: &[Packed]) -> QueryResult<()> {
    for packed in imprint.iter().filter(|packed| packed.rows > 0) {
        let row = (
            i::chunk_id.eq(chunk),
            i::target_table.eq(&*packed.table),
            i::rows.eq(packed.rows as i64),
            i::first_id.eq(packed.ids.map(|(first, _)| first)),
            i::last_id.eq(packed.ids.map(|(_, last)| last)),
            i::data.eq(packed.compressed()),
        );
        diesel::insert_into(i::table).values(row).execute(db)?;
    }
    Ok(())
}

/// Forgets the imprints of a chunk.
///
/// # Errors
/// The database fails.
pub(super) fn forget(db: &mut Db, chunk: i64) -> QueryResult<()> {
    diesel::delete(i::table.filter(i::chunk_id.eq(chunk))).execute(db).map(|_| ())
}

/// What was written for the rows of a chunk, table by table.
///
/// # Errors
/// The database fails, or the imprints cannot be read back.
pub(crate) fn of_chunk(db: &mut Db, chunk: i64) -> Result<Vec<Table>, LedgerError> {
    let imprints = i::table.filter(i::chunk_id.eq(chunk)).order(i::target_table);
    unpacked(imprints.select((i::target_table, i::data)).load(db).attempt("read")?)
}

/// What was written into one table for the rows of a chunk.
///
/// # Errors
/// The database fails, or the imprint cannot be read back.
pub(crate) fn of_table(db: &mut Db, chunk: i64, table: &str) -> Result<Vec<Table>, LedgerError> {
    let imprint = i::table.find((chunk, table.to_owned())).select((i::target_table, i::data));
    unpacked(imprint.load(db).attempt("read")?)
}

fn unpacked(found: Vec<(String, Vec<u8>)>) -> Result<Vec<Table>, LedgerError> {
    let unreadable = |table: &str| LedgerError::Unreadable { what: "imprint of rows", of: table.to_owned() };
    found
        .into_iter()
        .map(|(table, data)| Packed::unpacked(table.clone(), &data).map_err(|_| unreadable(&table)))
        .collect()
}
