//! The target inside the transaction of a chunk: what a step may do to it.

use diesel::QueryResult;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::amend::{Amending, Amendment, Amends};
use super::batch::{Batch, UnitIndex};
use super::pass::{Mode, Pass};
use super::{rewrite, stage, take_back, written};
use crate::storage::by_set;
use crate::storage::db::Db;
use crate::storage::failure::Told;
use crate::storage::imprint::Value;
use crate::storage::ledger::changes::Change;
use crate::storage::ledger::{self, LedgerError, close::NewRepair, plan::Ours};
use crate::storage::model::{self, Insert};
use crate::storage::shape::TableShape;
use crate::words::{Code, Money, MoneyTotals, Repair};

/// The target inside the transaction of a chunk.
pub struct Tx<'a> {
    pub(super) pass: Pass<'a>,
    chunk: Option<i64>,
    step: &'a str,
    /// What the end of a step notes, where it is done again.
    again: Option<Noted>,
}

/// What the end of a step notes in the ledger.
#[derive(Default)]
pub(crate) struct Noted {
    pub(crate) repairs: Vec<NewRepair>,
    pub(crate) money: MoneyTotals,
}

impl<'a> Tx<'a> {
    pub(super) fn new(pass: Pass<'a>, step: &'a str, chunk: i64) -> Self {
        Self { pass, chunk: Some(chunk), step, again: None }
    }

    /// The transaction in which a step is finished: it belongs to no chunk.
    pub(crate) fn finishing(db: &'a mut Db, step: &'a str) -> Self {
        Self { pass: Pass { finishing: true, ..Pass::new(db, Mode::Direct) }, chunk: None, step, again: None }
    }

    /// The transaction in which a step is finished once more: what it notes is held against what is noted.
    pub(crate) fn finishing_again(db: &'a mut Db, step: &'a str) -> Self {
        Self { again: Some(Noted::default()), ..Self::finishing(db, step) }
    }

    /// What the end of a step has noted that was done again.
    pub(crate) fn noted(self) -> Noted {
        self.again.unwrap_or_default()
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

    /// Whether what is written was written before: a chunk is judged again, or a step is finished once more.
    pub fn is_again(&self) -> bool {
        self.pass.before.is_some() || self.again.is_some()
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
        self.pass.execute(sql)
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
        if self.pass.refused.is_empty() && self.pass.before.is_none() {
            return self.insert_all(batch);
        }
        // What is written anew may leave a unique value to what is new.
        let fresh = rewrite::rewrite(&mut self.pass, batch)?;
        if !fresh.is_empty() {
            self.insert_all(&fresh)?;
        }
        Ok(())
    }

    /// Changes rows that are there already. `change` is handed the place of each among `rows`, and the row as it stands without
    /// what this migration did to it before (none: there is no such row); it returns the row as it is to be, or why its unit is
    /// refused. Columns that somebody has changed since stay as they are. What is changed is recorded. Of several amendments of one
    /// row the first counts.
    ///
    /// # Errors
    /// Those of the database; in SQLite a refused row's unit is refused instead.
    pub fn amend<T: Insert + DeserializeOwned>(
        &mut self,
        amending: Amending,
        rows: &[Amendment],
        change: &mut dyn FnMut(usize, Option<T>) -> Result<T, (Code, String)>,
    ) -> QueryResult<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let at_once = self.pass.before.is_none() && self.chunk.is_some();
        let made = Amends { step: self.step, amending, rows, change }.apply(&mut self.pass, at_once)?;
        self.changed(made)
    }

    /// Where the end of a step is done again: takes back what the step did in a word (the `what` of an [`Amending`]) to rows of a table
    /// for which `condition` holds, SQL on the row as `t`. What somebody has changed since stays.
    ///
    /// # Errors
    /// Those of the database.
    pub fn take_back(&mut self, table: &str, what: &str, condition: &str) -> QueryResult<()> {
        if self.again.is_none() {
            return Ok(());
        }
        take_back::where_(self.pass.db, self.step, (table, what), condition)
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

    /// Records that rows which were in the target before were changed.
    ///
    /// # Errors
    /// Those of the database.
    pub fn changed(&mut self, changes: Vec<Change>) -> QueryResult<()> {
        ledger::changes::record(self.pass.db, self.step, self.chunk, false, changes)
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
        match &mut self.again {
            Some(noted) => {
                noted.repairs.extend(rows);
                Ok(())
            }
            None => model::insert_all(self.pass.db, &rows),
        }
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
        if let Some(first) = ledger::frozen::load(self.pass.db, name).map_err(LedgerError::into_diesel)? {
            return Ok(first);
        }
        let first = read(self.pass.db)?;
        ledger::frozen::save(self.pass.db, name, &first).map_err(LedgerError::into_diesel)?;
        Ok(first)
    }

    /// Calls `row` with every row of a table that this step has written, as the migration left it: whatever customers did to it
    /// since. `T` has fields of some of its columns.
    ///
    /// # Errors
    /// Those of the database.
    pub fn written<T: DeserializeOwned>(&mut self, table: &TableShape, row: &mut dyn FnMut(T)) -> QueryResult<()> {
        written::each(self.pass.db, self.step, table, row)
    }

    /// Where a chunk is judged again: a text column of a row that was written for it before, as it was written. None of any other
    /// row, and where a chunk is written for the first time.
    pub fn text_before(&self, table: &str, id: i64, column: &str) -> Option<&str> {
        let known = self.pass.before?.table(table)?;
        let place = known.reading.columns().iter().position(|(name, _)| name == column)?;
        known.rows.get(&vec![Value::Integer(id)])?.values[place].as_text()
    }

    /// The ids that the migration has handed out: which rows of the target are ours.
    ///
    /// # Errors
    /// Those of the database.
    pub fn ours(&mut self) -> QueryResult<Ours> {
        ledger::plan::ours(self.pass.db).map_err(LedgerError::into_diesel)
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
        match &mut self.again {
            Some(noted) => {
                noted.money += &totals;
                Ok(())
            }
            None => ledger::close::write_money(self.pass.db, self.step, None, &totals),
        }
    }

    /// The name of the step.
    pub fn step(&self) -> &str {
        self.step
    }
}
