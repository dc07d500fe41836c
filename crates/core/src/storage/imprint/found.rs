//! Rows as the target holds them, in their one form.

use std::borrow::Cow;

use diesel::backend::Backend as Sql;
use diesel::deserialize::{self, FromSql, QueryableByName};
use diesel::prelude::*;
use diesel::row::{Field as _, NamedRow, Row};
use diesel::sql_types::{BigInt, Double, Nullable, Text};
use rustc_hash::FxHashMap;

use super::json::Columns;
use super::sent::Table;
use super::value::Value;
use super::values::Values;
use crate::storage::db::{Backend, Db};
use crate::storage::model::Model;
use crate::storage::shape::{Kind, TableShape};
use crate::storage::sql::{literal, quoted};
use crate::storage::types::{Instant, Utc};
use crate::words::Key;

/// Rows that are asked for at once.
const PAGE: usize = 1_000;

/// What becomes of rows that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// They stay free.
    No,
    /// Nobody else changes them until the transaction ends; rows that point to them may come.
    Values,
    /// Nor comes a row that points to them.
    Key,
}

/// Rows by their keys: the values of the columns that were asked for.
pub(crate) type ByKey = FxHashMap<Vec<Value>, Vec<Value>>;

/// Rows by their keys, each with the transaction that wrote it last.
pub(crate) type Stamped = FxHashMap<Vec<Value>, (Vec<Value>, Option<String>)>;

/// How rows of a table are read.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    table: String,
    /// The columns by which rows are known: those of the primary key; all of them where there is none.
    key: Vec<(String, Kind)>,
    columns: Vec<(String, Kind)>,
}

/// A row, by the order of its columns. What a column holds stands in the name that it has in the query.
struct Found(Vec<Value>);

/// The first letter of the name of a column in a query.
fn letter(kind: Kind) -> char {
    match kind {
        Kind::SmallInt | Kind::Integer | Kind::BigInt | Kind::Bool => 'i',
        Kind::Float | Kind::Double => 'r',
        Kind::Text | Kind::Wall | Kind::Date => 't',
        Kind::Instant => 'u',
    }
}

impl<DB: Sql> QueryableByName<DB> for Found
where
    i64: FromSql<BigInt, DB>,
    f64: FromSql<Double, DB>,
    String: FromSql<Text, DB>,
    Instant: FromSql<Utc, DB>,
{
    fn build<'a>(row: &impl NamedRow<'a, DB>) -> deserialize::Result<Self> {
        let value = |place: usize| {
            let kind = Row::get(row, place).and_then(|field| field.field_name()?.chars().next());
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(
                match kind {
                    Some('i') => row.get_value::<Nullable<BigInt>, Option<i64>, _>(place)?.map(Value::Integer),
                    Some('r') => row.get_value::<Nullable<Double>, Option<f64>, _>(place)?.map(Value::Real),
                    Some('u') => {
                        let at = row.get_value::<Nullable<Utc>, Option<Instant>, _>(place)?;
                        at.map(|at| Value::Integer(at.micros()))
                    }
                    _ => {
                        let text = row.get_value::<Nullable<Text>, Option<String>, _>(place)?;
                        text.map(|text| Value::Text(text.into()))
                    }
                }
                .unwrap_or(Value::Null),
            )
        };
        (0..row.field_count()).map(value).collect::<Result<_, _>>().map(Self)
    }
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// The columns of the primary key of a table, which stands for `$1`.
pub(crate) const PRIMARY_KEY: &str = "
SELECT a.attname::text AS name
  FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
 WHERE i.indrelid = to_regclass(format('%I.%I', current_schema(), $1)) AND i.indisprimary ORDER BY a.attnum";
const KEY_LITE: &str = "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk";

/// The columns of a table's primary key.
///
/// # Errors
/// The catalogue cannot be read.
pub(crate) fn primary_key(db: &mut Db, table: &str) -> QueryResult<Vec<String>> {
    let sql = match db.backend() {
        Backend::Postgres => PRIMARY_KEY.replace("$1", &literal(table)),
        Backend::Sqlite | Backend::MariaDb => KEY_LITE.replace('?', &literal(table)),
    };
    let found: Vec<Name> = diesel::sql_query(sql).load(db)?;
    Ok(found.into_iter().map(|found| found.name).collect())
}

const TRIGGERS: &str = "
SELECT count(*) AS found FROM pg_trigger
 WHERE tgrelid = to_regclass(format('%I.%I', current_schema(), $1)) AND NOT tgisinternal AND tgtype & 1 = 1 AND tgenabled IN ('O', 'A')";
const TRIGGERS_LITE: &str = "SELECT count(*) AS found FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?";

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    found: i64,
}

/// Whether a table has triggers of the site that may change a row as it is written.
///
/// # Errors
/// The catalogue cannot be read.
pub(crate) fn has_row_triggers(db: &mut Db, table: &str) -> QueryResult<bool> {
    let sql = match db.backend() {
        Backend::Postgres => TRIGGERS.replace("$1", &literal(table)),
        Backend::Sqlite | Backend::MariaDb => TRIGGERS_LITE.replace('?', &literal(table)),
    };
    diesel::sql_query(sql).get_result::<Count>(db).map(|count| count.found > 0)
}

