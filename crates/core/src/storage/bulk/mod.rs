//! Bulk writes: the rows of a chunk into the target by its fastest path, each row tied to the unit that it came from.
//!
//! PostgreSQL takes binary COPY, SQLite prepared single-row INSERTs. When a constraint refuses a COPY, the same rows go
//! through a stage table ([`stage`]), where the constraints themselves are the queries that find the culprits.

mod settle;
mod stage;
mod tx;
mod upsert;

use diesel::{PgConnection, QueryResult, SqliteConnection};
use serde::Serialize;

use super::shape::TableShape;
use crate::words::Money;

pub(crate) use settle::{Writing, settle};
pub(crate) use stage::{not_taken, quoted};
pub(crate) use tx::Refused;
pub use tx::{Change, Tx};
pub(crate) use upsert::whole_row;

/// A unit of legacy rows, by its place in the chunk.
pub type UnitIndex = u32;

/// Target rows of one kind, with the unit that each came from.
#[derive(Debug, Clone)]
pub struct Batch<T> {
    rows: Vec<T>,
    units: Vec<UnitIndex>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), units: Vec::new() }
    }
}

impl<T> Batch<T> {
    /// The rows.
    pub fn rows(&self) -> &[T] {
        &self.rows
    }

    /// The rows with their units.
    pub fn iter(&self) -> impl Iterator<Item = (UnitIndex, &T)> {
        self.units.iter().copied().zip(&self.rows)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    #[doc(hidden)]
    pub fn push(&mut self, unit: UnitIndex, row: T) {
        self.units.push(unit);
        self.rows.push(row);
    }

    #[doc(hidden)]
    pub fn withdraw(&mut self, unit: UnitIndex) {
        while self.units.last() == Some(&unit) {
            self.units.pop();
            self.rows.pop();
        }
    }

    #[doc(hidden)]
    pub fn append(&mut self, mut other: Self, units_before: UnitIndex) {
        self.rows.append(&mut other.rows);
        self.units.extend(other.units.iter().map(|unit| unit + units_before));
    }
}

impl<T: Write> Batch<T> {
    /// Puts the rows into the order in which the target takes them best.
    #[doc(hidden)]
    pub fn arrange(&mut self) {
        if self.rows.windows(2).all(|pair| pair[0].place() <= pair[1].place()) {
            return;
        }
        let places = u32::try_from(self.rows.len()).expect("a chunk has fewer than 2^32 rows");
        let mut order: Vec<(i64, u32)> = self.rows.iter().map(Write::place).zip(0..places).collect();
        order.sort_unstable();
        // Rows are large: each is swapped to its place where they stand. What stood there before was swapped on, to where its
        // own place in the order tells.
        for to in 0..order.len() {
            let mut from = order[to].1 as usize;
            while from < to {
                from = order[from].1 as usize;
            }
            order[to].1 = from as u32;
            self.rows.swap(to, from);
            self.units.swap(to, from);
        }
    }
}

impl<T: Clone> Batch<T> {
    #[doc(hidden)]
    #[must_use]
    pub fn only(&self, keep: &dyn Fn(UnitIndex) -> bool) -> Self {
        let (units, rows) = self.iter().filter(|(unit, _)| keep(*unit)).map(|(unit, row)| (unit, row.clone())).unzip();
        Self { rows, units }
    }
}

/// Something that a step does to the target for a legacy row: a row to insert, or a change of its own making.
pub trait Write: Serialize + Clone + Send + Sync + Sized {
    /// The money that it carries into the target.
    fn money(&self) -> Option<Money> {
        None
    }

    /// Where it stands among the rows of its chunk: rows with near places are written one after the other.
    fn place(&self) -> i64 {
        0
    }

    /// Does it for a whole batch.
    ///
    /// # Errors
    /// Those of the database. A row that cannot be written although the database is well is refused ([`Tx::refuse`]).
    fn write(tx: &mut Tx<'_>, batch: &Batch<Self>) -> QueryResult<()>;
}

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

impl<T: Insert> Write for T {
    fn money(&self) -> Option<Money> {
        self.amount()
    }

    fn place(&self) -> i64 {
        self.order()
    }

    fn write(tx: &mut Tx<'_>, batch: &Batch<Self>) -> QueryResult<()> {
        tx.insert(batch)
    }
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
/// written together where `order` says which that is: the server finds the parent, and its place in the index, at hand.
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

/// All that a chunk writes: batches in the order in which they are written. Implemented by [`rows!`](crate::rows).
pub trait Rows: Default + Clone + Send + Sync + 'static {
    /// Writes every batch, in order.
    ///
    /// # Errors
    /// Those of the database.
    fn write(&self, tx: &mut Tx<'_>) -> QueryResult<()>;
    /// Takes back what `unit`, the last one, has put in.
    fn withdraw(&mut self, unit: UnitIndex);
    /// Puts the rows of another part of the chunk behind these.
    fn append(&mut self, other: Self, units_before: UnitIndex);
    /// Puts the rows of each batch into the order in which the target takes them best.
    fn arrange(&mut self);
    /// The rows of the units that `keep` names.
    #[must_use]
    fn only(&self, keep: &dyn Fn(UnitIndex) -> bool) -> Self;
    /// Calls `each` with every amount of money that is written, and its unit.
    fn money(&self, each: &mut dyn FnMut(UnitIndex, Money));
}

/// Rows that hold a batch of `T`.
pub trait Holds<T> {
    #[doc(hidden)]
    fn batch(&mut self) -> &mut Batch<T>;
}

/// Declares what a chunk of a step writes: `rows! { pub struct Rows { projects: NewProject, species: NewSpecies } }`.
/// Each type stands once; the batches are written in the order of their declaration, so a parent stands before its child.
#[macro_export]
macro_rules! rows {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($field:ident : $row:ty),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default)]
        $vis struct $name { $($field: $crate::Batch<$row>),+ }

        impl $crate::Rows for $name {
            fn write(&self, tx: &mut $crate::Tx<'_>) -> $crate::diesel::QueryResult<()> {
                $(if !self.$field.is_empty() { <$row as $crate::Write>::write(tx, &self.$field)?; })+
                Ok(())
            }
            fn withdraw(&mut self, unit: $crate::UnitIndex) {
                $(self.$field.withdraw(unit);)+
            }
            fn append(&mut self, other: Self, units_before: $crate::UnitIndex) {
                $(self.$field.append(other.$field, units_before);)+
            }
            fn arrange(&mut self) {
                $(self.$field.arrange();)+
            }
            fn only(&self, keep: &dyn Fn($crate::UnitIndex) -> bool) -> Self {
                Self { $($field: self.$field.only(keep)),+ }
            }
            fn money(&self, each: &mut dyn FnMut($crate::UnitIndex, $crate::Money)) {
                $(for (unit, row) in self.$field.iter() {
                    if let Some(money) = <$row as $crate::Write>::money(row) { each(unit, money); }
                })+
            }
        }

        $(impl $crate::Holds<$row> for $name {
            fn batch(&mut self) -> &mut $crate::Batch<$row> { &mut self.$field }
        })+
    };
}
