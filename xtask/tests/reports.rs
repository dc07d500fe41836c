//! Drives `reconcile` and `statement` of the built program on the migrated sample.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

/// A customer of the sample, in another spelling than the one on the platform.
const CUSTOMER: &str = "Mia_Lefevre4644@WEB.de";

fn command(work: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("REPLANT") {
            command.env_remove(name);
        }
    }
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    command.args(args).arg("--config-dir").arg(config).arg("--work-dir").arg(work);
    command.env("RUST_LOG", "debug").stdin(Stdio::null()).output().unwrap()
}

/// The folder with the migrated sample, which every test only reads.
fn migrated() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let local = folder.path().join("local");
        fs::create_dir(&local).unwrap();
        fixtures::LEGACY.in_sqlite(&local);
        fixtures::PLATFORM.in_sqlite(&local);
        let end = command(folder.path(), &["migrate"]);
        assert!(end.status.success(), "{}", String::from_utf8_lossy(&end.stderr));
        folder
    });
    folder.path()
}

#[track_caller]
fn done(args: &[&str]) -> (String, String) {
    let end = command(migrated(), args);
    let (out, err) = (String::from_utf8(end.stdout).unwrap(), String::from_utf8(end.stderr).unwrap());
    assert_eq!(end.status.code(), Some(0), "{out}\n{err}");
    (out, err)
}

#[track_caller]
fn refused(args: &[&str], code: i32, words: &str) -> String {
    let end = command(migrated(), args);
    let all = String::from_utf8(end.stderr).unwrap() + &String::from_utf8(end.stdout).unwrap();
    assert_eq!(end.status.code(), Some(code), "{all}");
    assert!(all.contains(words), "{all}");
    all
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn read(file: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_reconciliation_is_a_folder_of_files_that_are_always_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/reconciliation");
    let (text, _) = done(&["reconcile", "--out", out.to_str().unwrap()]);
    assert!(text.contains("94 of 168 months differ") && text.contains("680 of 5196 accounts"), "{text}");
    let sections = ["brands", "credits", "cross_charges", "transfers"];
    let mut expected: Vec<String> =
        sections.iter().flat_map(|section| [format!("{section}.csv"), format!("{section}.json")]).collect();
    expected.push("summary.json".to_owned());
    expected.sort();
    assert_eq!(names(&out), expected);
    let summary = read(out.join("summary.json"));
    assert_eq!(summary["cross_charges"]["differing"], 94);
    assert_eq!(summary["complete"], true);
    for section in sections {
        let lines = csv::Reader::from_path(out.join(format!("{section}.csv"))).unwrap().into_records().count();
        assert_eq!(read(out.join(format!("{section}.json")))["lines"].as_array().unwrap().len(), lines, "{section}");
    }
    let before: Vec<Vec<u8>> = names(&out).iter().map(|name| fs::read(out.join(name)).unwrap()).collect();
    fs::write(out.join("brands.csv"), "older").unwrap();
    done(&["reconcile", "--out", out.to_str().unwrap()]);
    let after: Vec<Vec<u8>> = names(&out).iter().map(|name| fs::read(out.join(name)).unwrap()).collect();
    assert!(before == after, "a second reconciliation differs from the first");
}

#[test]
fn a_reconciliation_of_one_brand_names_it_by_id_or_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name);
    let of = |brand: &str, name: &str| {
        done(&["reconcile", "--brand", brand, "--out", out(name).to_str().unwrap()]);
        read(out(name).join("summary.json"))
    };
    assert_eq!(of("12", "a"), of("BLUE fern coffee", "b"));
    let missing = |brand: &str, words: &str| {
        refused(&["reconcile", "--brand", brand, "--out", out("c").to_str().unwrap()], 1, words);
        assert!(!out("c").exists());
    };
    missing("acorn coffee", "several brands have that name: 11, 48");
    missing("46", "cargo xtask trace brand 46");
    missing("no such brand", "whole name");
}

#[test]
fn a_statement_comes_as_text_json_and_csv() {
    let (text, _) = done(&["statement", CUSTOMER]);
    assert!(text.contains("user 4857") && text.contains("Trees: "), "{text}");
    let (json, _) = done(&["statement", CUSTOMER, "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let count = |name: &str| json[name].as_array().unwrap().len();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("statement.csv");
    let (said, _) = done(&["statement", CUSTOMER, "--out", out.to_str().unwrap()]);
    assert!(said.contains(" lines in "), "{said}");
    let lines = csv::Reader::from_path(&out).unwrap().into_records().count();
    assert_eq!(lines, count("accounts") + count("lines") + count("not_moved"));
    assert_eq!(names(folder.path()), ["statement.csv"]);
}

#[test]
fn an_address_is_in_no_log_and_no_error() {
    for (_, err) in [done(&["statement", CUSTOMER]), done(&["statement", CUSTOMER, "--json"])] {
        assert!(!err.to_lowercase().contains("mia_lefevre"), "{err}");
    }
    let unknown = refused(&["statement", "no.such.person@nowhere.org"], 1, "look at the spelling");
    assert!(!unknown.contains("nowhere"), "{unknown}");
}

#[test]
fn a_target_that_was_never_migrated_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let local = folder.path().join("local");
    fs::create_dir(&local).unwrap();
    fixtures::LEGACY.in_sqlite(&local);
    fixtures::PLATFORM.in_sqlite(&local);
    for args in [&["statement", CUSTOMER][..], &["reconcile", "--out", "never"]] {
        let end = command(folder.path(), args);
        assert_eq!(end.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&end.stderr).contains("no ledger"));
    }
    assert!(!Path::new("never").exists());
}
