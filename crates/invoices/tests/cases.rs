//! The cases of `fixtures/invoices`, on every database that there is.

use replant_core::Registry;
use replant_testkit::cases;

#[test]
fn cases() {
    let registry = Registry::default().domain(users::domain()).domain(invoices::domain());
    cases::run("invoices", &registry, reference::snapshot);
}
