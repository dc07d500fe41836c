//! What a database says of its own tables: the same answers from all three.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use replant_core::db::{Backend, Db};

/// A column of a table, as its database declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its declared type in the database's own spelling, in lower case.
    pub kind: String,
    /// Whether it refuses NULL.
    pub required: bool,
    /// Its place in the primary key, from 1; 0 when it is no part of it.
    pub key: usize,
}

/// What the text of a value has to be told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A time with zone: 26 characters in UTC.
    Instant,
    /// A day.
    Date,
    /// 0 or 1.
    Bool,
    /// A float of either size.
    Real,
    /// Text of a fixed length, blanks at the end being none.
    Padded,
    /// Whatever its text is.
    Plain,
}

impl Column {
    pub(crate) fn shape(&self) -> Shape {
        match self.kind.as_str() {
            "timestamptz" | "timestamp with time zone" => Shape::Instant,
            "date" => Shape::Date,
            "boolean" => Shape::Bool,
            "double precision" | "double" | "float" | "real" => Shape::Real,
            kind if kind.starts_with("char(") || kind.starts_with("character(") => Shape::Padded,
            _ => Shape::Plain,
        }
    }
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = BigInt)]
    required: i64,
    #[diesel(sql_type = BigInt)]
    in_key: i64,
}

/// The tables of the database in order of their names, without those of the ledger (`replant_…` in SQLite, a schema of
/// their own in PostgreSQL), of diesel and of the database itself.
///
/// # Errors
/// The database refuses.
pub fn tables(db: &mut Db) -> QueryResult<Vec<String>> {
    let sql = match db.backend() {
        Backend::Postgres => {
            "SELECT relname::text AS name FROM pg_class WHERE relnamespace = to_regnamespace(current_setting('replant.schema')) AND relkind = 'r'"
        }
        Backend::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        }
        Backend::MariaDb => "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = database()",
    };
    let rows: Vec<Name> = diesel::sql_query(sql).load(db)?;
    let mut names: Vec<String> = rows.into_iter().map(|row| row.name).collect();
    names.retain(|name| !name.starts_with("replant_") && !name.starts_with("__"));
    names.sort_unstable();
    Ok(names)
}

/// The columns of a table in the schema's order; none if there is no such table.
///
/// # Errors
/// The database refuses.
pub fn columns(db: &mut Db, table: &str) -> QueryResult<Vec<Column>> {
    let table = literal(table);
    let sql = match db.backend() {
        // An int2vector counts from 0. A table of a temporary schema is found as well, before one of the same name.
        Backend::Postgres => format!(
            "SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS kind, a.attnotnull::int::bigint AS required, \
                    coalesce(array_position(i.indkey::int2[], a.attnum) + 1, 0)::bigint AS in_key \
             FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary \
             WHERE a.attrelid = to_regclass(quote_ident({table})) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        ),
        Backend::Sqlite => format!(
            "SELECT name, type AS kind, \"notnull\" AS required, pk AS in_key FROM pragma_table_info({table}) ORDER BY cid"
        ),
        Backend::MariaDb => format!(
            "SELECT c.column_name AS name, c.column_type AS kind, CAST(c.is_nullable = 'NO' AS SIGNED) AS required, \
                    CAST(coalesce(k.ordinal_position, 0) AS SIGNED) AS in_key \
             FROM information_schema.columns c LEFT JOIN information_schema.key_column_usage k \
               ON k.table_schema = c.table_schema AND k.table_name = c.table_name AND k.column_name = c.column_name AND k.constraint_name = 'PRIMARY' \
             WHERE c.table_schema = database() AND c.table_name = {table} ORDER BY c.ordinal_position"
        ),
    };
    let rows: Vec<ColumnRow> = diesel::sql_query(sql).load(db)?;
    let column = |row: ColumnRow| Column {
        name: row.name,
        kind: row.kind.to_lowercase(),
        required: row.required != 0,
        key: usize::try_from(row.in_key).expect("a place is not negative"),
    };
    Ok(rows.into_iter().map(column).collect())
}

#[derive(QueryableByName)]
struct ReferenceRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    parent: String,
}

