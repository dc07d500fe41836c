use replant_core::Registry;
use replant_testkit::conformance::{Subject, Target};
use replant_testkit::sample;
#[test]
fn conf() {
    let registry = Registry::default().domain(users::domain()).domain(projects_().0).domain(brands::domain());
    let folder = tempfile::tempdir().unwrap();
    let s = Subject { registry: &registry, snapshot: reference::snapshot, legacy: sample::sqlite_legacy_sample(folder.path()) };
    s.every_column_has_a_fate();
    s.a_dry_run_leaves_nothing(&Target::postgres_sample().unwrap());
    s.conforms(&|| Target::postgres_sample().unwrap());
}
struct P(replant_core::Domain);
fn projects_() -> P { P(replant_core::Domain::new("none")) }
