//! Sessions of others, who may write to the platform while it has no foreign keys.

use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};
use serde::Serialize;

use crate::storage::db::Db;

/// A session that is not Replant's, of a user who may write to the platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, QueryableByName)]
pub struct Session {
    /// The server's process; 0 of a prepared transaction.
    #[diesel(sql_type = Integer)]
    pub pid: i32,
    /// Its user.
    #[diesel(sql_type = Text)]
    pub user: String,
    /// What its application calls itself.
    #[diesel(sql_type = Text)]
    pub application: String,
}

impl std::fmt::Display for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            0 => write!(f, "a prepared transaction of `{}`", self.user),
            pid => write!(f, "pid {pid} (user `{}`, application `{}`)", self.user, self.application),
        }
    }
}

/// Who is connected counts, not who writes at this moment: a session that is idle now may write next. One whose user has
/// no right to write is harmless. Sessions by their application's name, as ours have it; what the view hides from an ordinary
/// user (the kind of a session) is taken for the worse.
const FOREIGN: &str = "
SELECT a.pid, coalesce(a.usename::text, '?') AS user, coalesce(nullif(a.application_name, ''), '?') AS application
  FROM pg_stat_activity a
 WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
   AND a.application_name NOT LIKE 'replant%'
   AND coalesce(a.backend_type, 'client backend') IN ('client backend', 'logical replication worker')
   AND EXISTS (SELECT FROM pg_class t
                WHERE t.relnamespace = to_regnamespace(current_setting('replant.schema')) AND t.relkind IN ('r', 'p')
                  AND has_table_privilege(a.usesysid, t.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))
UNION ALL
SELECT 0, p.owner::text, '' FROM pg_prepared_xacts p WHERE p.database = current_database()
 ORDER BY 1";

/// The sessions of others that may write. None where the target is no PostgreSQL.
///
/// # Errors
/// The database fails.
pub(crate) fn foreign(db: &mut Db) -> QueryResult<Vec<Session>> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    diesel::sql_query(FOREIGN).load(pg)
}

/// How many are named.
const NAMED: usize = 8;

/// A number of sessions in words.
pub(super) fn name(sessions: &[Session]) -> String {
    let mut named: Vec<String> = sessions.iter().take(NAMED).map(ToString::to_string).collect();
    if sessions.len() > NAMED {
        named.push(format!("and {} more", sessions.len() - NAMED));
    }
    format!("{} in all, {}", sessions.len(), named.join(", "))
}
