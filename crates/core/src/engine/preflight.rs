//! What is looked at before anything is written.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::error::RunError;
use super::step::AnyStep;
use crate::storage::db::{Db, Role};
use crate::storage::failure::Failure;
use crate::storage::pool::Pool;
use crate::storage::shape::{Misfit, TableShape, Use, misfits};

/// Holds every table that the steps read or write against what the databases have.
pub(super) fn check(steps: &[&dyn AnyStep], legacy: &Pool, target: &Pool) -> Result<(), RunError> {
    let reads = steps.iter().flat_map(|step| step.reads()).collect();
    side(legacy, Role::Legacy, Use::Read, reads, |_| Ok(Vec::new()))?;
    let writes = steps.iter().flat_map(|step| step.writes()).collect();
    let tables: Vec<&'static str> =
        steps.iter().flat_map(|step| step.also().iter().copied().chain([step.target_table()])).collect();
    side(target, Role::Target, Use::Write, writes, |db| rights_and_sequences(db, &tables))
}

fn side(
    pool: &Pool,
    role: Role,
    usage: Use,
    mut tables: Vec<TableShape>,
    more: impl FnOnce(&mut Db) -> QueryResult<Vec<String>>,
) -> Result<(), RunError> {
    let side = match role {
        Role::Legacy => "legacy",
        Role::Target => "target",
    };
    tables.sort_by_key(|table| (table.name, std::cmp::Reverse(table.columns.len())));
    tables.dedup();
    let mut db = pool.get()?;
    let look = || -> QueryResult<Vec<String>> {
        let mut problems: Vec<Misfit> = Vec::new();
        for table in &tables {
            problems.extend(misfits(&mut db, table, usage)?);
        }
        let mut problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        problems.sort();
        problems.dedup();
        if problems.is_empty() { more(&mut db) } else { Ok(problems) }
    };
    let problems = look().unwrap_or_else(|error| vec![Failure::of(&error).describe()]);
    if problems.is_empty() { Ok(()) } else { Err(RunError::Preflight { side, problems }) }
}

#[derive(QueryableByName)]
struct Behind {
    #[diesel(sql_type = BigInt)]
    highest: i64,
    #[diesel(sql_type = BigInt)]
    last: i64,
}

#[derive(QueryableByName)]
struct Rights {
    #[diesel(sql_type = diesel::sql_types::Nullable<Text>)]
    sequence: Option<String>,
    #[diesel(sql_type = Bool)]
    reads: bool,
    #[diesel(sql_type = Bool)]
    inserts: bool,
    #[diesel(sql_type = Bool)]
    takes_ids: bool,
}

/// What the user may do with a table, and with the sequence of its `id`.
const RIGHTS: &str = "
SELECT s.sequence, has_table_privilege(t.name, 'SELECT') AS reads, has_table_privilege(t.name, 'INSERT') AS inserts,
       coalesce(has_sequence_privilege(s.sequence, 'USAGE') AND has_sequence_privilege(s.sequence, 'SELECT'), false) AS takes_ids
  FROM (SELECT format('public.%I', $1) AS name) t
  CROSS JOIN LATERAL (SELECT pg_get_serial_sequence(t.name, 'id') AS sequence) s";

/// The rights to read and write, and the sequences, from which ids are taken: one that lags behind its table would hand out ids that are taken.
fn rights_and_sequences(db: &mut Db, tables: &[&'static str]) -> QueryResult<Vec<String>> {
    let mut problems = Vec::new();
    let Db::Pg(pg) = db else { return Ok(problems) };
    for table in tables {
        let found: Rights = diesel::sql_query(RIGHTS).bind::<Text, _>(table).get_result(pg)?;
        let lacking = [(found.reads, "SELECT"), (found.inserts, "INSERT")];
        problems.extend(
            lacking
                .iter()
                .filter(|(granted, _)| !granted)
                .map(|(_, right)| format!("the database user lacks a right: {right} on `{table}`")),
        );
        let Some(sequence) = found.sequence else {
            problems.push(format!("`{table}.id` has no sequence to take ids from"));
            continue;
        };
        if !found.takes_ids {
            problems.push(format!("the database user lacks a right: SELECT and USAGE on the sequence {sequence}"));
        }
        if !found.takes_ids || !found.reads {
            continue;
        }
        // A sequence is read like a table, by its own name, which the catalogue has quoted.
        let sql = format!(
            "SELECT coalesce((SELECT max(id) FROM public.\"{table}\"), 0) AS highest, last_value - (NOT is_called)::int AS last FROM {sequence}"
        );
        let Behind { highest, last } = diesel::sql_query(sql).get_result(pg)?;
        if last < highest {
            problems.push(format!(
                "the sequence of `{table}.id` stands at {last}, behind the highest id {highest}: set it with setval('{sequence}', {highest})"
            ));
        }
    }
    Ok(problems)
}
