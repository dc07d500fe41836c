//! The sample into a target that nobody else writes to: the same rows as into a live one, and every constraint back.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../src/registry.rs"]
mod registry;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use replant_core::constraints;
use replant_core::{Offline, Settings};
use replant_testkit::conformance::{Subject, Target};
use replant_testkit::state::{State, assert_same_state};
use replant_testkit::{Database, catalog};
use serde_json::Value;

fn settings(writers: usize) -> Settings {
    let offline = Some(Offline { least_rows: 1 });
    Settings {
        offline,
        writers,
        readers: writers,
        chunk_rows: 1_000,
        target_pool: 12,
        legacy_pool: 8,
        ..Settings::default()
    }
}

#[test]
fn the_sample_ends_offline_as_it_does_live() {
    let Some(live) = fixtures::PLATFORM.postgres_target() else { return };
    let folder = tempfile::tempdir().unwrap();
    let legacy = fixtures::LEGACY.in_sqlite(folder.path());
    let registry = registry::registry();
    let subject = Subject { registry: &registry, snapshot: reference::snapshot, legacy };
    let expected = subject.state(&live, Settings::default());
    let constraints_of = |target: &Target| catalog::constraints(&mut target.open()).unwrap();
    for writers in [1, 4] {
        let dark = fixtures::PLATFORM.postgres_target().unwrap();
        assert_same_state("offline", &expected, &subject.state(&dark, settings(writers)));
        catalog::assert_same_constraints("offline", &constraints_of(&live), &constraints_of(&dark));
        let dropped = constraints::list(&mut dark.open()).unwrap();
        let of = |table: &str| dropped.iter().filter(|one| one.table == table).count();
        assert_eq!([of("plantings"), of("payments"), of("credit_entries"), of("accounts")], [8, 4, 3, 2]);
    }
}

struct Program {
    legacy: String,
    target: Database,
    folder: tempfile::TempDir,
}

impl Program {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(args)
            .arg("--config-dir")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("config"))
            .env("REPLANT__LEGACY__URL", &self.legacy)
            .env("REPLANT__TARGET__URL", self.target.address())
            .env("REPLANT__TARGET__LIVE", "false")
            .env("REPLANT__OFFLINE__LEAST_ROWS", "1")
            .env("REPLANT__RUN__CHUNK_ROWS", "150")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{args:?}: {text} {}", String::from_utf8_lossy(&output.stderr));
        text
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[args, &["--json"]].concat())).unwrap()
    }

    fn missing(&self) -> usize {
        let list = self.json(&["constraints", "list"]);
        list.as_array().unwrap().iter().filter(|one| one["presence"] == "missing").count()
    }
}

#[test]
fn a_run_that_was_killed_is_seen_and_its_constraints_are_brought_back() {
    let Some(target) = fixtures::PLATFORM.in_postgres() else { return };
    let folder = tempfile::tempdir().unwrap();
    fixtures::LEGACY.in_sqlite(folder.path());
    let legacy = format!("sqlite://{}", folder.path().join("legacy.db").display());
    let began = jiff::Timestamp::now();
    let live = Program { legacy: legacy.clone(), target: fixtures::PLATFORM.in_postgres().unwrap(), folder };
    assert!(live.command(&["migrate"]).env("REPLANT__TARGET__LIVE", "true").output().unwrap().status.success());
    assert_eq!(live.json(&["constraints", "list"]), Value::Array(Vec::new()));

    let dark = Program { legacy, target, folder: tempfile::tempdir().unwrap() };
    let all = |program: &Program| catalog::constraints(&mut program.target.open()).unwrap();
    let quiet = |mut command: Command| command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut run = quiet(dark.command(&["migrate"]));
    let clock = std::time::Instant::now();
    loop {
        assert!(clock.elapsed().as_secs() < 60 && run.try_wait().unwrap().is_none(), "nothing is dropped");
        let mut db = dark.target.open();
        if replant_core::ledger::exists(&mut db).unwrap()
            && constraints::list(&mut db).unwrap().iter().any(|one| one.table == "plantings")
        {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let held = dark.run(&["constraints", "restore"]);
    assert_eq!(held.status.code(), Some(5), "{}", String::from_utf8_lossy(&held.stderr));
    run.kill().unwrap();
    run.wait().unwrap();
    let missing = dark.missing();
    assert!(missing > 0);
    assert_eq!(dark.json(&["status"])["missing"].as_array().unwrap().len(), missing);
    let status = dark.done(&["status"]);
    assert!(
        status.contains("cargo xtask constraints restore") && status.contains("plantings.plantings_account"),
        "{status}"
    );
    // The server may still be at what the run had asked for last.
    let clock = std::time::Instant::now();
    while !dark.run(&["constraints", "restore"]).status.success() {
        assert!(clock.elapsed().as_secs() < 20);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(dark.missing(), 0);
    catalog::assert_same_constraints("killed and restored", &all(&live), &all(&dark));
    assert!(dark.done(&["constraints", "restore"]).contains("Nothing was missing"));
    dark.done(&["migrate"]);
    let state = |program: &Program| State::but_for_ids(&mut program.target.open(), began, fixtures::IDS).unwrap();
    assert_same_state("killed and restored", &state(&live), &state(&dark));
    catalog::assert_same_constraints("killed, restored and gone on", &all(&live), &all(&dark));
    assert!(!dark.done(&["status"]).contains("ATTENTION"));
}

#[test]
fn a_legacy_database_is_neither_live_nor_not() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["status", "--config-dir"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("config"))
        .env("REPLANT__LEGACY__LIVE", "false")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("live"));
}
