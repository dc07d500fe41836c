//! Asking a server what it has against a statement: its code, which diesel keeps to itself.

use std::cell::RefCell;

use diesel::PgConnection;
use diesel::connection::{Connection, Instrumentation, InstrumentationEvent};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};

use super::Db;
use crate::storage::failure::{Failure, Told, UNKNOWN, caught};

thread_local! {
    /// The last statement of this thread that PostgreSQL refused, without its values.
    static REFUSED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Remembers the statements of PostgreSQL that fail, so that the server can be asked what was wrong with one.
struct Remember;

impl Instrumentation for Remember {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if let InstrumentationEvent::FinishQuery { query, error: Some(_), .. } = event {
            let text = query.to_string();
            let statement = text.split_once(" -- binds:").map_or(text.as_str(), |(statement, _)| statement);
            REFUSED.set(Some(statement.trim().to_owned()));
        }
    }
}

/// Lets a new connection remember what fails.
pub(crate) fn remember(pg: &mut PgConnection) {
    pg.set_instrumentation(Remember);
}

#[cfg(feature = "mysql")]
#[derive(QueryableByName)]
struct MariaDbError {
    #[diesel(sql_type = diesel::sql_types::BigInt, column_name = "Code")]
    code: i64,
}

/// Asks MariaDB what a failed statement of this session was refused for. Its errors have no kind in diesel.
pub(crate) fn ask<T>(db: &mut Db, result: QueryResult<T>) -> QueryResult<T> {
    let Err(error) = result else { return result };
    Err(match db {
        #[cfg(feature = "mysql")]
        Db::My(my) if Failure::of(&error).is_untold() => {
            match diesel::sql_query("SHOW ERRORS").load::<MariaDbError>(my) {
                Ok(errors) => match errors.first() {
                    Some(first) => {
                        Told { code: first.code.to_string(), ..Told::default() }.into_error(DatabaseErrorKind::Unknown)
                    }
                    None => error,
                },
                // Whoever does not even answer this is gone.
                Err(_) => Error::DatabaseError(
                    DatabaseErrorKind::ClosedConnection,
                    Box::new("the connection was lost".to_owned()),
                ),
            }
        }
        _ => error,
    })
}

/// Whether the database of this session has gone away: what it answers to a question that nothing can be wrong with.
pub(crate) fn lost(db: &mut Db) -> Option<Error> {
    let asked = diesel::sql_query("SELECT 1").execute(db).map(|_| ());
    ask(db, asked).err()
}

/// Asks PostgreSQL, on a session of its own, what it has against the statement of this thread that failed last: the statement
/// is tried without its values, and undone. A failure that is not of the statement itself (a lock that is free by now, a lost
/// connection, a row) stays untold, but its statement is named. None where no statement of this thread failed.
fn asked(db: &mut Db) -> Option<Error> {
    let Db::Pg(pg) = db else { return None };
    let statement = REFUSED.take()?;
    let named = Some(name_of(&statement));
    // A table of the session that failed is nowhere else.
    let tried = if statement.contains("pg_temp.") { Ok(()) } else { caught::attempt(pg, &probe(&statement)) };
    let told = match tried {
        Err(Error::DatabaseError(_, info)) => Told::of(&*info)?,
        Err(_) => return None,
        Ok(()) => Told::default(),
    };
    // What NULL in the place of a value is refused for says nothing of the value.
    let of_values = told.code.is_empty() || ["22", "23"].iter().any(|class| told.code.starts_with(class));
    let code = if of_values { UNKNOWN.to_owned() } else { told.code.clone() };
    Some(Told { code, statement: named, ..told }.into_error(DatabaseErrorKind::Unknown))
}

/// The error with what PostgreSQL tells of it, where it has not told yet.
pub(crate) fn diagnose(db: &mut Db, error: Error) -> Error {
    if Failure::of(&error).is_untold() { asked(db).unwrap_or(error) } else { error }
}

/// What PostgreSQL tells of the statement of this thread that failed last.
pub(crate) fn of_last(db: &mut Db) -> Option<Failure> {
    asked(db).map(|error| Failure::of(&error))
}

