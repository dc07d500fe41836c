//! The platform's tables: their columns, keys and parents, and which of their rows a migration added.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use replant_core::db::{Backend, Db};
use replant_testkit::catalog::{self, list, quoted};

use crate::error::{Attempt, BenchError};
use crate::wire::Kind;

/// The schema of a measured platform that says which rows were there before: a table of the same name for each table,
/// with the keys of its rows, the step that added them (0: none) and their place among the rows of that step.
pub(crate) const NOTES: &str = "replant_bench";

/// A table of the platform.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// The columns of its primary key.
    pub(crate) key: Vec<String>,
}

/// A column of it.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The table that it refers to, by its id.
    pub(crate) parent: Option<String>,
}

impl Table {
    pub(crate) fn quoted(&self) -> String {
        format!("public.{}", quoted(Backend::Postgres, &self.name))
    }

    fn notes(&self) -> String {
        format!("{NOTES}.{}", quoted(Backend::Postgres, &self.name))
    }

    fn keys(&self) -> String {
        list(Backend::Postgres, &self.key.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// All columns, with commas, each with `before` in front.
    pub(crate) fn columns(&self, before: &str) -> String {
        let column = |column: &Column| format!("{before}{}", quoted(Backend::Postgres, &column.name));
        self.columns.iter().map(column).collect::<Vec<_>>().join(", ")
    }

    /// The place of the column that refers to `parent`.
    pub(crate) fn column_to(&self, parent: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.parent.as_deref() == Some(parent))
    }

    /// Its rows with what is noted of them: `t` and `b`.
    pub(crate) fn noted(&self) -> String {
        format!("{} t JOIN {} b USING ({})", self.quoted(), self.notes(), self.keys())
    }
}

/// The tables of a platform, parents before children.
pub(crate) fn read(db: &mut Db) -> Result<Vec<Table>, BenchError> {
    let mut waiting = Vec::new();
    for name in catalog::tables(db).attempt("read the platform's tables")? {
        let columns = catalog::columns(db, &name).attempt("read the platform's columns")?;
        let references = catalog::references(db, &name).attempt("read the platform's foreign keys")?;
        let mut key: Vec<(usize, String)> =
            columns.iter().filter(|c| c.key > 0).map(|c| (c.key, c.name.clone())).collect();
        key.sort_unstable();
        let column = |column: &catalog::Column| {
            let kind = Kind::of(&column.kind).ok_or_else(|| {
                BenchError::Differs(format!(
                    "column `{name}.{}` is {}, which the bench cannot write",
                    column.name, column.kind
                ))
            })?;
            let parent = references.iter().find(|(of, _)| *of == column.name).map(|(_, parent)| parent.clone());
            // The code of a currency is what a row says of itself: nobody looks it up.
            Ok(Column { name: column.name.clone(), kind, parent: parent.filter(|_| kind == Kind::Big) })
        };
        let columns = columns.iter().map(column).collect::<Result<_, BenchError>>()?;
        let parents: Vec<String> = references.into_iter().map(|(_, parent)| parent).filter(|p| *p != name).collect();
        let table = Table { columns, key: key.into_iter().map(|(_, name)| name).collect(), name };
        waiting.push((table, parents));
    }
    let mut ordered: Vec<Table> = Vec::new();
    while !waiting.is_empty() {
        let is_there = |parent: &String| ordered.iter().any(|table| table.name == *parent);
        let (now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, parents)| parents.iter().all(is_there));
        if now.is_empty() {
            return Err(BenchError::Differs("the platform's tables refer to each other in a circle".to_owned()));
        }
        ordered.extend(now.into_iter().map(|(table, _)| table));
        waiting = later;
    }
    Ok(ordered)
}

/// Notes which rows are there before a migration.
pub(crate) fn note_first(db: &mut Db, tables: &[Table]) -> Result<(), BenchError> {
    let what = "note the rows of the platform";
    db.batch_execute(&format!("CREATE SCHEMA {NOTES}")).attempt(what)?;
    for table in tables {
        let (notes, of, keys) = (table.notes(), table.quoted(), table.keys());
        db.batch_execute(&format!("CREATE TABLE {notes} AS SELECT {keys}, 0 AS step, 0::bigint AS n FROM {of}"))
            .attempt(what)?;
    }
    Ok(())
}

/// Notes the rows of a table that are not noted yet as those of a step. Returns how many there are.
pub(crate) fn note(db: &mut Db, table: &Table, step: i32) -> Result<u64, BenchError> {
    let same = table.key.iter().map(|key| quoted(Backend::Postgres, key)).map(|key| format!("b.{key} = t.{key}"));
    let (same, keys) = (same.collect::<Vec<_>>().join(" AND "), table.keys());
    let (notes, of) = (table.notes(), table.quoted());
    let sql = format!(
        "INSERT INTO {notes} SELECT {keys}, {step}, row_number() OVER (ORDER BY {keys}) FROM {of} t \
         WHERE NOT EXISTS (SELECT FROM {notes} b WHERE {same})"
    );
    let added = diesel::sql_query(sql).execute(db).attempt("note the rows that a step added")?;
    Ok(added as u64)
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// The number of rows of a table.
pub(crate) fn count(db: &mut Db, table: &Table) -> Result<u64, BenchError> {
    let sql = format!("SELECT count(*) AS count FROM {}", table.quoted());
    let found: Count = diesel::sql_query(sql).get_result(db).attempt("count rows")?;
    Ok(found.count.cast_unsigned())
}

#[derive(QueryableByName)]
struct Defined {
    #[diesel(sql_type = Text)]
    definition: String,
}

/// The definitions of all indexes.
pub(crate) fn indexes(db: &mut Db) -> Result<Vec<String>, BenchError> {
    let sql = "SELECT indexdef AS definition FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname";
    let found: Vec<Defined> = diesel::sql_query(sql).load(db).attempt("read the platform's indexes")?;
    Ok(found.into_iter().map(|index| index.definition).collect())
}

/// The definitions of all indexes and of all constraints that hold for every row.
pub(crate) fn rules(db: &mut Db) -> Result<Vec<String>, BenchError> {
    let sql = "SELECT conrelid::regclass::text || ' ' || conname || ' ' || pg_get_constraintdef(oid) AS definition \
               FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND convalidated ORDER BY 1";
    let found: Vec<Defined> = diesel::sql_query(sql).load(db).attempt("read the platform's constraints")?;
    let mut rules = indexes(db)?;
    rules.extend(found.into_iter().map(|constraint| constraint.definition));
    Ok(rules)
}
