//! The cases of `fixtures/plantations`, on every database that there is.

use replant_core::Registry;

#[test]
fn cases() {
    let registry = Registry::default()
        .domain(users::domain())
        .domain(brands::domain())
        .domain(projects::domain())
        .domain(invoices::domain())
        .domain(subscriptions::domain())
        .domain(payments::domain())
        .domain(plantations::domain());
    fixtures::cases("plantations", &registry);
}
