//! What becomes of every transaction: the rules that look at several.

use std::sync::Arc;

use invoices::InvoiceNumber;
use jiff::Timestamp;
use jiff::civil::Date;
use replant_core::prelude::*;
use replant_core::{KeySet, Root};
use rustc_hash::FxHashMap;

use crate::doubles::{self, Rejected, hashed};
use crate::legacy::Transaction;
use crate::natives::Natives;
use crate::refunds::{self, Claim, Fault};
use crate::transaction::{Payment, TransactionRules};
use crate::words::{Method, State};

/// The step that writes payments: it is not known here, but a refund waits for a row of it.
pub const PAYMENTS_STEP: &str = "payments.payments";

/// What becomes of every transaction: exceptions alone. It is built from the legacy database and the standings of users and
/// brands, so steps that run before the payments can ask it too.
#[derive(Default)]
pub struct Transactions {
    rejected: FxHashMap<Key, Rejected>,
    /// Refused payments that a refund names.
    refused: FxHashMap<Key, Standing>,
    faults: FxHashMap<Key, Fault>,
    followers: Followers,
    /// Migrated payments that have not failed.
    recorded: KeySet,
    /// Of these, those from bank to bank.
    pub(crate) banked: Vec<Banked>,
    /// Payments that end as succeeded and name an invoice.
    pub(crate) settling: Vec<Settling>,
    /// Payments that end as succeeded, by subscription and time.
    subscribed: Vec<(Key, i64)>,
    /// What it was built from stays in memory with it: who asks for it asks for that too.
    _built_from: Option<(Arc<TransactionRules>, Arc<Natives>)>,
}

/// A payment that its own row lets in, while others are held against it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) key: Key,
    pub(crate) account_id: i64,
    pub(crate) minor: i64,
    /// Microseconds since 1970.
    pub(crate) at: i64,
    pub(crate) currency: Currency,
    pub(crate) method: Method,
    pub(crate) state: State,
}

impl Candidate {
    fn new(key: Key, payment: &Payment) -> Self {
        Self {
            key,
            account_id: payment.account_id,
            minor: payment.money.minor,
            at: payment.paid_at.at.as_microsecond(),
            currency: payment.money.currency,
            method: payment.method,
            state: payment.state,
        }
    }

    /// What doubles have in common.
    pub(crate) fn what(&self) -> (i64, i64, Currency) {
        (self.account_id, self.minor, self.currency)
    }
}

/// A payment from bank to bank that a transfer may be. There are many, so it is kept small.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Banked {
    pub(crate) key: Key,
    pub(crate) account_id: i64,
    pub(crate) minor: i64,
    pub(crate) currency: Currency,
    /// By London's clocks.
    pub(crate) day: Date,
}

/// A payment that settles an invoice.
#[derive(Debug, Clone)]
pub(crate) struct Settling {
    pub(crate) key: Key,
    pub(crate) money: Money,
    /// Microseconds since 1970.
    pub(crate) at: i64,
    pub(crate) invoice: InvoiceNumber,
}

/// What the reading of all transactions gathers: of most a few bytes, because they are the history of a company.
#[derive(Default)]
struct Seen {
    /// Payments with a reference.
    referenced: KeySet,
    /// Of each of them half a hash of its reference, and its place among them.
    references: Vec<u64>,
    /// Payments that need a second look: refunds name them, or natives have their reference.
    suspects: KeySet,
    claims: Vec<Claim>,
    /// What is kept of the payments that come in, as far as their own rows tell.
    recorded: KeySet,
    banked: Vec<Banked>,
    settling: Vec<Settling>,
    /// Subscription, time and key of payments that succeeded.
    subscribed: Vec<(Key, i64, Key)>,
}

/// What the second reading gathers, of suspects alone.
#[derive(Default)]
struct Found {
    /// By key.
    candidates: Vec<Candidate>,
    references: Vec<(u64, u32)>,
    /// Payments that their own rows refuse.
    refused: FxHashMap<Key, Standing>,
}

impl Lookup for Transactions {
    fn build(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        let rules = cx.lookup::<TransactionRules>()?;
        let natives = cx.lookup::<Natives>()?;
        let mut seen = Seen::default();
        cx.scan(|row: Transaction| seen.take(&row, &rules, &natives))?;
        let suspects = seen.suspects();
        let mut found = Found::default();
        cx.rows(&suspects, |row: Transaction| found.take(&row, &rules))?;
        let transactions = Self::of(seen, found, &natives);
        Ok(Self { _built_from: Some((rules, natives)), ..transactions })
    }
}

