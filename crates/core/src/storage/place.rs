//! In which schema a table of the target is: the first of the session's search path that has it. A stage table of that name,
//! which is temporary, is none of them.
//!
//! The platform's own schema is that of its address ([`DbUrl::schema`](super::db::DbUrl::schema)). Each session has its name, in
//! quotes, in the setting `replant.schema`: in a rehearsal `current_schema()` is that of the copies.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::sql::quoted;

/// The table with the name `$1` as an `oid`, as SQL; NULL where there is none.
pub(crate) const TABLE: &str = "(SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
      JOIN unnest(current_schemas(false)) WITH ORDINALITY s (name, place) ON s.name = n.nspname \
     WHERE c.relname = $1 AND c.relkind IN ('r', 'p') ORDER BY s.place LIMIT 1)";

#[derive(QueryableByName)]
struct Schema {
    #[diesel(sql_type = Text)]
    name: String,
}

/// The platform's schema, in quotes.
///
/// # Errors
/// The database fails.
pub(crate) fn schema(pg: &mut PgConnection) -> QueryResult<String> {
    let sql = "SELECT current_setting('replant.schema') AS name";
    diesel::sql_query(sql).get_result::<Schema>(pg).map(|schema| schema.name)
}

/// A table or an index of the platform's schema, as SQL names it.
///
/// # Errors
/// The database fails.
pub(crate) fn in_schema(pg: &mut PgConnection, name: &str) -> QueryResult<String> {
    Ok(format!("{}.{}", schema(pg)?, quoted(name)))
}

/// The schema of a table, quoted where it must be.
///
/// # Errors
/// There is no such table; the database fails.
pub(crate) fn schema_of(pg: &mut PgConnection, table: &str) -> QueryResult<String> {
    let sql = format!("SELECT relnamespace::regnamespace::text AS name FROM pg_class WHERE oid = {TABLE}");
    diesel::sql_query(sql).bind::<Text, _>(table).get_result::<Schema>(pg).map(|schema| schema.name)
}
