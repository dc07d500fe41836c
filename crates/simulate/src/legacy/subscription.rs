//! `subscription`.

use crate::calendar::{DAY, SNAPSHOT};
use crate::money::{Limits, Money};
use crate::row::Row;
use crate::world::{World, in_currency};

pub(super) const COLUMNS: &[&str] = &[
    "id",
    "user_id",
    "plan",
    "trees_per_month",
    "amount",
    "currency",
    "interval",
    "status",
    "started_when",
    "next_billing_when",
    "cancelled_when",
    "gateway_ref",
];

const MONTHLY: &[&str] = &["1m", "month", "m", "monthly", "Monthly"];
const YEARLY: &[&str] = &["annual", "year", "Y", "yearly", "12m"];
const RUNNING: &[&str] = &["live", "Active", "active"];
const ENDED: &[&str] = &["cancelled", "canceled", "expired", "ended"];

/// A subscription, before anyone typed it.
pub(crate) struct Subscription {
    pub(crate) user: u64,
    pub(crate) plan: &'static str,
    pub(crate) trees: i64,
    pub(crate) yearly: bool,
    pub(crate) money: Money,
    pub(crate) started: i64,
    pub(crate) cancelled: Option<i64>,
    status: &'static str,
}

impl World {
    pub(crate) fn subscription(&self, row: u64) -> Subscription {
        let subscriptions = self.chance("subscription");
        let mut dice = subscriptions.dice("subscription", row);
        let mut first = row;
        while first > 0 && subscriptions.hits("same user", first, self.rates.subscription.of_same_user) {
            first -= 1;
        }
        let user = self.some_user(&mut subscriptions.dice("user", first));
        let trees = dice.weighed(&[(1, 522), (2, 413), (3, 343), (5, 292), (10, 114), (20, 61)]);
        let yearly = dice.permille(195);
        let pence = trees * 60 * if yearly { 12 } else { 1 };
        let started = SNAPSHOT - DAY - dice.fade(SNAPSHOT - 2 * DAY - self.signed_up(user));
        let status = dice.weighed(&[("running", 902), ("ended", 662), ("paused", 91), ("unpaid", 88)]);
        let cancelled = (status == "ended").then(|| match dice.one_in(2) {
            true => SNAPSHOT - 100,
            false => SNAPSHOT - 100 - dice.between(0, SNAPSHOT - DAY - started),
        });
        Subscription {
            user,
            plan: dice.weighed(&[("standard", 951), ("family", 455), ("business", 207)]),
            trees,
            yearly,
            money: in_currency(pence, self.currency_of(user)),
            started,
            cancelled,
            status,
        }
    }
}

pub(super) fn row(world: &World, row: u64, out: &mut Row) -> bool {
    let (subscriptions, rates) = (world.chance("subscription"), &world.rates.subscription);
    let mut dice = subscriptions.dice("row", row);
    // The same reference: of the row before, with its user and nothing else.
    let reference = match row > 0 && subscriptions.hits("duplicate", row, rates.duplicate) {
        true => row - 1,
        false => row,
    };
    let subscription = world.subscription(row);
    let user = world.subscription(reference).user;

    out.show(world.ids.subscription.of(row));
    match subscriptions.hits("no user", row, 0.0023) {
        true => out.null(),
        false => out.show(world.user_id(subscriptions, row, user)),
    }
    match subscriptions.hits("plan", row, rates.plan_absent) {
        true => out.word(dice.of(&["", "\\N"])),
        false => world.spelled(out, subscriptions.within("plan"), row, subscription.plan),
    }
    match subscriptions.hits("trees", row, rates.trees_not_positive) {
        true => out.word(dice.of(&["\\N", "0", "-1"])),
        false => out.show(subscription.trees),
    }
    let money = subscriptions.within("amount");
    if subscriptions.hits("negative", row, world.rates.money.not_positive / 2.0) {
        out.text("-1.80");
    } else {
        world.amount(out, money, row, subscription.money, &Limits { not_positive: false, signed: false });
    }
    world.currency(out, money, row, subscription.money.currency);
    match subscriptions.hits("interval", row, rates.interval_unknown) {
        true => out.word(dice.of(&["\\N", "quarterly", "", "weekly"])),
        false => out.text(dice.of(if subscription.yearly { YEARLY } else { MONTHLY })),
    }
    let status = match subscription.status {
        _ if subscriptions.hits("status", row, rates.status_unknown) => dice.of(&["\\N", "", "trial"]),
        "running" => dice.of(RUNNING),
        "ended" => dice.of(ENDED),
        "paused" => dice.of(&["hold", "paused"]),
        _ => dice.of(&["unpaid", "past_due"]),
    };
    out.word(status);
    match subscriptions.hits("start", row, rates.start_unknown) {
        true => out.word(dice.of(&["\\N", "0000-00-00 00:00:00"])),
        false => world.wall(out, subscriptions.within("started_when"), row, subscription.started),
    }
    let running = subscription.cancelled.is_none();
    if running && subscriptions.hits("overdue", row, rates.overdue * 2.0) {
        world.wall(out, subscriptions, row, SNAPSHOT - dice.of(&[86, 129]) * DAY);
    } else if running || dice.permille(280) {
        world.wall(out, subscriptions.within("next"), row, SNAPSHOT + dice.between(60, 28 * DAY));
    } else {
        out.null();
    }
    cancelled(world, row, &subscription, out);
    match dice.below(1000) {
        0..53 if reference == row => out.word(dice.of(&["\\N", ""])),
        _ => out.show(format_args!("sub_{:08}{:02X}", reference, subscriptions.number("reference", reference) % 256)),
    }
    true
}

fn cancelled(world: &World, row: u64, subscription: &Subscription, out: &mut Row) {
    let (subscriptions, rates) = (world.chance("subscription"), &world.rates.subscription);
    let mut dice = subscriptions.dice("cancelled", row);
    match subscription.cancelled {
        // Twice the rate: about half are running.
        None if subscriptions.hits("contradiction", row, rates.contradiction * 2.0) => {
            out.show(world.london.wall(subscription.started + dice.between(0, SNAPSHOT - subscription.started - 60)));
        }
        None if dice.permille(240) => out.text("0000-00-00 00:00:00"),
        None => out.null(),
        Some(_) if subscriptions.hits("odd end", row, rates.cancellation_odd * 2.5) => match dice.below(2) {
            0 => out.null(),
            _ => out.show(world.london.wall(subscription.started - DAY)),
        },
        Some(at) => out.show(world.london.wall(at)),
    }
}
