//! A dry run finds what a run does, and nobody who uses the platform waits for it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may fail, and says what it saw")]

mod world;

use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use replant_core::db::{Db, Role};
use replant_core::diesel;
use replant_testkit::dump;
use serde_json::Value;

use world::{Target, postgres, program};

/// What `migrate --json` says of counts, codes and money.
fn account(legacy: &std::path::Path, target: &Target, args: &[&str]) -> Value {
    let args = [&["migrate", "--env", "local", "--json"], args].concat();
    let Output { status, stdout, .. } = program(&args, legacy, target).stdout(Stdio::piped()).output().unwrap();
    assert!(status.success(), "{args:?}");
    let mut account: Value = serde_json::from_slice(&stdout).unwrap();
    let whole = account.as_object_mut().unwrap();
    whole.retain(|key, _| ["steps", "codes", "money", "complete"].contains(&key.as_str()));
    for step in whole["steps"].as_array_mut().unwrap() {
        step.as_object_mut().unwrap().remove("rows_per_second");
    }
    account
}

#[derive(QueryableByName)]
struct Waiting {
    #[diesel(sql_type = BigInt)]
    sessions: i64,
}

/// Sessions that wait for one of ours.
const BLOCKED: &str = "SELECT count(*) AS sessions FROM pg_stat_activity a \
     WHERE a.datname = current_database() AND a.application_name NOT LIKE 'replant%' \
       AND EXISTS (SELECT FROM unnest(pg_blocking_pids(a.pid)) b JOIN pg_stat_activity o ON o.pid = b \
                    WHERE o.application_name LIKE 'replant%')";

/// What a customer does.
const CUSTOMER: &str = "
UPDATE accounts SET last_seen_at = now() WHERE id = (SELECT min(id) FROM accounts);
INSERT INTO accounts (kind, email, display_name, marketing_consent, status, created_at, updated_at)
VALUES ('person', 'new-' || gen_random_uuid() || '@trees.org', 'New', false, 'active', now(), now());
DELETE FROM accounts WHERE email LIKE 'new-%@trees.org'";

#[test]
fn a_dry_run_finds_what_a_run_does_and_nobody_waits_for_it() {
    let (Some(rehearsed), Some(target)) = (postgres(), postgres()) else { return };
    let folder = tempfile::tempdir().unwrap();
    fixtures::LEGACY.in_sqlite(folder.path());
    let legacy = folder.path().join("legacy.db");
    let open = || {
        let mut db = Db::open(&rehearsed.url, Role::Target).unwrap();
        db.batch_execute("SET application_name = 'site'").unwrap();
        db
    };
    let before = dump::dump_all(&mut open()).unwrap();
    let ids = "SELECT last_value AS sessions FROM plantings_id_seq";
    let last = |db: &mut Db| diesel::sql_query(ids).get_result::<Waiting>(db).unwrap().sessions;
    let first = last(&mut open());
    let over = AtomicBool::new(false);
    let found = std::thread::scope(|scope| {
        let customer = scope.spawn(|| {
            let (mut db, mut longest, mut times) = (open(), Duration::ZERO, 0);
            while !over.load(Ordering::SeqCst) {
                let began = Instant::now();
                db.batch_execute(CUSTOMER).unwrap();
                longest = longest.max(began.elapsed());
                times += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            (longest, times)
        });
        let watch = scope.spawn(|| {
            let (mut db, mut blocked) = (open(), 0);
            while !over.load(Ordering::SeqCst) {
                blocked += diesel::sql_query(BLOCKED).get_result::<Waiting>(&mut db).unwrap().sessions;
                std::thread::sleep(Duration::from_millis(20));
            }
            blocked
        });
        let found = account(&legacy, &rehearsed, &["--dry-run"]);
        over.store(true, Ordering::SeqCst);
        let ((longest, times), blocked) = (customer.join().unwrap(), watch.join().unwrap());
        println!("a customer came {times} times and waited {longest:?} at the most");
        assert_eq!(blocked, 0, "customers waited for the dry run");
        assert!(times > 5 && longest < Duration::from_millis(1_200), "{times} times, {longest:?}");
        found
    });
    // The customer has changed one time of one account; of the rest nothing is otherwise.
    let mut db = open();
    db.batch_execute("UPDATE accounts SET last_seen_at = NULL WHERE id = (SELECT min(id) FROM accounts)").unwrap();
    let mut before = before;
    for table in before.iter_mut().filter(|table| table.name == "accounts") {
        let (id, seen) = (column(table, "id"), column(table, "last_seen_at"));
        let least = table.rows.iter_mut().min_by_key(|row| row[id].as_ref().unwrap().parse::<i64>().unwrap()).unwrap();
        least[seen] = None;
    }
    dump::assert_same(&before, &dump::dump_all(&mut db).unwrap());
    assert!(!replant_core::ledger::exists(&mut db).unwrap(), "a dry run leaves a ledger");
    assert_eq!(last(&mut db), first, "a dry run takes no ids");
    assert_eq!(found, account(&legacy, &target, &[]), "a dry run finds what a run does");
}

fn column(table: &dump::TableDump, name: &str) -> usize {
    table.columns.iter().position(|column| column == name).unwrap()
}
