//! The target inside the transaction of a chunk: what a step may do to it.

use diesel::{QueryResult, RunQueryDsl};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::batch::{Batch, UnitIndex};
use super::pass::{Mode, Pass};
use super::{stage, upsert};
use crate::storage::by_set;
use crate::storage::db::Db;
use crate::storage::failure::{Told, caught};
use crate::storage::ledger::changes::Change;
use crate::storage::ledger::{self, close::NewRepair, plan::Ours};
use crate::storage::model::{self, Insert, Replace};
use crate::words::{Code, Money, MoneyTotals, Repair};

/// The target inside the transaction of a chunk.
pub struct Tx<'a> {
    pub(super) pass: Pass<'a>,
    chunk: Option<i64>,
    step: &'a str,
}

impl<'a> Tx<'a> {
    pub(super) fn new(pass: Pass<'a>, step: &'a str, chunk: i64) -> Self {
        Self { pass, chunk: Some(chunk), step }
    }

    /// The transaction in which a step is finished: it belongs to no chunk.
    pub(crate) fn finishing(db: &'a mut Db, step: &'a str) -> Self {
        Self { pass: Pass::new(db, Mode::Direct), chunk: None, step }
    }

    /// The connection, for what is read. What changes or locks rows of the platform goes through [`Tx::insert`],
    /// [`Tx::replace`] and [`Tx::execute`]: there the server can be asked which row it refuses, and why.
    pub fn db(&mut self) -> &mut Db {
        self.pass.db
    }

    /// The chunk that is being written; none when a step is finished.
    pub fn chunk(&self) -> Option<i64> {
        self.chunk
    }

    /// Refuses a unit: its rows are quarantined, and nothing of it stays in the target.
    pub fn refuse(&mut self, unit: UnitIndex, code: impl Into<Code>, reason: impl Into<String>) {
        self.pass.refuse(unit, code.into(), reason.into());
    }

    /// Executes a statement without parameters that changes or locks rows of the target; how many it touched. A text in it is a
    /// [`literal`](crate::literal).
    ///
    /// # Errors
    /// Those of the database. Where a row is to blame, the unit is found by halves.
    pub fn execute(&mut self, sql: &str) -> QueryResult<usize> {
        match &mut *self.pass.db {
            // Nobody finds a unit where a step is finished, but the operator is told what was refused.
            Db::Pg(pg) if self.chunk.is_none() => caught::execute(pg, sql),
            Db::Pg(pg) => self.pass.mode.execute(pg, sql),
            db => diesel::sql_query(sql).execute(db),
        }
    }

    /// As [`Tx::execute`], where the statement is known to concern so many rows of a table.
    ///
    /// # Errors
    /// Those of the database; fewer rows were touched, or more.
    pub fn execute_on(&mut self, table: &str, rows: usize, sql: &str) -> QueryResult<()> {
        if self.execute(sql)? == rows { Ok(()) } else { Err(Told::not_taken(table)) }
    }

    /// Whether the unit was refused in this pass.
    pub fn is_refused(&self, unit: UnitIndex) -> bool {
        self.pass.out.contains(unit)
    }

    /// Says that `unit` has changed the target by other means than `insert` and `replace`.
    pub fn touch(&mut self, unit: UnitIndex) {
        self.pass.touched.insert(unit);
    }

    /// Inserts the rows of a batch, but for those of refused units.
    ///
    /// # Errors
    /// Those of the database. In a direct pass a refused row is one of them; in a staged one, and in SQLite, its unit is
    /// refused instead.
    pub fn insert<T: Insert>(&mut self, batch: &Batch<T>) -> QueryResult<()> {
        if self.pass.refused.is_empty() && self.pass.again.is_empty() {
            return self.insert_all(batch);
        }
        // What is written anew may leave a unique value to what is new.
        let again = batch.only(&|unit| !self.pass.out.contains(unit) && self.pass.again.contains(unit));
        if !again.is_empty() {
            upsert::upsert(&mut self.pass, &again)?;
        }
        let fresh = batch.only(&|unit| !self.pass.out.contains(unit) && !self.pass.again.contains(unit));
        self.insert_all(&fresh)
    }

    fn insert_all<T: Insert>(&mut self, batch: &Batch<T>) -> QueryResult<()> {
        match (&mut *self.pass.db, self.pass.mode) {
            (Db::Pg(pg), Mode::Direct) => {
                let rows = &batch.rows;
                let taken = match self.pass.by_set {
                    true => {
                        let (taken, by_set) = by_set::copy(pg, rows)?;
                        self.pass.went_by_set |= by_set;
                        taken
                    }
                    false => T::copy(pg, rows)?,
                };
                if taken != rows.len() {
                    return Err(Told::not_taken(T::shape().name));
                }
                self.pass.touched.extend(batch.units.iter().copied());
                Ok(())
            }
            (Db::Pg(_), Mode::Staged) => stage::insert(&mut self.pass, batch),
            (Db::Lite(_), _) => {
                let table = T::shape().name;
                batch.iter().try_for_each(|(unit, row)| self.pass.each_lite(unit, table, |lite| T::insert(lite, row)))
            }
            #[cfg(feature = "mysql")]
            (Db::My(_), _) => Err(model::no_target()),
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
        match &mut *self.pass.db {
            Db::Pg(pg) => {
                stage::replace(pg, self.pass.mode, &batch.rows)?;
                self.pass.touched.extend(batch.units.iter().copied());
                Ok(())
            }
            Db::Lite(_) => {
                let table = T::shape().name;
                batch.iter().try_for_each(|(unit, row)| self.pass.each_lite(unit, table, |lite| T::update(lite, row)))
            }
            #[cfg(feature = "mysql")]
            Db::My(_) => Err(model::no_target()),
        }
    }

    /// Records that rows which were in the target before were changed.
    ///
    /// # Errors
    /// Those of the database.
    pub fn changed(&mut self, changes: Vec<Change>) -> QueryResult<()> {
        ledger::changes::record(self.pass.db, self.step, self.chunk, changes)
    }

    /// Takes ids of a table while a step is finished; ascending.
    ///
    /// # Errors
    /// Those of the database.
    pub fn reserve(&mut self, table: &str, ids: u64) -> QueryResult<Vec<i64>> {
        let ranges = ledger::plan::hand_out(self.pass.db, self.step, table, ids)?;
        let mut ids: Vec<i64> = ranges.into_iter().flat_map(ledger::plan::IdRange::iter).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// The ids of a table that earlier calls of `finish` have taken, ascending.
    ///
    /// # Errors
    /// Those of the database.
    pub fn reserved(&mut self, table: &str) -> QueryResult<Vec<i64>> {
        ledger::plan::handed_out(self.pass.db, self.step, table)
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
        model::insert_all(self.pass.db, &rows)
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
        if let Some(first) = ledger::frozen::load(self.pass.db, name).map_err(unreadable)? {
            return Ok(first);
        }
        let first = read(self.pass.db)?;
        ledger::frozen::save(self.pass.db, name, &first).map_err(unreadable)?;
        Ok(first)
    }

    /// The ids that the migration has handed out: which rows of the target are ours.
    ///
    /// # Errors
    /// Those of the database.
    pub fn ours(&mut self) -> QueryResult<Ours> {
        ledger::plan::ours(self.pass.db).map_err(|error| match error {
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
        ledger::close::write_money(self.pass.db, self.step, None, &totals)
    }

    /// Whether a replay writes the unit anew: it was written before.
    pub fn is_again(&self, unit: UnitIndex) -> bool {
        self.pass.again.contains(unit)
    }

    /// The name of the step.
    pub fn step(&self) -> &str {
        self.step
    }
}
