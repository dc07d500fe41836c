//! Legacy rows: typed models over lenient cells, and how ranges of them are read.

use diesel::QueryResult;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::storage::db::Db;
use crate::storage::shape::TableShape;
use crate::words::{Key, KeyRange};

/// A row of a legacy table, or some of its columns. Implemented by [`legacy!`](crate::legacy).
pub trait LegacyRow: Serialize + DeserializeOwned + Send + Sync + Sized + 'static {
    /// The table.
    const TABLE: &'static str;
    /// The column of its key.
    const KEY: &'static str;

    /// The row's key.
    fn key(&self) -> Key;

    /// The table with the columns that are read.
    fn shape() -> TableShape;

    /// Puts the rows of a key range behind `rows`, ascending.
    ///
    /// # Errors
    /// Those of the database; never a cell's.
    fn range(db: &mut Db, range: KeyRange, rows: &mut Vec<Self>) -> QueryResult<()>;

    /// The rows with these keys, ascending.
    ///
    /// # Errors
    /// Those of the database; never a cell's.
    fn with_keys(db: &mut Db, keys: &[Key]) -> QueryResult<Vec<Self>>;

    /// At most `limit` rows with keys above `after`, ascending.
    ///
    /// # Errors
    /// Those of the database; never a cell's.
    fn page(db: &mut Db, after: Option<Key>, limit: i64) -> QueryResult<Vec<Self>>;

    /// At most `limit` keys above `after`, ascending.
    ///
    /// # Errors
    /// Those of the database.
    fn keys(db: &mut Db, after: Option<Key>, limit: i64) -> QueryResult<Vec<Key>>;
}

/// Puts the rows of a query behind those of a list.
#[doc(hidden)]
pub fn gather<T>(rows: impl Iterator<Item = QueryResult<T>>, into: &mut Vec<T>) -> QueryResult<()> {
    for row in rows {
        into.push(row?);
    }
    Ok(())
}

/// Every how manyth row is weighed.
const WEIGHED: usize = 64;

/// About how many bytes of memory rows take, told from a sample of them: a text counts as many as its JSON has.
pub(crate) fn weight<L: LegacyRow>(rows: &[L]) -> u64 {
    let sample = rows.iter().step_by(WEIGHED);
    let weighed = sample.len().max(1);
    let texts: usize = sample.map(|row| serde_json::to_string(row).map_or(0, |json| json.len())).sum();
    (rows.len() * (size_of::<L>() + texts / weighed)) as u64
}

/// Lets a model read its legacy table by key: `legacy!(Thing => thing, "thing", key = id);`. The model derives
/// `Queryable`, `Selectable` (for [`MultiBackend`](crate::db::MultiBackend)), `Serialize` and `Deserialize`, with the names of
/// the columns; its key is a plain `i64`.
#[macro_export]
macro_rules! legacy {
    ($model:ty => $table:ident, $name:literal, key = $key:ident) => {
        impl $crate::LegacyRow for $model {
            const TABLE: &'static str = $name;
            const KEY: &'static str = stringify!($key);
            fn key(&self) -> $crate::Key {
                self.$key
            }
            fn shape() -> $crate::TableShape {
                $crate::shape_of::<$table::table>($name)
            }
            fn range(
                db: &mut $crate::db::Db,
                range: $crate::KeyRange,
                rows: &mut Vec<Self>,
            ) -> $crate::diesel::QueryResult<()> {
                use $crate::diesel::prelude::*;
                $crate::on_backend!(db, |one| {
                    let found = $table::table
                        .filter($table::$key.between(range.lo, range.hi))
                        .order($table::$key)
                        .select(Self::as_select());
                    $crate::gather(found.load_iter::<Self, $crate::diesel::connection::DefaultLoadingMode>(one)?, rows)
                })
            }
            fn with_keys(db: &mut $crate::db::Db, keys: &[$crate::Key]) -> $crate::diesel::QueryResult<Vec<Self>> {
                use $crate::diesel::prelude::*;
                let mut rows = Vec::with_capacity(keys.len());
                for some in keys.chunks(1_000) {
                    let wanted = $table::table.filter($table::$key.eq_any(some.to_vec()));
                    rows.extend(wanted.order($table::$key).select(Self::as_select()).load(db)?);
                }
                Ok(rows)
            }
            fn page(
                db: &mut $crate::db::Db,
                after: Option<$crate::Key>,
                limit: i64,
            ) -> $crate::diesel::QueryResult<Vec<Self>> {
                use $crate::diesel::prelude::*;
                // A list of large rows that grows is copied again and again.
                let mut rows = Vec::with_capacity(usize::try_from(limit).unwrap_or_default());
                $crate::on_backend!(db, |one| {
                    let page = $table::table.order($table::$key).limit(limit).select(Self::as_select());
                    match after {
                        Some(after) => $crate::gather(
                            page.filter($table::$key.gt(after))
                                .load_iter::<Self, $crate::diesel::connection::DefaultLoadingMode>(one)?,
                            &mut rows,
                        ),
                        None => $crate::gather(
                            page.load_iter::<Self, $crate::diesel::connection::DefaultLoadingMode>(one)?,
                            &mut rows,
                        ),
                    }
                })?;
                Ok(rows)
            }
            fn keys(
                db: &mut $crate::db::Db,
                after: Option<$crate::Key>,
                limit: i64,
            ) -> $crate::diesel::QueryResult<Vec<$crate::Key>> {
                use $crate::diesel::prelude::*;
                let page = $table::table.order($table::$key).limit(limit).select($table::$key);
                match after {
                    Some(after) => page.filter($table::$key.gt(after)).load(db),
                    None => page.load(db),
                }
            }
        }
    };
}

/// What becomes of a legacy column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its value, made right, stands in this target column: `items.name`.
    Moved(&'static str),
    /// It decides something else: which, in words.
    Derived(&'static str),
    /// It is left behind, for a reason that a stranger would accept. It stays in the legacy database.
    Dropped(&'static str),
}