impl Reading {
    /// A reading of some columns of a table.
    ///
    /// # Errors
    /// The catalogue cannot be read.
    pub(crate) fn new(db: &mut Db, shape: &TableShape, columns: &[Cow<'static, str>]) -> QueryResult<Self> {
        Ok(Self::by(shape, columns, &primary_key(db, shape.name)?))
    }

    /// A reading of some columns of a table whose primary key is known.
    pub(crate) fn by(shape: &TableShape, columns: &[Cow<'static, str>], key: &[String]) -> Self {
        let kind = |name: &str| {
            let known = shape.columns.iter().find(|column| column.name == name);
            (name.to_owned(), known.map_or(Kind::Text, |column| column.kind))
        };
        let columns: Vec<_> = columns.iter().map(|column| kind(column)).collect();
        let key: Vec<_> = key.iter().map(|name| kind(name)).collect();
        let known = !key.is_empty() && key.iter().all(|name| columns.contains(name));
        Self { table: shape.name.to_owned(), key: if known { key } else { columns.clone() }, columns }
    }

    /// The values of a row of a table in the order of these columns; NULL where that has none of a name.
    pub(crate) fn arranged(&self, table: &Table, row: usize) -> Vec<Value> {
        let value = |column: usize| table.values[column].get(row).into();
        self.columns.iter().map(|(name, _)| table.column(name).map_or(Value::Null, value)).collect()
    }

    /// Rows as a table, each with the legacy row for whose sake it was written.
    pub(crate) fn rows_of<'a>(&self, rows: impl Iterator<Item = (Key, &'a [Value])>) -> Table {
        let columns: Vec<Cow<'static, str>> = self.columns.iter().map(|(name, _)| Cow::Owned(name.clone())).collect();
        let mut values = vec![Values::default(); columns.len()];
        let mut keys = Vec::new();
        for (key, row) in rows {
            keys.push(key);
            values.iter_mut().zip(row).for_each(|(column, value)| column.push(value.field()));
        }
        Table { name: Cow::Owned(self.table.clone()), columns, keys, values }
    }

    /// The key of a row, as JSON.
    pub(crate) fn key_columns(&self, key: &[Value]) -> Columns {
        key.iter().zip(&self.key).map(|(value, (name, kind))| (name.clone(), value.to_json(*kind))).collect()
    }

    /// Some columns of a row, as JSON.
    pub(crate) fn some_columns(&self, row: &[Value], places: impl Iterator<Item = usize>) -> Columns {
        let column = |place: usize| {
            let (name, kind) = &self.columns[place];
            (name.clone(), row[place].to_json(*kind))
        };
        places.map(column).collect()
    }

    /// The table.
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// The columns of the key, each with what it holds.
    pub(crate) fn keyed(&self) -> &[(String, Kind)] {
        &self.key
    }

    /// The columns, each with what it holds.
    pub(crate) fn columns(&self) -> &[(String, Kind)] {
        &self.columns
    }

    /// The key of a row.
    pub(crate) fn key(&self, row: &[Value]) -> Vec<Value> {
        self.places().map(|place| row[place].clone()).collect()
    }

