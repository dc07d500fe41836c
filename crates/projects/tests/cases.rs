//! The cases of `fixtures/projects`, on every database that there is.

use replant_core::Registry;

#[test]
fn cases() {
    fixtures::cases("projects", &Registry::default().domain(projects::domain()));
}
