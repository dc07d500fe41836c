//! The cases of `fixtures/cross-charges`, on every database that there is.

use replant_core::Registry;
use replant_testkit::cases;

#[test]
fn cases() {
    let registry = Registry::default().domain(users::domain()).domain(brands::domain()).domain(cross_charges::domain());
    cases::run("cross-charges", &registry, reference::snapshot);
}
