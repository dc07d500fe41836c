//! What a run did, and what one would do.

use std::time::Duration;

use super::preflight::Forecast;
use crate::contract::inspect::Finding;
use crate::storage::ledger::status::CodeCount;
use crate::words::{Counts, MoneyTotals};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whether nothing is left to do.
    pub complete: bool,
    /// Whether the part of its last step that it was asked for is done, while the rest of that step is open.
    pub part: bool,
    /// What this run did, by step.
    pub steps: Vec<StepReport>,
    /// Sessions of others that may have written to an offline target while it had no foreign keys.
    pub intruders: Vec<String>,
    /// What a rehearsal found; none of a run, whose ledger stays.
    pub rehearsed: Option<Rehearsed>,
}

/// What the ledger of a rehearsal said before it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsed {
    /// The codes of every step, the most frequent first.
    pub codes: Vec<CodeCount>,
    /// Where the money went.
    pub money: MoneyTotals,
}

/// What a run did of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    /// The step.
    pub step: &'static str,
    /// Whether an earlier run had done it.
    pub already_done: bool,
    /// What this run did.
    pub counts: Counts,
    /// How long it took, with planning and preparing.
    pub elapsed: Duration,
}

/// What a run would find and do.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Plan {
    /// Where the rows come from, without a password.
    pub from: String,
    /// Where they go, likewise.
    pub into: String,
    /// When the legacy database was frozen; none where the checks found that a run cannot begin.
    pub snapshot: Option<jiff::Timestamp>,
    /// When that state of it was frozen to which the target was brought last; none where it was brought to none.
    pub state: Option<jiff::Timestamp>,
    /// The steps, in order.
    pub steps: Vec<Outlook>,
    /// What the checks have found: refusals first.
    pub findings: Vec<Finding>,
    /// How much it is expected to write.
    pub forecast: Option<Forecast>,
}

/// What a later state has of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Moved {
    /// Rows that no earlier state had.
    pub added: u64,
    /// Rows that are not there any more, and were in the state before.
    pub gone: u64,
    /// Rows that read otherwise than they did; none where they were not read.
    pub changed: Option<u64>,
}

/// A step as it stands before a run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Outlook {
    /// The step.
    pub step: &'static str,
    /// What moves.
    pub about: &'static str,
    /// What it waits for.
    pub after: &'static [&'static str],
    /// The legacy table.
    pub legacy_table: &'static str,
    /// The target table.
    pub target_table: &'static str,
    /// Legacy rows.
    pub rows: u64,
    /// Chunks that they are cut into.
    pub chunks: u64,
    /// Whether it is done.
    pub done: bool,
    /// Where the legacy database is in a later state than that to which the target was brought: what that has.
    pub later: Option<Moved>,
}
