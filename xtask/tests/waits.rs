//! Customers beside a whole run on a live platform: none of them waits for a lock of ours, whatever transactions of theirs are
//! open meanwhile.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may fail, and says what it saw")]

mod world;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Double, Integer, Text};
use replant_core::db::{Db, DbUrl, Role};
use replant_core::diesel;

use world::{migrate, postgres};

/// The longest that a customer may wait for us, in seconds, looked at every 20 ms: what a customer waited for others before counts
/// for the others.
const MOST: f64 = 1.2;

/// A customer who waits for one of our sessions.
#[derive(QueryableByName)]
struct Waiting {
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = Double)]
    since: f64,
    #[diesel(sql_type = Text)]
    customer: String,
    #[diesel(sql_type = Text)]
    ours: String,
}

/// Who waits for one of our sessions at this moment, in which statement, and what that session does.
const WAITING: &str = "
SELECT DISTINCT ON (a.pid) a.pid, extract(epoch FROM a.query_start)::float8 AS since, a.query AS customer,
       concat_ws(' | ', o.state, o.wait_event, extract(epoch FROM clock_timestamp() - o.xact_start), o.query) AS ours
  FROM pg_stat_activity a, unnest(pg_blocking_pids(a.pid)) b JOIN pg_stat_activity o ON o.pid = b
 WHERE a.datname = current_database() AND a.application_name LIKE 'site%' AND o.application_name LIKE 'replant%'
 ORDER BY a.pid";

/// What customers do, each in a transaction of its own: log in, sign up, plant, pay, look at a plan.
const CUSTOMERS: [&str; 4] = [
    "UPDATE accounts SET last_seen_at = now() WHERE id = (SELECT id FROM accounts WHERE merged_into IS NULL ORDER BY random() LIMIT 1)",
    "INSERT INTO accounts (kind, email, display_name, marketing_consent, status, created_at, updated_at)
     VALUES ('person', 'new-' || gen_random_uuid() || '@trees.org', 'New', false, 'active', now(), now())",
    "INSERT INTO plantings (account_id, project_id, trees, kind, status, planted_at)
     SELECT a.id, p.id, 1, 'purchase', 'pending', now() FROM (SELECT id FROM accounts WHERE merged_into IS NULL ORDER BY random() LIMIT 1) a,
            (SELECT min(id) AS id FROM projects) p",
    "UPDATE subscriptions SET next_billing_at = next_billing_at WHERE id = (SELECT id FROM subscriptions ORDER BY random() LIMIT 1)",
];

fn open(target: &DbUrl) -> Db {
    let mut db = Db::open(target, Role::Target).unwrap();
    db.batch_execute("SET application_name = 'site'; SET lock_timeout = 0").unwrap();
    db
}

/// Holds what some statements take for a while, lets go, and again.
fn holds(target: &DbUrl, over: &AtomicBool, sql: &str, long: Duration) {
    let mut db = open(target);
    while !over.load(Ordering::SeqCst) {
        db.batch_execute(&format!("BEGIN; {sql}")).unwrap();
        let began = Instant::now();
        while began.elapsed() < long && !over.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
        }
        db.batch_execute("COMMIT").unwrap();
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn nobody_waits_beside(held: &str, long: Duration) {
    let Some(target) = postgres() else { return };
    let folder = tempfile::tempdir().unwrap();
    fixtures::LEGACY.in_sqlite(folder.path());
    let (over, url) = (AtomicBool::new(false), target.url.clone());
    let longest = std::thread::scope(|scope| {
        scope.spawn(|| holds(&url, &over, held, long));
        for sql in CUSTOMERS {
            let (target, over) = (&url, &over);
            scope.spawn(move || {
                let mut db = open(target);
                while !over.load(Ordering::SeqCst) {
                    // Another customer may have been quicker.
                    let _ = db.batch_execute(sql);
                    std::thread::sleep(Duration::from_millis(30));
                }
            });
        }
        let watch = scope.spawn(|| {
            let (mut db, mut longest, mut seen) = (open(&url), (0_f64, String::new()), HashMap::new());
            while !over.load(Ordering::SeqCst) {
                let waiting: Vec<Waiting> = diesel::sql_query(WAITING).load(&mut db).unwrap();
                let before = std::mem::take(&mut seen);
                for one in waiting {
                    let key = (one.pid, one.since.to_bits());
                    let first = before.get(&key).copied().unwrap_or_else(Instant::now);
                    let waited = first.elapsed().as_secs_f64();
                    if waited > longest.0 {
                        longest = (waited, format!("{} beside {}", one.customer, one.ours));
                    }
                    seen.insert(key, first);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            longest
        });
        let mut run = migrate(&folder.path().join("legacy.db"), &target);
        let end = run.wait().unwrap();
        over.store(true, Ordering::SeqCst);
        assert!(end.success(), "the run beside {held} ends with {end}");
        watch.join().unwrap()
    });
    let (longest, what) = longest;
    println!("{held}: the longest wait was {longest:.3} s: {what}");
    assert!(longest <= MOST, "a customer waited {longest:.3} s beside {held}: {what}");
}

#[test]
fn beside_a_transaction_that_holds_rows() {
    let rows =
        "UPDATE accounts SET display_name = display_name WHERE id IN (SELECT id FROM accounts ORDER BY id LIMIT 3)";
    nobody_waits_beside(rows, Duration::from_secs(4));
}

#[test]
fn beside_a_transaction_that_holds_a_table() {
    nobody_waits_beside("LOCK TABLE account_emails IN SHARE ROW EXCLUSIVE MODE", Duration::from_secs(3));
}
