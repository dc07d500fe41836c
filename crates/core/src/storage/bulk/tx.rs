//! The target inside the transaction of a chunk: what a step may do to it, and which units it refuses.

use diesel::{QueryResult, SqliteConnection};

use super::{Batch, Insert, Replace, UnitIndex, stage};
use crate::storage::db::Db;
use crate::storage::failure::Failure;
use crate::storage::ledger;
use crate::words::Code;

/// A unit that the target did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The unit.
    pub unit: UnitIndex,
    /// Why, as a code.
    pub code: Code,
    /// Why, in words: the constraint's name. Holds no value.
    pub reason: String,
}

/// How rows are inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// As fast as can be: a row that is refused fails the statement.
    Direct,
    /// Through a stage table, after a direct attempt failed: refused rows are found and left out.
    Staged,
}

/// The target inside the transaction of a chunk.
pub struct Tx<'a> {
    pub(super) db: &'a mut Db,
    pub(super) mode: Mode,
    pub(super) chunk: Option<i64>,
    pub(super) step: &'a str,
    pub(super) refused: Vec<Refused>,
    /// The refused units.
    pub(super) out: roaring::RoaringBitmap,
    /// Units that have written something in this pass.
    pub(super) touched: roaring::RoaringBitmap,
    /// Of these, the refused ones: what they have written must be taken back.
    pub(super) dirty: roaring::RoaringBitmap,
}

impl<'a> Tx<'a> {
    pub(super) fn new(db: &'a mut Db, step: &'a str, chunk: Option<i64>, mode: Mode) -> Self {
        let (out, touched, dirty) = Default::default();
        Self { db, mode, chunk, step, refused: Vec::new(), out, touched, dirty }
    }

    /// The transaction in which a step is finished: it belongs to no chunk.
    pub(crate) fn finishing(db: &'a mut Db, step: &'a str) -> Self {
        Self::new(db, step, None, Mode::Direct)
    }

    /// The connection, for what neither [`Tx::insert`] nor [`Tx::replace`] can say.
    pub fn db(&mut self) -> &mut Db {
        self.db
    }

    /// The chunk that is being written; none when a step is finished.
    pub fn chunk(&self) -> Option<i64> {
        self.chunk
    }

    /// Refuses a unit: its rows are quarantined, and nothing of it stays in the target.
    pub fn refuse(&mut self, unit: UnitIndex, code: impl Into<Code>, reason: impl Into<String>) {
        if !self.out.insert(unit) {
            return;
        }
        if self.touched.contains(unit) {
            self.dirty.insert(unit);
        }
        self.refused.push(Refused { unit, code: code.into(), reason: reason.into() });
    }

    pub(super) fn refuse_by(&mut self, unit: UnitIndex, constraint: &str) {
        self.refuse(unit, Code::CONSTRAINT_VIOLATED, format!("refused by `{constraint}`"));
    }

    /// Whether the unit was refused in this pass.
    pub fn is_refused(&self, unit: UnitIndex) -> bool {
        self.out.contains(unit)
    }

    /// Says that `unit` has changed the target by other means than `insert` and `replace`.
    pub fn touch(&mut self, unit: UnitIndex) {
        self.touched.insert(unit);
    }

    /// Inserts the rows of a batch, but for those of refused units.
    ///
    /// # Errors
    /// Those of the database. In a direct pass a refused row is one of them; in a staged one, and in SQLite, its unit is
    /// refused instead.
    pub fn insert<T: Insert>(&mut self, batch: &Batch<T>) -> QueryResult<()> {
        if self.refused.is_empty() {
            return self.insert_all(batch);
        }
        let kept = batch.only(&|unit| !self.out.contains(unit));
        self.insert_all(&kept)
    }

    fn insert_all<T: Insert>(&mut self, batch: &Batch<T>) -> QueryResult<()> {
        match (&mut *self.db, self.mode) {
            (Db::Pg(pg), Mode::Direct) => {
                T::copy(pg, &batch.rows)?;
                self.touched.extend(batch.units.iter().copied());
                Ok(())
            }
            (Db::Pg(_), Mode::Staged) => stage::insert(self, batch),
            (Db::Lite(_), _) => {
                for (unit, row) in batch.iter() {
                    self.each_lite(unit, |lite| T::insert(lite, row))?;
                }
                Ok(())
            }
            #[cfg(feature = "mysql")]
            (Db::My(_), _) => Err(no_target()),
        }
    }

    /// Puts whole rows in the place of those with their ids.
    ///
    /// # Errors
    /// Those of the database; in SQLite a refused row's unit is refused instead.
    pub fn replace<T: Replace>(&mut self, batch: &Batch<T>) -> QueryResult<()> {
        if batch.is_empty() {
            return Ok(());
        }
        match &mut *self.db {
            Db::Pg(pg) => {
                stage::replace(pg, &batch.rows)?;
                self.touched.extend(batch.units.iter().copied());
                Ok(())
            }
            Db::Lite(_) => {
                for (unit, row) in batch.iter() {
                    self.each_lite(unit, |lite| T::update(lite, row))?;
                }
                Ok(())
            }
            #[cfg(feature = "mysql")]
            Db::My(_) => Err(no_target()),
        }
    }

    /// A refused statement of SQLite leaves its transaction whole, so a bad row costs nothing.
    fn each_lite(
        &mut self,
        unit: UnitIndex,
        write: impl FnOnce(&mut SqliteConnection) -> QueryResult<usize>,
    ) -> QueryResult<()> {
        let Db::Lite(lite) = &mut *self.db else { unreachable!("only called on SQLite") };
        if self.out.contains(unit) {
            return Ok(());
        }
        match write(lite) {
            Ok(_) => {
                self.touched.insert(unit);
                Ok(())
            }
            Err(error) => match Failure::of(&error) {
                Failure::Constraint(name) => {
                    self.refuse_by(unit, &name);
                    Ok(())
                }
                _ => Err(error),
            },
        }
    }

    /// Records that rows which were in the target before were changed.
    ///
    /// # Errors
    /// Those of the database.
    pub fn changed(&mut self, changes: Vec<Change>) -> QueryResult<()> {
        ledger::record_changes(self.db, self.step, self.chunk, changes)
    }

    /// The name of the step.
    pub fn step(&self) -> &str {
        self.step
    }
}

/// A target row that was there before, and what was done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub table: &'static str,
    /// The row.
    pub id: i64,
    /// The legacy row for whose sake; none where there is none.
    pub legacy_key: Option<i64>,
    /// What was done, in a word: `filled`, `closed`.
    pub what: &'static str,
    /// What was there: a value, or several as JSON.
    pub before: Option<String>,
    /// What is there now, likewise.
    pub after: Option<String>,
}

#[cfg(feature = "mysql")]
fn no_target() -> diesel::result::Error {
    diesel::result::Error::QueryBuilderError("MariaDB is no target".into())
}
