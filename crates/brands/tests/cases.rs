//! The cases of `fixtures/brands`, on every database that there is.

use replant_core::Registry;
use replant_testkit::cases;

#[test]
fn cases() {
    let registry = Registry::default().domain(users::domain()).domain(brands::domain());
    cases::run("brands", &registry, reference::snapshot);
}