/// The lower half of a word; the upper one is half a hash.
const PLACE: u64 = u32::MAX as u64;

impl Seen {
    fn take(&mut self, row: &Transaction, rules: &TransactionRules, natives: &Natives) {
        if row.is_refund() {
            let payment = row.parent_id.reference("parent_id").ok().flatten();
            if let Some(payment) = payment {
                self.suspects.insert(payment);
            }
            if let Ok(refund) = rules.refund(row) {
                let at = refund.paid_at.at.as_microsecond();
                self.claims.push(Claim { key: row.id, payment, money: refund.money, at });
            }
        } else if let Ok(payment) = rules.payment(row) {
            if let Some((gateway, reference)) = row.gateway_ref() {
                self.reference(row.id, hashed(&gateway, &reference), natives);
            }
            let subscription = row.subscription_id.reference("subscription_id").ok().flatten();
            self.candidate(&Candidate::new(row.id, &payment), row.invoice(), subscription);
        }
    }

    fn reference(&mut self, key: Key, hash: u64, natives: &Natives) {
        let place = self.references.len() as u64;
        assert!(place <= PLACE, "fewer than 2^32 transactions");
        self.referenced.insert(key);
        self.references.push(hash & !PLACE | place);
        if natives.has(hash) {
            self.suspects.insert(key);
        }
    }

    fn candidate(&mut self, payment: &Candidate, invoice: Option<InvoiceNumber>, subscription: Option<Key>) {
        let Candidate { key, account_id, minor, at, currency, .. } = *payment;
        if payment.state != State::Failed {
            self.recorded.insert(key);
            if payment.method == Method::BankTransfer {
                let day = reference::london_day(Timestamp::from_microsecond(at).unwrap_or(Timestamp::MIN));
                self.banked.push(Banked { key, account_id, minor, currency, day });
            }
        }
        if payment.state == State::Succeeded {
            let money = Money { currency, minor };
            self.settling.extend(invoice.map(|invoice| Settling { key, money, at, invoice }));
            self.subscribed.extend(subscription.map(|subscription| (subscription, at, key)));
        }
    }

    /// All payments that need a second look: with those of which half a hash comes again.
    fn suspects(&mut self) -> KeySet {
        let mut references = std::mem::take(&mut self.references);
        references.sort_unstable();
        let mut suspects = std::mem::take(&mut self.suspects);
        for same in references.chunk_by(|a, b| a & !PLACE == b & !PLACE).filter(|same| same.len() > 1) {
            same.iter().filter_map(|entry| self.referenced.at(entry & PLACE)).for_each(|key| suspects.insert(key));
        }
        suspects
    }
}

impl Found {
    fn take(&mut self, row: &Transaction, rules: &TransactionRules) {
        if row.is_refund() {
            return;
        }
        match rules.payment(row) {
            Ok(payment) => {
                let reference = row.gateway_ref().map(|(gateway, reference)| hashed(&gateway, &reference));
                self.candidate(Candidate::new(row.id, &payment), reference);
            }
            Err(refusal) => {
                self.refused.insert(row.id, standing(row.id, refusal));
            }
        }
    }

    fn candidate(&mut self, payment: Candidate, reference: Option<u64>) {
        let place = u32::try_from(self.candidates.len()).expect("fewer than 2^32 transactions");
        self.candidates.push(payment);
        self.references.extend(reference.map(|hash| (hash, place)));
    }
}

/// What a refusal makes of the row.
fn standing(key: Key, refusal: Refusal) -> Standing {
    match refusal {
        Refusal::Skipped(_) => Standing::Skipped,
        Refusal::Quarantined { root, .. } => {
            Standing::Quarantined(root.unwrap_or_else(|| Root { step: PAYMENTS_STEP.to_owned(), key }))
        }
    }
}

