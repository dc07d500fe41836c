//! What became of rows that were written before.

use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use super::batch::UnitIndex;
use crate::storage::imprint::Value;
use crate::storage::ledger::changes::Change;

/// A row by its table and its key.
pub(crate) type RowKey = (&'static str, Vec<Value>);

/// Columns that stay as a customer left them, although the row would come out otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// Whose row it is.
    pub(crate) unit: UnitIndex,
    /// The row.
    pub(crate) row: RowKey,
    /// The columns; none where the row is gone.
    pub(crate) columns: Vec<String>,
}

/// What became of rows that were written before.
#[derive(Debug, Default)]
pub(crate) struct Rewritten {
    /// Rows whose imprint is not what was to be written: customers keep some of it.
    pub(crate) imprints: FxHashMap<RowKey, Vec<Value>>,
    /// What customers keep.
    pub(crate) conflicts: Vec<Conflict>,
    /// What was changed; whether the imprint tells it too.
    pub(crate) changes: Vec<(Change, bool)>,
    /// The units for which something was.
    pub(crate) units: RoaringBitmap,
}

impl Rewritten {
    pub(super) fn and(&mut self, other: Self) {
        self.imprints.extend(other.imprints);
        self.conflicts.extend(other.conflicts);
        self.changes.extend(other.changes);
        self.units |= other.units;
    }
}
