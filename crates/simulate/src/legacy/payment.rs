//! What the finance transactions are of, before anyone typed them: payments, their second posts, refunds.

use super::invoice::Invoice;
use crate::calendar::{DAY, SNAPSHOT};
use crate::chance::{Chance, Dice, strata};
use crate::money::Money;
use crate::world::{World, some_price};

/// How a payment was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Card,
    Paypal,
    Credit,
    Bank,
    Cross,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Paid,
    Failed,
    Pending,
    Refunded,
}

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    /// The gateway's second post of another row; not quite the same where it is a conflict.
    Again {
        of: u64,
        conflict: bool,
    },
    /// A refund of another row.
    Refund {
        of: u64,
        flaw: Flaw,
    },
}

/// What is wrong with a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// It names no payment, or one that failed.
    Orphan,
    /// It is of more than the payment.
    Excess,
    /// It failed, or is pending.
    Open,
}

/// A payment, before anyone typed it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payment {
    pub(crate) user: u64,
    pub(crate) brand: Option<u64>,
    pub(crate) subscription: Option<u64>,
    pub(crate) invoice: Option<u64>,
    pub(crate) money: Money,
    pub(crate) at: i64,
    pub(crate) method: Method,
    pub(crate) outcome: Outcome,
}

impl World {
    /// What a row of transactions is.
    pub(crate) fn kind(&self, row: u64) -> Kind {
        let transactions = self.chance("finance_transaction");
        match self.raw_kind(transactions, row) {
            Raw::Plain => Kind::Plain,
            Raw::Again { conflict } => {
                let back = 5 + transactions.number("back", row) % 32;
                let has_ref = |of: &u64| {
                    self.raw_kind(transactions, *of) == Raw::Plain
                        && matches!(self.payment(*of).method, Method::Card | Method::Paypal)
                };
                let of = (back..back + 8).filter_map(|back| row.checked_sub(back)).find(has_ref);
                of.map_or(Kind::Plain, |of| Kind::Again { of, conflict })
            }
            Raw::Refund(flaw) => {
                self.refunded_by(transactions, row, flaw).map_or(Kind::Plain, |of| Kind::Refund { of, flaw })
            }
        }
    }

    /// The payment that a refund is of: the one that the block before has for it, so that no two are of one payment.
    fn refunded_by(&self, transactions: Chance, row: u64, flaw: Flaw) -> Option<u64> {
        let plain = |of: &u64| self.raw_kind(transactions, *of) == Raw::Plain;
        // One orphan in three names a payment that failed.
        let outcome = match flaw {
            Flaw::None => return self.refundable(transactions, row.checked_sub(self.refund_block())?).filter(plain),
            Flaw::Orphan if row.is_multiple_of(3) => Outcome::Failed,
            Flaw::Orphan | Flaw::Excess | Flaw::Open => Outcome::Paid,
        };
        let before = (1..100).map_while(|back| row.checked_sub(back)).filter(plain);
        before.take(60).find(|of| self.payment(*of).outcome == outcome)
    }

    fn refund_block(&self) -> u64 {
        strata(self.rates.transaction.refund)
    }

    /// The row of a row's block that a refund of the next block is of.
    fn refundable(&self, transactions: Chance, row: u64) -> Option<u64> {
        let block = self.refund_block();
        let place = transactions.number("refundable", row / block) % block;
        Some(row / block * block + place)
    }

    fn raw_kind(&self, transactions: Chance, row: u64) -> Raw {
        let rates = &self.rates.transaction;
        let flaws = [
            (Flaw::Orphan, "orphan", rates.refund_orphan),
            (Flaw::Excess, "excess", rates.refund_excess),
            (Flaw::Open, "open", rates.refund_open),
            (Flaw::None, "refund", rates.refund),
        ];
        if let Some((flaw, ..)) = flaws.iter().find(|(_, label, share)| transactions.hits(label, row, *share)) {
            return Raw::Refund(*flaw);
        }
        let again = transactions.hits("again", row, rates.posted_again);
        let conflict = !again && transactions.hits("conflict", row, rates.reference_conflict);
        if again || conflict { Raw::Again { conflict } } else { Raw::Plain }
    }

