//! Which invoices are settled by what (rules: Payments, `invoice_no`; Bank transfers, the invoices named).

use std::sync::Arc;

use invoices::{MigratedInvoice, Numbers};
use replant_core::prelude::*;
use rustc_hash::FxHashMap;

use crate::transactions::{Settling, Transactions};
use crate::transfers::{Paying, Transfers};

/// A part of an invoice that is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The invoice's id on the platform.
    pub invoice_id: i64,
    /// In minor units of the invoice's currency, which is that of the money; positive.
    pub amount_minor: i64,
}

/// What each payment and each transfer settles: payments that end as succeeded and transfers that stay, in order of time.
#[derive(Default)]
pub struct Allocations {
    by_payment: FxHashMap<Key, Share>,
    by_transfer: FxHashMap<Key, Vec<Share>>,
    /// What it was built from stays in memory with it: who asks for it asks for that too.
    _built_from: Option<Arc<Transfers>>,
}

impl Lookup for Allocations {
    fn build(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        let numbers = cx.lookup::<Numbers>()?;
        let transactions = cx.lookup::<Transactions>()?;
        let transfers = cx.lookup::<Transfers>()?;
        let allocations = Self::of(&transactions.settling, &transfers.settling, &numbers);
        Ok(Self { _built_from: Some(transfers), ..allocations })
    }
}

/// Of equal times payments come before transfers.
#[derive(Clone, Copy)]
enum Incoming<'a> {
    Payment(&'a Settling),
    Transfer(&'a Paying),
}

impl Allocations {
    fn of(payments: &[Settling], transfers: &[Paying], numbers: &Numbers) -> Self {
        let mut incoming: Vec<_> =
            payments.iter().map(|payment| ((payment.at, 0, payment.key), Incoming::Payment(payment))).collect();
        incoming
            .extend(transfers.iter().map(|transfer| ((transfer.at, 1, transfer.key), Incoming::Transfer(transfer))));
        incoming.sort_unstable_by_key(|(order, _)| *order);
        let mut left = Left::default();
        let mut allocations = Self::default();
        for (_, money) in incoming {
            match money {
                Incoming::Payment(payment) => {
                    let invoice = numbers.of(&payment.invoice);
                    let share = invoice.and_then(|invoice| left.settle(invoice, payment.money));
                    allocations.by_payment.extend(share.map(|share| (payment.key, share)));
                }
                Incoming::Transfer(transfer) => {
                    let shares = left.settle_all(&transfer.invoices, transfer.money);
                    if !shares.is_empty() {
                        allocations.by_transfer.insert(transfer.key, shares);
                    }
                }
            }
        }
        allocations
    }

    /// What a payment settles.
    pub fn of_payment(&self, key: Key) -> Option<Share> {
        self.by_payment.get(&key).copied()
    }

    /// What a transfer settles, in the order in which it names the invoices.
    pub fn of_transfer(&self, key: Key) -> &[Share] {
        self.by_transfer.get(&key).map_or(&[], Vec::as_slice)
    }
}

/// What is left of invoices, by their ids, in minor units.
#[derive(Default)]
struct Left(FxHashMap<i64, i64>);

impl Left {
    fn settle(&mut self, invoice: &MigratedInvoice, money: Money) -> Option<Share> {
        if invoice.total.currency != money.currency {
            return None;
        }
        let left = self.0.entry(invoice.id).or_insert(invoice.total.minor);
        let amount_minor = money.minor.min(*left);
        *left -= amount_minor;
        (amount_minor > 0).then_some(Share { invoice_id: invoice.id, amount_minor })
    }

    fn settle_all(&mut self, invoices: &[MigratedInvoice], mut money: Money) -> Vec<Share> {
        let settled = invoices.iter().filter_map(|invoice| {
            let share = self.settle(invoice, money)?;
            money.minor -= share.amount_minor;
            Some(share)
        });
        settled.collect()
    }
}

#[cfg(test)]
mod tests {
    use invoices::InvoiceNumber;

    use super::*;

    fn money(currency: &str, minor: i64) -> Money {
        Money { currency: Currency::new(currency).unwrap(), minor }
    }

    /// `MT-1` to `MT-3`, of 100 pence each, have the ids 11 to 13.
    fn invoice(number: i64) -> (InvoiceNumber, MigratedInvoice) {
        let name = InvoiceNumber::of(&format!("MT-{number}")).unwrap();
        (name, MigratedInvoice { key: number, id: 10 + number, account_id: 5, total: money("GBP", 100) })
    }

    fn payment(key: Key, number: i64, money: Money, at: i64) -> Settling {
        Settling { key, money, at, invoice: invoice(number).0 }
    }

    fn transfer(key: Key, numbers: &[i64], minor: i64, at: i64) -> Paying {
        let invoices = numbers.iter().map(|number| invoice(*number).1).collect();
        Paying { key, money: money("GBP", minor), at, invoices }
    }

    /// Who settles what: `payment 1: 11 50`.
    fn settled(payments: &[Settling], transfers: &[Paying]) -> Vec<String> {
        let allocations = Allocations::of(payments, transfers, &(1..=3).map(invoice).collect());
        let of_payments = payments.iter().flat_map(|payment| {
            let shares = allocations.of_payment(payment.key).into_iter();
            shares.map(|share| format!("payment {}: {} {}", payment.key, share.invoice_id, share.amount_minor))
        });
        let of_transfers = transfers.iter().flat_map(|transfer| {
            let shares = allocations.of_transfer(transfer.key).iter();
            shares.map(|share| format!("transfer {}: {} {}", transfer.key, share.invoice_id, share.amount_minor))
        });
        of_payments.chain(of_transfers).collect()
    }

    #[test]
    fn the_earlier_money_settles_first() {
        let payments = [
            payment(1, 1, money("GBP", 60), 30),
            payment(2, 1, money("GBP", 60), 20),
            payment(3, 1, money("GBP", 60), 40),
        ];
        assert_eq!(settled(&payments, &[]), ["payment 1: 11 40", "payment 2: 11 60"]);
    }

    #[test]
    fn of_equal_times_payments_come_first_then_the_lowest_key() {
        let payments = [payment(8, 1, money("GBP", 40), 20), payment(7, 1, money("GBP", 40), 20)];
        let transfers = [transfer(1, &[1], 40, 20), transfer(0, &[1], 10, 20)];
        let expect = ["payment 8: 11 40", "payment 7: 11 40", "transfer 1: 11 10", "transfer 0: 11 10"];
        assert_eq!(settled(&payments, &transfers), expect);
        assert_eq!(settled(&payments, &[transfer(1, &[1], 90, 19)]), ["payment 7: 11 10", "transfer 1: 11 90"]);
    }

    #[test]
    fn a_transfer_settles_in_the_order_named_as_far_as_it_goes() {
        assert_eq!(
            settled(&[payment(9, 3, money("GBP", 30), 10)], &[transfer(1, &[3, 1, 2], 190, 20)]),
            ["payment 9: 13 30", "transfer 1: 13 70", "transfer 1: 11 100", "transfer 1: 12 20"]
        );
        assert_eq!(settled(&[], &[transfer(1, &[1, 2], 100, 20)]), ["transfer 1: 11 100"]);
    }

    #[test]
    fn other_currencies_and_numbers_settle_nothing() {
        let payments = [payment(1, 1, money("EUR", 60), 10), payment(2, 4, money("GBP", 60), 10)];
        assert_eq!(settled(&payments, &[]), [] as [&str; 0]);
    }
}
