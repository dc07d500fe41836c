//! The sample, migrated whole on SQLite: the figures that docs/reconciliation.md shows, each also found by queries that are
//! no part of this crate.

use diesel::connection::SimpleConnection;
use reconciliation::Sources;
use reconciliation::reconcile::{Reconciliation, reconcile};
use reconciliation::statement::{Source, What, statement};
use replant_core::db::{Db, Role};
use replant_core::{Migration, Registry, Settings, Silent, Stop};
use replant_testkit::dump;

fn migrated(folder: &std::path::Path) -> (Db, Db) {
    let registry = Registry::default()
        .domain(users::domain())
        .domain(projects::domain())
        .domain(brands::domain())
        .domain(invoices::domain())
        .domain(subscriptions::domain())
        .domain(payments::domain())
        .domain(bank_transfers::domain())
        .domain(plantations::domain())
        .domain(cross_charges::domain())
        .domain(credits::domain());
    let legacy = fixtures::LEGACY.in_sqlite(folder);
    let target = fixtures::PLATFORM.in_sqlite(folder);
    let (settings, snapshot) = (Settings::default(), reference::snapshot);
    let migration =
        Migration { registry: &registry, snapshot, legacy: legacy.clone(), target: target.clone(), settings };
    assert!(migration.run(&Stop::default(), &Silent).expect("the run ends well").complete);
    let open = |url, role| Db::open(url, role).expect("the file is there");
    (open(&legacy, Role::Legacy), open(&target, Role::Target))
}

#[test]
fn the_sample_comes_to_the_documented_figures() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut legacy, mut target) = migrated(folder.path());
    let before = dump::dump_all(&mut target).expect("a dump");

    let all = reconcile(Sources { legacy: &mut legacy, target: &mut target }, None).expect("a reconciliation");
    assert!(all.complete && all.brand.is_none());
    trees(&all);
    money(&all);
    counters(&all);
    transfers(&all);
    one_brand(&mut legacy, &mut target);
    a_customer(&mut legacy, &mut target);

    dump::assert_same(&before, &dump::dump_all(&mut target).expect("a dump"));
    // What the reports forbid is allowed again once they are done.
    target.batch_execute("CREATE TABLE written (id BIGINT)").expect("the target can be written");
}

fn trees(all: &Reconciliation) {
    let totals = &all.cross_charges.totals;
    assert_eq!((totals.lines, totals.differing), (168, 94));
    assert_eq!((totals.trees_charged, totals.trees_planted, totals.difference), (6768, 7697, -929));
    assert_eq!((totals.charged_not_planted, totals.planted_not_charged), (629, 1558));
    assert_eq!(totals.planted_without_brand, Some(0));
}

fn money(all: &Reconciliation) {
    assert_eq!(all.brands.lines.len(), 39);
    let pounds = all.brands.totals.iter().find(|total| total.currency == "GBP").expect("pounds");
    assert_eq!((pounds.net_paid_minor, pounds.net_paid_by_cross_charge_minor), (77_707_568, 118_945));
    assert_eq!((pounds.cross_charged_minor, pounds.cross_charge_open_minor), (420_279, 301_334));
    assert_eq!((pounds.invoiced_minor, pounds.allocated_minor, pounds.open_minor), (9_015_817, 6_663_690, 2_352_127));
    assert_eq!(pounds.open_marked_paid_minor, 831_466);
}

fn counters(all: &Reconciliation) {
    let totals = &all.credits.totals;
    assert_eq!((totals.compared, totals.off, totals.off_without_entries), (5196, 680, 422));
    assert_eq!((totals.counter_too_high, totals.counter_too_low, totals.credit_without_counter), (458, 222, 260));
    assert_eq!(all.credits.lines.iter().filter(|line| line.adjusted_minor != 0).count(), 30);
}

fn transfers(all: &Reconciliation) {
    assert_eq!(all.transfers.lines.len(), 344);
    let pounds = all.transfers.totals.iter().find(|total| total.currency == "GBP").expect("pounds");
    assert_eq!((pounds.transfers, pounds.amount_minor, pounds.settled_minor), (247, 58_060_001, 6_415_827));
}

fn one_brand(legacy: &mut Db, target: &mut Db) {
    let mut ask = |brand| reconcile(Sources { legacy, target }, Some(brand)).map_err(|error| error.to_string());
    let by_id = ask("12").expect("a brand");
    let by_name = ask(" blue fern COFFEE ").expect("a brand");
    assert_eq!(by_id.brand, by_name.brand);
    assert_eq!(by_id.cross_charges.lines, by_name.cross_charges.lines);
    assert!(by_id.cross_charges.lines.iter().all(|line| line.legacy_brand_id == Some(12)));
    let account = by_id.brand.expect("a brand").account_id;
    assert!(by_id.transfers.lines.iter().all(|line| line.account_id == account));
    assert_eq!(ask("acorn coffee").err().as_deref(), Some("several brands have that name: 11, 48"));
    let gone = "legacy brand 46 is not on the platform: it was quarantined (brand_name_missing)";
    assert_eq!(ask("46").err().as_deref(), Some(gone));
    assert!(ask("9999").is_err());
}

/// User 4857 is behind the brand Acorn Coffee, with most of the sample's plantings.
fn a_customer(legacy: &mut Db, target: &mut Db) {
    let mut ask = |email| statement(Sources { legacy, target }, email);
    let found = ask("mailto:MIA_Lefevre4644@web.de").expect("a statement");
    assert_eq!(found.accounts.len(), 1);
    assert!(
        matches!(&found.accounts[0].source, Source::Legacy { rows } if rows.iter().any(|row| row.legacy_id == 4857))
    );
    assert!(found.lines.is_sorted_by_key(|line| line.at.to_string().get(..10).map(str::to_owned)));
    let last = found.lines.iter().rev().find(|line| line.what == What::Credit).expect("credit");
    let balance = found.balances.iter().find(|balance| Some(&balance.currency) == last.currency.as_ref());
    assert_eq!(last.balance_minor, balance.map(|balance| balance.balance_minor));
    let error = ask("nobody@nowhere.org").err().map(|error| error.to_string()).expect("nobody is there");
    assert!(!error.contains("nowhere"), "{error}");
}
