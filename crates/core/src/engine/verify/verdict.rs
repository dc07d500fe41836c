//! What a verification says of a row, and what it comes to.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::Serialize;

use crate::contract::inspect::Finding;
use crate::storage::imprint::Columns;
use crate::storage::ledger::changes::RowName;
use crate::words::Key;

/// How a row stands that does not stand as the migration left it, or would leave it today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What was written is not what is there, and nobody has touched it since.
    Defect,
    /// A column that the site never changes holds something else.
    Unexpected,
    /// A row with one of our ids, or in the place of a row that was taken out, that no row of the ledger names.
    Unexplained,
    /// Today's rules make something else of the source than was written, and somebody has changed the row as well.
    StaleAndChanged,
    /// Today's rules make something else of the source than was written.
    Stale,
    /// Somebody on the platform has changed it.
    Changed,
    /// Somebody on the platform has removed it.
    Removed,
    /// Somebody on the platform has added it to a row of ours.
    Added,
}

impl Verdict {
    /// All of them, the worst first.
    pub const ALL: [Self; 8] = [
        Self::Defect,
        Self::Unexpected,
        Self::Unexplained,
        Self::StaleAndChanged,
        Self::Stale,
        Self::Changed,
        Self::Removed,
        Self::Added,
    ];

    /// As reports and files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Defect => "defect",
            Self::Unexpected => "unexpected",
            Self::Unexplained => "unexplained",
            Self::StaleAndChanged => "stale_and_changed",
            Self::Stale => "stale",
            Self::Changed => "changed_since",
            Self::Removed => "removed_since",
            Self::Added => "added_since",
        }
    }

    /// Whether nothing that customers and later states do explains it.
    pub fn is_alarm(self) -> bool {
        matches!(self, Self::Defect | Self::Unexpected | Self::Unexplained)
    }

    /// Whether a replay or a catch-up brings it to what the rules say.
    pub fn is_stale(self) -> bool {
        matches!(self, Self::Stale | Self::StaleAndChanged)
    }
}

/// A row that does not stand as the migration left it, or would leave it today.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The step that wrote the row, or would.
    pub step: &'static str,
    /// The legacy row for whose sake; none where there is none.
    pub legacy_key: Option<Key>,
    /// The table.
    pub table: String,
    /// The row; none where only what became of the legacy row comes out otherwise.
    pub row: Option<RowName>,
    /// The columns that hold something else; none where the row is gone, or is not to be there.
    pub columns: Vec<String>,
    /// How it stands.
    pub verdict: Verdict,
    /// What these columns are to hold: nothing where there is to be no row. Of secret ones a hash.
    pub expected: Columns,
    /// What they hold.
    pub found: Columns,
}

/// Rows by what was said of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally(BTreeMap<Verdict, u64>);

impl Tally {
    /// Counts a row.
    pub(crate) fn add(&mut self, verdict: Verdict) {
        *self.0.entry(verdict).or_default() += 1;
    }

    /// How many rows stand so.
    pub fn of(&self, verdict: Verdict) -> u64 {
        self.0.get(&verdict).copied().unwrap_or_default()
    }

    /// How many rows stand as one of some verdicts.
    pub fn those(&self, are: impl Fn(Verdict) -> bool) -> u64 {
        self.0.iter().filter(|(verdict, _)| are(**verdict)).map(|(_, rows)| rows).sum()
    }
}

impl AddAssign<&Self> for Tally {
    fn add_assign(&mut self, other: &Self) {
        for (verdict, rows) in &other.0 {
            *self.0.entry(*verdict).or_default() += rows;
        }
    }
}

/// What the rows of a step came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepVerified {
    /// The step.
    pub step: &'static str,
    /// Legacy rows that were judged again; none where they were not.
    pub judged: Option<u64>,
    /// Target rows that the ledger says are there.
    pub rows: u64,
    /// Of these, as they are to be.
    pub equal: u64,
    /// All others.
    pub tally: Tally,
    /// Legacy rows that come out well and that the target does not have, because it has refused them: they stand in the quarantine.
    pub waiting: u64,
    /// Legacy rows that no state had to which the target was brought, and rows that have gone since.
    pub behind: (u64, u64),
    /// Whether all of its chunks are done.
    pub done: bool,
}

impl StepVerified {
    /// One of which nothing was moved yet.
    pub(super) fn not_planned(step: &'static str) -> Self {
        let (tally, behind) = (Tally::default(), (0, 0));
        Self { step, judged: None, rows: 0, equal: 0, tally, waiting: 0, behind, done: false }
    }
}

/// An amount of money of a table, as it was written and as it stands, in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MoneyVerified {
    /// The table.
    pub table: String,
    /// The currency.
    pub currency: String,
    /// As it was written.
    pub written: i128,
    /// As it stands.
    pub stands: i128,
    /// Owners of whom it stands otherwise, with the one and the other: whoever the table says whose the amount is.
    pub owners: BTreeMap<i64, (i128, i128)>,
}

/// What a verification came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Whether it came to its end.
    pub complete: bool,
    /// By step.
    pub steps: Vec<StepVerified>,
    /// By table and currency.
    pub money: Vec<MoneyVerified>,
    /// What is wrong with tables, constraints, indexes and sequences.
    pub findings: Vec<Finding>,
}

impl Verified {
    /// All rows of all steps.
    pub fn tally(&self) -> Tally {
        let mut all = Tally::default();
        self.steps.iter().for_each(|step| all += &step.tally);
        all
    }

    /// Whether something is there, or is not, that nothing explains.
    pub fn has_alarms(&self) -> bool {
        self.tally().those(Verdict::is_alarm) > 0 || self.findings.iter().any(Finding::refuses)
    }

    /// Whether a replay or a catch-up is due.
    pub fn is_stale(&self) -> bool {
        self.tally().those(Verdict::is_stale) > 0 || self.steps.iter().any(|step| step.behind != (0, 0))
    }
}
