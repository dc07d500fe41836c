//! The cases of `fixtures/invoices`, on every database that there is.

use replant_core::Registry;

#[test]
fn cases() {
    let registry = Registry::default().domain(users::domain()).domain(invoices::domain());
    fixtures::cases("invoices", &registry);
}
