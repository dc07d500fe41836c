//! A legacy row as the ledger has recorded it.

use serde::{Deserialize, Serialize};

use super::record::Migrated;
use crate::words::{Outcome, Root};

/// What the ledger has recorded of a legacy row: more than lineage shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) outcome: Outcome,
    pub(crate) code: Option<String>,
    pub(crate) target: Option<i64>,
    pub(crate) table: Option<String>,
    pub(crate) also: Vec<(String, i64)>,
    pub(crate) deeds: u64,
    pub(crate) root: Option<Root>,
    /// The legacy row of a quarantined one, as JSON.
    pub(crate) legacy_row: Option<String>,
}

impl From<Migrated> for Recorded {
    fn from(row: Migrated) -> Self {
        Self {
            outcome: Outcome::Migrated,
            code: None,
            target: Some(row.target),
            table: None,
            also: row.also,
            deeds: row.deeds,
            root: None,
            legacy_row: None,
        }
    }
}
