//! The cases of `fixtures/credits`, on every database that there is.

use replant_core::Registry;
use replant_testkit::cases;

#[test]
fn cases() {
    let registry = Registry::default().domain(users::domain()).domain(credits::domain());
    cases::run("credits", &registry, reference::snapshot);
}
