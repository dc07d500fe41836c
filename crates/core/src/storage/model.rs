//! Models of target rows, as they are inserted or replaced in bulk: PostgreSQL takes binary COPY, SQLite prepared statements.

use diesel::{PgConnection, QueryResult, SqliteConnection};
use serde::Serialize;

use super::db::Db;
use super::failure::Told;
use super::shape::TableShape;
use crate::words::Money;

/// A row that is inserted. Implemented by [`insert!`](crate::insert).
pub trait Insert: Serialize + Clone + Send + Sync + Sized {
    /// The money that it carries.
    fn amount(&self) -> Option<Money>;
    /// Where it stands among the rows of its chunk.
    fn order(&self) -> i64;
    /// The table and its columns.
    fn shape() -> TableShape;
    #[doc(hidden)]
    fn copy(pg: &mut PgConnection, rows: &[Self]) -> QueryResult<usize>;
    #[doc(hidden)]
    fn insert(lite: &mut SqliteConnection, row: &Self) -> QueryResult<usize>;
}

/// A whole row that takes the place of the one with its `id`. Implemented by [`replace!`](crate::replace).
pub trait Replace: Clone + Send + Sync {
    #[doc(hidden)]
    fn copy(pg: &mut PgConnection, rows: &[Self]) -> QueryResult<usize>;
    #[doc(hidden)]
    fn update(lite: &mut SqliteConnection, row: &Self) -> QueryResult<usize>;
    /// The table and its columns; the first is `id`.
    fn shape() -> TableShape;
}

/// Lets a model be inserted in bulk: `insert!(NewItem => items);`, with the money that a row carries where it carries
/// some: `insert!(NewItem => items, money = |item| item.price());`. Rows of one chunk that point to the same parent are
/// written together where `order` says which that is: the server finds the parent, and its place in the index, at hand. Fields that
/// hold a foreign key have the names of their columns, for serde too: by these their values are found.
#[macro_export]
macro_rules! insert {
    ($model:ty => $table:ident) => { $crate::insert!($model => $table, money = |_row| None); };
    ($model:ty => $table:ident, money = $money:expr) => {
        $crate::insert!($model => $table, money = $money, order = |_row| 0);
    };
    ($model:ty => $table:ident, money = $money:expr, order = $order:expr) => {
        impl $crate::Insert for $model {
            fn amount(&self) -> Option<$crate::Money> {
                let money: fn(&$model) -> Option<$crate::Money> = $money;
                money(self)
            }
            fn order(&self) -> i64 {
                let order: fn(&$model) -> i64 = $order;
                order(self)
            }
            fn shape() -> $crate::TableShape {
                $crate::shape_of::<$table::table>(stringify!($table))
            }
            fn copy(pg: &mut $crate::diesel::PgConnection, rows: &[Self]) -> $crate::diesel::QueryResult<usize> {
                use $crate::diesel::prelude::*;
                $crate::diesel::copy_from($table::table).from_insertable(rows).execute(pg)
            }
            fn insert(lite: &mut $crate::diesel::SqliteConnection, row: &Self) -> $crate::diesel::QueryResult<usize> {
                use $crate::diesel::prelude::*;
                $crate::diesel::insert_into($table::table).values(row).execute(lite)
            }
        }
    };
}

/// Lets whole rows be replaced by their `id` in bulk: `replace!(Item => items);`.
#[macro_export]
macro_rules! replace {
    ($model:ty => $table:ident) => {
        impl $crate::Replace for $model {
            fn copy(pg: &mut $crate::diesel::PgConnection, rows: &[Self]) -> $crate::diesel::QueryResult<usize> {
                use $crate::diesel::prelude::*;
                $crate::diesel::copy_from($table::table).from_insertable(rows).execute(pg)
            }
            fn update(lite: &mut $crate::diesel::SqliteConnection, row: &Self) -> $crate::diesel::QueryResult<usize> {
                use $crate::diesel::prelude::*;
                $crate::diesel::update($table::table.find(row.id)).set(row).execute(lite)
            }
            fn shape() -> $crate::TableShape {
                $crate::shape_of::<$table::table>(stringify!($table))
            }
        }
    };
}

/// Inserts rows of our own by the fastest path of the target.
pub(crate) fn insert_all<T: Insert>(db: &mut Db, rows: &[T]) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    match db {
        Db::Pg(pg) => match T::copy(pg, rows)? == rows.len() {
            true => Ok(()),
            false => Err(Told::not_taken(T::shape().name)),
        },
        Db::Lite(lite) => rows.iter().try_for_each(|row| T::insert(lite, row).map(|_| ())),
        #[cfg(feature = "mysql")]
        Db::My(_) => Err(no_target()),
    }
}

/// MariaDB is only read.
#[cfg(feature = "mysql")]
pub(crate) fn no_target() -> diesel::result::Error {
    diesel::result::Error::QueryBuilderError("MariaDB is no target".into())
}
