//! The first look at a chunk: every row of it on both sides, and which of them need another one.

use std::ops::AddAssign;

use rustc_hash::FxHashSet;

use super::sums::Sums;
use super::verdict::Tally;
use crate::engine::chunk::Stale;
use crate::engine::written::{Kept, Sheet, Written};
use crate::storage::db::Db;
use crate::storage::imprint::{Table, Value};
use crate::storage::ledger::changes::RowName;
use crate::storage::ledger::plan::{PlannedIds, Span, StepPlan};
use crate::storage::ledger::{LedgerError, imprints, moved, recorded};
use crate::words::{Key, KeyRange};

/// What a first look came to.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// Legacy rows that were judged.
    pub(super) read: u64,
    /// Those that come out well, and that the target has refused.
    pub(super) waiting: u64,
    /// Target rows that the ledger says are there.
    pub(super) rows: u64,
    pub(super) sums: Sums,
    /// Chunks that need another look.
    pub(super) suspects: Vec<Suspects>,
    /// What second looks have told already.
    pub(super) told: Told,
}

/// What second looks came to.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) tally: Tally,
    pub(super) sums: Sums,
    /// Of rows that the ledger says are there, those that differ.
    pub(super) differing: u64,
}

impl AddAssign for Told {
    fn add_assign(&mut self, other: Self) {
        self.tally += &other.tally;
        self.sums += other.sums;
        self.differing += other.differing;
    }
}

impl AddAssign for Looked {
    fn add_assign(&mut self, mut other: Self) {
        self.read += other.read;
        self.waiting += other.waiting;
        self.rows += other.rows;
        self.sums += other.sums;
        self.suspects.append(&mut other.suspects);
        self.told += other.told;
    }
}

/// Rows by the place of their sheet and their key.
pub(super) type Rows = Vec<(usize, Vec<Value>)>;

/// Rows of a chunk that need another look.
#[derive(Debug)]
pub(super) struct Suspects {
    pub(super) chunk: (i64, Span),
    /// How often the chunk had been closed.
    pub(super) epoch: i64,
    /// What comes out otherwise today.
    pub(super) stale: Stale,
    /// Rows that do not stand as the ledger has them.
    pub(super) rows: Rows,
    /// Rows of the target that the ledger does not name.
    pub(super) unnamed: Rows,
}

impl Suspects {
    /// How many rows they are.
    pub(super) fn rows(&self) -> usize {
        self.rows.len() + self.unnamed.len() + self.stale.units.len()
    }
}

/// A step whose chunks are looked at.
pub(super) struct Looking<'a> {
    pub(super) step: &'static str,
    pub(super) sheets: &'a [Sheet],
    pub(super) plan: &'a StepPlan,
    pub(super) target: &'a str,
    /// Where transactions of the target are numbered.
    pub(super) cluster: Option<String>,
    /// The rows that wait in the ledger, without a chunk: table and name. None where none do.
    pub(super) waiting: Option<FxHashSet<(String, RowName)>>,
    /// Legacy rows of which cells were erased: what was written of them stands in the target alone.
    pub(super) erased: FxHashSet<Key>,
}

