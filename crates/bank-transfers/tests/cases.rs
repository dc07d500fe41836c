//! The cases of `fixtures/bank-transfers`, on every database that there is.

use replant_core::Registry;
use replant_testkit::cases;

#[test]
fn cases() {
    let registry = Registry::default()
        .domain(users::domain())
        .domain(brands::domain())
        .domain(invoices::domain())
        .domain(subscriptions::domain())
        .domain(payments::domain())
        .domain(bank_transfers::domain());
    cases::run("bank-transfers", &registry, reference::snapshot);
}
