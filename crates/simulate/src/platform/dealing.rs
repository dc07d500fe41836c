//! What customers did on the platform since its launch: subscriptions, payments, refunds, plantings, credit.

use crate::calendar::{DAY, LAUNCH, PRELAUNCH, SNAPSHOT, Zoned};
use crate::legacy::Kind;
use crate::row::Row;
use crate::world::World;

pub(super) const SUBSCRIPTIONS: &[&str] = &[
    "id",
    "account_id",
    "plan",
    "trees_per_cycle",
    "amount_minor",
    "currency",
    "cycle",
    "status",
    "gateway_ref",
    "started_at",
    "next_billing_at",
    "cancelled_at",
];
pub(super) const PAYMENTS: &[&str] = &[
    "id",
    "account_id",
    "method",
    "status",
    "amount_minor",
    "currency",
    "gateway",
    "gateway_ref",
    "subscription_id",
    "paid_at",
];
pub(super) const REFUNDS: &[&str] = &["id", "payment_id", "amount_minor", "reason", "refunded_at"];
pub(super) const PLANTINGS: &[&str] = &[
    "id",
    "account_id",
    "brand_id",
    "project_id",
    "payment_id",
    "kind",
    "status",
    "trees",
    "cost_minor",
    "currency",
    "recipient_email",
    "recipient_account_id",
    "message",
    "planted_at",
];
pub(super) const CREDITS: &[&str] = &["id", "account_id", "currency", "delta_minor", "reason", "occurred_at"];

/// Payments that an account may have: of its subscription, of its trees, and one that the legacy database has as well.
pub(super) const OF_ACCOUNT: u64 = 3;
const FIRST_SUBSCRIPTION: u64 = 800;
const FIRST_PAYMENT: u64 = 9_000;
const FIRST_PLANTING: u64 = 20_000;

/// What the owner of an account did, if there is one.
struct Dealings {
    subscribed: bool,
    active: bool,
    refunded: bool,
    trees: i64,
    began: i64,
}

fn dealings(world: &World, number: u64) -> Option<Dealings> {
    if !world.has_account(number) {
        return None;
    }
    let (accounts, rates) = (world.chance("accounts"), &world.rates.platform);
    let mut dice = accounts.dice("dealings", number);
    let active = accounts.hits("active", number, rates.active);
    Some(Dealings {
        subscribed: accounts.hits("subscribed", number, rates.subscribed),
        active,
        refunded: active && dice.permille(44),
        trees: dice.between(1, 83),
        began: LAUNCH + dice.between(0, SNAPSHOT + DAY - LAUNCH),
    })
}

pub(super) fn subscription(world: &World, number: u64, out: &mut Row) -> bool {
    let Some(Dealings { subscribed: true, began, .. }) = dealings(world, number) else { return false };
    let mut dice = world.chance("subscriptions").dice("row", number);
    let id = FIRST_SUBSCRIPTION + number;
    out.show(id);
    out.show(world.account_id(number));
    out.text(dice.weighed(&[("family", 64), ("standard", 58), ("business", 2)]));
    ["2", "120", "GBP", "month"].iter().for_each(|cell| out.text(cell));
    let cancelled = dice.permille(70);
    out.text(if cancelled { "cancelled" } else { "active" });
    out.show(format_args!("sub_N{id}"));
    out.show(Zoned(began));
    match cancelled {
        true => {
            out.null();
            out.show(Zoned(began + 3 * DAY));
        }
        false => {
            out.show(Zoned(began + 31 * DAY));
            out.null();
        }
    }
    true
}

pub(super) fn payment(world: &World, slot: u64, out: &mut Row) -> bool {
    let (number, which) = (slot / OF_ACCOUNT, slot % OF_ACCOUNT);
    let Some(dealings) = dealings(world, number) else { return false };
    let id = FIRST_PAYMENT + slot;
    let account = world.account_id(number);
    let cells = |out: &mut Row, status: &str, minor: i64, currency: &str, gateway: &str| {
        out.show(id);
        out.show(account);
        out.text(if gateway == "paypal" { "paypal" } else { "card" });
        out.text(status);
        out.show(minor);
        out.text(currency);
        out.text(gateway);
    };
    let gateway = if number % 5 < 2 { "paypal" } else { "stripe" };
    match which {
        0 if dealings.subscribed => {
            cells(out, "succeeded", 120, "GBP", "stripe");
            out.show(format_args!("pi_N{id}"));
            out.show(FIRST_SUBSCRIPTION + number);
            out.show(Zoned(dealings.began));
        }
        1 if dealings.active => {
            let status = if dealings.refunded { "refunded" } else { "succeeded" };
            cells(out, status, dealings.trees * 60, "GBP", gateway);
            out.show(format_args!("pi_N{id}"));
            out.null();
            out.show(Zoned(dealings.began));
        }
        2 => {
            let Some((transaction, gateway, reference)) = known(world, number) else { return false };
            let payment = world.payment(transaction);
            cells(out, "succeeded", payment.money.minor.max(1), payment.money.currency().code, gateway);
            out.text(&reference);
            out.null();
            out.show(Zoned(payment.at.max(LAUNCH)));
        }
        _ => return false,
    }
    true
}