/// What tries a statement without its values: a query is planned, by which the server looks at tables, columns, rights and locks
/// of tables; rows of a COPY are those of a selection that has none; locks of rows are asked for without waiting; all else is done,
/// and undone.
fn probe(statement: &str) -> String {
    let first = first_word(statement);
    if let Some(copied) = statement.strip_prefix("COPY ").and_then(|rest| rest.split_once(" FROM STDIN")) {
        let target = copied.0;
        let columns = target.split_once('(').map_or("*", |(_, columns)| columns.trim_end().trim_end_matches(')'));
        let table = target.split_once('(').map_or(target, |(table, _)| table);
        return format!("INSERT INTO {target} SELECT {columns} FROM {table} WHERE false");
    }
    match first.as_str() {
        "SELECT" if statement.ends_with(" UPDATE") && !statement.contains('$') => format!("{statement} NOWAIT"),
        "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "WITH" | "VALUES" => {
            format!("EXPLAIN {}", without_values(statement))
        }
        _ => statement.to_owned(),
    }
}

/// A statement with NULL in the place of each parameter.
fn without_values(statement: &str) -> String {
    let mut text = String::with_capacity(statement.len());
    let mut parts = statement.split('$');
    text += parts.next().unwrap_or_default();
    for part in parts {
        let rest = part.trim_start_matches(|digit: char| digit.is_ascii_digit());
        text += if rest.len() < part.len() { "NULL" } else { "$" };
        text += rest;
    }
    text
}

fn first_word(statement: &str) -> String {
    statement.split_whitespace().next().unwrap_or_default().to_ascii_uppercase()
}

