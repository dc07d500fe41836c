//! Statements of PostgreSQL in a block that catches what refuses them: there the server tells the code, which diesel hides.

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Bool, Text};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::told::Told;
use crate::storage::sql::literal;

/// What a caught statement gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// How many rows it touched.
    Count,
    /// The one text that it selects.
    Text,
    /// Nothing: whatever it did is undone.
    Undone,
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Text)]
    answer: String,
}

/// What the block leaves behind.
#[derive(Deserialize)]
#[serde(untagged)]
enum Left {
    Refused { code: String, constraint: String, table: String, column: String, context: String },
    Done { done: Option<String> },
}

/// The setting through which the block answers: it ends with its transaction.
const ANSWER: &str = "replant.caught";

/// OTHERS leaves two conditions out. The handler runs when the block's own work is undone, so the outer transaction is well.
const HANDLER: &str = "EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, cons = CONSTRAINT_NAME, tab = TABLE_NAME, col = COLUMN_NAME, ctx = PG_EXCEPTION_CONTEXT;
  IF code <> 'RPL00' THEN
    PERFORM set_config('replant.caught', jsonb_build_object(
      'code', code, 'constraint', cons, 'table', tab, 'column', col, 'context', ctx)::text, true);
  END IF;";

/// Executes a statement without parameters; how many rows it touched.
///
/// # Errors
/// Whatever refuses it, with its code ([`Told`]).
pub(crate) fn execute(pg: &mut PgConnection, sql: &str) -> QueryResult<usize> {
    let rows = run(pg, sql, Form::Count)?;
    rows.and_then(|rows| rows.parse().ok()).ok_or_else(no_answer)
}

/// The one text that a query without parameters selects.
///
/// # Errors
/// Whatever refuses it, with its code ([`Told`]).
pub(crate) fn text(pg: &mut PgConnection, sql: &str) -> QueryResult<Option<String>> {
    run(pg, sql, Form::Text)
}

/// The rows that a query without parameters selects, by the names of their columns.
///
/// # Errors
/// Whatever refuses it, with its code ([`Told`]).
pub(crate) fn rows<T: DeserializeOwned>(pg: &mut PgConnection, sql: &str) -> QueryResult<Vec<T>> {
    let rows = text(pg, &format!("SELECT jsonb_agg(to_jsonb(q))::text FROM ({sql}) q"))?;
    rows.map_or(Ok(Vec::new()), |rows| serde_json::from_str(&rows).map_err(|_| no_answer()))
}

/// Tries a statement without parameters, and undoes it.
///
/// # Errors
/// Whatever refuses it, with its code ([`Told`]).
pub(crate) fn attempt(pg: &mut PgConnection, sql: &str) -> QueryResult<()> {
    run(pg, sql, Form::Undone).map(|_| ())
}

fn no_answer() -> Error {
    Error::DeserializationError("a caught statement left no answer".into())
}

fn run(pg: &mut PgConnection, sql: &str, form: Form) -> QueryResult<Option<String>> {
    let work = match form {
        Form::Count => "EXECUTE stmt; GET DIAGNOSTICS n = ROW_COUNT; done := n::text;",
        Form::Text => "EXECUTE stmt INTO done;",
        Form::Undone => "EXECUTE stmt; RAISE EXCEPTION SQLSTATE 'RPL00';",
    };
    let block = format!(
        "DO $replant$ DECLARE stmt text := {}; done text; n bigint; code text; cons text; tab text; col text; ctx text;
BEGIN
  PERFORM set_config('{ANSWER}', '{{\"done\": null}}', true);
  BEGIN
    {work}
    PERFORM set_config('{ANSWER}', jsonb_build_object('done', done)::text, true);
  {HANDLER}
  END;
END $replant$",
        literal(sql)
    );
    // The answer ends with the transaction, so there has to be one.
    let answer: Answer = pg.transaction(|pg| {
        diesel::sql_query(block).execute(pg)?;
        diesel::sql_query(format!("SELECT current_setting('{ANSWER}') AS answer")).get_result(pg)
    })?;
    match serde_json::from_str(&answer.answer).map_err(|_| no_answer())? {
        Left::Done { done } => Ok(done),
        Left::Refused { code, constraint, table, column, context } => {
            let mut told = Told { code, constraint, table, column, ..Told::default() };
            told.trigger = trigger_in(pg, &context)?;
            let may_be = told.code == "23514" && told.constraint.is_empty() && told.trigger.is_none();
            told.no_partition = may_be && is_partitioned(pg, &told.table)?;
            Err(told.into_error(DatabaseErrorKind::Unknown))
        }
    }
}

#[derive(QueryableByName)]
struct Trigger {
    #[diesel(sql_type = Text)]
    of_table: String,
}

/// A context is a text in the server's language, but functions stand in it by their names.
const TRIGGER_IN: &str = "
SELECT t.relname::text AS of_table
  FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid JOIN pg_proc p ON p.oid = g.tgfoid
 CROSS JOIN LATERAL (SELECT greatest(position(' ' || quote_ident(p.proname) || '(' IN $1), position('.' || quote_ident(p.proname) || '(' IN $1))) AS at (place)
 WHERE NOT g.tgisinternal AND at.place > 0
 ORDER BY at.place DESC, g.oid LIMIT 1";

/// Whether a table has partitions, or is one.
fn is_partitioned(pg: &mut PgConnection, table: &str) -> QueryResult<bool> {
    use diesel::dsl::{select, sql};
    let found = sql::<Bool>("EXISTS (SELECT FROM pg_class WHERE (relkind = 'p' OR relispartition) AND relname = ")
        .bind::<Text, _>(table)
        .sql(")");
    select(found).get_result(pg)
}

/// The table of the trigger in whose function something was refused; none where it was not in one.
fn trigger_in(pg: &mut PgConnection, context: &str) -> QueryResult<Option<String>> {
    if context.is_empty() {
        return Ok(None);
    }
    let found = diesel::sql_query(TRIGGER_IN).bind::<Text, _>(context).get_result::<Trigger>(pg).optional()?;
    Ok(found.map(|trigger| trigger.of_table))
}
