//! Payments that share the reference of their gateway with another one (rules: Payments, doubles and conflicts).

use std::cmp::Reverse;

use replant_core::prelude::*;
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::Xxh3;

use crate::codes::TransactionCode;
use crate::natives::Natives;
use crate::transactions::Candidate;

/// Stands for a gateway and its reference. Sixty-four bits: of three million references two meet by chance in one migration of
/// four million.
pub(crate) fn hashed(gateway: &str, reference: &str) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(gateway.as_bytes());
    hash.update(&[0]);
    hash.update(reference.as_bytes());
    hash.digest()
}

/// Why a payment that its own row lets in does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// Another one, with a better status or a lower key, stays.
    Duplicate,
    /// What has the same reference is another payment.
    Conflict,
    /// A customer's payment has the reference.
    Native,
}

impl Rejected {
    pub(crate) fn refusal(self) -> Refusal {
        match self {
            Self::Duplicate => Refusal::skip(TransactionCode::Duplicate),
            Self::Conflict => Refusal::quarantine(
                TransactionCode::GatewayRefConflict,
                "other transactions with this reference have another account, amount or currency",
            ),
            Self::Native => Refusal::skip(TransactionCode::AlreadyNative),
        }
    }
}

/// The payments to reject. `references`: hashed ones, with the place of their payment among the candidates.
pub(crate) fn rejected(
    candidates: &[Candidate],
    mut references: Vec<(u64, u32)>,
    natives: &Natives,
) -> FxHashMap<Key, Rejected> {
    references.sort_unstable();
    let mut rejected = FxHashMap::default();
    for same in references.chunk_by(|a, b| a.0 == b.0) {
        let payments = || same.iter().map(|(_, place)| &candidates[*place as usize]);
        let Some(best) = payments().max_by_key(|payment| Reverse((payment.state.rank(), payment.key))) else {
            continue;
        };
        if payments().any(|payment| payment.what() != best.what()) {
            rejected.extend(payments().map(|payment| (payment.key, Rejected::Conflict)));
            continue;
        }
        let others = payments().filter(|payment| payment.key != best.key);
        rejected.extend(others.map(|payment| (payment.key, Rejected::Duplicate)));
        if natives.has(same[0].0) {
            rejected.insert(best.key, Rejected::Native);
        }
    }
    rejected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Method, State};

    fn payment(key: Key, account_id: i64, minor: i64, currency: &str, state: State) -> Candidate {
        let currency = Currency::new(currency).unwrap();
        Candidate { key, account_id, minor, at: 0, currency, method: Method::Card, state }
    }

    /// What is rejected of payments with one reference, by key.
    fn judge(candidates: &[Candidate], natives: &Natives) -> Vec<(Key, Rejected)> {
        let references = (0..).zip(candidates).map(|(place, _)| (hashed("stripe", "pi_1"), place));
        let mut rejected: Vec<_> = rejected(candidates, references.collect(), natives).into_iter().collect();
        rejected.sort_unstable_by_key(|(key, _)| *key);
        rejected
    }

    #[test]
    fn the_best_status_stays_then_the_lowest_key() {
        use State::{Failed, Pending, Refunded, Succeeded};
        for (states, stays) in [
            (vec![Failed, Pending, Refunded, Succeeded], 3),
            (vec![Failed, Pending, Succeeded, Refunded], 3),
            (vec![Failed, Pending, Pending], 2),
            (vec![Failed, Failed], 1),
            (vec![Succeeded, Succeeded], 1),
            (vec![Succeeded], 1),
        ] {
            let payments: Vec<_> = (1..).zip(&states).map(|(key, state)| payment(key, 5, 100, "GBP", *state)).collect();
            let others = payments.iter().map(|payment| payment.key).filter(|key| *key != stays);
            let expect: Vec<_> = others.map(|key| (key, Rejected::Duplicate)).collect();
            assert_eq!(judge(&payments, &Natives::default()), expect, "{states:?}");
        }
    }

    #[test]
    fn one_that_differs_makes_a_conflict_of_all() {
        let first = payment(1, 5, 100, "GBP", State::Succeeded);
        let natives = Natives::new([("stripe".to_owned(), "pi_1".to_owned())]);
        for other in [
            payment(3, 6, 100, "GBP", State::Succeeded),
            payment(3, 5, 101, "GBP", State::Failed),
            payment(3, 5, 100, "EUR", State::Pending),
        ] {
            let expect = [1, 2, 3].map(|key| (key, Rejected::Conflict));
            assert_eq!(judge(&[first, Candidate { key: 2, ..first }, other], &natives), expect, "{other:?}");
        }
    }

    #[test]
    fn of_doubles_the_one_that_would_stay_is_native() {
        let first = payment(1, 5, 100, "GBP", State::Failed);
        let best = Candidate { key: 2, state: State::Succeeded, ..first };
        let native = |gateway: &str, reference: &str| Natives::new([(gateway.to_owned(), reference.to_owned())]);
        let expect = vec![(1, Rejected::Duplicate), (2, Rejected::Native)];
        assert_eq!(judge(&[first, best], &native("Stripe", "pi_1")), expect);
        for other in [native("stripe", "PI_1"), native("paypal", "pi_1"), native("stripep", "i_1")] {
            assert_eq!(judge(&[best], &other), []);
        }
    }
}
