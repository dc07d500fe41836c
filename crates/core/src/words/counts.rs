//! How many rows had which outcome.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::Outcome;

/// Rows read, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Legacy rows read.
    pub read: u64,
    /// Of these: migrated.
    pub migrated: u64,
    /// Of these: merged.
    pub merged: u64,
    /// Of these: skipped.
    pub skipped: u64,
    /// Of these: quarantined.
    pub quarantined: u64,
    /// Values that a rule changed, in any number a row.
    pub repairs: u64,
}

impl Counts {
    /// Counts one row's outcome. `read` is counted apart, by the reader, so that the two can be held against each other.
    pub fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Migrated => self.migrated += 1,
            Outcome::Merged => self.merged += 1,
            Outcome::Skipped => self.skipped += 1,
            Outcome::Quarantined => self.quarantined += 1,
        }
    }

    /// Whether every row read has an outcome (the second invariant).
    pub fn balance(&self) -> bool {
        self.read == self.migrated + self.merged + self.skipped + self.quarantined
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.migrated += other.migrated;
        self.merged += other.merged;
        self.skipped += other.skipped;
        self.quarantined += other.quarantined;
        self.repairs += other.repairs;
    }
}
