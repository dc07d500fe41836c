//! The target inside the transaction of a chunk: what a step may do to it, and which units it refuses.

use diesel::deserialize::QueryableByName;
use diesel::pg::Pg;
use diesel::{PgConnection, QueryResult, RunQueryDsl, SqliteConnection};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Batch, Insert, Replace, UnitIndex, stage, upsert};
use crate::storage::caught;
use crate::storage::db::Db;
use crate::storage::failure::Failure;
use crate::storage::ledger::{self, close::NewRepair, plan::Ours};
use crate::words::{Code, Money, MoneyTotals, Repair};

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
    /// Through a stage table, after a direct attempt failed: refused rows are found and left out, and every statement that may
    /// be refused has the server tell why.
    Staged,
}

impl Mode {
    /// Executes a statement of ours; how many rows it touched.
    pub(super) fn execute(self, pg: &mut PgConnection, sql: &str) -> QueryResult<usize> {
        match self {
            Self::Direct => diesel::sql_query(sql).execute(pg),
            Self::Staged => caught::execute(pg, sql),
        }
    }

    /// The rows of a query of ours that may have to wait for a lock.
    pub(super) fn rows<T>(self, pg: &mut PgConnection, sql: &str) -> QueryResult<Vec<T>>
    where
        T: DeserializeOwned + QueryableByName<Pg> + 'static,
    {
        match self {
            Self::Direct => diesel::sql_query(sql).load(pg),
            Self::Staged => caught::rows(pg, sql),
        }
    }
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
    /// Units that were written before, by an earlier run.
    pub(super) again: roaring::RoaringBitmap,
}

impl<'a> Tx<'a> {
    pub(super) fn new(db: &'a mut Db, step: &'a str, chunk: Option<i64>, mode: Mode) -> Self {
        let (out, touched, dirty, again) = Default::default();
        Self { db, mode, chunk, step, refused: Vec::new(), out, touched, dirty, again }
    }

    /// The transaction in which a step is finished: it belongs to no chunk.
    pub(crate) fn finishing(db: &'a mut Db, step: &'a str) -> Self {
        Self::new(db, step, None, Mode::Direct)
    }

    /// The connection, for what is read. What changes or locks rows of the platform goes through [`Tx::insert`],
    /// [`Tx::replace`] and [`Tx::execute`]: there the server can be asked which row it refuses, and why.
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

    pub(super) fn refuse_for(&mut self, unit: UnitIndex, failure: &Failure) {
        self.refuse(unit, Code::CONSTRAINT_VIOLATED, failure.reason());
    }

    /// Executes a statement without parameters that changes or locks rows of the target; how many it touched. A text in it is a
    /// [`literal`](crate::literal).
    ///
    /// # Errors
    /// Those of the database. Where a row is to blame, the unit is found by halves.
    pub fn execute(&mut self, sql: &str) -> QueryResult<usize> {
        match &mut *self.db {
            // Nobody finds a unit where a step is finished, but the operator is told what was refused.
            Db::Pg(pg) if self.chunk.is_none() => caught::execute(pg, sql),
            Db::Pg(pg) => self.mode.execute(pg, sql),
            db => diesel::sql_query(sql).execute(db),
        }
    }

    /// As [`Tx::execute`], where the statement is known to concern so many rows of a table.
    ///
    /// # Errors
    /// Those of the database; fewer rows were touched, or more.
    pub fn execute_on(&mut self, table: &str, rows: usize, sql: &str) -> QueryResult<()> {
        if self.execute(sql)? == rows { Ok(()) } else { Err(stage::not_taken(table)) }
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
        if self.refused.is_empty() && self.again.is_empty() {
            return self.insert_all(batch);
        }
        // What is written anew may leave a unique value to what is new.
        let again = batch.only(&|unit| !self.out.contains(unit) && self.again.contains(unit));
        if !again.is_empty() {
            upsert::upsert(self, &again)?;
        }
        let fresh = batch.only(&|unit| !self.out.contains(unit) && !self.again.contains(unit));
        self.insert_all(&fresh)
    }

    fn insert_all<T: Insert>(&mut self, batch: &Batch<T>) -> QueryResult<()> {
        match (&mut *self.db, self.mode) {
            (Db::Pg(pg), Mode::Direct) => {
                if T::copy(pg, &batch.rows)? != batch.rows.len() {
                    return Err(stage::not_taken(T::shape().name));
                }
                self.touched.extend(batch.units.iter().copied());
                Ok(())
            }
            (Db::Pg(_), Mode::Staged) => stage::insert(self, batch),
            (Db::Lite(_), _) => {
                let table = T::shape().name;
                batch.iter().try_for_each(|(unit, row)| self.each_lite(unit, table, |lite| T::insert(lite, row)))
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
                stage::replace(pg, self.mode, &batch.rows)?;
                self.touched.extend(batch.units.iter().copied());
                Ok(())
            }
            Db::Lite(_) => {
                let table = T::shape().name;
                batch.iter().try_for_each(|(unit, row)| self.each_lite(unit, table, |lite| T::update(lite, row)))
            }
            #[cfg(feature = "mysql")]
            Db::My(_) => Err(no_target()),
        }
    }

