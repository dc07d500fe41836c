//! The cases of `fixtures/projects`, on every database that there is.

use replant_core::Registry;
use replant_testkit::cases;

#[test]
fn cases() {
    cases::run("projects", &Registry::default().domain(projects::domain()), reference::snapshot);
}
