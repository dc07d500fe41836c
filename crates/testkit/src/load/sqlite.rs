//! SQLite: multi-row INSERTs, times and booleans in the form that SQLite keeps them in, foreign keys looked at in the end.
//! SQLite moves `sqlite_sequence` past the ids by itself.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use replant_core::db::{Backend, Db};

use super::{BATCH_ROWS, LoadError, Row, Source, blame};
use crate::catalog::{self, Shape, list, literal, quoted};

pub(super) fn load(db: &mut Db, sources: &[Source]) -> Result<Vec<(String, usize)>, LoadError> {
    db.batch_execute("PRAGMA defer_foreign_keys = on")?;
    let mut loaded = Vec::new();
    for source in sources {
        loaded.push((source.table.clone(), load_one(db, source)?));
    }
    for source in sources {
        check_parents(db, source)?;
    }
    Ok(loaded)
}

fn load_one(db: &mut Db, source: &Source) -> Result<usize, LoadError> {
    let columns = catalog::columns(db, &source.table)?;
    let shape_of =
        |name: &String| columns.iter().find(|column| column.name == *name).map_or(Shape::Plain, catalog::Column::shape);
    let shapes: Vec<Shape> = source.columns.iter().map(shape_of).collect();
    let mut count = 0;
    for batch in source.batches(BATCH_ROWS)? {
        let mut batch = batch?;
        for row in &mut batch {
            convert(source, &shapes, row)?;
        }
        count += insert(db, source, &batch)
            .map_err(|error| blame(db, source, &batch, error, |db, rows| insert(db, source, rows)))?;
    }
    Ok(count)
}

fn insert(db: &mut Db, source: &Source, rows: &[Row]) -> QueryResult<usize> {
    let Db::Lite(lite) = db else { unreachable!("load_dir asked which database it is") };
    let (table, columns) = (quoted(Backend::Sqlite, &source.table), list(Backend::Sqlite, &source.column_names()));
    let places = format!("({})", vec!["?"; source.columns.len()].join(", "));
    let sql = format!("INSERT INTO {table} ({columns}) VALUES {}", vec![places; rows.len()].join(", "));
    let cells = rows.iter().flat_map(|row| row.cells.iter().map(Option::as_deref));
    cells.fold(diesel::sql_query(sql).into_boxed(), |query, cell| query.bind::<Nullable<Text>, _>(cell)).execute(lite)
}

fn convert(source: &Source, shapes: &[Shape], row: &mut Row) -> Result<(), LoadError> {
    for ((cell, shape), column) in row.cells.iter_mut().zip(shapes).zip(&source.columns) {
        let Some(text) = cell else { continue };
        let (converted, wanted) = match shape {
            Shape::Instant => (instant(text), "a time like 2024-01-16 03:00:00+00"),
            Shape::Bool => (boolean(text), "t or f"),
            Shape::Date | Shape::Real | Shape::Padded | Shape::Plain => continue,
        };
        let wrong = || LoadError::Value { file: source.file.clone(), line: row.line, column: column.clone(), wanted };
        *text = converted.ok_or_else(wrong)?;
    }
    Ok(())
}

fn boolean(text: &str) -> Option<String> {
    match text {
        "t" | "true" | "1" => Some("1".to_owned()),
        "f" | "false" | "0" => Some("0".to_owned()),
        _ => None,
    }
}

/// `2024-01-16 03:00:00+00`, with up to six digits of a second, to the 26 characters. That it is a real time is for the
/// table's CHECK to say.
fn instant(text: &str) -> Option<String> {
    let time = ["+00", "+00:00", "Z"].iter().find_map(|zone| text.strip_suffix(zone))?;
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
    let is_whole = seconds.len() == 19 && fraction.len() <= 6 && fraction.bytes().all(|digit| digit.is_ascii_digit());
    is_whole.then(|| format!("{seconds}.{fraction:0<6}"))
}

#[derive(QueryableByName)]
struct Orphan {
    #[diesel(sql_type = BigInt)]
    rowid: i64,
    #[diesel(sql_type = Text)]
    parent: String,
}

fn check_parents(db: &mut Db, source: &Source) -> Result<(), LoadError> {
    let sql = format!("SELECT rowid, parent FROM pragma_foreign_key_check({}) ORDER BY rowid", literal(&source.table));
    let orphans: Vec<Orphan> = diesel::sql_query(sql).load(db)?;
    match orphans.first() {
        Some(first) => Err(LoadError::Orphans {
            file: source.file.clone(),
            parent: first.parent.clone(),
            rows: orphans.len(),
            rowid: first.rowid,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_has_26_characters() {
        assert_eq!(instant("2024-01-16 03:00:00+00").as_deref(), Some("2024-01-16 03:00:00.000000"));
        assert_eq!(instant("2024-01-16 03:00:00.25+00").as_deref(), Some("2024-01-16 03:00:00.250000"));
        assert_eq!(instant("2024-01-16 03:00:00+01"), None);
        assert_eq!(instant("2024-01-16 03:00:00"), None);
        assert_eq!(instant("2024-01-16 03:00:00.1234567+00"), None);
    }
}
