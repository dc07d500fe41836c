//! The cases of `fixtures/users`, on every database that there is.

use replant_core::Registry;

#[test]
fn cases() {
    fixtures::cases("users", &Registry::default().domain(users::domain()));
}
