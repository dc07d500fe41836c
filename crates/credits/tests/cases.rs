//! The cases of `fixtures/credits`, on every database that there is.

use replant_core::Registry;

#[test]
fn cases() {
    let registry = Registry::default().domain(users::domain()).domain(credits::domain());
    fixtures::cases("credits", &registry);
}
