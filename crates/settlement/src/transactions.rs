//! What becomes of every transaction: the rules that look at several.

use invoices::InvoiceNumber;
use jiff::Timestamp;
use replant_core::prelude::*;
use replant_core::{KeySet, Root};
use rustc_hash::{FxHashMap, FxHashSet};

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
#[derive(Debug, Default)]
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

/// A payment from bank to bank that a transfer may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Banked {
    pub(crate) key: Key,
    pub(crate) account_id: i64,
    pub(crate) money: Money,
    /// Microseconds since 1970.
    pub(crate) at: i64,
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

/// What a look ahead gathers.
#[derive(Default)]
struct Found {
    /// By key.
    candidates: Vec<Candidate>,
    references: Vec<(u64, u32)>,
    invoices: Vec<(u32, InvoiceNumber)>,
    subscriptions: Vec<(u32, Key)>,
    refused: FxHashMap<Key, Standing>,
    claims: Vec<Claim>,
    /// All that refunds name.
    parents: FxHashSet<Key>,
}

impl Lookup for Transactions {
    fn build(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        let rules = cx.lookup::<TransactionRules>()?;
        let natives = cx.lookup::<Natives>()?;
        let mut found = Found::default();
        cx.scan(|row: Transaction| found.take(&row, &rules))?;
        Ok(Self::of(found, &natives))
    }
}

impl Found {
    fn take(&mut self, row: &Transaction, rules: &TransactionRules) {
        if row.is_refund() {
            let payment = row.parent_id.reference("parent_id").ok().flatten();
            self.parents.extend(payment);
            if let Ok(refund) = rules.refund(row) {
                let at = refund.paid_at.at.as_microsecond();
                self.claims.push(Claim { key: row.id, payment, money: refund.money, at });
            }
            return;
        }
        match rules.payment(row) {
            Ok(payment) => self.candidate(row, &payment),
            Err(refusal) => {
                self.refused.insert(row.id, standing(row.id, refusal));
            }
        }
    }

    fn candidate(&mut self, row: &Transaction, payment: &Payment) {
        let place = u32::try_from(self.candidates.len()).expect("fewer than 2^32 transactions");
        self.candidates.push(Candidate::new(row.id, payment));
        if let Some((gateway, reference)) = row.gateway_ref() {
            self.references.push((hashed(&gateway, &reference), place));
        }
        self.invoices.extend(row.invoice().map(|invoice| (place, invoice)));
        if let Ok(Some(subscription)) = row.subscription_id.reference("subscription_id") {
            self.subscriptions.push((place, subscription));
        }
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
    fn of(mut found: Found, natives: &Natives) -> Self {
        let rejected = doubles::rejected(&found.candidates, std::mem::take(&mut found.references), natives);
        let mut refused = std::mem::take(&mut found.refused);
        refused.retain(|key, _| found.parents.contains(key));
        for (key, why) in rejected.iter().filter(|(key, _)| found.parents.contains(key)) {
            refused.insert(*key, standing(*key, why.refusal()));
        }
        let claims = std::mem::take(&mut found.claims);
        let claims = claims.into_iter().filter(|claim| claim.payment.is_none_or(|key| !refused.contains_key(&key)));
        let refunded = refunds::judge(claims.collect(), |key| {
            let place = found.candidates.binary_search_by_key(&key, |candidate| candidate.key).ok()?;
            Some(&found.candidates[place])
        });
        let mut transactions =
            Self { rejected, refused, faults: refunded.faults, followers: refunded.followers, ..Self::default() };
        transactions.keep(found);
        transactions
    }

    /// Keeps what others ask of the payments that come in.
    fn keep(&mut self, found: Found) {
        let standing = || found.candidates.iter().filter(|payment| !self.rejected.contains_key(&payment.key));
        let recorded = || standing().filter(|payment| payment.state != State::Failed);
        let banked = recorded().filter(|payment| payment.method == Method::BankTransfer);
        let banked = banked.map(|payment| Banked {
            key: payment.key,
            account_id: payment.account_id,
            money: Money { currency: payment.currency, minor: payment.minor },
            at: payment.at,
        });
        let banked = banked.collect();
        let recorded = recorded().map(|payment| payment.key).collect();
        let succeeded = |place: u32| {
            let payment = &found.candidates[place as usize];
            let stands = !self.rejected.contains_key(&payment.key) && self.followers.of(payment.key).is_empty();
            (stands && payment.state == State::Succeeded).then_some(payment)
        };
        let settling = found.invoices.into_iter().filter_map(|(place, invoice)| {
            let payment = succeeded(place)?;
            let money = Money { currency: payment.currency, minor: payment.minor };
            Some(Settling { key: payment.key, money, at: payment.at, invoice })
        });
        let settling = settling.collect();
        let subscribed = found.subscriptions.iter();
        let subscribed = subscribed.filter_map(|(place, subscription)| Some((*subscription, succeeded(*place)?.at)));
        let mut subscribed: Vec<(Key, i64)> = subscribed.collect();
        subscribed.sort_unstable();
        (self.banked, self.recorded, self.settling, self.subscribed) = (banked, recorded, settling, subscribed);
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
            parents: (1..=6).collect(),
            claims: (1..=5).map(|payment| claim(10 + payment, payment)).collect(),
            ..Found::default()
        };
        let transactions = Transactions::of(found, &Natives::default());
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
        let found = Found {
            candidates: vec![
                candidate(100, 50, State::Succeeded),
                candidate(200, 50, State::Succeeded),
                candidate(300, 50, State::Pending),
                candidate(400, 50, State::Succeeded),
            ],
            subscriptions: vec![(0, 1), (1, 1), (2, 1), (3, 2)],
            claims: vec![claim(250, 200)],
            ..Found::default()
        };
        let transactions = Transactions::of(found, &Natives::default());
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
    fn what_has_not_failed_is_recorded() {
        let mut banked = candidate(3, 50, State::Pending);
        banked.method = Method::BankTransfer;
        let failed = Candidate { key: 4, state: State::Failed, ..banked };
        let found = Found {
            candidates: vec![candidate(1, 50, State::Succeeded), candidate(2, 50, State::Failed), banked, failed],
            ..Found::default()
        };
        let transactions = Transactions::of(found, &Natives::default());
        let recorded: Vec<Key> = (1..=4).filter(|key| transactions.is_recorded(*key)).collect();
        assert_eq!(recorded, [1, 3]);
        assert_eq!(transactions.banked.iter().map(|payment| payment.key).collect::<Vec<_>>(), [3]);
    }
}
