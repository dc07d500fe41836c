//! Rates that are learnt from a database are those that it was made with, and nothing else comes out of it.

#![allow(clippy::unwrap_used, clippy::float_arithmetic, reason = "helpers of tests are tests")]

use replant_core::db::DbUrl;
use simulate::{Rates, Simulation};

fn learnt(url: &DbUrl) -> Rates {
    Rates::learnt_from(url, &|_, _| {}).unwrap()
}

fn near(expected: f64, found: f64) -> bool {
    found > expected * 0.6 - 0.001 && found < expected * 1.6 + 0.001
}

#[test]
fn what_was_made_is_learnt() {
    let mut simulation = Simulation::new(60_000, 4);
    let rates = &mut simulation.rates;
    (rates.user.duplicate, rates.user.password_other, rates.user.country_absent) = (0.1, 0.2, 0.5);
    (rates.text.invisible, rates.text.mojibake, rates.email.capitals) = (0.05, 0.04, 0.1);
    (rates.time.zero, rates.money.styled, rates.money.currency_unknown) = (0.03, 0.4, 0.02);
    (rates.plantation.cancelled, rates.plantation.cost_absent, rates.plantation.duplicate) = (0.1, 0.4, 0.03);
    (rates.transaction.failed, rates.transaction.posted_again) = (0.2, 0.02);
    (rates.subscription.plan_absent, rates.invoice.due_absent, rates.charge.void) = (0.3, 0.5, 0.2);
    (rates.credit.duplicate, rates.transfer.pending, rates.skew.first_brand) = (0.04, 0.3, 0.2);
    let folder = tempfile::tempdir().unwrap();
    let url = |name| DbUrl::sqlite(&folder.path().join(name));
    simulation.into_databases(&url("legacy.db"), &url("platform.db")).unwrap();
    let found = learnt(&url("legacy.db"));
    let (made, mut wrong) = (&simulation.rates, Vec::new());
    macro_rules! near {
        ($($group:ident.$rate:ident)*) => {
            $(if !near(made.$group.$rate, found.$group.$rate) {
                let (made, found) = (made.$group.$rate, found.$group.$rate);
                wrong.push(format!("{}: {made} was learnt as {found}", stringify!($group.$rate)));
            })*
        };
    }
    near!(
        user.duplicate user.password_other user.country_absent user.phone_absent user.test user.email_invalid
        user.display_name_absent user.import_marker text.invisible text.mojibake email.capitals email.wrapped
        time.zero time.null money.styled money.currency_unknown money.invalid money.currency_spelled
        plantation.cancelled plantation.cost_absent plantation.duplicate plantation.paid plantation.source_unknown
        transaction.failed transaction.posted_again transaction.refund transaction.method_unknown
        transaction.meta_absent subscription.plan_absent invoice.due_absent charge.void credit.duplicate
        credit.reason_unknown transfer.pending brand.billing_unknown skew.first_brand
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_but_shares_is_learnt() {
    let folder = tempfile::tempdir().unwrap();
    let rates = learnt(&fixtures::LEGACY.in_sqlite(folder.path()));
    for line in rates.to_toml().lines().filter(|line| !line.is_empty() && !line.starts_with('[')) {
        let (_, share) = line.split_once(" = ").unwrap();
        assert!((0.0..=1.0).contains(&share.parse::<f64>().unwrap()), "{line}");
    }
    // A simulation with them can be made.
    let simulation = Simulation { rates, ..Simulation::new(2_000, 1) };
    simulation.into_folder(&folder.path().join("csv")).unwrap();
}

#[test]
fn both_kinds_of_database_teach_the_same() {
    let Some(server) = fixtures::LEGACY.in_mariadb() else { return };
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(learnt(&server.url()), learnt(&fixtures::LEGACY.in_sqlite(folder.path())));
}
