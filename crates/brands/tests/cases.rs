//! The cases of `fixtures/brands`, on every database that there is.

use replant_core::Registry;

#[test]
fn cases() {
    let registry = Registry::default().domain(users::domain()).domain(brands::domain());
    fixtures::cases("brands", &registry);
}
