//! What is to be taken back, and what was.

use std::fmt;
use std::ops::AddAssign;

use serde::Serialize;

use super::units::Why;
use crate::storage::ledger::changes::RowName;
use crate::words::Key;

/// What is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// Domains or steps, as a whole; none: all.
    Whole(Vec<String>),
    /// A chunk.
    Chunk(i64),
    /// What a run has done.
    Run(String),
    /// What was done to bring the target to the last state of the legacy database: its number.
    State(i64),
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(only) if only.is_empty() => f.write_str("all"),
            Self::Whole(only) => f.write_str(&only.join(", ")),
            Self::Chunk(chunk) => write!(f, "chunk {chunk}"),
            Self::Run(run) => write!(f, "run {run}"),
            Self::State(state) => write!(f, "state {state}"),
        }
    }
}

/// How something is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undo {
    /// What.
    pub extent: Extent,
    /// Whether steps that build on it go as well.
    pub with_dependants: bool,
    /// Why, for the ledger.
    pub why: String,
}

/// A row that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The step that wrote it.
    pub step: &'static str,
    /// The legacy row for whose sake.
    pub legacy_key: Option<Key>,
    /// The table.
    pub table: String,
    /// The row that keeps it from going; none where what became of the legacy row does.
    pub row: Option<RowName>,
    /// Why.
    pub why: Why,
}

/// What was taken back of some chunks.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) chunks: u64,
    pub(super) rows: u64,
    pub(super) legacy: u64,
    pub(super) restored: u64,
    pub(super) kept: Vec<Kept>,
    /// Rows that stay, and that no ledger has waiting: nothing will try them again.
    pub(super) lasting: Vec<Kept>,
    /// All rows of units that stay.
    pub(super) stays: Vec<Row>,
}

/// A row: its table, and which.
pub(super) type Row = (&'static str, RowName);

impl AddAssign for Taken {
    fn add_assign(&mut self, mut other: Self) {
        self.chunks += other.chunks;
        self.rows += other.rows;
        self.legacy += other.legacy;
        self.restored += other.restored;
        self.kept.append(&mut other.kept);
        self.lasting.append(&mut other.lasting);
        self.stays.append(&mut other.stays);
    }
}

/// What was taken back of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepUndone {
    /// The step.
    pub step: &'static str,
    /// Chunks that are free again.
    pub chunks: u64,
    /// Legacy rows of which nothing is in the target any more.
    pub legacy: u64,
    /// Target rows that were deleted.
    pub rows: u64,
    /// Changes to rows that were there before, which were put back.
    pub restored: u64,
    /// Rows that stay.
    #[serde(skip)]
    pub kept: Vec<Kept>,
}

/// What was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Undone {
    /// Whether it came to its end.
    pub complete: bool,
    /// By step, as they went.
    pub steps: Vec<StepUndone>,
}

impl StepUndone {
    pub(super) fn nothing(step: &'static str) -> Self {
        Self { step, chunks: 0, legacy: 0, rows: 0, restored: 0, kept: Vec::new() }
    }

    /// Counts what was taken back of some chunks.
    pub(super) fn add(&mut self, taken: Taken) {
        self.chunks += taken.chunks;
        self.legacy += taken.legacy;
        self.rows += taken.rows;
        self.restored += taken.restored;
        self.kept.extend(taken.kept);
        self.kept.extend(taken.lasting);
    }
}
