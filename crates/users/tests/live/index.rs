//! What stands under the name of the index before a run: only the index itself, valid, is taken for it.

use diesel::connection::SimpleConnection;
use replant_core::db::Db;
use replant_core::{Event, Registry, RunError, Silent, Stop};

use crate::site::{self, Ear, Site};

const DECLARED: &str =
    "CREATE UNIQUE INDEX accounts_one_per_email ON accounts (lower(email)) WHERE merged_into IS NULL";

#[test]
fn what_a_failed_build_has_left_is_dropped_and_built_anew() {
    let Some(site) = Site::new() else { return };
    let build = DECLARED.replace("INDEX", "INDEX CONCURRENTLY");
    assert!(site.open().batch_execute(&build).is_err(), "the pairs are not consolidated");
    assert_eq!(site.index(), "invalid unique");
    let ear = Ear::default();
    assert!(site.run(&Stop::default(), &ear).unwrap().complete);
    let said = |event: &Event| matches!(event, Event::Throttled { reason, .. } if reason.contains("was not valid"));
    assert!(ear.heard(said));
    site.assert_done();
}

/// Runs into something that has the name of the index: it is named, and no row is moved.
#[track_caller]
fn refused(site: &Site, what: &str) {
    let error = site.run(&Stop::default(), &Silent).expect_err("it is refused");
    assert!(matches!(error, RunError::Preflight { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("`accounts_one_per_email`") && text.contains(what) && text.contains(DECLARED), "{text}");
    assert_eq!(site.number("SELECT count(*) AS number FROM pg_tables WHERE tablename = 'replant_steps'"), 0);
}

#[test]
fn another_index_of_that_name_is_not_taken_for_it() {
    let Some(site) = Site::new() else { return };
    for (sql, what) in [
        ("CREATE INDEX accounts_one_per_email ON accounts (lower(email)) WHERE merged_into IS NULL", "not unique"),
        ("CREATE UNIQUE INDEX accounts_one_per_email ON accounts (email)", "defined otherwise"),
        (
            "CREATE UNIQUE INDEX accounts_one_per_email ON accounts (lower(email), id) WHERE merged_into IS NULL",
            "defined otherwise",
        ),
        ("CREATE UNIQUE INDEX accounts_one_per_email ON accounts (lower(email) DESC, id)", "defined otherwise"),
        ("CREATE UNIQUE INDEX accounts_one_per_email ON projects (slug)", "of another table"),
    ] {
        site.open().batch_execute(sql).unwrap();
        refused(&site, what);
        site.open().batch_execute("DROP INDEX accounts_one_per_email").unwrap();
    }
    site.open().batch_execute("CREATE VIEW accounts_one_per_email AS SELECT 1 AS one").unwrap();
    refused(&site, "no index");
    site.open().batch_execute("DROP VIEW accounts_one_per_email").unwrap();
    assert!(site.run(&Stop::default(), &Silent).unwrap().complete);
    site.assert_done();
}

#[test]
fn one_that_is_lost_after_the_step_was_done_is_built_again() {
    let Some(site) = Site::new() else { return };
    assert!(site.run(&Stop::default(), &Silent).unwrap().complete);
    site.open().batch_execute("DROP INDEX accounts_one_per_email").unwrap();
    let again = site.run(&Stop::default(), &Silent).unwrap();
    assert!(again.complete);
    site.assert_done();
    let third = site.run(&Stop::default(), &Silent).unwrap();
    assert!(third.steps.iter().all(|step| step.already_done));
}

#[test]
fn in_sqlite_too_only_the_index_itself_is_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let legacy = fixtures::LEGACY.in_sqlite(folder.path());
    let target = fixtures::PLATFORM.in_sqlite(folder.path());
    let registry = Registry::default().domain(users::domain());
    let mut db: Db = site::opened(&target);
    db.batch_execute("CREATE INDEX accounts_one_per_email ON accounts (email)").unwrap();
    let run = || site::run(&registry, &legacy, &target, &Stop::default(), &Silent);
    assert!(matches!(run().expect_err("it is refused"), RunError::Preflight { .. }));
    db.batch_execute("DROP INDEX accounts_one_per_email").unwrap();
    assert!(run().unwrap().complete);
    let found = "SELECT count(*) AS number FROM pragma_index_list('accounts') \
                 WHERE name = 'accounts_one_per_email' AND \"unique\" AND partial";
    assert_eq!(site::number(&mut db, found), 1);
}
