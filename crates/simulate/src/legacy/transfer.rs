//! `bank_transfer`.

use super::transaction::{Method, Outcome};
use super::{Kind, Payment};
use crate::calendar::{DAY, SNAPSHOT, typed_date};
use crate::chance::Dice;
use crate::money::{Limits, Money};
use crate::row::Row;
use crate::world::{World, some_price};

pub(super) const COLUMNS: &[&str] = &[
    "id",
    "user_id",
    "payer_name",
    "payer_email",
    "reference",
    "amount",
    "currency",
    "received",
    "finance_transaction_id",
    "status",
    "notes",
];

const REFERENCES: &[&str] = &["MT", "", "\\N", "trees", "donation - thank you", "INV 2291"];
const RECEIVED: &[&str] = &["OK ", "ok", "cleared", "Cleared", "received"];
const NO_TIMES: &[&str] = &["tbc", "\\N", "0000-00-00", "March 2023"];

/// A transfer, before anyone typed it.
struct Transfer {
    user: u64,
    money: Money,
    at: i64,
    /// The transaction that is the same payment.
    recorded: Option<u64>,
    /// The first of the invoices that it names, and how many.
    invoices: Option<(u64, u64)>,
}

fn transfer(world: &World, row: u64, dice: &mut Dice) -> Transfer {
    let (transfers, rates) = (world.chance("bank_transfer"), &world.rates.transfer);
    if transfers.hits("recorded", row, rates.recorded * 1.2)
        && let Some((transaction, payment)) = recorded(world, row)
    {
        let at = (payment.at + dice.between(-2, 2) * DAY).min(SNAPSHOT);
        let invoices = payment.invoice.map(|invoice| (invoice, 1));
        return Transfer { user: payment.user, money: payment.money, at, recorded: Some(transaction), invoices };
    }
    if transfers.hits("invoice", row, rates.of_invoice * 1.7) {
        let number = dice.below(world.sizes.invoices);
        let invoice = world.invoice(number);
        let count = if dice.permille(300) { 3 } else { 1 };
        let minor = match (count, dice.below(10)) {
            (1, 0..7) => invoice.total.minor,
            (1, _) => (invoice.total.minor / 20).max(1) * 10,
            _ => invoice.total.minor * 2 / 10 * 10,
        };
        let at = (invoice.issued + dice.between(5, 45) * DAY).min(SNAPSHOT - DAY);
        let (user, money) = (invoice.user, Money { minor, ..invoice.total });
        return Transfer { user, money, at, recorded: None, invoices: Some((number, count)) };
    }
    let user = world.some_user(dice);
    let money = some_price(dice, world.currency_of(user));
    Transfer { user, money, at: world.moment(user, dice) - DAY, recorded: None, invoices: None }
}

/// A bank payment among the transactions that no other transfer stands for: each one looks among its own.
fn recorded(world: &World, row: u64) -> Option<(u64, Payment)> {
    let every = world.sizes.transactions / world.sizes.transfers;
    (row * every..(row + 1) * every).find_map(|transaction| {
        let payment = world.payment(transaction);
        let fits = payment.method == Method::Bank && payment.outcome == Outcome::Paid;
        (fits && world.kind(transaction) == Kind::Plain).then_some((transaction, payment))
    })
}

pub(super) fn row(world: &World, row: u64, out: &mut Row) -> bool {
    let (transfers, rates) = (world.chance("bank_transfer"), &world.rates.transfer);
    let mut dice = transfers.dice("row", row);
    let transfer = transfer(world, row, &mut dice);
    let person = world.person(transfer.user);
    let unknown = transfers.hits("unknown", row, rates.payer_unknown);

    out.show(world.ids.transfer.of(row));
    match unknown || transfers.hits("user missing", row, rates.user_missing) {
        true if dice.permille(500) => out.null(),
        true if dice.permille(450) => out.text("0"),
        true if unknown => out.show(world.ids.user.of(world.sizes.users) + 5_000),
        true => out.null(),
        false => out.show(world.user_id(transfers, row, transfer.user)),
    }
    out.show(format_args!("{} {}", person.given, person.family));
    if unknown {
        out.word(dice.of(&["\\N", "n/a", ""]));
    } else if transfers.hits("no address", row, rates.email_absent) {
        out.word(dice.weighed(&[("\\N", 200), ("n/a", 8), ("", 2)]));
    } else {
        out.text(&world.given_address(transfers.within("payer_email"), row, transfer.user));
    }
    match transfer.invoices {
        Some((first, count)) if !unknown => reference(world, row, first, count, &mut dice, out),
        _ => match dice.of(REFERENCES) {
            "\\N" => out.null(),
            words if dice.permille(50) => {
                out.show(format_args!("{words}{}", crate::spell::misread(" – Société Générale")));
            }
            words => out.text(words),
        },
    }
    let money = transfers.within("amount");
    world.amount(out, money, row, transfer.money, &Limits { not_positive: true, signed: false });
    world.currency(out, money, row, transfer.money.currency);
    match transfers.hits("received", row, rates.received_unknown) {
        true => out.word(dice.of(NO_TIMES)),
        false => typed_date(out, &mut dice, transfer.at),
    }
    match transfer.recorded {
        Some(transaction) if transfers.hits("names", row, rates.names_transaction) => {
            out.show(world.ids.transaction.of(transaction));
        }
        None if transfers.hits("names none", row, 0.015) => {
            out.word(dice.of(&["0", "99999999"]));
        }
        _ => out.null(),
    }
    out.text(match dice.of(RECEIVED) {
        _ if transfers.hits("pending", row, rates.pending) => "pending",
        _ if transfers.hits("reversed", row, rates.reversed) => dice.of(&["reversed", "returned"]),
        _ if transfers.hits("status", row, rates.status_unknown) => dice.of(&["", "bounced?"]),
        word => word,
    });
    out.word(dice.of(&["", "see e-mail 12/3", "part payment", "\\N", "chased by Anna"]));
    true
}

fn reference(world: &World, row: u64, first: u64, count: u64, dice: &mut Dice, out: &mut Row) {
    let mut words = dice.of(&["", "Trees ", "Inv ", "MORETREES "]).to_owned();
    let mark = dice.of(&[" / ", " & ", ", ", " + "]);
    for number in first..first + count {
        if number > first {
            words.push_str(mark);
        }
        words.push_str(&world.invoice_words(dice, number));
    }
    let transfers = world.chance("bank_transfer");
    if transfers.hits("bank's name", row, 0.05) {
        words.push_str(&crate::spell::misread(" – Société Générale"));
    }
    out.text(&words);
}