impl Looking<'_> {
    /// Looks at a chunk, in a transaction that sees one state of the target. One that is not done has no imprint: nothing of it is to
    /// be there.
    ///
    /// # Errors
    /// The database fails, or the ledger cannot be read back.
    pub(super) fn look(&self, db: &mut Db, chunk: (i64, Span), stale: Stale) -> Result<Looked, LedgerError> {
        let epoch = recorded::epoch(db, chunk.0)?;
        let mut looked = Looked { read: stale.read, waiting: stale.waiting, ..Looked::default() };
        let (mut rows, mut unnamed) = (Rows::new(), Rows::new());
        let in_stale: FxHashSet<Key> = stale.units.iter().flatten().copied().collect();
        let mut tables = self.tables(db, chunk)?;
        for (nth, sheet) in self.sheets.iter().enumerate() {
            let planned = self.planned(sheet, chunk.1);
            let own = sheet.table(&mut tables);
            if own.is_none() && planned.is_none() {
                continue;
            }
            let table = own.unwrap_or_else(|| sheet.nothing());
            let written = Written::new(db, sheet, table)?;
            let held = written.held(db, planned)?;
            let (mut differs, others) = written.differing(&held);
            if !stale.units.is_empty() {
                // What becomes of the rows of such a unit is told when all that is expected of it is known.
                let of_stale = written.table.keys.iter().map(|key| in_stale.contains(key));
                differs.iter_mut().zip(of_stale).for_each(|(differs, of_stale)| *differs |= of_stale);
            }
            looked.rows += differs.len() as u64;
            looked.sums.equal(&sheet.model, &written.table, &differs);
            let key = |table: &Table, row: usize| (nth, written.reading.key(&table.row(row)));
            let differing = differs.iter().enumerate().filter(|(_, differs)| **differs);
            rows.extend(differing.map(|(row, _)| key(&written.table, row)));
            // A row that the chunk does not name, and would have to: with an id of its own, or a part of such a row.
            let is_own = |(_, key): &(usize, Vec<Value>)| {
                planned.zip(key[0].integer()).is_some_and(|(planned, id)| planned.has(id))
            };
            unnamed.extend(others.into_iter().map(|row| key(&held, row)).filter(is_own));
        }
        let is_stale = !stale.units.is_empty() || !stale.damaged.is_empty();
        if is_stale || !rows.is_empty() || !unnamed.is_empty() {
            looked.suspects.push(Suspects { chunk, epoch, stale, rows, unnamed });
        }
        Ok(looked)
    }

    /// What the ledger says was written for the keys of a chunk: its imprints, and what waits for whoever takes it.
    ///
    /// # Errors
    /// The database fails, or it cannot be read back.
    pub(super) fn tables(&self, db: &mut Db, chunk: (i64, Span)) -> Result<Vec<Table>, LedgerError> {
        let mut tables = imprints::of_chunk(db, chunk.0)?;
        if self.waiting.is_some() {
            let Span { layer, range } = chunk.1;
            let of_chunk = moved::between(db, self.step, range)?;
            let own = of_chunk.into_iter().filter(|(key, _)| self.plan.layer_of(*key) == layer);
            tables.extend(own.flat_map(|(_, (_, tables))| tables));
        }
        Ok(tables)
    }

    /// The rows of some sheets that wait in the ledger without a chunk: table and name. None where none do.
    ///
    /// # Errors
    /// The database fails, or one cannot be read back.
    pub(super) fn waiting(
        db: &mut Db,
        step: &str,
        sheets: &[Sheet],
    ) -> Result<Option<FxHashSet<(String, RowName)>>, LedgerError> {
        if !moved::any(db, step)? {
            return Ok(None);
        }
        let mut waiting = FxHashSet::default();
        for (_, (_, tables)) in moved::between(db, step, KeyRange::ALL)? {
            for table in tables {
                let Some(sheet) = sheets.iter().find(|sheet| sheet.model.shape.name == table.name) else { continue };
                let reading = sheet.reading(&table.columns);
                let rows = (0..table.keys.len()).map(|row| reading.key_columns(&reading.key(&table.row(row))));
                waiting.extend(rows.map(|key| (table.name.to_string(), RowName::of_key(&key))));
            }
        }
        Ok(Some(waiting))
    }

    /// The ids that are planned for a chunk in a table, or of the rows to which the rows of the table belong.
    fn planned(&self, sheet: &Sheet, span: Span) -> Option<PlannedIds<'_>> {
        match sheet.rows {
            Kept::ById => self.plan.ids_of(sheet.model.shape.name, self.target, span),
            Kept::AsParts => self.plan.ids_of(self.target, self.target, span),
            Kept::Otherwise => None,
        }
    }
}
