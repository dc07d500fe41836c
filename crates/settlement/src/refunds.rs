//! Refunds, in order of time, against what is left of their payments (rules: Payments, refunds).

use replant_core::prelude::*;
use rustc_hash::FxHashMap;

use crate::codes::TransactionCode;
use crate::transactions::Candidate;

/// A refund that its own row lets in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) key: Key,
    /// The row that it names; none where that is NULL.
    pub(crate) payment: Option<Key>,
    pub(crate) money: Money,
    /// Microseconds since 1970.
    pub(crate) at: i64,
}

/// Why a refund that its own row and its parent let in does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It names no payment that brought money in its currency.
    Orphan,
    /// Less is left.
    Exceeds,
}

impl Fault {
    pub(crate) fn refusal(self) -> Refusal {
        let (code, reason) = match self {
            Self::Orphan => (
                TransactionCode::RefundOrphan,
                "its parent is not a payment, has another currency, failed, or is pending",
            ),
            Self::Exceeds => (TransactionCode::RefundExceedsPayment, "it gives back more than is left of its payment"),
        };
        Refusal::quarantine(code, reason)
    }
}

/// What becomes of refunds.
#[derive(Debug, Default)]
pub(crate) struct Refunded {
    /// Refunds that come in, with their payments.
    pub(crate) followers: Followers,
    /// Refunds that do not.
    pub(crate) faults: FxHashMap<Key, Fault>,
}

/// Judges refunds whose payments were not refused. `payment`: that of a key, where there is one.
pub(crate) fn judge<'a>(mut claims: Vec<Claim>, payment: impl Fn(Key) -> Option<&'a Candidate>) -> Refunded {
    claims.sort_unstable_by_key(|claim| (claim.at, claim.key));
    let mut left: FxHashMap<Key, i64> = FxHashMap::default();
    let (mut refunded, mut followers) = (Refunded::default(), Vec::new());
    for claim in claims {
        let payment = claim.payment.and_then(&payment);
        let payment = payment.filter(|payment| payment.state.came_in() && payment.currency == claim.money.currency);
        let Some(payment) = payment else {
            refunded.faults.insert(claim.key, Fault::Orphan);
            continue;
        };
        let left = left.entry(payment.key).or_insert(payment.minor);
        if claim.money.minor > *left {
            refunded.faults.insert(claim.key, Fault::Exceeds);
        } else {
            *left -= claim.money.minor;
            followers.push((payment.key, claim.key));
        }
    }
    refunded.followers = followers.into_iter().collect();
    refunded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Method, State};

    fn pounds(minor: i64) -> Money {
        Money { currency: Currency::new("GBP").unwrap(), minor }
    }

    fn payment(key: Key, minor: i64, state: State) -> Candidate {
        Candidate {
            key,
            account_id: 1,
            minor,
            at: 0,
            currency: Currency::new("GBP").unwrap(),
            method: Method::Card,
            state,
        }
    }

    /// Refunds of payment 1, which is of 100, as (key, minor units, time): those that come in and those that do not.
    #[track_caller]
    fn check(refunds: &[(Key, i64, i64)], comes_in: &[Key], exceeds: &[Key]) {
        let payment = payment(1, 100, State::Succeeded);
        let claims = refunds.iter().map(|(key, minor, at)| Claim {
            key: *key,
            payment: Some(1),
            money: pounds(*minor),
            at: *at,
        });
        let refunded = judge(claims.collect(), |key| (key == 1).then_some(&payment));
        assert_eq!(refunded.followers.of(1), comes_in, "{refunds:?}");
        let mut faults: Vec<_> = refunded.faults.into_iter().collect();
        faults.sort_unstable_by_key(|(key, _)| *key);
        let exceeds: Vec<_> = exceeds.iter().map(|key| (*key, Fault::Exceeds)).collect();
        assert_eq!(faults, exceeds, "{refunds:?}");
    }

    #[test]
    fn the_earlier_refund_takes_first() {
        check(&[(5, 60, 2), (6, 60, 1)], &[6], &[5]);
        check(&[(6, 60, 1), (5, 60, 1)], &[5], &[6]);
    }

    #[test]
    fn what_is_left_can_be_taken_after_a_refund_that_was_too_much() {
        check(&[(5, 101, 1), (6, 40, 2), (7, 61, 3), (8, 60, 4), (9, 1, 5)], &[6, 8], &[5, 7, 9]);
    }

    #[test]
    fn a_refund_needs_money_that_came_in_its_currency() {
        let euros = Money { currency: Currency::new("EUR").unwrap(), minor: 5 };
        for (payment, money, state, comes_in) in [
            (Some(1), pounds(5), State::Succeeded, true),
            (Some(1), pounds(5), State::Refunded, true),
            (Some(1), pounds(5), State::Failed, false),
            (Some(1), pounds(5), State::Pending, false),
            (Some(1), euros, State::Succeeded, false),
            (Some(2), pounds(5), State::Succeeded, false),
            (None, pounds(5), State::Succeeded, false),
        ] {
            let of = self::payment(1, 100, state);
            let refunded = judge(vec![Claim { key: 7, payment, money, at: 0 }], |key| (key == 1).then_some(&of));
            let expect = if comes_in { None } else { Some(&Fault::Orphan) };
            assert_eq!(refunded.faults.get(&7), expect, "{payment:?} {money:?} {state:?}");
            assert_eq!(refunded.followers.leader_of(7), comes_in.then_some(1));
        }
    }
}