impl Transactions {
    fn of(mut seen: Seen, found: Found, natives: &Natives) -> Self {
        let Found { candidates, references, mut refused } = found;
        let rejected = doubles::rejected(&candidates, references, natives);
        refused.extend(rejected.iter().map(|(key, why)| (*key, standing(*key, why.refusal()))));
        let claims = std::mem::take(&mut seen.claims);
        let claims = claims.into_iter().filter(|claim| claim.payment.is_none_or(|key| !refused.contains_key(&key)));
        let refunded = refunds::judge(claims.collect(), |key| {
            let place = candidates.binary_search_by_key(&key, |candidate| candidate.key).ok()?;
            Some(&candidates[place])
        });
        let followers = refunded.followers;
        let stands = |key: &Key| !rejected.contains_key(key);
        let unrefunded = |key: &Key| stands(key) && followers.of(*key).is_empty();
        rejected.keys().for_each(|key| seen.recorded.remove(*key));
        seen.banked.retain(|payment| stands(&payment.key));
        seen.settling.retain(|payment| unrefunded(&payment.key));
        let subscribed = seen.subscribed.iter().filter(|(.., key)| unrefunded(key));
        let mut subscribed: Vec<(Key, i64)> = subscribed.map(|(subscription, at, _)| (*subscription, *at)).collect();
        subscribed.sort_unstable();
        subscribed.shrink_to_fit();
        seen.banked.shrink_to_fit();
        seen.settling.shrink_to_fit();
        let Seen { recorded, banked, settling, .. } = seen;
        let faults = refunded.faults;
        Self { rejected, refused, faults, followers, recorded, banked, settling, subscribed, _built_from: None }
    }

    /// Refunds that come in travel with their payments: they are committed together.
    pub fn followers(&self) -> &Followers {
        &self.followers
    }

    /// What other transactions say of a payment that its own row lets in.
    ///
    /// # Errors
    /// `duplicate`, `gateway_ref_conflict`, `already_native`.
    pub fn payment(&self, key: Key) -> Result<(), Refusal> {
        self.rejected.get(&key).map_or(Ok(()), |why| Err(why.refusal()))
    }

    /// What its parent makes of a refund: that is the row that it names, unless it is a refund too.
    ///
    /// # Errors
    /// `parent_quarantined`, `parent_skipped`.
    pub fn parent_of_refund(&self, parent: Option<Key>) -> Result<(), Refusal> {
        Refusal::of_parents(parent.and_then(|key| self.refused.get(&key)))
    }

    /// What its payment, and other refunds of it, say of a refund that its own row and its parent let in.
    ///
    /// # Errors
    /// `refund_orphan`, `refund_exceeds_payment`.
    pub fn refund(&self, key: Key) -> Result<(), Refusal> {
        self.faults.get(&key).map_or(Ok(()), |why| Err(why.refusal()))
    }

    /// Whether the transaction is a migrated payment that has not failed.
    pub(crate) fn is_recorded(&self, key: Key) -> bool {
        self.recorded.contains(key)
    }

