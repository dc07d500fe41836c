//! What became of a legacy row, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Key;

/// What became of a legacy row. Every row has exactly one.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::EnumString,
    strum::Display,
    strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// It is the legacy row behind at least one target row.
    Migrated,
    /// What it says went into the row of another one.
    Merged,
    /// A rule says that it does not belong on the target.
    Skipped,
    /// No rule can make it right: kept whole, to be replayed once mended.
    Quarantined,
}

impl Outcome {
    /// The word that the ledger stores.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The name of a rule, as the ledger, lineage and logs write it: `email_invalid`.
///
/// Domains keep their codes in enums that convert to `&'static str` (`strum::IntoStaticStr`), so that a code is
/// written once and a match over it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Code(&'static str);

impl Code {
    /// The row's parent is quarantined, so it waits for it.
    pub const PARENT_QUARANTINED: Self = Self("parent_quarantined");
    /// The row's parent was skipped, so it has nothing to belong to.
    pub const PARENT_SKIPPED: Self = Self("parent_skipped");
    /// A cell or row that no rule speaks of.
    pub const UNFORESEEN: Self = Self("unforeseen");
    /// The target refused the row: the reason names the constraint.
    pub const CONSTRAINT_VIOLATED: Self = Self("constraint_violated");
    /// It was planned, and had gone before it was read.
    pub const GONE_UNREAD: Self = Self("gone_unread");
    /// It was migrated, merged, skipped or quarantined, and has gone from the legacy database since: rules, Catch-up.
    pub const SOURCE_GONE: Self = Self("source_gone");
    /// The target row that this one was to change is gone, or was merged away by the live site.
    pub const TARGET_ROW_GONE: Self = Self("target_row_gone");

    /// The code as it is stored.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl<T: Into<&'static str>> From<T> for Code {
    fn from(code: T) -> Self {
        Self(code.into())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A value that a rule changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Repair {
    /// The legacy row.
    pub key: Key,
    /// The rule.
    pub code: Code,
    /// The legacy column.
    pub column: &'static str,
    /// The value before.
    pub before: Option<String>,
    /// The value after.
    pub after: Option<String>,
}

/// The quarantined row that others wait for: the step that quarantined it and its legacy key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Root {
    /// Name of the step, `stock.items`.
    pub step: String,
    /// Key of the row in that step's legacy table.
    pub key: Key,
}
