//! What erasing a person comes to. Keys, and no values.

use serde::Serialize;

use crate::words::Key;

/// Who is erased.
#[derive(Clone)]
pub struct Erase {
    /// An address of the person. No log shows it.
    pub address: String,
    /// Why, for the ledger.
    pub why: String,
}

impl std::fmt::Debug for Erase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Erase").field("why", &self.why).finish_non_exhaustive()
    }
}

/// The legacy rows of a step that say nothing of the person any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepErased {
    /// The step.
    pub step: &'static str,
    /// Its legacy table.
    pub legacy_table: &'static str,
    /// Rows that are the person's.
    pub whole: Vec<Key>,
    /// Rows of others, of which cells hold an address.
    pub cells: Vec<Key>,
}

/// A row of the target that holds an address of the person: the site's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// The table.
    pub table: &'static str,
    /// The `id` of the row, where it has one.
    pub id: Option<i64>,
    /// The columns that hold an address.
    pub columns: Vec<&'static str>,
}

/// What erasing a person came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Whether it came to its end.
    pub complete: bool,
    /// The legacy rows, by step: of steps that have some.
    pub steps: Vec<StepErased>,
    /// How many rows of the tables of the ledger say something else now; nothing where it was only looked.
    pub ledger: Vec<(&'static str, u64)>,
    /// What stays on the platform.
    pub platform: Vec<Holding>,
}
