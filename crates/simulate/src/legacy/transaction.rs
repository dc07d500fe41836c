//! `finance_transaction`.

use super::payment::{Flaw, Kind, Method, Outcome, Payment};
use crate::calendar::{DAY, SNAPSHOT, odd, utc};
use crate::chance::{Chance, Dice};
use crate::money::{BY_PROGRAM, Limits};
use crate::row::Row;
use crate::world::{World, in_currency};

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

pub(super) fn row(world: &World, row: u64, out: &mut Row) -> bool {
    let (transactions, rates) = (world.chance("finance_transaction"), &world.rates.transaction);
    let mut dice = transactions.dice("row", row);
    let kind = world.kind(row);
    let (source, refund) = match kind {
        Kind::Plain => (row, false),
        Kind::Again { of, .. } => (of, false),
        Kind::Refund { of, .. } => (of, true),
    };
    let mut payment = world.payment(source);
    let flaw = if let Kind::Refund { flaw, .. } = kind { flaw } else { Flaw::None };
    match kind {
        Kind::Plain => {}
        Kind::Again { conflict, .. } => {
            payment.at = (payment.at + dice.between(2, 90)).min(SNAPSHOT - 1);
            if conflict {
                payment.money = in_currency(payment.money.minor / 2 + 130, payment.money.currency);
            }
        }
        Kind::Refund { .. } => refund_of(flaw, &mut dice, &mut payment),
    }

    out.show(world.ids.transaction.of(row));
    let payer = transactions.within("payer");
    let in_meta = payer_cells(world, payer, source, &payment, out);
    type_cell(&payment, refund, transactions.hits("method", row, rates.method_unknown), &mut dice, out);
    // The same posting again is typed by the same hand.
    let (money, typed) = (transactions.within("amount"), if refund { row } else { source });
    let limits = Limits { not_positive: !refund, ..BY_PROGRAM };
    if refund && dice.permille(300) {
        out.show(format_args!("-{}", payment.money.plain()));
    } else {
        world.amount(out, money, typed, payment.money, &limits);
    }
    world.currency(out, money, typed, payment.money.currency, &limits);
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
        match (flaw, row % 3) {
            (Flaw::Orphan, 1) => out.null(),
            (Flaw::Orphan, 2) => out.show(world.ids.transaction.missing(dice.below(5))),
            _ => out.show(world.ids.transaction.of(source)),
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

fn refund_of(flaw: Flaw, dice: &mut Dice, payment: &mut Payment) {
    payment.at = (payment.at + dice.between(DAY, 25 * DAY)).min(SNAPSHOT - 60);
    let paid = payment.money.minor;
    payment.money.minor = match dice.below(10) {
        _ if flaw == Flaw::Excess => paid * 2 + 10,
        0..5 => paid,
        _ => (dice.between(1, (paid / 10).max(1)) * 10).min(paid),
    };
    payment.outcome = match flaw {
        Flaw::Open => dice.of(&[Outcome::Failed, Outcome::Pending]),
        _ if dice.permille(30) => Outcome::Refunded,
        _ => Outcome::Paid,
    };
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
        Some(_) if transactions.hits("no subscription", source, world.rates.transaction.subscription_missing) => {
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
        Some(odd) => odd.write(out),
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
    match transactions.hits("no meta", row, world.rates.transaction.meta_absent) {
        true => out.null(),
        false => out.show(format_args!("{{\"ip\": \"10.1.{a}.7\", \"campaign\": \"spring\"}}")),
    }
}
