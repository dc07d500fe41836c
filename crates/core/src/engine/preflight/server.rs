//! The target's server and database: version, encoding, whether it can be written, and what the user may do there.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer, Nullable, Text};

use crate::contract::inspect::Finding;
use crate::storage::db::{Db, Role};

/// The oldest server that is supported.
const OLDEST: i32 = 130_000;

#[derive(QueryableByName)]
struct Server {
    #[diesel(sql_type = Integer)]
    version: i32,
    #[diesel(sql_type = Text)]
    version_name: String,
    #[diesel(sql_type = Text)]
    encoding: String,
    #[diesel(sql_type = Bool)]
    standby: bool,
    #[diesel(sql_type = Bool)]
    read_only: bool,
    /// Where `default_transaction_read_only` was set.
    #[diesel(sql_type = Nullable<Text>)]
    read_only_by: Option<String>,
    #[diesel(sql_type = Text)]
    replication_role: String,
    #[diesel(sql_type = Bool)]
    temp: bool,
    #[diesel(sql_type = Text)]
    database: String,
    #[diesel(sql_type = Text)]
    me: String,
}

const SERVER: &str = "
SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS version_name,
       current_setting('server_encoding') AS encoding,
       pg_is_in_recovery() AS standby, current_setting('default_transaction_read_only')::bool AS read_only,
       (SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only') AS read_only_by,
       current_setting('session_replication_role') AS replication_role,
       has_database_privilege(current_database(), 'TEMP') AS temp,
       quote_ident(current_database()) AS database, quote_ident(current_user) AS me";

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Triggers on events fire where tables and indexes are made.
const EVENT_TRIGGERS: &str =
    "SELECT evtname::text AS name FROM pg_event_trigger WHERE evtenabled IN ('O', 'A') ORDER BY 1";

/// What keeps the database from being a target.
pub(super) fn fit(db: &mut Db) -> QueryResult<Vec<Finding>> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    let server: Server = diesel::sql_query(SERVER).get_result(pg)?;
    let mut found = server.judge();
    let triggers: Vec<Named> = diesel::sql_query(EVENT_TRIGGERS).load(pg)?;
    if !triggers.is_empty() {
        let names: Vec<String> = triggers.iter().map(|trigger| format!("`{}`", trigger.name)).collect();
        let what =
            format!("event triggers may fire when the ledger's tables and indexes are made: {}", names.join(", "));
        found.push(Finding::note(Role::Target, what));
    }
    Ok(found)
}

impl Server {
    /// What keeps this server or this database from being a target.
    fn judge(&self) -> Vec<Finding> {
        let Self { database, me, .. } = self;
        let refuse = |what: String| Finding::refusal(Role::Target, what);
        let mut found = Vec::new();
        if self.version < OLDEST {
            let what = format!("the server is PostgreSQL {}, where 13 or later is needed", self.version_name);
            found.push(refuse(what).mend("upgrade the server"));
        }
        if self.encoding != "UTF8" {
            let what = format!(
                "the encoding of the database is {}, where UTF8 is needed: it cannot hold every character",
                self.encoding
            );
            found.push(
                refuse(what).mend("dump the database and restore it into one of CREATE DATABASE ... ENCODING 'UTF8'"),
            );
        }
        if self.standby {
            let what = "the server is a standby, which can only be read".to_owned();
            found.push(refuse(what).mend("connect to the primary, or promote this server"));
        } else if self.read_only {
            let (whose, mend) = match self.read_only_by.as_deref() {
                Some("user") => ("the role", format!("ALTER ROLE {me} RESET default_transaction_read_only;")),
                Some("database user") => (
                    "the role in this database",
                    format!("ALTER ROLE {me} IN DATABASE {database} RESET default_transaction_read_only;"),
                ),
                Some("database") => {
                    ("the database", format!("ALTER DATABASE {database} RESET default_transaction_read_only;"))
                }
                _ => ("the server", format!("ALTER ROLE {me} SET default_transaction_read_only = off;")),
            };
            let what = format!("default_transaction_read_only is on for {whose}: nothing could be written");
            found.push(refuse(what).mend(mend));
        }
        if self.replication_role != "origin" {
            let what = format!(
                "session_replication_role is {} for the user: foreign keys would not be checked",
                self.replication_role
            );
            found.push(refuse(what).mend(format!("ALTER ROLE {me} RESET session_replication_role;")));
        }
        if !self.temp {
            let what =
                "the database user lacks a right: TEMP on the database, for rows that a constraint refuses".to_owned();
            found.push(refuse(what).mend(format!("GRANT TEMP ON DATABASE {database} TO {me};")));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Server {
        Server {
            version: 180_001,
            version_name: "18.1".to_owned(),
            encoding: "UTF8".to_owned(),
            standby: false,
            read_only: false,
            read_only_by: None,
            replication_role: "origin".to_owned(),
            temp: true,
            database: "platform".to_owned(),
            me: "replant".to_owned(),
        }
    }

    #[test]
    fn a_server_that_cannot_be_a_target_is_refused_with_the_cause() {
        assert_eq!(sound().judge(), []);
        let cases = [
            (Server { version: 120_022, version_name: "12.22".to_owned(), ..sound() }, "PostgreSQL 12.22, where 13"),
            // A standby is read only as well: that is not what is to be mended.
            (Server { standby: true, read_only: true, ..sound() }, "the server is a standby"),
            (Server { encoding: "SQL_ASCII".to_owned(), ..sound() }, "SQL_ASCII, where UTF8"),
            (
                Server { read_only: true, read_only_by: Some("configuration file".to_owned()), ..sound() },
                "for the server",
            ),
        ];
        for (server, cause) in cases {
            let found = server.judge();
            assert!(found.len() == 1 && found[0].refuses() && found[0].what.contains(cause), "{found:?}");
        }
    }
}
