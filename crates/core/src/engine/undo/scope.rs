//! What goes, as far as it is known before anything does: whether a row that points to another one will not do so any more.

use roaring::RoaringTreemap;
use rustc_hash::{FxHashMap, FxHashSet};

use super::told::{Extent, Row};
use crate::engine::step::AnyStep;
use crate::storage::db::Db;
use crate::storage::imprint::Columns;
use crate::storage::ledger::changes::{self, Known, RowName};
use crate::storage::ledger::{LedgerError, plan, recorded};
use crate::storage::pointing::Pointer;

/// What is taken back.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Steps that are taken back as a whole, and the tables that they fill.
    whole: Vec<&'static str>,
    tables: Vec<&'static str>,
    /// The rows that chunks may have written which are taken back: their ids, by table.
    ids: FxHashMap<&'static str, RoaringTreemap>,
    /// Tables of which a row belongs to one of these: the column that says to which, and the table of that.
    parts: FxHashMap<&'static str, (&'static str, &'static str)>,
    chunks: FxHashSet<i64>,
    /// Steps of which what their end has done is taken back.
    ends: Vec<&'static str>,
    /// The state of which all is taken back.
    state: Option<i64>,
}

impl Scope {
    /// Of nothing yet, but for what was done in a state that is taken back.
    pub(super) fn new(extent: &Extent) -> Self {
        let state = if let Extent::State(state) = extent { Some(*state) } else { None };
        Self { state, ..Self::default() }
    }

    /// Adds a step that is taken back as a whole.
    pub(super) fn add_whole(&mut self, step: &dyn AnyStep) {
        self.whole.push(step.name());
        self.tables.extend(step.filled());
    }

    /// Adds what the end of a step has done.
    pub(super) fn add_end(&mut self, step: &dyn AnyStep) {
        self.ends.push(step.name());
    }

    /// Adds chunks of a step, and the rows that they may have written.
    ///
    /// # Errors
    /// The database fails.
    pub(super) fn add_chunks(&mut self, db: &mut Db, step: &dyn AnyStep, chunks: &[i64]) -> Result<(), LedgerError> {
        let plan = if chunks.is_empty() { None } else { plan::load(db, step.name())? };
        let Some(plan) = plan else { return Ok(()) };
        let target = step.target_table();
        self.chunks.extend(chunks);
        self.parts.extend(step.parts().iter().map(|(part, column)| (*part, (*column, target))));
        let all = recorded::chunks(db, step.name())?;
        for (_, span) in all.into_iter().filter(|(chunk, _)| self.chunks.contains(chunk)) {
            for table in std::iter::once(target).chain(step.also().iter().copied()) {
                let planned = plan.ids_of(table, target, span);
                self.ids.entry(table).or_default().extend(planned.iter().flat_map(|ids| ids.iter()).map(unsigned));
            }
        }
        Ok(())
    }

    /// Of rows that point to some of ours, by their places: those that will not do so any more. They go themselves, or what was done to them
    /// is taken back. `stays`: rows that are known to stay.
    ///
    /// # Errors
    /// The database fails, or a change cannot be read back.
    pub(super) fn going(
        &self,
        db: &mut Db,
        pointers: &[Pointer],
        stays: &FxHashSet<Row>,
    ) -> Result<Vec<bool>, LedgerError> {
        let mut going = vec![false; pointers.len()];
        let mut others: FxHashMap<&str, Vec<(usize, RowName)>> = FxHashMap::default();
        for (place, pointer) in pointers.iter().enumerate() {
            let Some(of) = pointer.of.as_deref() else { continue };
            match self.written(of, &pointer.row).filter(|_| pointer.is_ours) {
                Some(table) => going[place] = !stays.contains(&(table, pointer.row.clone())),
                None => others.entry(of).or_default().push((place, pointer.row.clone())),
            }
        }
        for (of, rows) in others {
            let names: Vec<RowName> = rows.iter().map(|(_, name)| name.clone()).collect();
            let done = changes::of_rows(db, of, &names)?;
            for (place, name) in rows {
                going[place] = done.get(&name).is_some_and(|done| done.iter().any(|done| self.takes_back(done)));
            }
        }
        Ok(going)
    }

    /// The table of a row, if it may be one that is taken back.
    fn written(&self, of: &str, row: &RowName) -> Option<&'static str> {
        if let Some(table) = self.tables.iter().find(|table| **table == of) {
            return Some(table);
        }
        let has = |table: &str, id: i64| self.ids.get(table).is_some_and(|ids| ids.contains(unsigned(id)));
        match row {
            RowName::Id(id) => self.ids.keys().find(|table| **table == of).filter(|table| has(table, *id)).copied(),
            RowName::Key(json) => {
                let (part, (column, whole)) = self.parts.iter().find(|(part, _)| **part == of)?;
                let columns: Columns = serde_json::from_str(json).ok()?;
                columns.get(*column)?.as_i64().filter(|id| has(whole, *id)).map(|_| *part)
            }
        }
    }

    fn takes_back(&self, done: &Known) -> bool {
        let step = done.step.as_str();
        match done.chunk {
            _ if self.state == Some(done.generation) || self.whole.contains(&step) => true,
            Some(chunk) => self.chunks.contains(&chunk),
            None => self.ends.contains(&step),
        }
    }
}

/// An id as bitmaps have it.
fn unsigned(id: i64) -> u64 {
    id.cast_unsigned()
}
