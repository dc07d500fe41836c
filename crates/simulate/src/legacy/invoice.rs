//! `invoice`.

use crate::calendar::{DAY, SNAPSHOT, typed_date};
use crate::chance::{Chance, Dice};
use crate::money::{Limits, Money};
use crate::row::Row;
use crate::world::{World, in_currency};

pub(super) const COLUMNS: &[&str] = &["id", "invoice_no", "user_id", "total", "currency", "issued", "due", "paid"];

/// An invoice, before anyone typed it.
pub(crate) struct Invoice {
    pub(crate) user: u64,
    pub(crate) total: Money,
    pub(crate) issued: i64,
}

impl World {
    pub(crate) fn invoice(&self, row: u64) -> Invoice {
        let mut dice = self.chance("invoice").dice("invoice", row);
        let user = match dice.permille(400) {
            true => self.owner(self.some_brand(&mut dice)),
            false => self.some_user(&mut dice),
        };
        let total = in_currency(2_000 + dice.fade(120_000) + dice.fade(120_000), self.currency_of(user));
        let issued = (self.moment(user, &mut dice) - DAY).max(self.signed_up(user));
        Invoice { user, total, issued }
    }

    /// The row whose number another one has.
    fn numbered_as(&self, invoices: Chance, row: u64) -> (u64, bool) {
        let rates = &self.rates.invoice;
        let same = invoices.hits("duplicate", row, rates.duplicate);
        let conflict = !same && invoices.hits("conflict", row, rates.conflict);
        let back = 1 + invoices.number("back", row) % 5;
        match row.checked_sub(back) {
            Some(before) if same || conflict => (before, conflict),
            _ => (row, false),
        }
    }

    /// Some spelling of an invoice's number, as a cell.
    pub(crate) fn invoice_number(&self, out: &mut Row, dice: &mut Dice, row: u64) {
        out.text(&self.invoice_words(dice, row));
    }

    pub(crate) fn invoice_words(&self, dice: &mut Dice, row: u64) -> String {
        let number = 10_000 + row;
        match dice.below(12) {
            0..4 => format!("MT-{number}"),
            4 | 5 => format!("MT {number}"),
            6 => format!("MT{number}"),
            7 => format!("Mt-{number}"),
            8 | 9 => format!("mt{number}"),
            _ => format!("MT-0{number}"),
        }
    }
}

pub(super) fn row(world: &World, row: u64, out: &mut Row) -> bool {
    let (invoices, rates) = (world.chance("invoice"), &world.rates.invoice);
    let mut dice = invoices.dice("row", row);
    let (number, conflict) = world.numbered_as(invoices, row);
    let twin = world.invoice(number);
    let invoice = if number == row || conflict {
        world.invoice(row)
    } else {
        Invoice { issued: world.invoice(row).issued, ..twin }
    };
    let user = if number == row { invoice.user } else { twin.user };

    out.show(world.ids.invoice.of(row));
    match invoices.hits("number", row, rates.number_invalid) {
        true => out.word(dice.of(&["MT-", "10169", "\\N", "INV 2291"])),
        false => world.invoice_number(out, &mut dice, number),
    }
    match invoices.hits("no user", row, 0.0024) {
        true => out.null(),
        false => out.show(world.user_id(invoices, row, user)),
    }
    let money = invoices.within("total");
    world.amount(out, money, row, invoice.total, &Limits { not_positive: true, signed: false });
    world.currency(out, money, row, invoice.total.currency);
    match invoices.hits("issued", row, rates.issued_unknown) {
        true => out.word(dice.of(&["soon", "tbc", "\\N", "Q3 2023"])),
        false => typed_date(out, &mut dice, invoice.issued),
    }
    if invoices.hits("due before", row, rates.due_before) {
        typed_date(out, &mut dice, invoice.issued - 30 * DAY);
    } else if invoices.hits("no due", row, rates.due_absent) {
        out.word(dice.of(&["\\N", "", "n/a"]));
    } else {
        typed_date(out, &mut dice, (invoice.issued + 30 * DAY).min(SNAPSHOT + 60 * DAY));
    }
    out.word(dice.of(&["yes", "no", "\\N", "part", "0", "Y", "N", "", "1"]));
    true
}