/// A legacy transaction that the platform has already: each account looks among its own.
#[allow(clippy::float_arithmetic, reason = "a share")]
fn known(world: &World, number: u64) -> Option<(u64, &'static str, String)> {
    let (rates, transactions) = (&world.rates, world.sizes.transactions);
    let accounts = world.candidates();
    // Of the numbers, only some have an account.
    let have = accounts as f64 * (rates.user.prelaunch + rates.platform.native).clamp(0.01, 1.0);
    let share = rates.transaction.native * transactions as f64 / have * 1.1;
    if !world.chance("payments").hits("known", number, share.min(1.0)) {
        return None;
    }
    let row =
        |number: u64| u64::try_from(u128::from(number) * u128::from(transactions) / u128::from(accounts)).unwrap_or(0);
    (row(number)..row(number + 1)).find_map(|transaction| {
        if world.kind(transaction) != Kind::Plain {
            return None;
        }
        let (gateway, reference) = world.gateway_ref(transaction, &world.payment(transaction))?;
        Some((transaction, gateway, reference))
    })
}

pub(super) fn refund(world: &World, number: u64, out: &mut Row) -> bool {
    let Some(Dealings { refunded: true, trees, began, .. }) = dealings(world, number) else { return false };
    out.show(40 + number);
    out.show(FIRST_PAYMENT + number * OF_ACCOUNT + 1);
    out.show(trees * 60);
    out.text("refund");
    out.show(Zoned(began + DAY));
    true
}

pub(super) fn planting(world: &World, slot: u64, out: &mut Row) -> bool {
    let (number, is_gift) = (slot / 2, slot % 2 == 1);
    let Some(Dealings { active: true, trees, began, .. }) = dealings(world, number) else { return false };
    if is_gift && number % 5 != 0 {
        return false;
    }
    let mut dice = world.chance("plantings").dice("row", slot);
    out.show(FIRST_PLANTING + slot);
    out.show(world.account_id(number));
    out.null();
    out.text(dice.weighed(&[("500", 328), ("502", 233), ("501", 199)]));
    match is_gift {
        true => out.null(),
        false => out.show(FIRST_PAYMENT + number * OF_ACCOUNT + 1),
    }
    out.text(if is_gift { "gift" } else { "purchase" });
    out.text("planted");
    if is_gift {
        out.text("1");
        (0..2).for_each(|_| out.null());
        out.show(format_args!("someone{number}@gmail.com"));
        let near = (number.saturating_sub(9)..number).find(|number| world.has_account(*number));
        out.maybe(near.map(|number| world.account_id(number)));
        out.text("Enjoy, \"friend\"");
    } else {
        out.show(trees);
        out.show(trees * 60);
        out.text("GBP");
        (0..3).for_each(|_| out.null());
    }
    out.show(Zoned(began + 60));
    true
}

pub(super) fn credit(world: &World, slot: u64, out: &mut Row) -> bool {
    let (number, is_import) = (slot / 2, slot % 2 == 0);
    let Some(Dealings { began, .. }) = dealings(world, number) else { return false };
    let minor = match is_import {
        true if number < world.sizes.users => crate::legacy::credit_of(world, number),
        true => 0,
        false if world.chance("credit_entries").hits("topup", number, 0.06) => 500,
        false => 0,
    };
    if minor == 0 {
        return false;
    }
    out.show(700 + slot);
    out.show(world.account_id(number));
    out.text("GBP");
    out.show(minor);
    out.text(if is_import { "prelaunch_import" } else { "topup" });
    out.show(Zoned(if is_import { PRELAUNCH } else { began }));
    true
}
