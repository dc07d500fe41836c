//! What becomes of every bank transfer: which of them a transaction shows already.

use std::sync::Arc;

use jiff::civil::Date;
use replant_core::KeySet;
use replant_core::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::codes::TransferCode;
use crate::doubles::hashed;
use crate::legacy::Transfer;
use crate::natives::Natives;
use crate::transactions::{Banked, Transactions};
use crate::transfer::{Received, TransferRules};

/// A transfer may be a payment that was entered so many days before or after it.
const DAYS_APART: i32 = 3;

/// The gateway of the payments that transfers become.
pub const BANK: &str = "bank";

/// The reference of the payment that a transfer becomes.
pub fn transfer_ref(key: Key) -> String {
    format!("legacy-transfer-{key}")
}

/// What becomes of every bank transfer: exceptions alone.
pub struct Transfers {
    /// Transfers that a transaction shows, with that transaction.
    recorded: FxHashMap<Key, Key>,
    native: KeySet,
    /// Transfers that come in, are not sent back, and name invoices.
    pub(crate) settling: Vec<Paying>,
    /// What it was built from stays in memory with it: who asks for it asks for that too.
    _built_from: (Arc<TransferRules>, Arc<Transactions>),
}

/// A transfer that settles invoices.
#[derive(Debug, Clone)]
pub(crate) struct Paying {
    pub(crate) key: Key,
    pub(crate) money: Money,
    /// Microseconds since 1970.
    pub(crate) at: i64,
    /// Their ids on the platform, in the order named.
    pub(crate) invoices: Vec<invoices::MigratedInvoice>,
}

/// A transfer that its own row lets in.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) key: Key,
    /// The transaction that it names.
    pub(crate) transaction: Option<Key>,
    pub(crate) received: Received,
}

impl Lookup for Transfers {
    fn build(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        let rules = cx.lookup::<TransferRules>()?;
        let transactions = cx.lookup::<Transactions>()?;
        let natives = cx.lookup::<Natives>()?;
        let mut candidates = Vec::new();
        cx.scan(|row: Transfer| {
            if let Ok(received) = rules.transfer(&row) {
                let transaction = row.finance_transaction_id.reference("finance_transaction_id").ok().flatten();
                candidates.push(Candidate { key: row.id, transaction, received });
            }
        })?;
        let recorded = recorded(&candidates, |key| transactions.is_recorded(key), &transactions.banked);
        let comes_in = candidates.into_iter().filter(|transfer| !recorded.contains_key(&transfer.key));
        let (native, new): (Vec<_>, Vec<_>) =
            comes_in.partition(|transfer| natives.has(hashed(BANK, &transfer_ref(transfer.key))));
        let settling = new.into_iter().filter(|transfer| !transfer.received.reversed);
        let settling = settling.filter(|transfer| !transfer.received.invoices.is_empty()).map(|transfer| Paying {
            key: transfer.key,
            money: transfer.received.money,
            at: transfer.received.at().as_microsecond(),
            invoices: transfer.received.invoices,
        });
        Ok(Self {
            settling: settling.collect(),
            native: native.iter().map(|transfer| transfer.key).collect(),
            recorded,
            _built_from: (rules, transactions),
        })
    }
}

impl Transfers {
    /// What other rows say of a transfer that its own row lets in. `payments`: what became of the transactions.
    ///
    /// # Errors
    /// `already_recorded`, `already_native`; a transfer whose transaction the platform refused waits for that.
    pub fn transfer(&self, key: Key, payments: &Standings) -> Result<(), Refusal> {
        if let Some(transaction) = self.recorded.get(&key) {
            Refusal::of_parents([&payments.of(Some(*transaction))])?;
            return Err(Refusal::skip(TransferCode::AlreadyRecorded));
        }
        match self.native.contains(key) {
            true => Err(Refusal::skip(TransferCode::AlreadyNative)),
            false => Ok(()),
        }
    }
}

/// What a transfer and its payment have in common, but for their days.
type What = (i64, Currency, i64);