    fn places(&self) -> impl Iterator<Item = usize> + '_ {
        let place = |column| self.columns.iter().position(|known| known == column);
        self.key.iter().map(move |column| place(column).expect("a key is among the columns"))
    }

    /// The condition that a row of `alias` has one of some keys, as SQL.
    pub(crate) fn among<'a>(
        &self,
        alias: &str,
        keys: impl Iterator<Item = &'a Vec<Value>>,
        backend: Backend,
    ) -> String {
        let columns: Vec<String> = self.key.iter().map(|(name, _)| format!("{alias}.{}", quoted(name))).collect();
        let value = |key: &Vec<Value>| {
            let values = key.iter().zip(&self.key).map(|(value, (_, kind))| value.sql(*kind, backend));
            values.collect::<Vec<_>>()
        };
        match &columns[..] {
            [column] => {
                format!("{column} IN ({})", keys.map(|key| value(key).join(", ")).collect::<Vec<_>>().join(", "))
            }
            columns => {
                let keys = keys.map(|key| format!("({})", value(key).join(", ")));
                format!("({}) IN (VALUES {})", columns.join(", "), keys.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// The rows with some keys, as they stand. Locked ones in the order of their keys, so that two who lock the same rows do not
    /// wait for each other.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn rows(&self, db: &mut Db, keys: &[Vec<Value>], lock: Lock) -> QueryResult<ByKey> {
        let found = self.found(db, keys, lock, "")?;
        Ok(found.into_iter().map(|row| (self.key(&row), row)).collect())
    }

    /// The rows with some keys, as they stand, each with the transaction that wrote it last where the server tells: its `xmin`.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn stamped(&self, db: &mut Db, keys: &[Vec<Value>]) -> QueryResult<Stamped> {
        let more = match db.backend() {
            Backend::Postgres => ", t.xmin::text AS text",
            Backend::Sqlite | Backend::MariaDb => ", NULL AS text",
        };
        let stamped = |mut row: Vec<Value>| {
            let by = row.pop().and_then(|by| by.as_text().map(str::to_owned));
            (self.key(&row), (row, by))
        };
        Ok(self.found(db, keys, Lock::No, more)?.into_iter().map(stamped).collect())
    }

    /// The rows with some keys, with `more` columns.
    fn found(&self, db: &mut Db, keys: &[Vec<Value>], lock: Lock, more: &str) -> QueryResult<Vec<Vec<Value>>> {
        let backend = db.backend();
        let mut keys: Vec<&Vec<Value>> = keys.iter().collect();
        keys.sort_unstable_by(|a, b| order(a).cmp(order(b)));
        let selected = self.selected(backend);
        let ordered: Vec<String> = self.key.iter().map(|(name, _)| format!("t.{}", quoted(name))).collect();
        let lock = match (backend, lock) {
            (Backend::Postgres, Lock::Values) => format!(" ORDER BY {} FOR NO KEY UPDATE", ordered.join(", ")),
            (Backend::Postgres, Lock::Key) => format!(" ORDER BY {} FOR UPDATE", ordered.join(", ")),
            _ => String::new(),
        };
        let mut found = Vec::new();
        for some in keys.chunks(PAGE) {
            let among = self.among("t", some.iter().copied(), backend);
            let sql = format!("SELECT {selected}{more} FROM {} t WHERE {among}{lock}", quoted(&self.table));
            found.extend(load(db, sql)?.into_iter().map(|Found(row)| row));
        }
        Ok(found)
    }

    /// The columns, as they are asked for.
    fn selected(&self, backend: Backend) -> String {
        let selected = self.columns.iter().enumerate().map(|(place, (name, kind))| {
            let (letter, column) = (letter(*kind), format!("t.{}", quoted(name)));
            let read = match (backend, letter) {
                (Backend::Postgres, 'i') if *kind == Kind::Bool => format!("{column}::integer::bigint"),
                (Backend::Postgres, 'i') => format!("{column}::bigint"),
                (Backend::Postgres, 'r') => format!("{column}::double precision"),
                (Backend::Postgres, 't') => format!("{column}::text"),
                _ => column,
            };
            format!("{read} AS {letter}{place}")
        });
        selected.collect::<Vec<_>>().join(", ")
    }

    /// Whether rows can be read by ranges of the first column of their key: it holds integers.
    pub(crate) fn has_ranges(&self) -> bool {
        matches!(self.key.first(), Some((_, Kind::SmallInt | Kind::Integer | Kind::BigInt)))
    }

    /// The place of the first column of the key among the columns.
    pub(crate) fn first_of_key(&self) -> usize {
        self.places().next().expect("a key has a column")
    }

    /// The rows of which the first column of the key lies between two numbers, column by column, in no order. Their legacy rows are
    /// not told.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn between(&self, db: &mut Db, (lo, hi): (i64, i64)) -> QueryResult<Table> {
        let (name, _) = &self.key[0];
        let sql = format!(
            "SELECT {} FROM {} t WHERE t.{} BETWEEN {lo} AND {hi}",
            self.selected(db.backend()),
            quoted(&self.table),
            quoted(name)
        );
        let rows = load(db, sql)?;
        Ok(self.rows_of(rows.iter().map(|Found(row)| (0, &row[..]))))
    }
}

fn load(db: &mut Db, sql: String) -> QueryResult<Vec<Found>> {
    match db {
        Db::Pg(pg) => diesel::sql_query(sql).load(pg),
        Db::Lite(lite) => diesel::sql_query(sql).load(lite),
        #[cfg(feature = "mysql")]
        Db::My(_) => Err(crate::storage::model::no_target()),
    }
}

impl Table {
    /// Puts the values that the target holds in the place of those that were sent.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn read_back(&mut self, db: &mut Db, model: &Model) -> QueryResult<()> {
        let reading = Reading::new(db, &model.shape, &self.columns)?;
        let rows: Vec<Vec<Value>> = (0..self.keys.len()).map(|place| reading.key(&self.row(place))).collect();
        let standing = reading.rows(db, &rows, Lock::No)?;
        for column in 0..self.columns.len() {
            let name = self.columns[column].clone();
            let stands = |place: usize| standing.get(&rows[place]).map(|row| row[column].kept(&name, model.secret));
            self.replace(column, stands);
        }
        Ok(())
    }
}

/// Numbers by their size, texts by their letters.
fn order(key: &[Value]) -> impl Iterator<Item = (Option<i64>, Option<&str>)> {
    key.iter().map(|value| (value.integer(), value.text().map(compact_str::CompactString::as_str)))
}
