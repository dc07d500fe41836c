//! The lines of a statement.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use replant_core::{Instant, Key};
use serde::{Serialize, Serializer};

/// What a line is about. Of one moment, they stand in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum What {
    /// The account was opened.
    Account,
    /// A subscription began.
    Subscription,
    /// An invoice was issued.
    Invoice,
    /// A payment.
    Payment,
    /// A refund of a payment.
    Refund,
    /// A payment settles an invoice, or a part of it.
    Allocation,
    /// Trees were planted.
    Planting,
    /// Trees were planted by somebody else as a gift for this person.
    GiftReceived,
    /// A brand was charged for trees.
    CrossCharge,
    /// Credit came or went.
    Credit,
}

/// When something happened: some tables know the day alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// To the microsecond.
    At(Instant),
    /// A day.
    On(Date),
}

impl When {
    /// The moment by which lines are sorted: a day begins it, in UTC.
    pub(super) fn moment(self) -> Timestamp {
        match self {
            Self::At(at) => at.0,
            Self::On(day) => day.to_zoned(TimeZone::UTC).map_or(Timestamp::MIN, |zoned| zoned.timestamp()),
        }
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(at) => at.0.strftime("%Y-%m-%d %H:%M:%SZ").fmt(f),
            Self::On(day) => day.fmt(f),
        }
    }
}

impl Serialize for When {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where a line of the platform comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// The platform's own: no legacy row is behind it.
    Native,
    /// Legacy rows are behind it.
    Legacy {
        /// Which.
        rows: Vec<Origin>,
    },
    /// The migration made it without a legacy row.
    Rule {
        /// By which rule.
        code: &'static str,
    },
}

impl Source {
    pub(super) fn add(&mut self, origin: Origin) {
        match self {
            Self::Legacy { rows } => rows.push(origin),
            Self::Native | Self::Rule { .. } => *self = Self::Legacy { rows: vec![origin] },
        }
    }
}

/// A legacy row behind a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The legacy table.
    pub legacy_table: String,
    /// The legacy key.
    pub legacy_id: Key,
    /// The codes of what was repaired on it.
    pub repairs: Vec<String>,
}

/// A row of the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When.
    pub at: When,
    /// What it is about.
    pub what: What,
    /// The table of the platform.
    pub table: &'static str,
    /// Its id there; of an allocation, that of the payment.
    pub id: i64,
    /// The account that it belongs to.
    pub account_id: i64,
    /// Its status, where it has one.
    pub status: Option<String>,
    /// Trees: of a subscription, those of a cycle.
    pub trees: Option<i64>,
    /// In minor units of the currency. A refund's is below zero, as is credit that was spent.
    pub amount_minor: Option<i64>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// The amount in major units.
    pub amount: Option<String>,
    /// Of a credit entry: what the account then has in that currency, in minor units.
    pub balance_minor: Option<i64>,
    /// The rest, in words.
    pub about: String,
    /// Where it comes from.
    pub source: Source,
}

/// What became of a legacy row that has no row of its own on the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotMoved {
    /// The legacy table.
    pub legacy_table: String,
    /// The legacy key.
    pub legacy_id: Key,
    /// When, as the legacy table writes it.
    pub at: Option<String>,
    /// Of a planting: its trees.
    pub trees: Option<i64>,
    /// What it says, as the legacy table writes it.
    pub about: String,
    /// `skipped`, `merged`, `quarantined`; `waiting` where no step has come to it.
    pub outcome: String,
    /// Why, as a code.
    pub code: Option<String>,
    /// Of a quarantined row: why, in words.
    pub reason: Option<String>,
    /// Of a quarantined row that waits for another one: which, `user 4711`.
    pub waits_for: Option<String>,
    /// Of a merged row: what it went into, `accounts 90210`.
    pub into: Option<String>,
}