/// The transfers that transactions show already, with these. Those that name one are there, however many name it; then each payment from
/// bank to bank that none of them named stands for one transfer: the nearest day first, then the lowest keys.
fn recorded(candidates: &[Candidate], is_recorded: impl Fn(Key) -> bool, banked: &[Banked]) -> FxHashMap<Key, Key> {
    let named = |transfer: &Candidate| transfer.transaction.filter(|key| is_recorded(*key));
    let mut used: FxHashSet<Key> = candidates.iter().filter_map(named).collect();
    let mut recorded: FxHashMap<Key, Key> =
        candidates.iter().filter_map(|transfer| Some((transfer.key, named(transfer)?))).collect();
    let mut payments: FxHashMap<What, Vec<(Date, Key)>> = FxHashMap::default();
    for payment in banked.iter().filter(|payment| !used.contains(&payment.key)) {
        let what = (payment.account_id, payment.currency, payment.minor);
        payments.entry(what).or_default().push((payment.day, payment.key));
    }
    payments.values_mut().for_each(|paid| paid.sort_unstable());
    let mut pairs = Vec::new();
    for transfer in candidates.iter().filter(|transfer| !recorded.contains_key(&transfer.key)) {
        let Received { account_id, money, day, .. } = &transfer.received;
        let Some(payments) = payments.get(&(*account_id, money.currency, money.minor)) else { continue };
        let apart = |paid: Date| (paid - *day).get_days();
        let from = payments.partition_point(|(paid, _)| apart(*paid) < -DAYS_APART);
        let near = payments[from..].iter().take_while(|(paid, _)| apart(*paid) <= DAYS_APART);
        pairs.extend(near.map(|(paid, payment)| (apart(*paid).abs(), transfer.key, *payment)));
    }
    pairs.sort_unstable();
    for (_, transfer, payment) in pairs {
        if !recorded.contains_key(&transfer) && used.insert(payment) {
            recorded.insert(transfer, payment);
        }
    }
    recorded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pounds(minor: i64) -> Money {
        Money { currency: Currency::new("GBP").unwrap(), minor }
    }

    /// A transfer of June 2023, which may name a transaction.
    fn transfer(key: Key, minor: i64, day: i8, transaction: Option<Key>) -> Candidate {
        let day = Date::constant(2023, 6, day);
        let received = Received { account_id: 5, reversed: false, money: pounds(minor), day, invoices: Vec::new() };
        Candidate { key, transaction, received }
    }

    fn banked(key: Key, minor: i64, at: &str) -> Banked {
        let Money { currency, minor } = pounds(minor);
        Banked { key, account_id: 5, minor, currency, day: reference::london_day(at.parse().unwrap()) }
    }

    /// The transfers that are there; transactions up to 100 are recorded.
    fn judge(transfers: &[Candidate], payments: &[Banked]) -> Vec<Key> {
        let mut recorded: Vec<Key> = recorded(transfers, |key| key <= 100, payments).into_keys().collect();
        recorded.sort_unstable();
        recorded
    }

    #[test]
    fn days_are_those_of_london() {
        let transfers = |day| [transfer(10, 500, day, None)];
        for (at, day, is_there) in [
            ("2023-06-10T12:00:00Z", 13, true),
            ("2023-06-10T12:00:00Z", 14, false),
            ("2023-06-10T12:00:00Z", 7, true),
            ("2023-06-10T12:00:00Z", 6, false),
            ("2023-06-10T22:59:59Z", 14, false),
            ("2023-06-10T23:00:00Z", 14, true),
            ("2023-06-10T23:00:00Z", 7, false),
        ] {
            let expect: &[Key] = if is_there { &[10] } else { &[] };
            assert_eq!(judge(&transfers(day), &[banked(1, 500, at)]), expect, "{at} {day}");
        }
    }

    #[test]
    fn a_payment_stands_for_one_transfer_the_nearest() {
        let payments = [banked(1, 500, "2023-06-10T12:00:00Z"), banked(2, 500, "2023-06-13T12:00:00Z")];
        let transfers = [transfer(10, 500, 12, None), transfer(11, 500, 14, None), transfer(12, 500, 13, None)];
        // 12 is 2, of that day; then 10 is 1, two days apart; nothing is left for 11.
        assert_eq!(judge(&transfers, &payments), [10, 12]);
        assert_eq!(judge(&transfers[..2], &payments), [10]);
    }

    #[test]
    fn what_transfers_name_is_used_up_first() {
        let payments = [banked(1, 500, "2023-06-10T12:00:00Z")];
        let named = |key, transaction| transfer(key, 900, 1, Some(transaction));
        assert_eq!(judge(&[transfer(10, 500, 10, None), named(11, 1), named(12, 1)], &payments), [11, 12]);
        assert_eq!(judge(&[transfer(10, 500, 10, None), named(11, 101)], &payments), [10]);
        assert_eq!(judge(&[transfer(10, 500, 10, Some(101))], &payments), [10]);
    }

    #[test]
    fn account_amount_and_currency_are_the_same() {
        let payment = banked(1, 500, "2023-06-10T12:00:00Z");
        let transfers = [transfer(10, 500, 10, None)];
        let euros = Currency::new("EUR").unwrap();
        assert_eq!(judge(&transfers, &[payment]), [10]);
        for other in [
            Banked { account_id: 6, ..payment },
            Banked { minor: 501, ..payment },
            Banked { currency: euros, ..payment },
        ] {
            assert_eq!(judge(&transfers, &[other]), [] as [Key; 0], "{other:?}");
        }
    }
}
