//! The session is ours: whatever a role, a database or a server may set and that changes an answer is set by each session.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::{Backend, Db, Role};
use crate::storage::sql::{literal, quoted};

/// A setting of PostgreSQL: its name, its value (`{schema}`: that of the address), and why. One that a server does not know is
/// left out.
type Setting = (&'static str, &'static str, &'static str);

/// What holds on both sides.
const POSTGRES: &[Setting] = &[
    ("DateStyle", "ISO, MDY", "dates that are read as text, by reports"),
    ("IntervalStyle", "postgres", "likewise"),
    ("TimeZone", "UTC", "times are instants; text of them is UTC"),
    ("bytea_output", "hex", "bytes that are read as text"),
    ("extra_float_digits", "1", "a float as text is the shortest one that reads back as the same float"),
    ("quote_all_identifiers", "off", "types and definitions as the catalogue writes them are compared as text"),
    ("standard_conforming_strings", "on", "a backslash in a literal is a backslash"),
    ("transform_null_equals", "off", "= NULL is NULL"),
    ("array_nulls", "on", "NULL in an array is NULL"),
    ("row_security", "off", "a policy that would hide rows is an error"),
    ("default_transaction_isolation", "read committed", "a chunk sees what was committed before each statement"),
    ("default_transaction_deferrable", "off", "a transaction begins at once"),
    ("statement_timeout", "0", "a chunk may take its time; what waits for a lock gives way by lock_timeout"),
    ("transaction_timeout", "0", "likewise"),
    ("idle_session_timeout", "0", "the lock that shows that a worker lives is held by a session that is mostly idle"),
    ("default_tablespace", "", "what is made stands where its database stands"),
    ("client_min_messages", "warning", "nobody reads notices"),
    ("jit", "off", "compiling costs more than the short statements of a chunk take"),
];

const POSTGRES_LEGACY: &[Setting] = &[
    ("default_transaction_read_only", "on", "the legacy side is read"),
    ("search_path", "{schema}", "tables are named without a schema"),
    ("lock_timeout", "30000", "a reader holds nothing that others wait for"),
    ("idle_in_transaction_session_timeout", "0", "a reader holds nothing that others wait for"),
];

const POSTGRES_TARGET: &[Setting] = &[
    ("search_path", "{schema}, replant", "tables are named without a schema; the ledger has one of its own"),
    (
        "lock_timeout",
        "1000",
        "a customer may wait as long for what the transaction holds: what is refused for that gives way, and is tried again",
    ),
    ("idle_in_transaction_session_timeout", "900000", "what a process that was stopped holds comes free in the end"),
    (
        "random_page_cost",
        "1.1",
        "pages of parents are in memory while their children are written; with the cost of a hard disk a small table \
         (countries) is read whole for each row that points into it",
    ),
];

/// MariaDB and MySQL. `/*M!` is read by MariaDB alone, `/*!50704` by MySQL from that version on and not by MariaDB.
/// sql_mode: no mode that changes how text is compared or padded. sql_select_limit, max_join_size: all rows, however many.
/// max_statement_time: a page may take its time. Timeouts of reading, writing and idling: a reader waits while its rows are
/// judged. autocommit: a read sees what is there now.
const MARIADB: &str = "SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', autocommit = 1, \
     sql_select_limit = 18446744073709551615, sql_big_selects = 1, \
     net_read_timeout = 3600, net_write_timeout = 3600, wait_timeout = 28800; \
     SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
     /*M! SET SESSION max_statement_time = 0, idle_transaction_timeout = 0, idle_readonly_transaction_timeout = 0 */; \
     /*!50704 SET SESSION max_execution_time = 0 */";

const SQLITE: &str = "PRAGMA busy_timeout = 30000; PRAGMA case_sensitive_like = off";

// Two are looked at before a run instead, because whoever set them meant something by it: `session_replication_role` and the
// target's `default_transaction_read_only`.

/// Sets a new session up for what it is there for. `schema` is that of PostgreSQL in which the tables are.
///
/// # Errors
/// The database refuses, or is lost.
pub(super) fn set_up(db: &mut Db, role: Role, schema: &str) -> QueryResult<()> {
    match db.backend() {
        Backend::Postgres => {
            let own = if role == Role::Legacy { POSTGRES_LEGACY } else { POSTGRES_TARGET };
            postgres(db, &[POSTGRES, own].concat(), schema)
        }
        Backend::MariaDb => {
            db.batch_execute(MARIADB)?;
            match role {
                Role::Legacy => db.batch_execute("SET SESSION TRANSACTION READ ONLY"),
                Role::Target => Ok(()),
            }
        }
        Backend::Sqlite => {
            db.batch_execute(SQLITE)?;
            db.batch_execute(match role {
                Role::Legacy => "PRAGMA query_only = on",
                Role::Target => "PRAGMA journal_mode = wal; PRAGMA synchronous = normal; PRAGMA foreign_keys = on",
            })
        }
    }
}

#[derive(QueryableByName)]
struct Set {
    #[diesel(sql_type = Text)]
    _value: String,
}

/// In one statement, which leaves out what the server does not know. Names are qualified, because the search path is not ours yet.
/// `pg_settings` is not asked: reading all of it takes longer than the rest of opening a session.
fn postgres(db: &mut Db, settings: &[Setting], schema: &str) -> QueryResult<()> {
    // Not by the server's own function, which asks a setting that is yet to be set.
    let schema = quoted(schema);
    let valued = |value: &str| literal(&value.replace("{schema}", &schema));
    let wished: Vec<String> =
        settings.iter().map(|(name, value, _)| format!("({}, {})", literal(name), valued(value))).collect();
    let sql = format!(
        "SELECT pg_catalog.set_config(w.name, w.value, false) AS _value FROM (VALUES {}) w(name, value) \
          WHERE pg_catalog.current_setting(w.name, true) IS NOT NULL \
         UNION ALL SELECT pg_catalog.set_config('replant.schema', {}, false)",
        wished.join(", "),
        literal(&schema)
    );
    diesel::sql_query(sql).load::<Set>(db).map(|_| ())
}
