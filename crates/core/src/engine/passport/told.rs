//! What a passport says.

use serde::Serialize;
use serde_json::Value;

use crate::storage::bulk::TargetRow;
use crate::storage::ledger::generations::Generation;
use crate::storage::ledger::history::{Lineage, RepairEntry};
use crate::storage::ledger::origin::Mended;
use crate::words::Key;

/// All that is known of the rows with one key in the tables of one name: a table may be on both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Passport {
    /// The table.
    pub table: String,
    /// The key.
    pub id: i64,
    /// The legacy row of that name and key, by the steps that moved it.
    pub as_legacy: Vec<AsLegacy>,
    /// The target row of that name and key; none where the ledger knows nothing of it.
    pub target: Option<TargetRow>,
    /// The legacy rows behind the target row, the leader of each unit first. Without that row, which stands in `target`.
    pub as_target: Vec<AsLegacy>,
    /// The legacy row that has the id of the target row planned for it, where no legacy row is behind that.
    pub planned_for: Option<LegacyName>,
    /// The states of the legacy database that the target was brought to.
    pub states: Vec<Generation>,
}

impl Passport {
    /// Whether the ledger knows nothing of such a row.
    pub fn is_empty(&self) -> bool {
        self.as_legacy.is_empty() && self.target.is_none() && self.as_target.is_empty()
    }
}

/// A legacy row, what became of it, and what was done to the target for its sake.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AsLegacy {
    /// The step that moved it.
    pub step: String,
    /// What became of it.
    #[serde(flatten)]
    pub lineage: Lineage,
    /// The row that leads its unit, where it is in the target; itself where it leads.
    pub leader: Option<Key>,
    /// The rows that were merged into its own.
    pub merged: Vec<Key>,
    /// The row as the legacy database has it now.
    pub now: LegacyNow,
    /// The row as it was read last; none where the ledger keeps none.
    pub read_last: Option<Value>,
    /// The row as a person mended it, if one did.
    pub mended: Option<Mended>,
    /// Its columns that hold a secret: of these all values are hashes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secret: Vec<String>,
    /// What rules changed of it.
    pub values_repaired: Vec<RepairEntry>,
    /// Why it is quarantined, if it is.
    pub quarantine: Option<Waits>,
    /// In which states of the legacy database it came.
    pub came: States,
    /// The rows of the target that were written for its unit, or that it became. Where it leads its unit, or was merged, those of the
    /// whole unit; none where they stand with its leader.
    pub rows: Vec<TargetRow>,
    /// Further rows of the target that were changed for its sake.
    pub touched: Vec<TargetRow>,
}

/// A legacy row as the legacy database has it. What moves into a column that holds a secret is a hash.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LegacyNow {
    /// It is there.
    There {
        /// The columns that its step reads.
        row: Value,
    },
    /// It is not there any more.
    Gone,
    /// Nobody knows: the legacy database could not be asked.
    Unknown {
        /// Why, without a password or a value.
        why: String,
    },
}

/// A legacy row by its step and key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LegacyName {
    /// The step.
    pub step: String,
    /// The key.
    pub key: Key,
}

/// Why a row is quarantined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waits {
    /// Why, in words.
    pub reason: String,
    /// The step of the row for whose sake it waits: its own where it is to blame itself.
    pub root_step: String,
    /// The key of that row.
    pub root_key: Key,
}

/// In which states of the legacy database a row came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct States {
    /// That which has it first.
    pub added_in: i64,
    /// That in which it came into the target, where it is a later one.
    pub came_in: Option<i64>,
    /// Whether the last state has it not any more.
    pub gone: bool,
}
