//! The cases of `fixtures/subscriptions`, on every database that there is.

use replant_core::Registry;
use replant_testkit::cases;

#[test]
fn cases() {
    let registry = Registry::default().domain(users::domain()).domain(brands::domain()).domain(subscriptions::domain());
    cases::run("subscriptions", &registry, reference::snapshot);
}
