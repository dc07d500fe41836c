//! The cases of `fixtures/subscriptions`, on every database that there is.

use replant_core::Registry;

#[test]
fn cases() {
    let registry = Registry::default().domain(users::domain()).domain(brands::domain()).domain(subscriptions::domain());
    fixtures::cases("subscriptions", &registry);
}
