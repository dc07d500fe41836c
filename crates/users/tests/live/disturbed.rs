//! Runs that are killed, stopped or joined by another one while the index is built, and customers who sign up meanwhile.

use std::process::{Command, Stdio};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use replant_core::{Event, Registry, RunError, Silent, Stop};

use crate::site::{self, BUILDING, Ear, Idle, Site, eventually};

/// Where a child process finds its databases.
const LEGACY: &str = "USERS_LIVE_LEGACY";
const TARGET: &str = "USERS_LIVE_TARGET";

/// Not a test of its own: the run of a process that is killed.
#[test]
fn child() {
    let (Ok(legacy), Ok(target)) = (std::env::var(LEGACY), std::env::var(TARGET)) else { return };
    let registry = Registry::default().domain(users::domain());
    let _ = site::run(&registry, &site::address(&legacy), &site::address(&target), &Stop::default(), &Silent);
}

/// A transaction that keeps the index from being built.
fn idle(site: &Site) -> Idle {
    Idle::changing(site, site.account("customer2999@customers.site"))
}

#[track_caller]
fn until_building(site: &Site) {
    let mut db = site.platform.open();
    eventually("the index is being built", || site::number(&mut db, BUILDING) > 0);
}

#[test]
fn a_run_that_is_killed_while_it_builds_leaves_nothing_that_the_next_one_does_not_mend() {
    let Some(site) = Site::new() else { return };
    let idle = idle(&site);
    let legacy = format!("sqlite://{}", site.legacy.sqlite_path().unwrap().display());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "disturbed::child"])
        .env(LEGACY, legacy)
        .env(TARGET, site.platform.address())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until_building(&site);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(site.index(), "invalid unique");
    assert_eq!(site.number("SELECT count(*) AS number FROM replant_steps WHERE state = 'indexing'"), 1);
    let ear = Ear::default();
    std::thread::scope(|scope| {
        let next = scope.spawn(|| site.run(&Stop::default(), &ear));
        eventually("the run says what it found", || ear.heard(|event| matches!(event, Event::Throttled { .. })));
        // Nor can it be dropped while a transaction is open that may have seen it.
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(site.index(), "invalid unique");
        idle.commit();
        assert!(next.join().unwrap().unwrap_or_else(|error| panic!("the next run fails: {error}")).complete);
    });
    site.assert_done();
}

#[test]
fn a_run_that_is_asked_to_stop_does_not_wait_for_the_index() {
    let Some(site) = Site::new() else { return };
    let (idle, stop) = (idle(&site), Stop::default());
    std::thread::scope(|scope| {
        let run = scope.spawn(|| site.run(&stop, &Silent));
        until_building(&site);
        stop.request();
        let report = run.join().unwrap().unwrap_or_else(|error| panic!("the run fails: {error}"));
        assert!(!report.complete);
    });
    assert_eq!(site.number("SELECT count(*) AS number FROM replant_steps WHERE state = 'indexing'"), 1);
    idle.commit();
    assert!(site.run(&Stop::default(), &Silent).unwrap().complete);
    site.assert_done();
}

#[test]
fn two_runs_that_end_at_once_build_one_index() {
    let Some(site) = Site::new() else { return };
    let idle = idle(&site);
    std::thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(|| site.run(&Stop::default(), &Silent)));
        until_building(&site);
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(site.number(BUILDING), 1);
        idle.commit();
        for run in runs {
            assert!(run.join().unwrap().unwrap_or_else(|error| panic!("a run fails: {error}")).complete);
        }
    });
    site.assert_done();
}

/// A customer signs up with the address of another account, but for its case.
fn sign_up(site: &Site, email: &str) -> i64 {
    let mut db = site.open();
    db.batch_execute(&format!(
        "INSERT INTO accounts (kind, email, display_name, marketing_consent, status, created_at, updated_at) \
         VALUES ('person', '{email}', 'New', false, 'active', now(), now())"
    ))
    .unwrap();
    site.account(email)
}

#[test]
fn two_customers_with_one_address_are_consolidated_when_the_index_meets_them() {
    let Some(site) = Site::new() else { return };
    let idle = idle(&site);
    let (stays, goes) = std::thread::scope(|scope| {
        let run = scope.spawn(|| site.run(&Stop::default(), &Silent));
        until_building(&site);
        let pair = (site.account("customer2000@customers.site"), sign_up(&site, "CUSTOMER2000@customers.site"));
        idle.commit();
        assert!(run.join().unwrap().unwrap_or_else(|error| panic!("the run fails: {error}")).complete);
        pair
    });
    assert_eq!(site.index(), "valid unique");
    assert_eq!(site.number(&format!("SELECT merged_into AS number FROM accounts WHERE id = {goes}")), stays);
    let noted = format!("SELECT count(*) AS number FROM replant_changes WHERE target_id = {goes} AND what = 'closed'");
    assert_eq!(site.number(&noted), 1);
}

#[test]
fn a_customer_with_the_address_of_an_account_of_the_migration_is_named() {
    let Some(site) = Site::new() else { return };
    let idle = idle(&site);
    let made = "SELECT a.id AS number FROM accounts a JOIN replant_id_blocks b ON b.target_table = 'accounts' \
                AND a.id BETWEEN b.first_id AND b.first_id + b.ids - 1 ORDER BY a.id LIMIT 1";
    let (ours, theirs, error) = std::thread::scope(|scope| {
        let run = scope.spawn(|| site.run(&Stop::default(), &Silent));
        until_building(&site);
        let ours = site.number(made);
        site.open()
            .batch_execute(&format!(
                "INSERT INTO accounts (kind, email, display_name, marketing_consent, status, created_at, updated_at) \
                 SELECT 'person', upper(email), 'New', false, 'active', now(), now() FROM accounts WHERE id = {ours}"
            ))
            .unwrap();
        let theirs = site.number("SELECT max(id) AS number FROM accounts");
        idle.commit();
        (ours, theirs, run.join().unwrap().expect_err("the rules do not merge them"))
    });
    assert!(matches!(error, RunError::Finish { .. }));
    let text = error.to_string();
    assert!(text.contains(&format!("2 live accounts share an e-mail but for its case: ({ours}, {theirs})")), "{text}");
    assert_eq!(site.index(), "", "what is left of the build refuses nobody");
    let merge = format!("UPDATE accounts SET status = 'closed', merged_into = {ours} WHERE id = {theirs}");
    site.open().batch_execute(&merge).unwrap();
    assert!(site.run(&Stop::default(), &Silent).unwrap().complete);
    site.assert_done();
}

#[test]
fn a_process_that_hangs_with_the_lock_of_builders_loses_it() {
    let Some(site) = Site::new() else { return };
    // As a process does that was stopped between two statements.
    let mut hangs = site.platform.open();
    hangs.batch_execute("SELECT pg_advisory_lock(7364129880115)").unwrap();
    let ear = Ear::default();
    assert!(site.run(&Stop::default(), &ear).unwrap().complete);
    assert!(ear.heard(|event| matches!(event, Event::Throttled { reason, .. } if reason.contains("another session"))));
    assert!(hangs.batch_execute("SELECT 1").is_err(), "its session was ended");
    site.assert_done();
}
