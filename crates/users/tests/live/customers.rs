//! Customers who sign up and change their own account every 20 ms while users end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Integer;
use replant_core::db::Db;
use replant_core::{Event, Stop};

use crate::site::{BUILDING, Ear, Idle, Site, eventually, number};

const EVERY: Duration = Duration::from_millis(20);
/// The longest that a customer may wait.
const MOST: Duration = Duration::from_millis(1_200);

/// Does something every 20 ms until it is over, and returns the longest that it took.
fn steadily(over: &AtomicBool, mut work: impl FnMut(u64)) -> Duration {
    let mut longest = Duration::ZERO;
    for n in 0.. {
        if over.load(Ordering::SeqCst) {
            return longest;
        }
        let began = Instant::now();
        work(n);
        longest = longest.max(began.elapsed());
        std::thread::sleep(EVERY.saturating_sub(began.elapsed()));
    }
    longest
}

fn signs_up(db: &mut Db, n: u64) {
    db.batch_execute(&format!(
        "INSERT INTO accounts (kind, email, display_name, marketing_consent, status, created_at, updated_at) \
         VALUES ('person', 'new{n}@customers.site', 'New', false, 'active', now(), now())"
    ))
    .unwrap();
}

/// Accounts by turns, those that are consolidated among them.
fn changes_the_own(db: &mut Db, n: u64) {
    let own = format!("customer{}@customers.site", 2 + (n * 37) % 2_990);
    db.batch_execute(&format!("UPDATE accounts SET last_seen_at = now() WHERE email = '{own}'")).unwrap();
}

#[derive(QueryableByName)]
struct Blocked {
    #[diesel(sql_type = Integer)]
    pid: i32,
}

/// How long each customer's session was blocked at a time, seen every 20 ms: the longest.
fn longest_block(db: &mut Db, over: &AtomicBool) -> Duration {
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'customer' AND datname = current_database() \
               AND wait_event_type = 'Lock' AND cardinality(pg_blocking_pids(pid)) > 0";
    let mut since: HashMap<i32, Instant> = HashMap::new();
    let mut longest = Duration::ZERO;
    steadily(over, |_| {
        let now: Vec<i32> =
            diesel::sql_query(sql).load::<Blocked>(db).unwrap().into_iter().map(|blocked| blocked.pid).collect();
        since.retain(|pid, _| now.contains(pid));
        for pid in now {
            longest = longest.max(since.entry(pid).or_insert_with(Instant::now).elapsed());
        }
    });
    longest
}

/// Runs users beside customers while `disturb` does something; asserts that no customer waited and all is there.
fn beside_customers(disturb: impl FnOnce(&Site, &Ear)) {
    let Some(site) = Site::new() else { return };
    let (over, ear) = (AtomicBool::new(false), Ear::default());
    std::thread::scope(|scope| {
        let sign_ups = scope.spawn(|| {
            let mut db = site.open();
            steadily(&over, |n| signs_up(&mut db, n))
        });
        let changes = scope.spawn(|| {
            let mut db = site.open();
            steadily(&over, |n| changes_the_own(&mut db, n))
        });
        let blocks = scope.spawn(|| longest_block(&mut site.platform.open(), &over));
        let run = scope.spawn(|| {
            let report = site.run(&Stop::default(), &ear);
            over.store(true, Ordering::SeqCst);
            report
        });
        disturb(&site, &ear);
        let report = run.join().unwrap().unwrap_or_else(|error| panic!("the run fails: {error}"));
        assert!(report.complete);
        let (sign_ups, changes, blocks) = (sign_ups.join().unwrap(), changes.join().unwrap(), blocks.join().unwrap());
        println!("longest: a sign-up {sign_ups:?}, a change {changes:?}, a block {blocks:?}");
        assert!(sign_ups < MOST, "a sign-up took {sign_ups:?}");
        assert!(blocks < MOST, "a customer was blocked for {blocks:?}");
    });
    site.assert_done();
}

/// Holds a transaction until the build of the index has waited for it for a while.
fn hold_the_build(site: &Site, idle: Idle) {
    let mut db = site.platform.open();
    eventually("the index is being built", || number(&mut db, BUILDING) > 0);
    std::thread::sleep(Duration::from_secs(3));
    assert!(number(&mut db, BUILDING) > 0, "it waits for the open transaction");
    idle.commit();
}

#[test]
fn a_transaction_that_stays_open_makes_nobody_wait() {
    beside_customers(|site, _| {
        let account = site.account("customer2999@customers.site");
        hold_the_build(site, Idle::changing(site, account));
    });
}

#[test]
fn so_does_one_that_holds_an_account_which_is_to_be_closed() {
    beside_customers(|site, ear| {
        let account = site.account("Customer300@customers.site");
        let idle = Idle::changing(site, account);
        eventually("its group is tried again", || ear.heard(|event| matches!(event, Event::Retrying { .. })));
        std::thread::sleep(Duration::from_secs(3));
        idle.commit();
    });
}

#[test]
fn a_reader_of_an_old_snapshot_makes_nobody_wait() {
    beside_customers(|site, _| {
        let reading = Idle::with(site, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM accounts");
        hold_the_build(site, reading);
    });
}
