//! What is looked at before anything is written, and what a step may look at itself.
//!
//! Whatever is found names tables, columns, rights and ids; no value of a row.

mod finding;
mod pointers;

use diesel::QueryResult;

use crate::storage::db::Db;

pub use finding::{Finding, Severity};
pub use pointers::{Pointer, PointerRule, PointerRules};
pub(crate) use pointers::{pointers_to, unknown_settings};

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
