//! SQLite: one transaction; rows as JSON, of which a prepared statement takes many at a time.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use rayon::prelude::*;
use replant_core::db::Db;
use replant_testkit::catalog;

use crate::table::{Side, Table};
use crate::world::World;
use crate::{Progress, SimulateError};

/// Rows of a statement.
const BATCH: u64 = 1_000;
/// Batches that wait to be written.
const QUEUE: usize = 32;

pub(super) fn fill(
    world: &World,
    tables: &[Table],
    db: &mut Db,
    progress: Progress<'_>,
) -> Result<Vec<(&'static str, u64)>, SimulateError> {
    let all = |db: &mut Db| {
        let load = |table: &Table| Ok((table.name, load(world, table, db, progress)?));
        tables.iter().map(load).collect::<Result<Vec<_>, SimulateError>>()
    };
    let loaded = db.write(all)?;
    db.batch_execute("ANALYZE").map_err(|source| SimulateError::Database { what: "the statistics", source })?;
    Ok(loaded)
}

fn load(world: &World, table: &Table, db: &mut Db, progress: Progress<'_>) -> Result<u64, SimulateError> {
    let refused = |source| SimulateError::Database { what: table.name, source };
    let sql = insert(db, table).map_err(refused)?;
    let (send, receive) = crossbeam_channel::bounded::<(Vec<u8>, u64)>(QUEUE);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let starts: Vec<u64> = (0..QUEUE as u64 / 2).collect();
            let mut from = 0;
            while from < table.rows {
                let batches: Vec<(Vec<u8>, u64)> = starts
                    .par_iter()
                    .map(|batch| {
                        let first = (from + batch * BATCH).min(table.rows);
                        batch_of(world, table, first..(first + BATCH).min(table.rows))
                    })
                    .collect();
                from += starts.len() as u64 * BATCH;
                // The receiver is gone where the database refused.
                if batches.into_iter().any(|batch| send.send(batch).is_err()) {
                    return;
                }
            }
        });
        let mut rows = 0;
        for (json, made) in receive {
            if made == 0 {
                continue;
            }
            let json = String::from_utf8(json).expect("rows are texts");
            diesel::sql_query(&sql).bind::<Text, _>(json).execute(db).map_err(refused)?;
            progress(table.name, made);
            rows += made;
        }
        Ok(rows)
    })
}

/// Rows as an array of arrays.
fn batch_of(world: &World, table: &Table, rows: std::ops::Range<u64>) -> (Vec<u8>, u64) {
    let mut json = vec![b'['];
    let made = table.slice(world, rows, &mut json, |row, out| {
        if out.len() > 1 {
            out.push(b',');
        }
        row.json(out);
    });
    json.push(b']');
    (json, made)
}

/// The statement: cells by their place, in the form that the platform's tables want.
fn insert(db: &mut Db, table: &Table) -> QueryResult<String> {
    let kinds = catalog::columns(db, table.name)?;
    let cell = |(place, name): (usize, &&str)| {
        let kind = kinds.iter().find(|column| column.name == **name).map_or("", |column| column.kind.as_str());
        match (table.side, kind) {
            (Side::Platform, "timestamptz") => format!("replace(value ->> {place}, '+00', '.000000')"),
            (Side::Platform, "boolean") => format!("(value ->> {place}) = 't'"),
            _ => format!("value ->> {place}"),
        }
    };
    let cells: Vec<String> = table.columns.iter().enumerate().map(cell).collect();
    let columns: Vec<String> = table.columns.iter().map(|column| format!("\"{column}\"")).collect();
    Ok(format!("INSERT INTO \"{}\" ({}) SELECT {} FROM json_each(?)", table.name, columns.join(", "), cells.join(", ")))
}