    /// A refused statement of SQLite leaves its transaction whole, so a bad row costs nothing.
    pub(super) fn each_lite(
        &mut self,
        unit: UnitIndex,
        table: &str,
        write: impl FnOnce(&mut SqliteConnection) -> QueryResult<usize>,
    ) -> QueryResult<()> {
        let Db::Lite(lite) = &mut *self.db else { unreachable!("only called on SQLite") };
        if self.out.contains(unit) {
            return Ok(());
        }
        let error = match write(lite) {
            Ok(1) => {
                self.touched.insert(unit);
                return Ok(());
            }
            Ok(_) => stage::not_taken(table),
            Err(error) => error,
        };
        match Failure::of(&error) {
            failure if failure.blames_a_row() => self.refuse_for(unit, &failure),
            // What SQLite itself has no words for is what a trigger of the site says.
            Failure::Untold(_) => self.refuse_for(unit, &Failure::Refused(format!("a trigger of `{table}`"))),
            _ => return Err(error),
        }
        Ok(())
    }

    /// Records that rows which were in the target before were changed.
    ///
    /// # Errors
    /// Those of the database.
    pub fn changed(&mut self, changes: Vec<Change>) -> QueryResult<()> {
        ledger::record_changes(self.db, self.step, self.chunk, changes)
    }

    /// Takes ids of a table while a step is finished; ascending.
    ///
    /// # Errors
    /// Those of the database.
    pub fn reserve(&mut self, table: &str, ids: u64) -> QueryResult<Vec<i64>> {
        let ranges = ledger::plan::hand_out(self.db, self.step, table, ids)?;
        let mut ids: Vec<i64> = ranges.into_iter().flat_map(ledger::plan::IdRange::iter).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// The ids of a table that earlier calls of `finish` have taken, ascending.
    ///
    /// # Errors
    /// Those of the database.
    pub fn reserved(&mut self, table: &str) -> QueryResult<Vec<i64>> {
        ledger::plan::handed_out(self.db, self.step, table)
    }

    /// Notes repairs of rows of another step while this one is finished.
    ///
    /// # Errors
    /// Those of the database.
    pub fn repairs(&mut self, of_step: &str, repairs: Vec<Repair>) -> QueryResult<()> {
        let rows: Vec<NewRepair> = repairs
            .into_iter()
            .map(|repair| NewRepair {
                step: of_step.to_owned(),
                legacy_key: repair.key,
                chunk_id: None,
                by_step: Some(self.step.to_owned()),
                code: repair.code.as_str(),
                column_name: repair.column,
                value_before: repair.before,
                value_after: repair.after,
            })
            .collect();
        ledger::bulk(self.db, &rows)
    }

    /// Reads something of the target while a step is finished. The first reading of the first time is kept in the ledger and
    /// is what every later call returns.
    ///
    /// # Errors
    /// Those of the database.
    pub fn frozen<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Db) -> QueryResult<T>,
    ) -> QueryResult<T> {
        let unreadable = |error: ledger::LedgerError| match error {
            ledger::LedgerError::Database { source, .. } => source,
            other => diesel::result::Error::DeserializationError(Box::new(other)),
        };
        if let Some(first) = ledger::frozen::load(self.db, name).map_err(unreadable)? {
            return Ok(first);
        }
        let first = read(self.db)?;
        ledger::frozen::save(self.db, name, &first).map_err(unreadable)?;
        Ok(first)
    }

    /// The ids that the migration has handed out: which rows of the target are ours.
    ///
    /// # Errors
    /// Those of the database.
    pub fn ours(&mut self) -> QueryResult<Ours> {
        ledger::plan::ours(self.db).map_err(|error| match error {
            ledger::LedgerError::Database { source, .. } => source,
            other => diesel::result::Error::DeserializationError(Box::new(other)),
        })
    }

    /// Counts money that was written while a step is finished without having been read: a repair gave it.
    ///
    /// # Errors
    /// Those of the database.
    pub fn adjusted(&mut self, amounts: &[Money]) -> QueryResult<()> {
        let mut totals = MoneyTotals::default();
        for amount in amounts {
            totals.given(*amount);
        }
        ledger::close::write_money(self.db, self.step, None, &totals)
    }

    /// Whether a replay writes the unit anew: it was written before.
    pub fn is_again(&self, unit: UnitIndex) -> bool {
        self.again.contains(unit)
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
