//! The domains of the migration.

use replant_core::Registry;

/// Every domain, in the order in which they are told; what waits for what, they say themselves.
pub(crate) fn registry() -> Registry {
    Registry::default()
        // A new domain is one line here.
        .domain(users::domain())
        .domain(projects::domain())
        .domain(brands::domain())
        .domain(invoices::domain())
        .domain(subscriptions::domain())
        .domain(payments::domain())
        .domain(bank_transfers::domain())
        .domain(plantations::domain())
        .domain(cross_charges::domain())
        .domain(credits::domain())
}