    /// Whether a payment for the legacy subscription with this key was made from `from` to `to` (both included) that is
    /// migrated and ends as succeeded.
    pub fn succeeded_within(&self, subscription: Key, from: Timestamp, to: Timestamp) -> bool {
        let first = self.subscribed.partition_point(|paid| *paid < (subscription, from.as_microsecond()));
        self.subscribed.get(first).is_some_and(|(of, at)| *of == subscription && *at <= to.as_microsecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(key: Key, minor: i64, state: State) -> Candidate {
        let currency = Currency::new("GBP").unwrap();
        Candidate { key, account_id: 5, minor, at: key, currency, method: Method::Card, state }
    }

    fn claim(key: Key, payment: Key) -> Claim {
        Claim {
            key,
            payment: Some(payment),
            money: Money { currency: Currency::new("GBP").unwrap(), minor: 10 },
            at: key,
        }
    }

    fn root_of(refusal: Result<(), Refusal>) -> Option<(String, Key)> {
        match refusal {
            Err(Refusal::Quarantined { root: Some(root), .. }) => Some((root.step, root.key)),
            _ => None,
        }
    }

    #[test]
    fn a_refund_goes_the_way_of_its_payment() {
        let own = Refusal::quarantine("amount_invalid", "");
        let waits = Standing::Quarantined(Root { step: "users.accounts".to_owned(), key: 9 });
        let waits = Refusal::of_parents([&waits]).unwrap_err();
        let skipped = Refusal::of_parents([&Standing::Skipped]).unwrap_err();
        let refused = [(1, own), (2, waits), (3, skipped)];
        let found = Found {
            candidates: vec![candidate(4, 10, State::Succeeded), candidate(5, 10, State::Failed)],
            references: vec![(77, 0), (77, 1)],
            refused: refused.into_iter().map(|(key, refusal)| (key, standing(key, refusal))).collect(),
        };
        let seen = Seen { claims: (1..=5).map(|payment| claim(10 + payment, payment)).collect(), ..Seen::default() };
        let transactions = Transactions::of(seen, found, &Natives::default());
        let parent = |key| transactions.parent_of_refund(Some(key));
        assert_eq!(root_of(parent(1)), Some((PAYMENTS_STEP.to_owned(), 1)));
        assert_eq!(root_of(parent(2)), Some(("users.accounts".to_owned(), 9)));
        assert_eq!(parent(3), Err(Refusal::Skipped(Code::PARENT_SKIPPED)));
        assert_eq!(parent(4), Ok(()));
        assert_eq!(parent(5), Err(Refusal::Skipped(Code::PARENT_SKIPPED)), "a double of 4");
        assert_eq!((parent(6), transactions.parent_of_refund(None)), (Ok(()), Ok(())));
        assert_eq!(transactions.followers().of(4), [14]);
        assert_eq!(transactions.refund(11), Ok(()), "what its parent decides, nothing else does");
    }

    #[test]
    fn what_counts_for_a_subscription_ended_as_succeeded() {
        let refunded = candidate(200, 50, State::Succeeded);
        let mut seen = Seen { claims: vec![claim(250, 200)], ..Seen::default() };
        for (payment, subscription) in [
            (candidate(100, 50, State::Succeeded), 1),
            (refunded, 1),
            (candidate(300, 50, State::Pending), 1),
            (candidate(400, 50, State::Succeeded), 2),
        ] {
            seen.candidate(&payment, None, Some(subscription));
        }
        let found = Found { candidates: vec![refunded], ..Found::default() };
        let transactions = Transactions::of(seen, found, &Natives::default());
        let within = |subscription, from, to| {
            let at = |micros| Timestamp::from_microsecond(micros).unwrap();
            transactions.succeeded_within(subscription, at(from), at(to))
        };
        for (subscription, from, to, expect) in [
            (1, 100, 100, true),
            (1, 0, 99, false),
            (1, 101, 1_000, false),
            (2, 0, 1_000, true),
            (2, 0, 399, false),
            (3, 0, 1_000, false),
        ] {
            assert_eq!(within(subscription, from, to), expect, "{subscription} {from} {to}");
        }
    }

    #[test]
    fn whose_reference_comes_again_or_whom_a_refund_names_is_looked_at_twice() {
        let natives = Natives::new([("stripe".to_owned(), "pi_9".to_owned())]);
        let mut seen = Seen::default();
        seen.suspects.insert(70);
        for (key, reference) in [(10, "pi_1"), (20, "pi_2"), (30, "pi_1"), (40, "pi_9"), (50, "pi_3"), (60, "pi_1")] {
            seen.reference(key, hashed("stripe", reference), &natives);
        }
        assert_eq!(seen.suspects().iter().collect::<Vec<_>>(), [10, 30, 40, 60, 70]);
    }

    #[test]
    fn what_has_not_failed_is_recorded() {
        let mut banked = candidate(3, 50, State::Pending);
        banked.method = Method::BankTransfer;
        let failed = Candidate { key: 4, state: State::Failed, ..banked };
        let rejected = Candidate { key: 5, ..banked };
        let mut seen = Seen::default();
        for payment in [candidate(1, 50, State::Succeeded), candidate(2, 50, State::Failed), banked, failed, rejected] {
            seen.candidate(&payment, None, None);
        }
        let found = Found { candidates: vec![banked, rejected], references: vec![(7, 0), (7, 1)], ..Found::default() };
        let transactions = Transactions::of(seen, found, &Natives::default());
        let recorded: Vec<Key> = (1..=5).filter(|key| transactions.is_recorded(*key)).collect();
        assert_eq!(recorded, [1, 3]);
        assert_eq!(transactions.banked.iter().map(|payment| payment.key).collect::<Vec<_>>(), [3]);
    }
}
