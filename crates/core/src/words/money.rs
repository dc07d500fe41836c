//! Amounts and their conservation: money read = migrated + merged + skipped + quarantined + what repairs changed.

use std::collections::BTreeMap;
use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::Outcome;

/// An ISO 4217 code, three ASCII letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The currency of a three-letter code, `None` for anything else.
    pub fn new(code: &str) -> Option<Self> {
        let bytes: [u8; 3] = code.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Self(bytes))
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency is three ASCII letters")
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

/// An amount in integer minor units of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// The currency.
    pub currency: Currency,
    /// Minor units: pence, cents.
    pub minor: i64,
}

/// Where the money of one currency went, in minor units. What was read may hold fractions of a unit, exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoneyFlow {
    /// Read from legacy rows.
    pub read: Decimal,
    /// Written to target rows.
    pub migrated: Decimal,
    /// Gone into another row.
    pub merged: Decimal,
    /// On rows that were skipped.
    pub skipped: Decimal,
    /// On rows that were quarantined.
    pub quarantined: Decimal,
    /// Read but not written, because a repair changed the amount.
    pub repaired: Decimal,
}

impl MoneyFlow {
    /// Whether all that was read is accounted for.
    pub fn balance(&self) -> bool {
        self.read == self.migrated + self.merged + self.skipped + self.quarantined + self.repaired
    }

    fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.migrated += other.migrated;
        self.merged += other.merged;
        self.skipped += other.skipped;
        self.quarantined += other.quarantined;
        self.repaired += other.repaired;
    }
}

/// The flow of money by currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MoneyTotals(BTreeMap<Currency, MoneyFlow>);

impl MoneyTotals {
    /// Counts an amount that was read on a row which then had `outcome`. Of a migrated row only what the repairs took
    /// is counted here: what it wrote is counted from the target rows themselves, by [`Self::written`]. On other rows no
    /// repair took anything.
    pub fn row(&mut self, amount: Money, exact_minor: Decimal, outcome: Outcome) {
        let flow = self.0.entry(amount.currency).or_default();
        flow.read += exact_minor;
        match outcome {
            Outcome::Migrated => flow.repaired += exact_minor - Decimal::from(amount.minor),
            Outcome::Merged => flow.merged += exact_minor,
            Outcome::Skipped => flow.skipped += exact_minor,
            Outcome::Quarantined => flow.quarantined += exact_minor,
        }
    }

    /// Counts an amount that a target row carries.
    pub fn written(&mut self, amount: Money) {
        self.0.entry(amount.currency).or_default().migrated += Decimal::from(amount.minor);
    }

    /// Counts an amount that was written without having been read.
    pub fn given(&mut self, amount: Money) {
        let flow = self.0.entry(amount.currency).or_default();
        flow.migrated += Decimal::from(amount.minor);
        flow.repaired -= Decimal::from(amount.minor);
    }

    /// Adds a flow, as it is read back from the ledger.
    pub fn add(&mut self, currency: Currency, flow: &MoneyFlow) {
        self.0.entry(currency).or_default().add(flow);
    }

    /// The flows by currency.
    pub fn iter(&self) -> impl Iterator<Item = (Currency, &MoneyFlow)> {
        self.0.iter().map(|(currency, flow)| (*currency, flow))
    }

    /// Whether there is no money at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first currency that does not balance, with its flow.
    pub fn imbalance(&self) -> Option<(Currency, &MoneyFlow)> {
        self.iter().find(|(_, flow)| !flow.balance())
    }
}

impl std::ops::AddAssign<&MoneyTotals> for MoneyTotals {
    fn add_assign(&mut self, other: &MoneyTotals) {
        for (currency, flow) in other.iter() {
            self.add(currency, flow);
        }
    }
}
