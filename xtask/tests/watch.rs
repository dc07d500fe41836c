//! A run that is watched: who lives and who is dead, and what a second one is told.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod world;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use replant_core::db::{Db, Role};
use replant_core::diesel;
use serde_json::Value;

use world::{Target, postgres, program, sqlite};

fn legacy(folder: &Path) -> PathBuf {
    fixtures::LEGACY.in_sqlite(folder);
    folder.join("legacy.db")
}

fn status(legacy: &Path, target: &Target, args: &[&str]) -> String {
    let command = [&["status", "--env", "local"][..], args].concat();
    let end = program(&command, legacy, target).stdout(Stdio::piped()).output().unwrap();
    String::from_utf8(end.stdout).unwrap()
}

fn status_json(legacy: &Path, target: &Target) -> Value {
    serde_json::from_str(&status(legacy, target, &["--json"])).unwrap()
}

/// Waits until the ledger says so.
fn until(legacy: &Path, target: &Target, what: &str, says: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let text = status(legacy, target, &["--json"]);
        // The ledger may be in the making.
        if let Some(status) = serde_json::from_str(&text).ok().filter(&says) {
            return status;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{what}: {text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_moving(status: &Value) -> bool {
    status["whole"]["done"].as_u64().is_some_and(|done| done > 600)
}

fn run(legacy: &Path, target: &Target) -> Child {
    program(&["migrate", "--env", "local"], legacy, target).spawn().unwrap()
}

#[derive(diesel::QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    found: i64,
}

fn a_killed_run_is_dead(target: &Target) {
    let folder = tempfile::tempdir().unwrap();
    let legacy = legacy(folder.path());
    let mut process = run(&legacy, target);
    let status = until(&legacy, target, "it moves rows", is_moving);
    let workers = status["workers"].as_array().unwrap();
    assert_eq!((workers.len(), &workers[0]["run"]), (1, &status["runs"][0]["id"]), "{status}");
    assert_eq!(status["runs"][0]["state"], "running");
    let whole = &status["whole"];
    assert!(whole["rows_per_second"].as_u64().unwrap() > 0 && whole["seconds_left"].is_u64(), "{whole}");
    assert!(whole["last_commit"].is_string(), "{whole}");
    if let Some(session) = workers[0]["session"].as_str() {
        let mut db = Db::open(&target.url, Role::Target).unwrap();
        let sql = format!("SELECT count(*) AS found FROM pg_stat_activity WHERE application_name = '{session}'");
        let Found { found } = diesel::sql_query(sql).get_result(&mut db).unwrap();
        assert!(found > 0, "no session is named {session}");
    }

    process.kill().unwrap();
    process.wait().unwrap();
    let dead = until(&legacy, target, "its death is seen", |status| status["workers"].as_array().unwrap().is_empty());
    assert_eq!(dead["runs"][0]["state"], "dead", "{dead}");
    assert!(dead["whole"]["rows_per_second"].is_null(), "{dead}");
    let text = self::status(&legacy, target, &[]);
    let head: Vec<&str> = text.split("\n\n").next().unwrap().lines().collect();
    let run = dead["runs"][0]["id"].as_str().unwrap();
    assert!(head.iter().any(|line| line.starts_with("Dead (killed") && line.contains(run)), "{head:?}");
    assert!(head.iter().any(|line| line.contains("`cargo xtask migrate` goes on where it stopped")), "{head:?}");
    assert!(!text.contains("running") && !text.contains("under way"), "{text}");
    // Asking changes nothing.
    assert_eq!(status_json(&legacy, target), dead);

    assert!(self::run(&legacy, target).wait().unwrap().success());
    let done = status_json(&legacy, target);
    assert_eq!((&done["whole"]["complete"], &done["whole"]["done"]), (&Value::from(true), &done["whole"]["rows"]));
    assert_eq!(done["runs"][1]["state"], "stopped", "{done}");
}

#[test]
fn a_killed_run_is_dead_on_postgres() {
    let Some(target) = postgres() else { return };
    a_killed_run_is_dead(&target);
}

#[test]
fn a_killed_run_is_dead_on_sqlite() {
    a_killed_run_is_dead(&sqlite());
}

#[test]
fn who_joins_a_run_is_told_and_asked() {
    let Some(target) = postgres() else { return };
    let folder = tempfile::tempdir().unwrap();
    let legacy = legacy(folder.path());
    let mut first = run(&legacy, &target);
    let status = until(&legacy, &target, "it moves rows", is_moving);
    let id = status["runs"][0]["id"].as_str().unwrap().to_owned();

    let second = |args: &[&str]| {
        let mut command = program(args, &legacy, &target);
        command.stderr(Stdio::piped());
        command
    };
    let refused = second(&["migrate", "--env", "prod", "--confirm", "prod"]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains(&id) && said.contains("--join"), "{said}");
    let unconfirmed = second(&["work", "--env", "prod"]).output().unwrap();
    let said = String::from_utf8(unconfirmed.stderr).unwrap();
    assert_eq!(unconfirmed.status.code(), Some(3), "{said}");
    assert!(said.contains("nobody is here to confirm") && !said.contains("--dry-run"), "{said}");

    for args in [&["migrate", "--env", "local"][..], &["migrate", "--env", "prod", "--confirm", "prod", "--join"]] {
        let mut joining = second(args).spawn().unwrap();
        let mut lines = BufReader::new(joining.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("joins ") {
            assert!(lines.read_line(&mut said).unwrap() > 0, "{said}");
        }
        assert!(said.contains(&format!("joins {id}")), "{said}");
        joining.kill().unwrap();
        lines.read_to_string(&mut said).unwrap();
        joining.wait().unwrap();
    }
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn a_worker_may_be_for_a_part() {
    let Some(target) = postgres() else { return };
    let folder = tempfile::tempdir().unwrap();
    let legacy = legacy(folder.path());
    let mut first = run(&legacy, &target);
    let work = program(&["work", "--env", "local", "--only", "projects", "--json"], &legacy, &target)
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    assert!(work.status.success());
    let status = status_json(&legacy, &target);
    let projects = status["steps"].as_array().unwrap().iter().find(|step| step["step"] == "projects.projects").unwrap();
    assert_eq!(projects["done"], true, "{status}");
    assert!(first.wait().unwrap().success());
}
