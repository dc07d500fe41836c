//! Subscriptions that cannot stand beside each other (rules: Subscriptions): doubles, several active ones.

use jiff::Timestamp;
use replant_clean::{self as clean, Snapshot};
use replant_core::KeySet;
use replant_core::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use crate::legacy::Subscription;
use crate::native::Native;
use crate::target::Status;
use crate::transform::{Code, Facts};

/// What the rows of others make of a row. Exceptions alone.
#[derive(Debug, Default)]
pub(crate) struct Conflicts {
    doubles: KeySet,
    native: KeySet,
    superseded: FxHashMap<Key, Timestamp>,
}

impl Conflicts {
    /// Looks ahead at every legacy row.
    ///
    /// # Errors
    /// The legacy database cannot be read.
    pub(crate) fn read(
        cx: &Prepare<'_>,
        native: &Native,
        users: &Standings,
        currencies: &clean::Currencies,
        snapshot: Snapshot,
    ) -> Result<Self, PrepareError> {
        let mut ahead = LookAhead::default();
        cx.scan(|row: Subscription| {
            let amount = row.price().read_amount(currencies).map(|(_, amount)| amount);
            // A row that an earlier code takes stands in nobody's way.
            if let Ok(facts) = Facts::read(&row, users, amount, snapshot) {
                ahead.add(row.id, &facts);
            }
        })?;
        Ok(ahead.settle(native))
    }

    /// Whether the row may come in.
    ///
    /// # Errors
    /// `duplicate`, `already_native`.
    pub(crate) fn judge(&self, key: Key) -> Result<(), Refusal> {
        if self.doubles.contains(key) {
            Err(Refusal::skip(Code::Duplicate))
        } else if self.native.contains(key) {
            Err(Refusal::skip(Code::AlreadyNative))
        } else {
            Ok(())
        }
    }

    /// When another one took the place of the row.
    pub(crate) fn superseded(&self, key: Key) -> Option<Timestamp> {
        self.superseded.get(&key).copied()
    }
}

/// Stands for a text. Two that meet by chance are not to be expected in the lifetime of a company.
type Hash = u128;

/// The one active subscription that an account can have to a plan.
fn place(account_id: i64, plan: &str) -> Hash {
    xxh3_128_with_seed(plan.as_bytes(), account_id.cast_unsigned())
}

/// What is kept of the rows while they are read. In the order of its fields, the one that stays comes last.
#[derive(Debug, Default)]
struct LookAhead {
    refs: Vec<Rival>,
    active: Vec<Rival>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rival {
    of: Hash,
    started_at: Timestamp,
    key: Key,
}

impl LookAhead {
    fn add(&mut self, key: Key, facts: &Facts<'_>) {
        let started_at = facts.started_at;
        if let Some(gateway_ref) = &facts.gateway_ref {
            self.refs.push(Rival { of: xxh3_128(gateway_ref.as_bytes()), started_at, key });
        }
        if facts.status == Status::Active {
            self.active.push(Rival { of: place(facts.account_id, &facts.plan), started_at, key });
        }
    }

    /// First the doubles, then what natives have, then who of the rows left stays active.
    fn settle(mut self, native: &Native) -> Conflicts {
        let mut conflicts = Conflicts::default();
        let native_refs: FxHashSet<Hash> =
            native.0.iter().filter_map(|own| own.gateway_ref.as_ref()).map(|text| xxh3_128(text.as_bytes())).collect();
        each_group(&mut self.refs, |stays, others| {
            others.iter().for_each(|other| conflicts.doubles.insert(other.key));
            if native_refs.contains(&stays.of) {
                conflicts.native.insert(stays.key);
            }
        });
        self.active.retain(|rival| !conflicts.doubles.contains(rival.key) && !conflicts.native.contains(rival.key));
        let mut native_active: FxHashMap<Hash, Timestamp> = FxHashMap::default();
        for own in native.0.iter().filter(|own| own.active) {
            let since = native_active.entry(place(own.account_id, &own.plan)).or_insert(own.started_at.0);
            *since = (*since).max(own.started_at.0);
        }
        each_group(&mut self.active, |stays, others| {
            let wins = native_active.get(&stays.of);
            let since = wins.copied().unwrap_or(stays.started_at);
            for loser in others.iter().chain(wins.is_some().then_some(stays)) {
                conflicts.superseded.insert(loser.key, since.max(loser.started_at));
            }
        });
        conflicts
    }
}

/// Calls `each` with the latest started rival (then of highest key) of every group, and the others.
fn each_group(rivals: &mut [Rival], mut each: impl FnMut(&Rival, &[Rival])) {
    rivals.sort_unstable();
    for group in rivals.chunk_by(|a, b| a.of == b.of) {
        if let Some((stays, others)) = group.split_last() {
            each(stays, others);
        }
    }
}
