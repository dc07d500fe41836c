//! PostgreSQL: batches of JSON into a stage without constraints, then one INSERT a table, so that rows of a table may
//! refer to each other in any order.

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use replant_core::db::{Backend, Db};

use super::{BATCH_ROWS, LoadError, Row, Source, blame};
use crate::catalog::{list, literal, quoted};

const STAGE: &str = "testkit_stage";

pub(super) fn load(db: &mut Db, sources: &[Source]) -> Result<Vec<(String, usize)>, LoadError> {
    let mut loaded = Vec::new();
    for source in in_order(db, sources)? {
        loaded.push((source.table.clone(), load_one(db, source)?));
        move_sequences(db, &source.table)?;
    }
    Ok(loaded)
}

fn load_one(db: &mut Db, source: &Source) -> Result<usize, LoadError> {
    let (table, columns) = (quoted(Backend::Postgres, &source.table), list(Backend::Postgres, &source.column_names()));
    db.batch_execute(&format!("CREATE TEMPORARY TABLE {STAGE} AS SELECT {columns} FROM {table} WITH NO DATA"))?;
    let into = |target: &str, db: &mut Db, rows: &[Row]| {
        let sql = format!(
            "INSERT INTO {target} ({columns}) SELECT {columns} FROM jsonb_populate_recordset(NULL::{STAGE}, $1::jsonb)"
        );
        diesel::sql_query(sql).bind::<Text, _>(json(source, rows)).execute(db)
    };
    for batch in source.batches(BATCH_ROWS)? {
        let batch = batch?;
        let staged = db.transaction(|db| into(STAGE, db, &batch));
        staged.map_err(|error| blame(db, source, &batch, error, |db, rows| into(STAGE, db, rows)))?;
    }
    let moved = db.transaction(|db| {
        diesel::sql_query(format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM {STAGE}")).execute(db)
    });
    let rows = match moved {
        Ok(rows) => rows,
        Err(error) => {
            let all: Vec<Row> =
                source.batches(BATCH_ROWS)?.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
            return Err(blame(db, source, &all, error, |db, rows| into(&table, db, rows)));
        }
    };
    db.batch_execute(&format!("DROP TABLE {STAGE}"))?;
    Ok(rows)
}

fn json(source: &Source, rows: &[Row]) -> String {
    let object = |row: &Row| -> serde_json::Value {
        let cells = source.columns.iter().cloned().zip(row.cells.iter().cloned().map(serde_json::Value::from));
        serde_json::Value::Object(cells.collect())
    };
    serde_json::Value::Array(rows.iter().map(object).collect()).to_string()
}

#[derive(QueryableByName)]
struct ForeignKey {
    #[diesel(sql_type = Text)]
    child: String,
    #[diesel(sql_type = Text)]
    parent: String,
}

/// Parents before children. Tables in a circle come last: the database has the word.
fn in_order<'a>(db: &mut Db, sources: &'a [Source]) -> QueryResult<Vec<&'a Source>> {
    let keys: Vec<ForeignKey> = diesel::sql_query(
        "SELECT c.relname::text AS child, p.relname::text AS parent \
         FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid \
         WHERE k.contype = 'f' AND k.conrelid <> k.confrelid",
    )
    .load(db)?;
    let (mut waiting, mut ordered): (Vec<&Source>, Vec<&Source>) = (sources.iter().collect(), Vec::new());
    loop {
        let unloaded: BTreeSet<&str> = waiting.iter().map(|source| source.table.as_str()).collect();
        let waits = |source: &&Source| {
            keys.iter().any(|key| key.child == source.table && unloaded.contains(key.parent.as_str()))
        };
        let (later, now): (Vec<&Source>, Vec<&Source>) = waiting.into_iter().partition(waits);
        if now.is_empty() {
            ordered.extend(later);
            return Ok(ordered);
        }
        ordered.extend(now);
        waiting = later;
    }
}

#[derive(QueryableByName)]
struct Identity {
    #[diesel(sql_type = Text)]
    column: String,
}

pub(super) fn move_sequences(db: &mut Db, table: &str) -> QueryResult<()> {
    let name = literal(table);
    let of_table = format!(
        "SELECT attname::text AS column FROM pg_attribute WHERE attrelid = to_regclass(quote_ident({name})) AND attidentity <> ''"
    );
    for Identity { column } in diesel::sql_query(of_table).load(db)? {
        let (table, quoted_column) = (quoted(Backend::Postgres, table), quoted(Backend::Postgres, &column));
        db.batch_execute(&format!(
            "SELECT setval(pg_get_serial_sequence(quote_ident({name}), {}), max({quoted_column})) FROM {table} HAVING max({quoted_column}) IS NOT NULL",
            literal(&column)
        ))?;
    }
    Ok(())
}
