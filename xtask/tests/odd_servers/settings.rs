//! Settings of the role that would change an answer, or cut it short: a session of Replant has its own.

use std::fs;
use std::time::Duration;

use replant_core::diesel::connection::SimpleConnection;
use replant_testkit::Restricted;

use crate::world::Target;
use crate::{assert_ends_as_ordinary, migrate, number, program, read, restricted, until_done, words};

/// How values come as text.
const FORMATS: &[&str] = &[
    "datestyle = 'SQL, DMY'",
    "intervalstyle = 'sql_standard'",
    "timezone = 'Asia/Tokyo'",
    "quote_all_identifiers = on",
    "bytea_output = 'escape'",
    "extra_float_digits = -3",
    "client_encoding = 'LATIN1'",
];

/// The same in another way, and how a statement is read.
const OTHER_FORMATS: &[&str] = &[
    "datestyle = 'German'",
    "intervalstyle = 'iso_8601'",
    "timezone = 'America/St_Johns'",
    "extra_float_digits = 0",
    "standard_conforming_strings = off",
    "array_nulls = off",
    "transform_null_equals = on",
    "search_path = 'pg_catalog'",
];

/// The same once more.
const YET_OTHER_FORMATS: &[&str] = &[
    "datestyle = 'Postgres, YMD'",
    "intervalstyle = 'postgres_verbose'",
    "timezone = 'Pacific/Chatham'",
    "bytea_output = 'escape'",
    "backslash_quote = off",
    "client_min_messages = 'debug1'",
];

/// What ends a session or a statement that takes its time: hardly any does not.
const TIMEOUTS: &[&str] = &[
    "statement_timeout = '10ms'",
    "lock_timeout = '10ms'",
    "idle_session_timeout = '1s'",
    "idle_in_transaction_session_timeout = '1s'",
];

/// What a transaction may do and see.
const TRANSACTIONS: &[&str] =
    &["default_transaction_isolation = 'serializable'", "default_transaction_deferrable = on"];

/// Longer than a session may be idle.
const LONG: Duration = Duration::from_secs(3);

fn set(target: &Target, role: &Restricted, settings: &[&str]) {
    for setting in settings {
        target.open().batch_execute(&format!("ALTER ROLE {} SET {setting}", role.role())).unwrap();
    }
}

fn migrates_as_ordinary(settings: &[&str]) {
    let Some((target, role)) = restricted() else { return };
    set(&target, &role, settings);
    assert_ends_as_ordinary(&settings.join("; "), &target, &migrate(&target));
}

#[test]
fn formats() {
    migrates_as_ordinary(FORMATS);
}

#[test]
fn other_formats() {
    migrates_as_ordinary(OTHER_FORMATS);
}

#[test]
fn yet_other_formats() {
    migrates_as_ordinary(YET_OTHER_FORMATS);
}

#[test]
fn timeouts() {
    migrates_as_ordinary(TIMEOUTS);
}

#[test]
fn transactions() {
    migrates_as_ordinary(TRANSACTIONS);
}

/// A customer of the sample.
const CUSTOMER: &str = "mia_lefevre4644@web.de";

/// Every file and every text that the reports make, by name.
fn reports(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let lineage = folder.path().join("lineage.csv");
    let tables = folder.path().join("reconciliation");
    let commands = [
        &["lineage", "--out", lineage.to_str().unwrap()][..],
        &["reconcile", "--out", tables.to_str().unwrap()],
        &["statement", CUSTOMER],
        &["statement", CUSTOMER, "--json"],
        &["status", "--money"],
    ];
    let mut found = Vec::new();
    for command in commands {
        let end = program(&[command, &["--env", "local"]].concat(), target).output().unwrap();
        assert!(end.status.success(), "{command:?}: {}", words(&end));
        let writes = command.contains(&"--out");
        // The folder is another one each time.
        found.push((command[0].to_owned(), if writes { Vec::new() } else { end.stdout }));
    }
    found.push(("lineage.csv".to_owned(), read(&lineage)));
    for entry in fs::read_dir(&tables).unwrap() {
        let file = entry.unwrap().path();
        found.push((file.file_name().unwrap().to_str().unwrap().to_owned(), read(&file)));
    }
    found.sort();
    found
}

#[test]
fn reports_are_the_same_whatever_the_settings_are() {
    let Some((target, role)) = restricted() else { return };
    let end = migrate(&target);
    assert!(end.status.success(), "{}", words(&end));
    let expected = reports(&target);
    let mut differing = Vec::new();
    for settings in [FORMATS, OTHER_FORMATS, YET_OTHER_FORMATS, TIMEOUTS, TRANSACTIONS] {
        set(&target, &role, settings);
        let found = reports(&target);
        assert_eq!(found.len(), expected.len());
        let pairs = expected.iter().zip(&found).filter(|(expected, found)| expected != found);
        differing.extend(pairs.map(|(expected, _)| format!("{}: {}", expected.0, settings.join("; "))));
        target.open().batch_execute(&format!("ALTER ROLE {} RESET ALL", role.role())).unwrap();
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// The session by which others know that a run lives says nothing for most of the time.
#[test]
fn a_run_whose_sessions_are_idle_for_long_is_alive() {
    let Some((target, role)) = restricted() else { return };
    set(&target, &role, &["idle_session_timeout = '500ms'"]);
    let run = program(&["migrate", "--env", "local"], &target).spawn().unwrap();
    until_done(&target, 1);
    let mut other = target.open();
    // Whoever reads goes on, whoever writes waits.
    other.batch_execute("BEGIN; LOCK TABLE plantings, accounts IN EXCLUSIVE MODE").unwrap();
    std::thread::sleep(LONG);
    let mut joined = program(&["work", "--env", "local", "--wait", "2"], &target).spawn().unwrap();
    let mut second = program(&["migrate", "--env", "local"], &target).spawn().unwrap();
    std::thread::sleep(LONG);
    let gave_up = [joined.try_wait().unwrap(), second.try_wait().unwrap()];
    let told_dead = number(&mut other, NOT_ALIVE);
    other.batch_execute("ROLLBACK").unwrap();
    let [joined, second] = [joined, second].map(|child| child.wait_with_output().unwrap());
    let first = run.wait_with_output().unwrap();
    assert_eq!(gave_up, [None, None], "{}{}", words(&joined), words(&second));
    assert_eq!(told_dead, Some(0), "{}", words(&second));
    assert!(joined.status.success(), "{}", words(&joined));
    assert!(words(&second).contains("which is under way"), "{}", words(&second));
    for end in [&first, &second] {
        // What ends a session for another's sake is said.
        assert!(!words(end).contains("connection was lost"), "{}", words(end));
    }
    assert_ends_as_ordinary("idle sessions, the second", &target, &second);
    assert_ends_as_ordinary("idle sessions, the first", &target, &first);
}

const NOT_ALIVE: &str = "SELECT count(*) AS number FROM replant.replant_runs WHERE state <> 'running'";
