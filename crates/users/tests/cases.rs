//! The cases of `fixtures/users`, on every database that there is.

use replant_core::Registry;
use replant_testkit::cases;

#[test]
fn cases() {
    cases::run("users", &Registry::default().domain(users::domain()), reference::snapshot);
}
