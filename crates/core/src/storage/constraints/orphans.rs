//! Rows that point to nothing: what a foreign key would have refused, had it been there.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde::Serialize;

use super::{Missing, missing};
use crate::storage::db::Db;
use crate::storage::place::in_schema;
use crate::storage::sql::quoted;

/// How many keys are named.
const NAMED: usize = 20;

/// The rows of a table that a foreign key would have refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Orphans {
    /// The table.
    pub table: String,
    /// The foreign key.
    pub name: String,
    /// How many.
    pub rows: i64,
    /// The first of them, by the integers of their primary keys.
    pub keys: Vec<String>,
}

pub(super) fn name(orphans: &[Orphans]) -> String {
    let one = |orphans: &Orphans| {
        let more = if orphans.rows > NAMED as i64 { ", …" } else { "" };
        format!(
            "{} rows of `{}` against `{}` ({}{more})",
            orphans.rows,
            orphans.table,
            orphans.name,
            orphans.keys.join(", ")
        )
    };
    orphans.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
}

const KEY: &str = "
SELECT a.attname::text AS name
  FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
 WHERE i.indrelid = format('%s.%I', current_setting('replant.schema'), $1)::regclass AND i.indisprimary AND a.atttypid IN (20, 21, 23) ORDER BY a.attnum";

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    rows: i64,
    #[diesel(sql_type = Text)]
    key: String,
}

/// The rows that a foreign key refuses.
pub(super) fn of(pg: &mut PgConnection, key: &Missing) -> QueryResult<Orphans> {
    let refuses = key.refuses.as_deref().unwrap_or("false");
    let columns: Vec<Column> = diesel::sql_query(KEY).bind::<Text, _>(&key.table_name).load(pg)?;
    let columns: Vec<String> =
        columns.iter().map(|c| format!("'{} ' || s.{}", c.name.replace('\'', "''"), quoted(&c.name))).collect();
    let shown = if columns.is_empty() { "''".to_owned() } else { columns.join(" || ' ' || ") };
    let sql = format!(
        "SELECT count(*) OVER () AS rows, {shown} AS key FROM {} s WHERE {refuses} ORDER BY 2 LIMIT {NAMED}",
        in_schema(pg, &key.table_name)?
    );
    let found: Vec<Found> = diesel::sql_query(sql).load(pg)?;
    Ok(Orphans {
        table: key.table_name.clone(),
        name: key.name.clone(),
        rows: found.first().map_or(0, |first| first.rows),
        keys: found.into_iter().map(|row| row.key).collect(),
    })
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// The rows of a table that a missing foreign key of a step refuses, by a column that holds ids; with the key's name.
///
/// # Errors
/// The database fails.
pub(crate) fn ids(db: &mut Db, step: &str, table: &str, column: &str) -> QueryResult<Vec<(i64, String)>> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for key in missing(pg, &[step.to_owned()])?.iter().filter(|key| key.table_name == table) {
        let Some(refuses) = &key.refuses else { continue };
        let (table, column) = (in_schema(pg, table)?, quoted(column));
        let sql = format!("SELECT DISTINCT s.{column} AS id FROM {table} s WHERE {refuses} ORDER BY 1");
        let ids: Vec<Id> = diesel::sql_query(sql).load(pg)?;
        found.extend(ids.into_iter().map(|row| (row.id, key.name.clone())));
    }
    Ok(found)
}

/// Takes away what an attempt to validate has left of the missing foreign keys of a step: rows cannot be taken out while
/// others that go as well point to them.
///
/// # Errors
/// The database fails.
pub(crate) fn take_away(db: &mut Db, step: &str) -> QueryResult<()> {
    let Db::Pg(pg) = db else { return Ok(()) };
    for key in missing(pg, &[step.to_owned()])?.iter().filter(|key| !key.is_index && key.found.is_some()) {
        let (table, name) = (in_schema(pg, &key.table_name)?, quoted(&key.name));
        diesel::sql_query(format!("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")).execute(pg)?;
    }
    Ok(())
}
