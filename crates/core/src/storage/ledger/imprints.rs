//! What was written for the rows of a chunk: the imprints of its target rows.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::error::{Attempt, LedgerError};
use super::tables::replant_imprints as i;
use crate::storage::db::Db;
use crate::storage::imprint::{Packed, Table};
use crate::storage::sql::quoted;

/// Which transaction wrote the rows of a chunk first, by table.
pub(super) type WrittenBy = Vec<(String, Option<String>)>;

/// Keeps the imprints of a chunk, which has none.
///
/// # Errors
/// The database fails.
pub(super) fn save(db: &mut Db, chunk: i64, imprint: &[Packed], written_by: &WrittenBy) -> QueryResult<()> {
    for packed in imprint.iter().filter(|packed| packed.rows > 0) {
        let by = written_by.iter().find(|(table, _)| *table == packed.table).and_then(|(_, by)| by.as_deref());
        let row = (
            i::chunk_id.eq(chunk),
            i::target_table.eq(&*packed.table),
            i::rows.eq(packed.rows as i64),
            i::first_id.eq(packed.ids.map(|(first, _)| first)),
            i::last_id.eq(packed.ids.map(|(_, last)| last)),
            i::data.eq(packed.compressed()),
            i::written_by.eq(by),
        );
        diesel::insert_into(i::table).values(row).execute(db)?;
    }
    Ok(())
}

/// Forgets the imprints of a chunk. Returns which transaction wrote its rows first.
///
/// # Errors
/// The database fails.
pub(super) fn forget(db: &mut Db, chunk: i64) -> QueryResult<WrittenBy> {
    let written_by = written_by(db, chunk)?;
    diesel::delete(i::table.filter(i::chunk_id.eq(chunk))).execute(db)?;
    Ok(written_by)
}

/// Which transaction wrote the rows of a chunk first, by table.
///
/// # Errors
/// The database fails.
pub(crate) fn written_by(db: &mut Db, chunk: i64) -> QueryResult<WrittenBy> {
    i::table.filter(i::chunk_id.eq(chunk)).select((i::target_table, i::written_by)).load(db)
}

/// The server and the database of it in which transactions are numbered; none where that cannot be told.
///
/// # Errors
/// The database fails.
pub(crate) fn cluster(db: &mut Db) -> QueryResult<Option<String>> {
    let Db::Pg(pg) = db else { return Ok(None) };
    let may = "SELECT has_function_privilege('pg_control_system()', 'EXECUTE') AS may";
    if !diesel::sql_query(may).get_result::<May>(pg)?.may {
        return Ok(None);
    }
    let cluster = "SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || \
                          (SELECT oid FROM pg_database WHERE datname = current_database()) AS by";
    diesel::sql_query(cluster).get_result::<By>(pg).map(|cluster| Some(cluster.by))
}

/// A transaction of a server.
pub(crate) fn transaction(cluster: &str, xmin: &str) -> String {
    format!("{cluster}/{xmin}")
}

/// The transaction of `cluster` that has just written the rows of a chunk, by table: of those that have an id.
///
/// # Errors
/// The database fails.
pub(super) fn writing(db: &mut Db, cluster: Option<&str>, imprint: &[Packed]) -> QueryResult<WrittenBy> {
    let (Db::Pg(pg), Some(cluster)) = (db, cluster) else { return Ok(Vec::new()) };
    let mut written_by = Vec::new();
    for packed in imprint {
        let Some((first, _)) = packed.ids else { continue };
        let sql = format!("SELECT t.xmin::text AS by FROM {} t WHERE t.id = {first}", quoted(&packed.table));
        let by: Option<By> = diesel::sql_query(sql).get_result(pg).optional()?;
        written_by.push((packed.table.to_string(), by.map(|by| transaction(cluster, &by.by))));
    }
    Ok(written_by)
}

#[derive(QueryableByName)]
struct By {
    #[diesel(sql_type = Text)]
    by: String,
}

#[derive(QueryableByName)]
struct May {
    #[diesel(sql_type = Bool)]
    may: bool,
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

/// The chunks that may have written the row of a table with an id.
///
/// # Errors
/// The database fails.
pub(crate) fn around(db: &mut Db, table: &str, id: i64) -> Result<Vec<i64>, LedgerError> {
    let around = i::table.filter(i::target_table.eq(table.to_owned())).filter(i::last_id.ge(id));
    around.filter(i::first_id.le(id)).order(i::last_id).select(i::chunk_id).load(db).attempt("read")
}

fn unpacked(found: Vec<(String, Vec<u8>)>) -> Result<Vec<Table>, LedgerError> {
    let unreadable = |table: &str| LedgerError::Unreadable { what: "imprint of rows", of: table.to_owned() };
    found
        .into_iter()
        .map(|(table, data)| Packed::unpacked(table.clone(), &data).map_err(|_| unreadable(&table)))
        .collect()
}
