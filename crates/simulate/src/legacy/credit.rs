//! `credit_entry`: bundles of entries, each a sum that was paid in and what was spent of it.

use crate::calendar::{DAY, SNAPSHOT};
use crate::chance::shuffled;
use crate::money::{Limits, Money};
use crate::row::Row;
use crate::world::World;

pub(super) const COLUMNS: &[&str] =
    &["id", "user_id", "delta", "currency", "reason", "ref_type", "ref_id", "created_when"];

/// Rows in which bundles begin and end.
const BLOCK: u64 = 16;
/// Bundles of a block, at most.
const BUNDLES: u64 = 4;
const TOPUP: &[(&str, u64)] = &[
    ("topup", 432),
    ("deposit", 422),
    ("Topup", 376),
    ("top-up", 371),
    ("refund", 226),
    ("promo", 170),
    ("bonus", 160),
    ("gift", 137),
    ("adjust", 52),
    ("manual", 39),
    ("adjustment", 39),
];
const NO_REASONS: &[&str] = &["\\N", "loyalty", "", "xmas", "misc"];

/// A bundle: its first row, its length, its number.
#[derive(Clone, Copy)]
struct Bundle {
    first: u64,
    rows: u64,
    number: u64,
}

/// The bundles of a block.
fn bundles(world: &World, block: u64) -> impl Iterator<Item = Bundle> + use<> {
    let mut dice = world.chance("credit_entry").dice("bundles", block);
    let (mut first, mut number) = (block * BLOCK, block * BUNDLES);
    let end = first + BLOCK;
    std::iter::from_fn(move || {
        let left = end - first;
        if left == 0 {
            return None;
        }
        let last = number % BUNDLES == BUNDLES - 1;
        let rows = if last { left } else { dice.weighed(&[(1, 30), (3, 20), (4, 20), (6, 20), (9, 10)]).min(left) };
        let bundle = Bundle { first, rows, number };
        first += rows;
        number += 1;
        Some(bundle)
    })
}

/// How many numbers bundles have.
fn numbers(world: &World) -> u64 {
    world.sizes.credits.div_ceil(BLOCK) * BUNDLES
}

/// Whose a bundle is: everyone has one in turn.
fn user(world: &World, bundle: Bundle) -> u64 {
    let mut dice = world.chance("credit_entry").dice("user", bundle.number);
    match dice.permille(150) {
        true => world.some_user(&mut dice),
        false => shuffled(bundle.number, world.sizes.users, 17),
    }
}

/// The sum of the bundle that a user has in turn, in minor units: about what the user's counter says.
pub(crate) fn credit_of(world: &World, who: u64) -> i64 {
    let number = crate::chance::unshuffled(who, world.sizes.users, 17);
    if number >= numbers(world) {
        return 0;
    }
    let Some(bundle) = bundles(world, number / BUNDLES).find(|bundle| bundle.number == number) else { return 0 };
    if user(world, bundle) != who {
        return 0;
    }
    let end = (bundle.first + bundle.rows).min(world.sizes.credits);
    (bundle.first..end).map(|row| delta(world, bundle, row, who).minor).sum()
}

/// An entry's amount: the first of a bundle is paid in, or was never written down.
fn delta(world: &World, bundle: Bundle, row: u64, user: u64) -> Money {
    let credits = world.chance("credit_entry");
    let currency = world.currency_of(user);
    let mut dice = credits.dice("paid in", bundle.first);
    let paid_in = dice.of(&[500_i64, 1_000, 2_000, 5_000, 10_000]);
    let lost = bundle.rows > 1 && credits.hits("overdrawn", bundle.number, world.rates.credit.overdrawn);
    let pence = if row == bundle.first && !lost {
        paid_in
    } else {
        let part = (paid_in / (10 + dice.between(0, 2))).max(20);
        -(part * credits.dice("spent", row).between(80, 110) / 100)
    };
    crate::world::in_currency(pence, currency)
}

pub(super) fn row(world: &World, row: u64, out: &mut Row) -> bool {
    let (credits, rates) = (world.chance("credit_entry"), &world.rates.credit);
    let again = |row| credits.hits("again", row, rates.duplicate);
    let source = if row > 0 && again(row) && !again(row - 1) { row - 1 } else { row };
    let mut dice = credits.dice("row", source);
    let Some(bundle) = bundles(world, source / BLOCK).find(|bundle| source < bundle.first + bundle.rows) else {
        return false;
    };
    let user = user(world, bundle);
    let money = delta(world, bundle, source, user);

    out.show(world.ids.credit.of(row));
    match credits.hits("nobody", source, 0.0008) {
        true => out.null(),
        false => out.show(world.user_id(credits, source, user)),
    }
    let amounts = credits.within("delta");
    if credits.hits("zero", source, rates.zero) {
        out.text(dice.of(&["0", "0.00"]));
    } else {
        world.amount(out, amounts, source, money, &Limits { not_positive: false, signed: true });
    }
    world.currency(out, amounts, source, money.currency);
    let paid_in = money.minor > 0;
    match credits.hits("reason", source, rates.reason_unknown) {
        true => out.word(dice.of(NO_REASONS)),
        false if paid_in => out.text(dice.weighed(TOPUP)),
        false => out.text(dice.of(&["spend", "purchase", "planting"])),
    }
    out.text(if paid_in { "finance" } else { "plantation" });
    match (paid_in, dice.below(4)) {
        (true, 0) => out.null(),
        (true, 1) => out.text("0"),
        (true, _) => out.show(world.ids.transaction.of(dice.below(world.sizes.transactions))),
        (false, _) => out.show(world.ids.plantation.of(dice.below(world.sizes.plantations))),
    }
    let mut first = credits.dice("began", bundle.first);
    let began = world.moment(user, &mut first);
    let at = began + 9 * DAY * i64::try_from(source - bundle.first).unwrap_or(0) + dice.between(0, 4_000);
    world.wall(out, credits.within("created_when"), source, at.min(SNAPSHOT));
    true
}
