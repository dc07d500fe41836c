//! The cases of `fixtures/bank-transfers`, on every database that there is.

use replant_core::Registry;

#[test]
fn cases() {
    let registry = Registry::default()
        .domain(users::domain())
        .domain(brands::domain())
        .domain(invoices::domain())
        .domain(subscriptions::domain())
        .domain(payments::domain())
        .domain(bank_transfers::domain());
    fixtures::cases("bank-transfers", &registry);
}
