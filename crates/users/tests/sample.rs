//! The sample's users, through the conformance kit.

use replant_core::Registry;
use replant_testkit::conformance::{Subject, Target};
use replant_testkit::sample;

fn with_subject(work: impl FnOnce(&Subject<'_>)) {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::default().domain(users::domain());
    let legacy = sample::sqlite_legacy_sample(folder.path());
    work(&Subject { registry: &registry, snapshot: reference::snapshot, legacy });
}

#[test]
fn sqlite_conforms() {
    with_subject(|subject| subject.conforms(&Target::sqlite_sample));
}

#[test]
fn postgres_conforms() {
    if Target::postgres_sample().is_some() {
        with_subject(|subject| subject.conforms(&|| Target::postgres_sample().unwrap()));
    }
}

#[test]
fn fates() {
    with_subject(|subject| subject.every_column_has_a_fate());
}

#[test]
fn dry() {
    with_subject(|subject| subject.a_dry_run_leaves_nothing(&Target::sqlite_sample()));
    with_subject(|subject| subject.a_dry_run_leaves_nothing(&Target::postgres_sample().unwrap()));
}
