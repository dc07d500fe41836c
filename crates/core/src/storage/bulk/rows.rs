//! What a chunk writes: batches of rows, in order, and other things that a step does to the target.

use diesel::QueryResult;
use serde::Serialize;
use serde_json::Value;

use super::batch::{Batch, UnitIndex};
use super::tx::Tx;
use crate::storage::imprint::Imprints;
use crate::storage::model::{Insert, Model};
use crate::words::{Key, Money};

/// Something that a step does to the target for a legacy row: a row to insert, or a change of its own making.
pub trait Write: Serialize + Clone + Send + Sync + Sized {
    /// Whether it is a row to insert: then its imprint tells all that is written.
    const IS_ROW: bool = false;

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

    /// What the rows are that it inserts.
    #[doc(hidden)]
    fn model() -> Option<Model> {
        None
    }

    /// Notes the rows that a batch inserts, each for the sake of the legacy row that `key` tells of its unit.
    #[doc(hidden)]
    fn imprint(_batch: &Batch<Self>, _key: &dyn Fn(UnitIndex) -> Key, _into: &mut Imprints) {}
}

impl<T: Insert> Write for T {
    const IS_ROW: bool = true;

    fn money(&self) -> Option<Money> {
        self.amount()
    }

    fn place(&self) -> i64 {
        self.order()
    }

    fn write(tx: &mut Tx<'_>, batch: &Batch<Self>) -> QueryResult<()> {
        tx.insert(batch)
    }

    fn model() -> Option<Model> {
        Some(Model::of::<T>())
    }

    fn imprint(batch: &Batch<Self>, key: &dyn Fn(UnitIndex) -> Key, into: &mut Imprints) {
        into.add(batch.iter().map(|(unit, row)| (key(unit), row)));
    }
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
    /// What the rows are that are inserted, parents first.
    fn models() -> Vec<Model>;
    /// Notes the rows that are inserted, each for the sake of the legacy row that `key` tells of its unit.
    fn imprint(&self, key: &dyn Fn(UnitIndex) -> Key, into: &mut Imprints);
    /// Calls `each` with every amount of money that is written, and its unit.
    fn money(&self, each: &mut dyn FnMut(UnitIndex, Money));
    /// Calls `each` with every row as JSON, its unit and the name of its batch: to be looked at.
    fn show(&self, each: &mut dyn FnMut(UnitIndex, &'static str, Value));
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
                $(self.$field.arrange(<$row as $crate::Write>::place);)+
            }
            fn only(&self, keep: &dyn Fn($crate::UnitIndex) -> bool) -> Self {
                Self { $($field: self.$field.only(keep)),+ }
            }
            fn models() -> Vec<$crate::Model> {
                [$(<$row as $crate::Write>::model()),+].into_iter().flatten().collect()
            }
            fn imprint(&self, key: &dyn Fn($crate::UnitIndex) -> $crate::Key, into: &mut $crate::Imprints) {
                $(<$row as $crate::Write>::imprint(&self.$field, key, into);)+
            }
            fn money(&self, each: &mut dyn FnMut($crate::UnitIndex, $crate::Money)) {
                $(for (unit, row) in self.$field.iter() {
                    if let Some(money) = <$row as $crate::Write>::money(row) { each(unit, money); }
                })+
            }
            fn show(&self, each: &mut dyn FnMut($crate::UnitIndex, &'static str, $crate::Json)) {
                $(self.$field.show(stringify!($field), each);)+
            }
        }

        $(impl $crate::Holds<$row> for $name {
            fn batch(&mut self) -> &mut $crate::Batch<$row> { &mut self.$field }
        })+
    };
}
