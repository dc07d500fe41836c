//! `finance_transaction`.

use super::invoice::Invoice;
use crate::calendar::{DAY, SNAPSHOT, odd, utc};
use crate::chance::{Chance, Dice};
use crate::money::{Limits, Money};
use crate::row::Row;
use crate::words::CURRENCIES;
use crate::world::{World, in_currency, some_price};

pub(super) const COLUMNS: &[&str] = &[
    "id",
    "user_id",
    "brand_id",
    "type",
    "amount",
    "currency",
    "status",
    "gateway",
    "gateway_ref",
    "parent_id",
    "subscription_id",
    "invoice_no",
    "tx_when",
    "created_when",
    "meta",
];

const CARD: &[(&str, u64)] = &[("card", 9773), ("CC", 2822), ("stripe", 2785), ("Card", 959)];
const PAYPAL: &[(&str, u64)] = &[("paypal", 2628), ("PP", 524)];
const CREDIT: &[(&str, u64)] = &[("credit", 772), ("credits", 407)];
const BANK: &[(&str, u64)] = &[("bank transfer", 398), ("bt", 375), ("bank", 340), ("BACS", 275)];
const CROSS: &[(&str, u64)] = &[("xc", 215), ("cross charge", 157)];
const REFUND: &[(&str, u64)] = &[("refund", 319), ("rf", 175), ("Refund", 144)];
const NO_METHODS: &[&str] = &["crypto", "", "gift card", "cheque", "\\N"];
const PAID: &[&str] = &["paid", "succeeded", "complete", "completed", "PAID ", "Paid", "success"];
const FAILED: &[&str] = &["error", "failed", "declined"];
const NO_STATUSES: &[&str] = &["???", "chargeback", "", "\\N", "unknown", "n/a"];

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
    },
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
            Raw::Refund => self.refunded_by(transactions, row).map_or(Kind::Plain, |of| Kind::Refund { of }),
        }
    }

    /// The payment that a refund is of: rather one that says that it was refunded.
    fn refunded_by(&self, transactions: Chance, row: u64) -> Option<u64> {
        let orphan = transactions.hits("orphan", row, self.rates.transaction.refund_orphan);
        let mut paid = None;
        for back in 1..60 {
            let of = row.checked_sub(back)?;
            if self.raw_kind(transactions, of) != Raw::Plain {
                continue;
            }
            match self.payment(of).outcome {
                Outcome::Failed if orphan => return Some(of),
                Outcome::Refunded if !orphan => return Some(of),
                Outcome::Paid if back > 5 => paid = paid.or(Some(of)),
                _ => {}
            }
            if back > 30 && !orphan && paid.is_some() {
                break;
            }
        }
        paid
    }

    fn raw_kind(&self, transactions: Chance, row: u64) -> Raw {
        let rates = &self.rates.transaction;
        if transactions.hits("refund", row, rates.refund) {
            return Raw::Refund;
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
        let outcome = if transactions.hits("refunded", row, rates.refunded) {
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
    Refund,
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

pub(super) fn row(world: &World, row: u64, out: &mut Row) -> bool {
    let (transactions, rates) = (world.chance("finance_transaction"), &world.rates.transaction);
    let mut dice = transactions.dice("row", row);
    let kind = world.kind(row);
    let (source, refund) = match kind {
        Kind::Plain => (row, false),
        Kind::Again { of, .. } => (of, false),
        Kind::Refund { of } => (of, true),
    };
    let mut payment = world.payment(source);
    match kind {
        Kind::Plain => {}
        Kind::Again { conflict, .. } => {
            payment.at = (payment.at + dice.between(2, 90)).min(SNAPSHOT - 1);
            if conflict {
                payment.money = in_currency(payment.money.minor / 2 + 130, payment.money.currency);
            }
        }
        Kind::Refund { .. } => refund_of(world, transactions, row, &mut dice, &mut payment),
    }

    out.show(world.ids.transaction.of(row));
    let payer = transactions.within("payer");
    let in_meta = payer_cells(world, payer, source, &payment, out);
    type_cell(&payment, refund, transactions.hits("method", row, rates.method_unknown), &mut dice, out);
    // The same posting again is typed by the same hand.
    let (money, typed) = (transactions.within("amount"), if refund { row } else { source });
    let limits = Limits { not_positive: !refund, signed: false };
    if refund && dice.permille(300) {
        out.show(format_args!("-{}", payment.money.plain()));
    } else {
        world.amount(out, money, typed, payment.money, &limits);
    }
    world.currency(out, money, typed, payment.money.currency);
    let unknown = transactions.hits("status", row, rates.status_unknown);
    let status = match payment.outcome {
        _ if unknown => dice.of(NO_STATUSES),
        Outcome::Paid => dice.of(PAID),
        Outcome::Failed => dice.of(FAILED),
        Outcome::Pending => dice.of(&["pending", "processing"]),
        Outcome::Refunded => dice.of(&["refunded", "Refunded"]),
    };
    out.word(status);
    gateway_cells(world, source, &payment, refund, &mut dice, out);
    if refund {
        let missing = transactions.hits("parent", row, rates.refund_orphan / 2.0);
        match missing {
            true if dice.one_in(2) => out.null(),
            true => out.show(world.ids.transaction.missing(dice.below(5))),
            false => out.show(world.ids.transaction.of(source)),
        }
        (0..2).for_each(|_| out.null());
    } else {
        out.null();
        link_cells(world, transactions, source, &payment, &mut dice, out);
    }
    time_cells(world, transactions, row, payment.at, &mut dice, out);
    meta(world, transactions, row, in_meta, &payment, &mut dice, out);
    true
}

fn refund_of(world: &World, transactions: Chance, row: u64, dice: &mut Dice, payment: &mut Payment) {
    let rates = &world.rates.transaction;
    payment.at = (payment.at + dice.between(DAY, 25 * DAY)).min(SNAPSHOT - 60);
    let paid = payment.money;
    payment.money.minor = match dice.below(10) {
        _ if transactions.hits("excess", row, rates.refund_excess) => paid.minor * 2 + 10,
        0..5 => paid.minor,
        _ => (dice.between(1, (paid.minor / 10).max(1)) * 10).min(paid.minor),
    };
    payment.outcome = match transactions.hits("open", row, rates.refund_open) {
        true => dice.of(&[Outcome::Failed, Outcome::Pending]),
        false if dice.permille(30) => Outcome::Refunded,
        false => Outcome::Paid,
    };
    if transactions.hits("other currency", row, rates.refund_orphan / 2.0) {
        payment.money.currency = (payment.money.currency + 1) % (CURRENCIES.len() - 2);
    }
}

/// The user and the brand. Returns whether nothing but the JSON tells who paid.
fn payer_cells(world: &World, payer: Chance, source: u64, payment: &Payment, out: &mut Row) -> bool {
    let rates = &world.rates.transaction;
    let brand = payment.brand.map(|brand| world.ids.brand.of(brand));
    let hidden = payer.hits("meta", source, rates.user_in_meta);
    if hidden || payer.hits("nobody", source, rates.account_missing) {
        out.null();
        out.null();
        return hidden;
    }
    match brand {
        Some(_) if payer.hits("brand alone", source, 0.3) => out.null(),
        _ => out.show(world.user_id(payer, source, payment.user)),
    }
    out.maybe(brand);
    false
}

fn type_cell(payment: &Payment, refund: bool, unknown: bool, dice: &mut Dice, out: &mut Row) {
    if unknown {
        return out.word(dice.of(NO_METHODS));
    }
    let words = match payment.method {
        _ if refund => REFUND,
        Method::Card => CARD,
        Method::Paypal => PAYPAL,
        Method::Credit => CREDIT,
        Method::Bank => BANK,
        Method::Cross => CROSS,
    };
    out.word(dice.weighed(words));
}

fn gateway_cells(world: &World, source: u64, payment: &Payment, refund: bool, dice: &mut Dice, out: &mut Row) {
    let reference = if refund { None } else { world.gateway_ref(source, payment) };
    match (payment.method, &reference) {
        _ if refund => out.null(),
        (Method::Card, _) => out.text(dice.of(&["stripe", "stripe", "stripe", "stripe", "Stripe"])),
        (Method::Paypal, _) => out.text(dice.of(&["paypal", "paypal", "paypal", "PayPal"])),
        (Method::Bank, _) if dice.one_in(2) => out.text("bank"),
        _ => out.null(),
    }
    match reference {
        Some((_, reference)) => out.text(&reference),
        None => out.word(dice.of(&["\\N", "\\N", "\\N", ""])),
    }
}

fn link_cells(world: &World, transactions: Chance, source: u64, payment: &Payment, dice: &mut Dice, out: &mut Row) {
    match payment.subscription {
        Some(_) if transactions.hits("no subscription", source, world.rates.transaction.subscription_missing * 8.0) => {
            out.show(world.ids.subscription.missing(dice.below(world.sizes.subscriptions / 62 + 1)));
        }
        subscription => out.maybe(subscription.map(|number| world.ids.subscription.of(number))),
    }
    match payment.invoice {
        Some(invoice) => world.invoice_number(out, dice, invoice),
        None => out.null(),
    }
}

fn time_cells(world: &World, transactions: Chance, row: u64, at: i64, dice: &mut Dice, out: &mut Row) {
    if transactions.hits("no time", row, world.rates.transaction.time_absent) {
        out.word(dice.of(&["\\N", "0000-00-00 00:00:00"]));
        return out.word(dice.of(&["\\N", "0000-00-00 00:00:00"]));
    }
    match odd(transactions.within("tx_when"), row, &world.rates.time) {
        Some(word) => out.word(word),
        None => out.show(utc(at)),
    }
    world.wall(out, transactions.within("created_when"), row, (at + dice.between(2, 120)).min(SNAPSHOT));
}

fn meta(
    world: &World,
    transactions: Chance,
    row: u64,
    in_meta: bool,
    payment: &Payment,
    dice: &mut Dice,
    out: &mut Row,
) {
    let (a, b) = (dice.below(200), dice.below(200));
    let broken = transactions.hits("broken", row, world.rates.transaction.meta_broken);
    if in_meta || (!broken && dice.permille(77)) {
        // Someone without an account at times, where the address is only told by the way.
        let user = if in_meta || dice.permille(900) { payment.user } else { world.some_user(dice) };
        let address = world.given_address(transactions.within("meta"), row, user);
        return out
            .show(format_args!("{{\"ip\": \"10.0.{a}.{b}\", \"email\": \"{address}\", \"ua\": \"Mozilla/5.0\"}}"));
    }
    if broken {
        return match dice.below(6) {
            0 => out.text(dice.of(&["{}", "[]", "\"\\u00e9", "null", ""])),
            1 => out.show(format_args!("{{\"ip\": \"10.0.{a}.{b}\",")),
            _ => out.show(format_args!("{{\"ip\": \"10.1.2.{b}\", \"campa")),
        };
    }
    match transactions.hits("no meta", row, world.rates.transaction.meta_absent * 1.15) {
        true => out.null(),
        false => out.show(format_args!("{{\"ip\": \"10.1.{a}.7\", \"campaign\": \"spring\"}}")),
    }
}
