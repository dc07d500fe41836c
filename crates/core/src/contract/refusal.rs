//! Why a legacy row does not come in.

use crate::storage::cell::BadCell;
use crate::storage::ledger::standings::Standing;
use crate::words::{Code, Root};

/// Why a legacy row does not come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A rule says that it does not belong on the target.
    Skipped(Code),
    /// No rule can make it right.
    Quarantined {
        /// Which rule it fails.
        code: Code,
        /// Why, in words. Holds no value.
        reason: String,
        /// The quarantined row that it waits for; none where it is to blame itself.
        root: Option<Root>,
    },
}

impl Refusal {
    /// A row that does not belong on the target.
    pub fn skip(code: impl Into<Code>) -> Self {
        Self::Skipped(code.into())
    }

    /// A row that no rule can make right.
    pub fn quarantine(code: impl Into<Code>, reason: impl Into<String>) -> Self {
        Self::Quarantined { code: code.into(), reason: reason.into(), root: None }
    }

    pub(crate) fn quarantine_as(code: Code, reason: String) -> Self {
        Self::Quarantined { code, reason, root: None }
    }

    /// A row whose content no rule speaks of.
    pub fn unforeseen(reason: impl Into<String>) -> Self {
        Self::quarantine_as(Code::UNFORESEEN, reason.into())
    }

    /// The refusal that a row's parents cause: one quarantined parent is enough, else one skipped.
    ///
    /// # Errors
    /// The refusal, if there is one.
    pub fn of_parents<'a>(parents: impl IntoIterator<Item = &'a Standing> + Clone) -> Result<(), Self> {
        for parent in parents.clone() {
            if let Standing::Quarantined(root) = parent {
                let reason = format!("waits for row {} of {}", root.key, root.step);
                return Err(Self::Quarantined { code: Code::PARENT_QUARANTINED, reason, root: Some(root.clone()) });
            }
        }
        match parents.into_iter().any(|parent| *parent == Standing::Skipped) {
            true => Err(Self::Skipped(Code::PARENT_SKIPPED)),
            false => Ok(()),
        }
    }
}

impl From<BadCell> for Refusal {
    fn from(bad: BadCell) -> Self {
        Self::unforeseen(format!("column `{}` cannot be read: {}", bad.column, bad.why))
    }
}
