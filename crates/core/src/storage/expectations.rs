//! What somebody expects of the target, value by value, whoever worked it out: held against what stands there by the server's own idea
//! of when two values of a column are the same.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::db::Db;
use super::failure::Failure;
use super::imprint::primary_key;
use super::sql::{literal, quoted};

/// What is expected of a column of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Where it is written: the line of a file, say.
    pub line: u64,
    /// The table.
    pub table: String,
    /// The value of its primary key, which is one column.
    pub id: String,
    /// The column.
    pub column: String,
    /// Its value as text; none: NULL.
    pub value: Option<String>,
}

/// An expectation that is not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// Where it is written.
    pub line: u64,
    /// What stands there; none: there is no such row.
    pub found: Option<Option<String>>,
}

/// Why expectations cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ExpectationError {
    /// A table is not there, or has no primary key of one column.
    #[error("line {line}: the target has no table `{table}` whose primary key is one column")]
    Table {
        /// Where it is written.
        line: u64,
        /// The table.
        table: String,
    },
    /// A column is not there.
    #[error("line {line}: the table `{table}` has no column `{column}`")]
    Column {
        /// Where it is written.
        line: u64,
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A text is no value of its column, or of the key.
    #[error("line {line}: its value is none that `{table}.{column}` can hold, or its id none of the table")]
    Value {
        /// Where it is written.
        line: u64,
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// The database fails.
    #[error("the target could not be read: {}", Failure::of(.0).describe())]
    Database(#[from] diesel::result::Error),
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = BigInt)]
    line: i64,
    #[diesel(sql_type = Bool)]
    is_there: bool,
    #[diesel(sql_type = Nullable<Text>)]
    found: Option<String>,
}

/// Looks at some expectations. Returns those that are not met, by their lines.
///
/// # Errors
/// One of them names what the target does not have, or a text that is no value; the database fails.
pub fn unmet(db: &mut Db, expectations: &[Expectation]) -> Result<Vec<Unmet>, ExpectationError> {
    let mut by_column: BTreeMap<(&str, &str), Vec<&Expectation>> = BTreeMap::new();
    for one in expectations {
        by_column.entry((&one.table, &one.column)).or_default().push(one);
    }
    let mut unmet = Vec::new();
    for ((table, column), all) in by_column {
        let line = all[0].line;
        let key = primary_key(db, table).unwrap_or_default();
        let [key] = &key[..] else { return Err(ExpectationError::Table { line, table: table.to_owned() }) };
        let types = (type_of(db, table, key)?, type_of(db, table, column)?);
        let (Some(key_type), Some(column_type)) = types else {
            return Err(ExpectationError::Column { line, table: table.to_owned(), column: column.to_owned() });
        };
        let about = About { table, key: (key, &key_type), column: (column, &column_type) };
        match about.unmet(db, &all) {
            Ok(found) => unmet.extend(found),
            // One of them is no value: it is named.
            Err(error) if is_a_value(&error) => {
                for one in &all {
                    let (line, table, column) = (one.line, table.to_owned(), column.to_owned());
                    let wrong = |error| match is_a_value(&error) {
                        true => ExpectationError::Value { line, table, column },
                        false => error.into(),
                    };
                    unmet.extend(about.unmet(db, &[one]).map_err(wrong)?);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    unmet.sort_by_key(|one| one.line);
    Ok(unmet)
}

/// Whether a statement may have failed because of a value in it.
fn is_a_value(error: &diesel::result::Error) -> bool {
    matches!(Failure::of(error), Failure::Value(_) | Failure::Untold(_) | Failure::Other(_))
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
}

/// The type of a column, as SQL names it, without its length or precision: a value that is too long must not be cut to one that fits.
/// None where there is no such column.
fn type_of(db: &mut Db, table: &str, column: &str) -> QueryResult<Option<String>> {
    let (table, column) = (literal(table), literal(column));
    let sql = match db {
        Db::Pg(_) => format!(
            "SELECT format_type(a.atttypid, -1) AS name FROM pg_attribute a \
              WHERE a.attrelid = to_regclass(format('%I.%I', current_schema(), {table})) AND a.attname = {column} \
                AND a.attnum > 0 AND NOT a.attisdropped"
        ),
        _ => format!("SELECT type AS name FROM pragma_table_info({table}) WHERE name = {column}"),
    };
    diesel::sql_query(sql).get_result::<Named>(db).optional().map(|found| found.map(|found| found.name))
}

/// A column of a table, and its key, each with its type.
struct About<'a> {
    table: &'a str,
    key: (&'a str, &'a str),
    column: (&'a str, &'a str),
}

impl About<'_> {
    fn unmet(&self, db: &mut Db, expectations: &[&Expectation]) -> QueryResult<Vec<Unmet>> {
        let value = |one: &&Expectation| {
            let value = one.value.as_deref().map_or_else(|| "NULL".to_owned(), literal);
            format!("({}, {}, {value})", one.line, literal(&one.id))
        };
        let values: Vec<String> = expectations.iter().map(value).collect();
        let (table, key, column) = (quoted(self.table), quoted(self.key.0), quoted(self.column.0));
        let sql = match db {
            // Of a type that knows no equality the texts are compared.
            Db::Pg(_) => {
                let (key_type, column_type) = (self.key.1, self.column.1);
                let same = match matches!(column_type, "json" | "xml" | "point" | "polygon") {
                    true => format!("t.{column}::text IS NOT DISTINCT FROM v.value"),
                    false => format!("t.{column} IS NOT DISTINCT FROM v.value::{column_type}"),
                };
                format!(
                    "SELECT v.line::bigint AS line, t.{key} IS NOT NULL AS is_there, t.{column}::text AS found \
                       FROM (VALUES {}) v (line, id, value) LEFT JOIN {table} t ON t.{key} = v.id::{key_type} \
                      WHERE t.{key} IS NULL OR NOT ({same})",
                    values.join(", ")
                )
            }
            _ => format!(
                "WITH v (line, id, value) AS (VALUES {}) \
                 SELECT v.line AS line, t.{key} IS NOT NULL AS is_there, CAST(t.{column} AS text) AS found \
                   FROM v LEFT JOIN {table} t ON t.{key} = v.id WHERE t.{key} IS NULL OR NOT (t.{column} IS v.value)",
                values.join(", ")
            ),
        };
        let answers: Vec<Answer> = diesel::sql_query(sql).load(db)?;
        let unmet = |Answer { line, is_there, found }: Answer| Unmet {
            line: line.cast_unsigned(),
            found: is_there.then_some(found),
        };
        Ok(answers.into_iter().map(unmet).collect())
    }
}
