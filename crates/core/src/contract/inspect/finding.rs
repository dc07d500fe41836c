//! What the checks before a run find.

use std::fmt;

use serde::Serialize;

use crate::storage::db::Role;

/// Whether a finding keeps a run from beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The run would fail, or come out wrong: it does not begin.
    Refusal,
    /// The run begins; its operator should know.
    Note,
}

/// Something that the checks before a run have found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Whether it keeps the run from beginning.
    pub severity: Severity,
    /// Which database.
    pub side: Role,
    /// What was found, in a clause.
    pub what: String,
    /// The statement or the action that mends it.
    pub mend: Option<String>,
}

impl Finding {
    /// Something that keeps the run from beginning.
    pub fn refusal(side: Role, what: impl Into<String>) -> Self {
        Self { severity: Severity::Refusal, side, what: what.into(), mend: None }
    }

    /// Something that the operator should know.
    pub fn note(side: Role, what: impl Into<String>) -> Self {
        Self { severity: Severity::Note, side, what: what.into(), mend: None }
    }

    /// Says what mends it.
    #[must_use]
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    /// Whether it keeps the run from beginning.
    pub fn refuses(&self) -> bool {
        self.severity == Severity::Refusal
    }
}

/// A line, and a second one with what mends it.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.side, self.what)?;
        match &self.mend {
            Some(mend) => write!(f, "\n    mend: {mend}"),
            None => Ok(()),
        }
    }
}