/// The kind of a statement and the first table that it names: `UPDATE of items`. Literals never get here: a word that is
/// taken for a table stands behind a word of SQL.
fn name_of(statement: &str) -> String {
    let words: Vec<&str> =
        statement.split(|c: char| c.is_whitespace() || "(),;".contains(c)).filter(|w| !w.is_empty()).collect();
    let kind = first_word(statement);
    let leads =
        |word: &&str| ["FROM", "INTO", "UPDATE", "TABLE", "COPY", "ON"].contains(&word.to_ascii_uppercase().as_str());
    let table = words.iter().position(leads).and_then(|place| words.get(place + 1));
    match table {
        Some(table) => format!("{kind} of `{}`", table.replace('"', "")),
        None => kind,
    }
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;
    use replant_testkit::postgres;

    use super::*;
    use crate::storage::db::Role;

    fn open(database: &replant_testkit::Database) -> Db {
        Db::open(&database.address().parse().unwrap(), Role::Target).unwrap()
    }

    /// Tables of a site, one with a trigger that refuses some and one that lacks a right.
    const SITE: &str = "
CREATE TABLE items (id BIGINT PRIMARY KEY, name VARCHAR(5) UNIQUE, CONSTRAINT short CHECK (name <> ''));
CREATE FUNCTION no_bobs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.name = 'bob' THEN RAISE EXCEPTION 'no % here', NEW.name; END IF; RETURN NEW; END $$;
CREATE TRIGGER no_bobs BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION no_bobs();
CREATE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM current_setting('app.user_id'); RETURN NEW; END $$;
CREATE TABLE plots (id BIGINT);
CREATE TRIGGER audited AFTER INSERT ON plots FOR EACH ROW EXECUTE FUNCTION audited();
CREATE TABLE days (id BIGINT, day DATE) PARTITION BY RANGE (day)";

    #[test]
    fn what_is_caught_is_told_by_its_code() {
        let Some(database) = postgres::database() else { return };
        open(&database).batch_execute(SITE).unwrap();
        let failure = |sql: &str| {
            let mut db = open(&database);
            let Db::Pg(pg) = &mut db else { unreachable!() };
            pg.batch_execute("SET lock_timeout = '20ms'").unwrap();
            Failure::of(&caught::execute(pg, sql).expect_err(sql))
        };
        let mut holder = open(&database);
        holder.batch_execute("BEGIN; LOCK TABLE days IN ACCESS EXCLUSIVE MODE").unwrap();
        assert!(matches!(failure("SELECT count(*) FROM days"), Failure::Contention(_)));
        holder.batch_execute("COMMIT").unwrap();
        assert!(matches!(failure("INSERT INTO items VALUES (1, 'longer')"), Failure::Value(_)));
        assert_eq!(failure("INSERT INTO items VALUES (1, '')"), Failure::Constraint("short".to_owned()));
        assert_eq!(failure("INSERT INTO items VALUES (NULL, 'a')"), Failure::Constraint("id is not null".to_owned()));
        let by = |who: &str| Failure::Refused(who.to_owned());
        assert_eq!(failure("INSERT INTO items VALUES (1, 'bob')"), by("a trigger of `items` (SQLSTATE P0001)"));
        assert_eq!(failure("INSERT INTO days VALUES (1, '2024-01-01')"), by("`days`, no partition of which takes it"));
        assert!(
            matches!(failure("INSERT INTO plots VALUES (1)"), Failure::Other(why) if why.contains("trigger of `plots`"))
        );
        assert!(matches!(failure("SELECT * FROM nowhere"), Failure::Other(_)));
        let mut db = open(&database);
        let Db::Pg(pg) = &mut db else { unreachable!() };
        assert_eq!(
            caught::execute(pg, "INSERT INTO items SELECT g, 'a''\\' || g FROM generate_series(1, 7) g").unwrap(),
            7
        );
    }

    #[test]
    fn a_statement_that_failed_is_asked_for_and_named() {
        let Some(database) = postgres::database() else { return };
        open(&database).batch_execute(SITE).unwrap();
        let asked = |sql: &str| {
            let error = diesel::sql_query(sql).execute(&mut open(&database)).expect_err(sql);
            Failure::of(&diagnose(&mut open(&database), error))
        };
        let missing = asked("UPDATE nowhere SET id = 1 WHERE name = 'Ann'");
        assert!(
            matches!(&missing, Failure::Other(why) if why.contains("UPDATE of `nowhere` (SQLSTATE 42P01)")),
            "{missing:?}"
        );
        assert!(!missing.describe().contains("Ann"));
        // The statement itself has nothing wrong with it.
        assert_eq!(asked("INSERT INTO items VALUES (1, 'bob')"), Failure::Untold(Some("INSERT of `items`".to_owned())));
        open(&database).batch_execute("CREATE TABLE kept (id BIGINT)").unwrap();
        open(&database).batch_execute("CREATE ROLE reader LOGIN; GRANT SELECT ON items TO reader").ok();
        let mut db = open(&database);
        db.batch_execute("SET ROLE reader").unwrap();
        let error = diesel::sql_query("DELETE FROM items").execute(&mut db).expect_err("no right");
        let refused = Failure::of(&diagnose(&mut db, error));
        assert!(
            matches!(&refused, Failure::Other(why) if why.contains("DELETE of `items` (SQLSTATE 42501)")),
            "{refused:?}"
        );
    }

    #[test]
    fn sessions_are_set_up_whatever_a_role_says() {
        let Some(database) = postgres::database() else { return };
        let name = database.name();
        let odd = "DateStyle = 'SQL, DMY'; IntervalStyle = 'iso_8601'; TimeZone = 'Asia/Tokyo'; quote_all_identifiers = on; \
                   bytea_output = escape; extra_float_digits = -3; search_path = pg_catalog; statement_timeout = '5min'; \
                   idle_session_timeout = '1s'; default_transaction_isolation = serializable; \
                   standard_conforming_strings = off";
        let odd: String =
            odd.split(';').map(|setting| format!("ALTER DATABASE {name} SET {};", setting.trim())).collect();
        open(&database).batch_execute(&odd).unwrap();
        #[derive(QueryableByName)]
        struct Shown {
            #[diesel(sql_type = diesel::sql_types::Text)]
            shown: String,
        }
        let sql = "SELECT concat_ws(' ', TIMESTAMPTZ '2024-07-01 12:00:00+00', INTERVAL '1 day 1 hour', '\\x01'::bytea, 0.1::float4, \
                   format_type('text'::regtype, NULL), current_setting('search_path'), current_setting('transaction_isolation'), \
                   current_setting('statement_timeout'), current_setting('idle_session_timeout')) AS shown";
        let Shown { shown } = diesel::sql_query(sql).get_result(&mut open(&database)).unwrap();
        assert_eq!(
            shown,
            "2024-07-01 12:00:00+00 1 day 01:00:00 \\x01 0.1 text \"public\", replant read committed 0 0"
        );
    }

    #[test]
    fn a_statement_is_named_without_its_values() {
        for (statement, name, tried) in [
            (
                r#"SELECT "a"."id" FROM "items" AS a WHERE "a"."id" = ANY($1) LIMIT $12"#,
                "SELECT of `items`",
                r#"EXPLAIN SELECT "a"."id" FROM "items" AS a WHERE "a"."id" = ANY(NULL) LIMIT NULL"#,
            ),
            (
                r#"COPY "items" ("id", "name") FROM STDIN WITH (FORMAT BINARY)"#,
                "COPY of `items`",
                r#"INSERT INTO "items" ("id", "name") SELECT "id", "name" FROM "items"  WHERE false"#,
            ),
            ("LOCK TABLE items IN SHARE MODE", "LOCK of `items`", "LOCK TABLE items IN SHARE MODE"),
        ] {
            assert_eq!(name_of(statement), name);
            assert_eq!(probe(statement), tried);
        }
    }
}
