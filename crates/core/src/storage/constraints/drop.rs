//! Dropping, in the transaction that writes down what was there.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::catalogue::droppable;
use super::{OfflineError, foreign};
use crate::storage::db::Db;
use crate::storage::ledger::stage::{self, Stage};
use crate::storage::place::in_schema;
use crate::storage::sql::quoted;

/// What a step is about to fill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filled<'a> {
    /// The step.
    pub(crate) step: &'a str,
    /// The tables into which its rows go.
    pub(crate) tables: &'a [String],
    /// Rows below which building costs more than it spares.
    pub(crate) least_rows: u64,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// A foreign key is validated by a look at all that it points to. Where that is more than so many rows for each that is to
/// come, it is cheaper to look up their own parents.
const PARENTS: i64 = 10;

const LEFT: &str =
    "SELECT coalesce(sum(keys), 0)::bigint AS number FROM replant.replant_chunks WHERE step = $1 AND state <> 'done'";
const ALREADY: &str =
    "SELECT count(*) AS number FROM replant.replant_constraints WHERE step = $1 AND restored_at IS NULL";
const NOTE: &str = "
INSERT INTO replant.replant_constraints (step, table_name, name, kind, definition, refuses, tablespace, remark, dropped_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now())";

/// Drops the foreign keys and the secondary indexes of the tables that a step fills, before its first chunk: once, by
/// whoever holds the step's row first. Returns how many of each. Nothing where it is done already, where no chunk is left,
/// or where the table holds so much already that building would cost more than it spares.
///
/// # Errors
/// Others may write to the platform, or the database fails: nothing is dropped then.
pub(crate) fn drop_for(db: &mut Db, filled: Filled<'_>) -> Result<(usize, usize), OfflineError> {
    db.write(|db| {
        if stage::lock(db, filled.step)? != Some(Stage::Planned) {
            return Ok((0, 0));
        }
        let left = number(db, LEFT, filled.step)?;
        if left == 0 || left.unsigned_abs() < filled.least_rows || number(db, ALREADY, filled.step)? > 0 {
            return Ok((0, 0));
        }
        let mut tables = Vec::new();
        for table in filled.tables {
            if is_worth_it(db, table, left)? {
                tables.push(table.clone());
            }
        }
        let Db::Pg(pg) = db else { return Ok((0, 0)) };
        let mut found = droppable(pg, &tables)?;
        found.retain(|one| one.parents <= left.saturating_mul(PARENTS));
        if found.is_empty() {
            return Ok((0, 0));
        }
        let others = foreign(db)?;
        if !others.is_empty() {
            return Err(OfflineError::Foreign(others));
        }
        let Db::Pg(pg) = db else { return Ok((0, 0)) };
        // Every worker waits for whoever waits for such a lock.
        pg.batch_execute("SET LOCAL lock_timeout = '10s'; SET LOCAL idle_in_transaction_session_timeout = '1min'")?;
        for one in &found {
            diesel::sql_query(NOTE)
                .bind::<Text, _>(filled.step)
                .bind::<Text, _>(&one.table_name)
                .bind::<Text, _>(&one.name)
                .bind::<Text, _>(&one.kind)
                .bind::<Text, _>(&one.definition)
                .bind::<Nullable<Text>, _>(&one.refuses)
                .bind::<Nullable<Text>, _>(&one.tablespace)
                .bind::<Nullable<Text>, _>(&one.remark)
                .execute(pg)?;
        }
        for one in &found {
            let sql = match &*one.kind {
                "index" => format!("DROP INDEX {}", in_schema(pg, &one.name)?),
                _ => format!("ALTER TABLE {} DROP CONSTRAINT {}", in_schema(pg, &one.table_name)?, quoted(&one.name)),
            };
            diesel::sql_query(sql).execute(pg).map_err(|source| OfflineError::Statement {
                what: format!("the {} `{}` of `{}`", one.kind, one.name, one.table_name),
                attempted: "dropped",
                source,
            })?;
        }
        let indexes = found.iter().filter(|one| one.kind == "index").count();
        Ok((found.len() - indexes, indexes))
    })
}

fn number(db: &mut Db, sql: &str, step: &str) -> QueryResult<i64> {
    diesel::sql_query(sql).bind::<Text, _>(step).get_result::<Number>(db).map(|found| found.number)
}

/// Whether a table holds at most twice as many rows as are to come. Building goes through all of them.
fn is_worth_it(db: &mut Db, table: &str, to_come: i64) -> QueryResult<bool> {
    let Db::Pg(pg) = db else { return Ok(false) };
    let most = to_come.saturating_mul(2);
    let sql = format!(
        "SELECT count(*) AS number FROM (SELECT FROM {} LIMIT {}) t",
        in_schema(pg, table)?,
        most.saturating_add(1)
    );
    Ok(diesel::sql_query(sql).get_result::<Number>(pg)?.number <= most)
}
