//! What is looked at before anything is written, and what a step may look at itself.
//!
//! Whatever is found names tables, columns, rights and ids; no value of a row.

mod pointers;

use std::collections::BTreeMap;
use std::fmt;

use diesel::QueryResult;
use serde::Serialize;

use crate::storage::db::{Db, Role};

pub use pointers::{Pointer, PointerRule};
pub(crate) use pointers::{pointers_to, unknown_settings};

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

/// What a step does to a target table beside reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// It reads rows: said of every table.
    Select,
    /// It adds rows.
    Insert,
    /// It changes rows.
    Update,
    /// It takes rows out.
    Delete,
}

impl Right {
    /// All of them: what a table needs into which a step writes, with its replays.
    pub const ALL: &'static [Self] = &[Self::Select, Self::Insert, Self::Update, Self::Delete];

    /// As SQL names it.
    pub fn in_sql(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// What the settings say of columns that point to a target table and that no step knows: `labels.item_id`, with the
/// schema in front where that is not the platform's own.
pub type PointerRules = BTreeMap<String, PointerRule>;

/// What a step is handed to look at the target with, before anything is written.
pub struct Inspect<'a> {
    pub(crate) target: &'a mut Db,
    pub(crate) pointers: &'a PointerRules,
    pub(crate) is_done: bool,
}

impl Inspect<'_> {
    /// The target. Only to be read.
    pub fn target(&mut self) -> &mut Db {
        self.target
    }

    /// Whether the step is done: what would keep it from beginning is of no matter then.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Names the foreign keys to `table` that stand neither in `known` (table and column, of the platform's schema) nor in the
    /// settings: rows that point there would stay behind where rows of `table` are merged.
    ///
    /// # Errors
    /// Those of the database.
    pub fn unknown_pointers(&mut self, table: &str, known: &[(&str, &str)]) -> QueryResult<Vec<Finding>> {
        pointers::unknown(self.target, table, known, self.pointers)
    }
}
