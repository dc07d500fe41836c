//! Advisory locks of a session of PostgreSQL: what one process at a time may do. The server drops them with the session.

use diesel::prelude::*;

use super::db::Db;

#[diesel::declare_sql_function]
extern "SQL" {
    fn pg_try_advisory_lock(key: diesel::sql_types::BigInt) -> diesel::sql_types::Bool;
    fn pg_advisory_unlock(key: diesel::sql_types::BigInt) -> diesel::sql_types::Bool;
}

/// Takes a lock; whether nobody else has it. Other databases have no such locks: there nobody else can have one.
///
/// # Errors
/// The database fails.
pub(crate) fn take(db: &mut Db, key: i64) -> QueryResult<bool> {
    match db {
        Db::Pg(pg) => diesel::select(pg_try_advisory_lock(key)).get_result(pg),
        _ => Ok(true),
    }
}

/// Gives it back.
///
/// # Errors
/// The database fails; a connection that is lost has lost the lock as well.
pub(crate) fn give_back(db: &mut Db, key: i64) -> QueryResult<()> {
    match db {
        Db::Pg(pg) => diesel::select(pg_advisory_unlock(key)).get_result::<bool>(pg).map(|_| ()),
        _ => Ok(()),
    }
}