    /// The payment that a plain row is.
    pub(crate) fn payment(&self, row: u64) -> Payment {
        let (transactions, rates) = (self.chance("finance_transaction"), &self.rates.transaction);
        let mut dice = transactions.dice("payment", row);
        let dice = &mut dice;
        let outcome = if self.refundable(transactions, row) == Some(row) {
            if dice.permille(600) { Outcome::Refunded } else { Outcome::Paid }
        } else if transactions.hits("refunded", row, rates.refunded) {
            Outcome::Refunded
        } else if transactions.hits("failed", row, rates.failed) {
            Outcome::Failed
        } else if transactions.hits("pending", row, rates.pending) {
            Outcome::Pending
        } else {
            Outcome::Paid
        };
        let method = dice.weighed(&[
            (Method::Card, 163),
            (Method::Paypal, 32),
            (Method::Credit, 12),
            (Method::Bank, 14),
            (Method::Cross, 4),
        ]);
        let payment =
            Payment { user: 0, brand: None, subscription: None, invoice: None, money: ZERO, at: 0, method, outcome };
        if transactions.hits("subscription", row, rates.of_subscription) {
            return self.subscription_payment(dice, payment);
        }
        if transactions.hits("invoice", row, rates.of_invoice) {
            return self.invoice_payment(dice, payment);
        }
        if transactions.hits("brand", row, rates.of_brand) {
            let brand = self.some_brand(dice);
            let user = self.owner(brand);
            let money = some_price(dice, self.currency_of(user));
            return Payment { user, brand: Some(brand), money, at: self.moment(user, dice), ..payment };
        }
        let user = self.some_user(dice);
        let money = some_price(dice, self.currency_of(user));
        Payment { user, money, at: self.moment(user, dice), ..payment }
    }

    fn subscription_payment(&self, dice: &mut Dice, payment: Payment) -> Payment {
        let number = dice.below(self.sizes.subscriptions);
        let subscription = self.subscription(number);
        let until = subscription.cancelled.unwrap_or(SNAPSHOT - 60);
        let at = until - dice.fade(until - subscription.started);
        let method = if matches!(payment.method, Method::Paypal) { Method::Paypal } else { Method::Card };
        let (user, money) = (subscription.user, subscription.money);
        Payment { user, subscription: Some(number), money, at, method, ..payment }
    }

    fn invoice_payment(&self, dice: &mut Dice, payment: Payment) -> Payment {
        let number = dice.below(self.sizes.invoices);
        let Invoice { user, total, issued, .. } = self.invoice(number);
        let minor = if dice.permille(650) { total.minor } else { (total.minor / 20).max(1) * 10 };
        let at = (issued + dice.between(DAY, 40 * DAY)).min(SNAPSHOT - 60);
        let method = dice.of(&[Method::Card, Method::Bank]);
        Payment { user, invoice: Some(number), money: Money { minor, ..total }, at, method, ..payment }
    }

    /// The gateway and reference of a plain row; none where it has no such reference.
    pub(crate) fn gateway_ref(&self, row: u64, payment: &Payment) -> Option<(&'static str, String)> {
        let transactions = self.chance("finance_transaction");
        if transactions.hits("no reference", row, 0.011) {
            return None;
        }
        match payment.method {
            Method::Card => {
                Some(("stripe", format!("pi_{}", base62(row * 7_919 + self.ids.transaction.of(row) % 7_919))))
            }
            Method::Paypal => {
                Some(("paypal", format!("PAY-{:012X}", row * 20_143 + transactions.number("paypal", row) % 20_143)))
            }
            Method::Credit | Method::Bank | Method::Cross => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Raw {
    Plain,
    Again { conflict: bool },
    Refund(Flaw),
}

const ZERO: Money = Money { minor: 0, currency: 0 };

/// Fourteen digits of a number in base 62.
fn base62(mut number: u64) -> String {
    const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut text = [b'0'; 14];
    for digit in text.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(number % 62).unwrap_or(0)];
        number /= 62;
    }
    text.iter().map(|digit| char::from(*digit)).collect()
}
