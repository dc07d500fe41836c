//! What stands in the catalogue under the name of an index.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{Bool, Text};

use super::{IndexError, UniqueIndex};
use crate::storage::db::Db;
use crate::storage::place::{TABLE, schema_of};
use crate::storage::sql::quoted;

/// What stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Missing,
    /// The index, valid.
    Valid,
    /// An index that is not valid: it is being built, or what was left of it. It may refuse rows, and finds none.
    Invalid,
}

/// What stands under the name of an index.
///
/// # Errors
/// Something else has that name; the database fails.
pub(crate) fn look(db: &mut Db, index: &UniqueIndex) -> Result<Found, IndexError> {
    match db {
        Db::Pg(pg) => look_pg(pg, index),
        db => look_lite(db, index),
    }
}

#[derive(QueryableByName)]
struct Relation {
    #[diesel(sql_type = Bool)]
    is_index: bool,
    #[diesel(sql_type = Bool)]
    of_table: bool,
    #[diesel(sql_type = Bool)]
    is_unique: bool,
    #[diesel(sql_type = Bool)]
    is_valid: bool,
    #[diesel(sql_type = Text)]
    shape: String,
}

/// All that tells an index from another one of the same table, but for its name. The catalogue spells it in its own way, so it
/// is compared with that of an index of ours.
const SHAPE: &str = "concat_ws(' ', m.amname, i.indimmediate, to_jsonb(i) ->> 'indnullsnotdistinct', i.indnkeyatts, i.indnatts, \
     i.indclass, i.indcollation, i.indoption, \
     (SELECT string_agg(pg_get_indexdef(i.indexrelid, k, true), ', ' ORDER BY k) FROM generate_series(1, i.indnatts::int) k), \
     'WHERE', pg_get_expr(i.indpred, i.indrelid, true))";

/// The relation of a name in a schema.
fn relation(pg: &mut PgConnection, schema: &str, name: &str, table: &str) -> QueryResult<Option<Relation>> {
    diesel::sql_query(format!(
        "SELECT i.indexrelid IS NOT NULL AS is_index, coalesce(t.relname = $2, false) AS of_table, \
                coalesce(i.indisunique, false) AS is_unique, coalesce(i.indisvalid, false) AS is_valid, \
                CASE WHEN i.indexrelid IS NULL THEN '' ELSE {SHAPE} END AS shape \
           FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = i.indrelid \
           LEFT JOIN pg_am m ON m.oid = c.relam \
          WHERE c.relnamespace = {schema} AND c.relname = $1"
    ))
    .bind::<Text, _>(name)
    .bind::<Text, _>(table)
    .get_result(pg)
    .optional()
}

fn look_pg(pg: &mut PgConnection, index: &UniqueIndex) -> Result<Found, IndexError> {
    let schema = format!("(SELECT relnamespace FROM pg_class WHERE oid = {})", TABLE.replace("$1", "$2"));
    let Some(found) = relation(pg, &schema, index.name, index.table)? else {
        return Ok(Found::Missing);
    };
    let what = match found {
        Relation { is_index: false, .. } => "it is no index",
        Relation { of_table: false, .. } => "it is the index of another table",
        Relation { is_valid: false, .. } => return Ok(Found::Invalid),
        Relation { is_unique: false, .. } => "it is not unique",
        Relation { shape, .. } if shape != declared(pg, index)? => "it is defined otherwise",
        Relation { .. } => return Ok(Found::Valid),
    };
    Err(index.taken(what))
}

/// The shape of the declared index, from an empty copy of its table that is never committed.
fn declared(pg: &mut PgConnection, index: &UniqueIndex) -> QueryResult<String> {
    const COPY: &str = "replant_declared";
    const NAME: &str = "replant_declared_index";
    let schema = schema_of(pg, index.table)?;
    let mut shape = None;
    let rolled_back = pg.transaction(|pg| {
        pg.batch_execute(&format!(
            "CREATE TEMPORARY TABLE {COPY} (LIKE {schema}.{}); {}",
            quoted(index.table),
            index.statement("", NAME, &format!("pg_temp.{COPY}"))
        ))?;
        shape = relation(pg, "pg_my_temp_schema()", NAME, COPY)?;
        Err::<(), _>(Error::RollbackTransaction)
    });
    match (rolled_back, shape) {
        (Err(Error::RollbackTransaction), Some(relation)) => Ok(relation.shape),
        (Err(Error::RollbackTransaction) | Ok(()), _) => Err(Error::NotFound),
        (Err(error), _) => Err(error),
    }
}

#[derive(QueryableByName)]
struct Lite {
    #[diesel(sql_type = Bool)]
    is_index: bool,
    #[diesel(sql_type = Text)]
    sql: String,
}

/// SQLite keeps the statement as it was written.
fn look_lite(db: &mut Db, index: &UniqueIndex) -> Result<Found, IndexError> {
    let sql = "SELECT type = 'index' AS is_index, coalesce(sql, '') AS sql FROM sqlite_master WHERE name = ?";
    let found: Option<Lite> = diesel::sql_query(sql).bind::<Text, _>(index.name).get_result(db).optional()?;
    match found {
        None => Ok(Found::Missing),
        Some(found) if !found.is_index => Err(index.taken("it is no index")),
        Some(found) if !plain(&found.sql).starts_with("createunique") => Err(index.taken("it is not unique")),
        Some(found) if plain(&found.sql) == plain(&index.declared()) => Ok(Found::Valid),
        Some(_) => Err(index.taken("it is defined otherwise")),
    }
}

/// A statement without what its writer may do in one way or another.
fn plain(sql: &str) -> String {
    let bare: String =
        sql.chars().filter(|sign| !sign.is_whitespace() && !['"', '`', '[', ']', '(', ')'].contains(sign)).collect();
    bare.to_lowercase().replace("ifnotexists", "")
}
