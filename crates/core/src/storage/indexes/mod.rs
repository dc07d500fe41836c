//! Unique indexes that the target gets once its rows are consolidated, built beside the customers who use it.
//!
//! A step declares them ([`UniqueIndex`]); the engine builds them when the parts of its end are committed. What stands in the
//! catalogue under such a name is looked at first: only the declared index, valid, is taken for it.

mod build;
mod catalogue;
mod temporary;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::db::Db;
use super::failure::Failure;
use super::sql::quoted;

pub(crate) use build::{Built, ask_to_end, blockers, build, build_plainly, clear, session};
pub(crate) use catalogue::{Found, look};
pub(crate) use temporary::{drop_temporary, take_away, temporary};

/// A unique index that a step leaves in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UniqueIndex {
    /// Its name.
    pub name: &'static str,
    /// Its table, which has an `id`.
    pub table: &'static str,
    /// Its columns, or expressions, as SQL of every target: `lower(email)`.
    pub on: &'static [&'static str],
    /// Which rows it is about, as SQL.
    pub only: Option<&'static str>,
    /// What is said of rows that share a value: "items share a name".
    pub shared: &'static str,
    /// What an operator does about them.
    pub remedy: &'static str,
}

/// Why an index cannot be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    /// The database fails.
    #[error("{}", Failure::of(.0).describe())]
    Database(#[from] diesel::result::Error),
    /// Something else has its name.
    #[error(
        "`{name}` is there, but {what}: drop or rename it, or make it what the platform asks for ({declared}), then run the same command again"
    )]
    Taken {
        /// The name.
        name: &'static str,
        /// What it is.
        what: &'static str,
        /// What it must be.
        declared: String,
    },
}

impl UniqueIndex {
    /// The statement that makes it; `how` stands before its name, `table` in the place of its table.
    fn statement(&self, how: &str, name: &str, table: &str) -> String {
        let only = self.only.map(|only| format!(" WHERE {only}")).unwrap_or_default();
        format!("CREATE UNIQUE INDEX {how}{name} ON {table} ({}){only}", self.on.join(", "))
    }

    fn declared(&self) -> String {
        self.statement("", self.name, self.table)
    }

    fn taken(&self, what: &'static str) -> IndexError {
        IndexError::Taken { name: self.name, what, declared: self.declared() }
    }
}

#[derive(QueryableByName)]
struct Group {
    #[diesel(sql_type = BigInt)]
    rows: i64,
    #[diesel(sql_type = Text)]
    ids: String,
}

/// Names the rows that an index does not admit, by their ids, and says what to do. None where there are none.
///
/// # Errors
/// The database fails.
pub(crate) fn shared(db: &mut Db, index: &UniqueIndex) -> QueryResult<Option<String>> {
    let groups: Vec<Group> = diesel::sql_query(sharing(db, index)).load(db)?;
    if groups.is_empty() {
        return Ok(None);
    }
    let rows: i64 = groups.iter().map(|group| group.rows).sum();
    let ids: Vec<String> = groups.iter().map(|group| format!("({})", group.ids)).collect();
    Ok(Some(format!("{rows} {}: {}; {}", index.shared, ids.join(", "), index.remedy)))
}

/// The rows that an index does not admit, a group each; of many the first.
fn sharing(db: &Db, index: &UniqueIndex) -> String {
    let ids = match db {
        Db::Pg(_) => "string_agg(id::text, ', ' ORDER BY id)",
        _ => "group_concat(id, ', ')",
    };
    let known = index.on.iter().map(|column| format!("{column} IS NOT NULL"));
    let conditions: Vec<String> = index.only.map(str::to_owned).into_iter().chain(known).collect();
    format!(
        "SELECT count(*) AS rows, {ids} AS ids FROM {} WHERE {} GROUP BY {} HAVING count(*) > 1 ORDER BY 2 LIMIT 20",
        quoted(index.table),
        conditions.join(" AND "),
        index.on.join(", ")
    )
}