/// The columns of a table that refer to another one, each with the table that it refers to.
///
/// # Errors
/// The database refuses.
pub fn references(db: &mut Db, table: &str) -> QueryResult<Vec<(String, String)>> {
    let table = literal(table);
    let sql = match db.backend() {
        Backend::Postgres => format!(
            "SELECT a.attname::text AS name, p.relname::text AS parent FROM pg_constraint c \
             JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] \
             JOIN pg_class p ON p.oid = c.confrelid \
             WHERE c.contype = 'f' AND c.conrelid = to_regclass(quote_ident({table}))"
        ),
        Backend::Sqlite => {
            format!("SELECT \"from\" AS name, \"table\" AS parent FROM pragma_foreign_key_list({table})")
        }
        Backend::MariaDb => format!(
            "SELECT column_name AS name, referenced_table_name AS parent FROM information_schema.key_column_usage \
             WHERE table_schema = database() AND table_name = {table} AND referenced_table_name IS NOT NULL"
        ),
    };
    let rows: Vec<ReferenceRow> = diesel::sql_query(sql).load(db)?;
    Ok(rows.into_iter().map(|row| (row.name, row.parent)).collect())
}

/// A name as this database quotes it.
pub fn quoted(backend: Backend, name: &str) -> String {
    match backend {
        Backend::MariaDb => format!("`{}`", name.replace('`', "``")),
        Backend::Postgres | Backend::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// Names as this database quotes them, with commas.
pub fn list(backend: Backend, names: &[&str]) -> String {
    names.iter().map(|name| quoted(backend, name)).collect::<Vec<_>>().join(", ")
}

pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Everything that PostgreSQL says of constraints and indexes, a line each.
const CONSTRAINTS: &str = "
SELECT concat_ws(' | ', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid), c.convalidated, c.condeferrable, c.condeferred,
                 obj_description(c.oid, 'pg_constraint')) AS name
  FROM pg_constraint c WHERE c.connamespace = to_regnamespace(current_setting('replant.schema'))
UNION ALL
SELECT concat_ws(' | ', i.oid::regclass, pg_get_indexdef(i.oid), x.indisvalid, x.indisclustered, x.indisreplident, i.reltablespace,
                 i.reloptions, pg_get_userbyid(i.relowner), obj_description(i.oid, 'pg_class'))
  FROM pg_class i JOIN pg_index x ON x.indexrelid = i.oid WHERE i.relnamespace = to_regnamespace(current_setting('replant.schema'))
 ORDER BY 1";

/// The constraints and indexes of a platform with all that makes them what they are, as comparable lines.
///
/// # Errors
/// The catalogue can't be read.
pub fn constraints(db: &mut Db) -> QueryResult<Vec<String>> {
    let sql = match db.backend() {
        Backend::Postgres => CONSTRAINTS,
        _ => "SELECT coalesce(sql, name) AS name FROM sqlite_master WHERE tbl_name NOT LIKE 'replant_%' ORDER BY 1",
    };
    Ok(diesel::sql_query(sql).load::<Name>(db)?.into_iter().map(|row| row.name).collect())
}

/// Fails with the lines of [`constraints`] that are on one side alone.
///
/// # Panics
/// There are some.
#[track_caller]
pub fn assert_same_constraints(what: &str, expected: &[String], found: &[String]) {
    let only = |here: &[String], there: &[String], side: &str| -> Vec<String> {
        let only = here.iter().filter(|line| !there.contains(line));
        only.map(|line| format!("only {side}: {line}")).collect()
    };
    let differences = [only(expected, found, "in the first"), only(found, expected, "in the second")].concat();
    assert!(differences.is_empty(), "{what}:\n{}", differences.join("\n"));
}
