//! `plantation`.

use super::{Kind, Payment};
use crate::calendar::SNAPSHOT;
use crate::chance::{Chance, Dice};
use crate::money::Money;
use crate::row::Row;
use crate::spell;
use crate::words::MESSAGES;
use crate::world::{World, in_currency};

pub(super) const COLUMNS: &[&str] = &[
    "id",
    "user_id",
    "brand_id",
    "project_id",
    "trees",
    "source",
    "gift_email",
    "gift_message",
    "cost",
    "currency",
    "finance_transaction_id",
    "status",
    "planted_when",
    "created_when",
];

const NO_STATUSES: &[&str] = &["\\N", "failed?", ""];
const NO_SOURCES: &[&str] = &["import", "unknown", "widget", "app2"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Order,
    Gift,
    Subscription,
    Api,
    Cross,
}

/// A planting, before anyone typed it.
struct Planting {
    user: Option<u64>,
    brand: Option<u64>,
    source: Source,
    trees: i64,
    cost: Money,
    paid_by: Option<u64>,
    at: i64,
}

fn planting(world: &World, row: u64, dice: &mut Dice) -> Planting {
    let (plantations, rates) = (world.chance("plantation"), &world.rates.plantation);
    if plantations.hits("brand", row, rates.of_brand) {
        return of_brand(world, dice);
    }
    let free_of_brands = rates.paid / (1.0 - rates.of_brand).max(0.01);
    if plantations.hits("paid", row, free_of_brands.min(1.0)) {
        let transaction = dice.below(world.sizes.transactions);
        if world.kind(transaction) == Kind::Plain {
            return paid(world, transaction, dice);
        }
    }
    let user = world.some_user(dice);
    let trees = some_trees(dice);
    Planting {
        user: Some(user),
        brand: None,
        source: dice.weighed(&[(Source::Order, 70), (Source::Gift, 26), (Source::Subscription, 4)]),
        trees,
        cost: in_currency(trees * 60, world.currency_of(user)),
        paid_by: None,
        at: world.moment(user, dice),
    }
}

fn of_brand(world: &World, dice: &mut Dice) -> Planting {
    let brand = world.some_brand(dice);
    let user = world.owner(brand);
    let trees = dice.weighed(&[(1, 45), (5, 25), (10, 15), (2, 10), (20, 5)]);
    Planting {
        user: dice.permille(500).then_some(user),
        brand: Some(brand),
        source: if dice.permille(780) { Source::Api } else { Source::Cross },
        trees,
        cost: in_currency(trees * 60, world.currency_of(user)),
        paid_by: None,
        at: world.moment(user, dice),
    }
}

fn paid(world: &World, transaction: u64, dice: &mut Dice) -> Planting {
    let Payment { user, brand, subscription, money, at, .. } = world.payment(transaction);
    let source = match subscription {
        Some(_) => Source::Subscription,
        None => dice.weighed(&[(Source::Order, 72), (Source::Gift, 28)]),
    };
    Planting {
        user: Some(user),
        brand,
        source,
        trees: (money.minor / money.currency().tree).max(1),
        cost: money,
        paid_by: Some(transaction),
        at,
    }
}

fn some_trees(dice: &mut Dice) -> i64 {
    match dice.below(100) {
        0..80 => dice.weighed(&[(1, 25), (2, 12), (3, 5), (5, 20), (8, 12), (10, 18), (16, 5), (20, 8), (41, 3)]),
        80..99 => dice.between(1, 30),
        _ => 30 + dice.fade(3_000),
    }
}

pub(super) fn row(world: &World, row: u64, out: &mut Row) -> bool {
    let (plantations, rates) = (world.chance("plantation"), &world.rates.plantation);
    // A second post is the row before once more, under its own id.
    let posted = |row| plantations.hits("again", row, rates.duplicate);
    let source = if row > 0 && posted(row) && !posted(row - 1) { row - 1 } else { row };
    out.show(world.ids.plantation.of(row));
    let mut dice = plantations.dice("row", source);
    let planting = planting(world, source, &mut dice);
    cells(world, plantations, source, &planting, &mut dice, out);
    true
}

