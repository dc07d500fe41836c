//! Indexes that are only needed for a while: rows that point to others are found by them.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use xxhash_rust::xxh3::xxh3_64;

use super::build::session;
use super::{IndexError, UniqueIndex};
use crate::storage::db::Db;
use crate::storage::place::schema_of;
use crate::storage::sql::{literal, quoted};

/// With what the names of such indexes begin.
const PREFIX: &str = "replant_undo_";

/// As much memory as a build may have.
const MEMORY_MB: u32 = 256;

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Bool)]
    is_valid: bool,
}

/// Builds an index of a column of a table, which is named as SQL does, on a session of its own: nobody waits for it.
///
/// # Errors
/// The database fails.
pub(crate) fn temporary(db: &mut Db, place: &str, column: &str) -> QueryResult<()> {
    session(db, MEMORY_MB)?;
    let Db::Pg(pg) = db else { return Ok(()) };
    let name = format!("{PREFIX}{:016x}", xxh3_64(format!("{place}.{column}").as_bytes()));
    let known = format!(
        "SELECT format('%I.%I', n.nspname, i.relname) AS name, x.indisvalid AS is_valid
           FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace
          WHERE x.indrelid = {}::regclass AND i.relname = {}",
        literal(place),
        literal(&name)
    );
    // An earlier undo may have been killed.
    let before: Option<Known> = diesel::sql_query(&known).get_result(pg).optional()?;
    match before {
        Some(Known { is_valid: true, .. }) => return Ok(()),
        Some(Known { name, .. }) => pg.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"))?,
        None => {}
    }
    pg.batch_execute(&format!("CREATE INDEX CONCURRENTLY {} ON {place} ({})", quoted(&name), quoted(column)))
}

/// Drops all such indexes, those of an undo that was killed among them.
///
/// # Errors
/// The database fails.
pub(crate) fn drop_temporary(db: &mut Db) -> QueryResult<()> {
    session(db, MEMORY_MB)?;
    let Db::Pg(pg) = db else { return Ok(()) };
    let all = format!(
        "SELECT format('%I.%I', n.nspname, i.relname) AS name, x.indisvalid AS is_valid
           FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace
          WHERE starts_with(i.relname, '{PREFIX}') AND pg_has_role(i.relowner, 'USAGE')"
    );
    let all: Vec<Known> = diesel::sql_query(all).load(pg)?;
    all.iter().try_for_each(|Known { name, .. }| pg.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")))
}

/// Drops an index that a step has made.
///
/// # Errors
/// The database fails.
pub(crate) fn take_away(db: &mut Db, index: &UniqueIndex) -> Result<(), IndexError> {
    session(db, MEMORY_MB)?;
    let name = match db {
        Db::Pg(pg) => format!("CONCURRENTLY IF EXISTS {}.{}", schema_of(pg, index.table)?, quoted(index.name)),
        _ => format!("IF EXISTS {}", quoted(index.name)),
    };
    Ok(db.batch_execute(&format!("DROP INDEX {name}"))?)
}
