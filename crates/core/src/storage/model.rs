//! Models of target rows, as they are inserted or replaced in bulk: PostgreSQL takes binary COPY, SQLite prepared statements.

use diesel::{PgConnection, QueryResult, SqliteConnection};
use serde::Serialize;

use super::db::Db;
use super::failure::Told;
use super::shape::TableShape;
use crate::words::Money;

/// A row that is inserted. Implemented by [`insert!`](crate::insert).
pub trait Insert: Serialize + Clone + Send + Sync + Sized {
    /// Columns that are one to whoever changes them: a change to one makes all of them the customer's.
    const TOGETHER: &'static [&'static [&'static str]];
    /// Columns of which the ledger keeps a hash alone.
    const SECRET: &'static [&'static str];
    /// Columns that the site does not change.
    const FIXED: &'static [&'static str];
    /// The column that leads to the row into which a row was merged.
    const SUCCESSOR: Option<&'static str>;
    /// The columns of an amount in minor units, of its currency and of whose it is.
    const SUMMED: Option<[&'static str; 3]>;
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

/// What is known of a model besides its rows.
#[derive(Debug, Clone)]
pub struct Model {
    pub(crate) shape: TableShape,
    /// As [`Insert::TOGETHER`].
    pub(crate) together: &'static [&'static [&'static str]],
    /// As [`Insert::SECRET`].
    pub(crate) secret: &'static [&'static str],
    /// As [`Insert::FIXED`].
    pub(crate) fixed: &'static [&'static str],
    /// As [`Insert::SUCCESSOR`].
    pub(crate) successor: Option<&'static str>,
    /// As [`Insert::SUMMED`].
    pub(crate) summed: Option<[&'static str; 3]>,
}

impl Model {
    /// That of a table of which nothing else is known.
    pub(crate) fn plain(shape: TableShape) -> Self {
        Self { shape, together: &[], secret: &[], fixed: &[], successor: None, summed: None }
    }

    /// That of a type.
    pub(crate) fn of<T: Insert>() -> Self {
        Self {
            shape: T::shape(),
            together: T::TOGETHER,
            secret: T::SECRET,
            fixed: T::FIXED,
            successor: T::SUCCESSOR,
            summed: T::SUMMED,
        }
    }
}

/// Lets a model be inserted in bulk: `insert!(NewItem => items);`. Its fields have the names of their columns, for serde too: by
/// these the row is known again in the target. What else there is to say of it stands behind, in this order:
///
/// - `money = |item| item.price()`: the money that a row carries;
/// - `order = |item| item.shop_id`: rows of one chunk that point to the same parent are written together: the server finds the
///   parent, and its place in the index, at hand;
/// - `together = [[price_minor, currency]]`: columns that are one to whoever changes them, because a CHECK or a unique key is over
///   them, or because an amount is nothing without its currency: where a customer has changed one, a later state of the legacy
///   database changes none;
/// - `secret = [password_hash]`: columns of which the ledger keeps a hash alone;
/// - `fixed = [amount_minor, currency, account_id]`: columns that the site never changes. Where one holds something else than was
///   written, a verification does not take it for a customer's change, whoever made it;
/// - `successor = merged_into`: the column that leads from a row to the one into which it was merged;
/// - `summed = [amount_minor, currency, account_id]`: the columns of an amount in minor units, of its currency and of whose it is: by
///   these a verification adds up money.
#[macro_export]
macro_rules! insert {
    ($model:ty => $table:ident
     $(, money = $money:expr)? $(, order = $order:expr)? $(, together = [$([$($one:ident),+ $(,)?]),+ $(,)?])?
     $(, secret = [$($secret:ident),+ $(,)?])? $(, fixed = [$($fixed:ident),+ $(,)?])? $(, successor = $successor:ident)?
     $(, summed = [$minor:ident, $currency:ident, $whose:ident $(,)?])? $(,)?) => {
        impl $crate::Insert for $model {
            const TOGETHER: &'static [&'static [&'static str]] = &[$($(&[$(stringify!($one)),+]),+)?];
            const SECRET: &'static [&'static str] = &[$($(stringify!($secret)),+)?];
            const FIXED: &'static [&'static str] = &[$($(stringify!($fixed)),+)?];
            const SUCCESSOR: Option<&'static str> = $crate::either!($(Some(stringify!($successor)))?; None);
            const SUMMED: Option<[&'static str; 3]> =
                $crate::either!($(Some([stringify!($minor), stringify!($currency), stringify!($whose)]))?; None);
            fn amount(&self) -> Option<$crate::Money> {
                let money: fn(&$model) -> Option<$crate::Money> = $crate::either!($($money)?; |_row| None);
                money(self)
            }
            fn order(&self) -> i64 {
                let order: fn(&$model) -> i64 = $crate::either!($($order)?; |_row| 0);
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

/// The first of two expressions, if it is there.
#[doc(hidden)]
#[macro_export]
macro_rules! either {
    ($one:expr; $other:expr) => {
        $one
    };
    (; $other:expr) => {
        $other
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
