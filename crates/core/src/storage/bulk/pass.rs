//! A pass over the rows of a chunk: how they are written, and which units the target refuses.

use diesel::deserialize::QueryableByName;
use diesel::pg::Pg;
use diesel::{PgConnection, QueryResult, RunQueryDsl, SqliteConnection};
use roaring::RoaringBitmap;
use serde::de::DeserializeOwned;

use super::batch::UnitIndex;
use super::before::Before;
use super::rewritten::Rewritten;
use crate::storage::db::Db;
use crate::storage::failure::{Failure, Told, caught};
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

/// A pass over the rows of a chunk.
pub(super) struct Pass<'a> {
    pub(super) db: &'a mut Db,
    pub(super) mode: Mode,
    /// Whether the foreign keys of a direct COPY are checked by sets where they can be.
    pub(super) by_set: bool,
    /// Whether one was.
    pub(super) went_by_set: bool,
    pub(super) refused: Vec<Refused>,
    /// The refused units.
    pub(super) out: RoaringBitmap,
    /// Units that have written something in this pass.
    pub(super) touched: RoaringBitmap,
    /// Of these, the refused ones: what they have written must be taken back.
    pub(super) dirty: RoaringBitmap,
    /// Whether a step is finished: no unit can be refused.
    pub(super) finishing: bool,
    /// What was written before, where the chunk is judged again.
    pub(super) before: Option<&'a Before>,
    /// What became of it.
    pub(super) rewritten: Rewritten,
}

impl<'a> Pass<'a> {
    pub(super) fn new(db: &'a mut Db, mode: Mode) -> Self {
        let (by_set, went_by_set, refused, out, touched, dirty) = Default::default();
        let (before, rewritten, finishing) = (None, Rewritten::default(), false);
        Self { finishing, db, mode, by_set, went_by_set, refused, out, touched, dirty, before, rewritten }
    }

    /// Refuses a unit.
    pub(super) fn refuse(&mut self, unit: UnitIndex, code: Code, reason: String) {
        if !self.out.insert(unit) {
            return;
        }
        if self.touched.contains(unit) {
            self.dirty.insert(unit);
        }
        self.refused.push(Refused { unit, code, reason });
    }

    /// Executes a statement of ours; how many rows it touched.
    pub(super) fn execute(&mut self, sql: &str) -> QueryResult<usize> {
        match &mut *self.db {
            Db::Pg(pg) if !self.finishing => self.mode.execute(pg, sql),
            // Nobody finds a unit where a step is finished, but the operator is told what was refused.
            db => db.execute_caught(sql),
        }
    }

    pub(super) fn refuse_for(&mut self, unit: UnitIndex, failure: &Failure) {
        self.refuse(unit, Code::CONSTRAINT_VIOLATED, failure.reason());
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
            Ok(_) => Told::not_taken(table),
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
}
