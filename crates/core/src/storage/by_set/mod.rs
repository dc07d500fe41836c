//! Foreign keys checked by sets: rows are copied while the server's own checks, a query for each key of each row, are silent;
//! then each foreign key is asked for all of its values at once, with the row lock that the server's check takes and holds.
//!
//! Only where that comes to the same ([`keys`]): else, and for whatever else is written, the server checks row by row.

mod check;
mod keys;
mod orphans;
mod values;

use diesel::prelude::*;
use diesel::result::DatabaseErrorKind;
use diesel::sql_types::{Bool, Integer, Text};

use super::db::Db;
use super::failure::{Told, UNGUARDED};
use super::model::Insert;
use super::sql::quoted;
pub(crate) use keys::{Obstacle, obstacles};
pub(crate) use orphans::{Orphans, Place, looks};

/// The oldest server whose owner can let a user silence its checks.
const OLDEST: i32 = 150_000;

/// Copies rows into their table, inside the savepoint of the caller; with their foreign keys checked by sets where they can be.
/// How many rows it took, and whether it was by sets.
///
/// # Errors
/// Those of COPY; a key without a parent is the violation of its foreign key.
pub(crate) fn copy<T: Insert>(pg: &mut PgConnection, rows: &[T]) -> QueryResult<(usize, bool)> {
    let table = T::shape().name;
    let by_row = |pg: &mut PgConnection| Ok((T::copy(pg, rows)?, false));
    if !diesel::sql_query(MAY_LOCK).bind::<Text, _>(table).get_result::<May>(pg)?.may {
        return by_row(pg);
    }
    // From here to the end of the transaction nobody adds a foreign key or a trigger: what was added before is seen now.
    diesel::sql_query(format!("LOCK TABLE {} IN ROW EXCLUSIVE MODE", quoted(table))).execute(pg)?;
    let keys = match keys::of(pg, table)? {
        Ok(keys) if !keys.is_empty() => keys,
        _ => return by_row(pg),
    };
    let Some(values) = values::of(rows, &keys) else { return by_row(pg) };
    diesel::sql_query("SET LOCAL session_replication_role = replica").execute(pg)?;
    let copied = T::copy(pg, rows)?;
    diesel::sql_query("SET LOCAL session_replication_role = origin").execute(pg)?;
    for (key, values) in keys.iter().zip(&values) {
        check::all_there(pg, table, key, values)?;
    }
    Ok((copied, true))
}

#[derive(QueryableByName)]
struct Session {
    #[diesel(sql_type = Text)]
    role: String,
}

/// Makes sure that the server checks what this session writes: a setting of the role or the database may have changed since the
/// run began.
///
/// # Errors
/// It does not; the database fails.
pub(crate) fn guarded(db: &mut Db) -> QueryResult<()> {
    let Db::Pg(pg) = db else { return Ok(()) };
    let role = "SELECT current_setting('session_replication_role') AS role";
    let Session { role } = diesel::sql_query(role).get_result(pg)?;
    match &*role {
        "origin" => Ok(()),
        _ => Err(Told { code: UNGUARDED.to_owned(), ..Told::default() }.into_error(DatabaseErrorKind::Unknown)),
    }
}

#[derive(QueryableByName)]
struct Server {
    #[diesel(sql_type = Integer)]
    version: i32,
    #[diesel(sql_type = Text)]
    me: String,
}

/// COPY needs INSERT alone; a lock of its own that is as strong needs one of these.
const MAY_LOCK: &str = "
SELECT has_table_privilege(t.oid, 'UPDATE') OR has_table_privilege(t.oid, 'DELETE') AS may
  FROM (SELECT format('%I.%I', current_schema(), $1)::regclass AS oid) t";

#[derive(QueryableByName)]
struct May {
    #[diesel(sql_type = Bool)]
    may: bool,
}

/// What keeps the user from silencing the server's checks on any table; none where nothing does.
///
/// # Errors
/// The database fails.
pub(crate) fn forbidden(db: &mut Db) -> QueryResult<Option<Obstacle>> {
    let Db::Pg(pg) = db else {
        return Ok(Some(Obstacle { why: "the target is not PostgreSQL".to_owned(), mend: None }));
    };
    let server = "SELECT current_setting('server_version_num')::int AS version, quote_ident(current_user) AS me";
    let Server { version, me } = diesel::sql_query(server).get_result(pg)?;
    if version < OLDEST {
        let why = "the server is older than PostgreSQL 15".to_owned();
        return Ok(Some(Obstacle { why, mend: None }));
    }
    let may = "SELECT has_parameter_privilege('session_replication_role', 'SET') AS may";
    let May { may } = diesel::sql_query(may).get_result(pg)?;
    let why = || "the database user may not set `session_replication_role`".to_owned();
    let mend = || Some(format!("GRANT SET ON PARAMETER session_replication_role TO {me};"));
    Ok((!may).then(|| Obstacle { why: why(), mend: mend() }))
}