fn cells(world: &World, plantations: Chance, row: u64, planting: &Planting, dice: &mut Dice, out: &mut Row) {
    let rates = &world.rates.plantation;
    let nobody = plantations.hits("nobody", row, rates.account_missing);
    match planting.user {
        _ if nobody => out.null(),
        Some(_) if plantations.hits("other", row, rates.payment_of_other) => {
            out.show(world.ids.user.of(dice.below(world.sizes.users)));
        }
        Some(_) if planting.brand.is_some() && dice.permille(150) => out.null(),
        Some(user) => out.show(world.user_id(plantations, row, user)),
        None => out.null(),
    }
    match planting.brand {
        _ if nobody => out.null(),
        _ if plantations.hits("no brand", row, rates.brand_missing) => {
            out.show(world.ids.brand.of(world.sizes.brands) + 400 + dice.below(10));
        }
        brand => out.maybe(brand.map(|brand| world.ids.brand.of(brand))),
    }
    if plantations.hits("project", row, rates.project_missing) {
        out.word(dice.of(&["\\N", "0", "4711"]));
    } else {
        // The first project is missing its name (and some have another's): few plant there.
        let favourite = dice.permille(920) && world.sizes.projects > 8;
        let project =
            if favourite { dice.below(7) * world.sizes.projects / 8 + 1 } else { dice.below(world.sizes.projects) };
        let project = if favourite && world.has_no_name(project) { 0 } else { project };
        out.show(world.ids.project.of(project));
    }
    if plantations.hits("trees", row, rates.trees_not_positive) {
        out.word(dice.of(&["\\N", "0", "-3"]));
    } else if plantations.hits("range", row, world.rates.money.out_of_range) {
        out.text("2147483647");
    } else {
        out.show(planting.trees);
    }
    match plantations.hits("source", row, rates.source_unknown) {
        true => out.text(dice.of(NO_SOURCES)),
        false => out.word(match planting.source {
            Source::Order => dice.weighed(&[("order", 43), ("\\N", 22), ("", 21), ("Purchase", 21), ("purchase", 21)]),
            Source::Gift => dice.of(&["Gift", "gift"]),
            Source::Subscription => dice.of(&["sub", "subscription"]),
            Source::Api => dice.of(&["API", "api"]),
            Source::Cross => dice.of(&["xc", "cross charge", "cross_charge", "XC"]),
        }),
    }
    gift(world, plantations, row, planting.source == Source::Gift, dice, out);
    cost(world, plantations, row, planting.cost, dice, out);
    match planting.paid_by {
        _ if plantations.hits("no payment", row, rates.payment_missing) => {
            let missing = world.ids.transaction.missing(dice.below(world.sizes.transactions / 95 + 1));
            out.show(if dice.permille(400) { 0 } else { missing });
        }
        paid_by => out.maybe(paid_by.map(|transaction| world.ids.transaction.of(transaction))),
    }
    let status = match dice.below(1000) {
        _ if plantations.hits("cancelled", row, rates.cancelled) => dice.of(&["cancelled", "void"]),
        _ if plantations.hits("status", row, rates.status_unknown) => dice.of(NO_STATUSES),
        0..711 => "done",
        711..935 => "planted",
        935..969 => "Done",
        _ => "pending",
    };
    out.word(status);
    if plantations.hits("no time", row, 0.0006) {
        out.word(dice.of(&["\\N", "0000-00-00 00:00:00"]));
        return out.word(dice.of(&["\\N", "0000-00-00 00:00:00"]));
    }
    world.wall(out, plantations.within("planted_when"), row, planting.at);
    world.wall(out, plantations.within("created_when"), row, (planting.at + dice.between(0, 60)).min(SNAPSHOT));
}

fn gift(world: &World, plantations: Chance, row: u64, is_gift: bool, dice: &mut Dice, out: &mut Row) {
    let rates = &world.rates.plantation;
    if !is_gift {
        out.null();
        return out.null();
    }
    // Of about one row in seven.
    if plantations.hits("recipient", row, (rates.recipient_invalid * 6.7).min(1.0)) {
        let friend = world.friend(dice);
        let (local, domain) = friend.split_once('@').unwrap_or_default();
        match dice.below(5) {
            0 => out.text("a@b"),
            1 => out.text("n/a"),
            2 => out.text("not given"),
            3 => out.show(format_args!("two@@{friend}")),
            _ => out.show(format_args!("{local} at {domain}")),
        }
    } else if dice.permille(20) {
        out.null();
    } else if plantations.hits("known", row, rates.recipient_known) {
        let user = world.some_user(dice);
        out.text(&world.given_address(plantations.within("gift_email"), row, user));
    } else {
        let friend = world.friend(dice);
        out.text(&spell::address(&friend, plantations.within("gift_email"), row, &world.rates.email));
    }
    match dice.below(100) {
        0..6 => out.null(),
        6..13 => out.text(""),
        13..19 => out.text("-"),
        _ => world.spelled(out, plantations.within("gift_message"), row, dice.of(MESSAGES)),
    }
}

fn cost(world: &World, plantations: Chance, row: u64, cost: Money, dice: &mut Dice, out: &mut Row) {
    let rates = &world.rates.plantation;
    let plain = cost.plain();
    if plantations.hits("no cost", row, rates.cost_absent) {
        out.null();
    } else if plantations.hits("negative", row, rates.cost_negative) {
        out.show(format_args!("-{plain}"));
    } else if plantations.hits("fraction", row, world.rates.money.fraction / 1.6) {
        out.show(format_args!("{}25", Money { minor: cost.minor, currency: 0 }.plain()));
    } else {
        match dice.below(1000) {
            0..11 => out.text("0"),
            // What a FLOAT makes of it when it is read as a double.
            11..31 => out.text(dice.of(&["12.579999923706055", "0.6000000238418579", "1.2000000476837158"])),
            31..36 => out.text(dice.of(&["1.234567e+06", "2.1481465e+06", "1.03703625e+06", "1.3323941e+08"])),
            _ => out.show(plain),
        }
    }
    world.currency(out, plantations.within("cost"), row, cost.currency);
}
