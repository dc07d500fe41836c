//! Quarantined rows that a person mends in files, in an editor or in a spreadsheet.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../../crates/cli/src/commands/quarantine/sheet/british.rs"]
mod british;
mod program;

use std::fs;
use std::path::Path;

use serde_json::Value;

use british::british;
use program::Program;

/// The root that holds back the most, of the users with a broken e-mail.
fn worst_root(program: &Program) -> Value {
    let args = ["quarantine", "list", "--by", "root", "--step", "user", "--limit", "1", "--json"];
    let roots: Value = serde_json::from_str(program.run(&args).done()).unwrap();
    roots[0].clone()
}

#[test]
fn a_user_that_is_mended_in_a_file_comes_in_with_all_that_waited() {
    let program = Program::migrated();
    let (mend, mend_at) = (program.path("mend"), program.path("mend").display().to_string());
    let root = worst_root(&program);
    let (key, rows) = (root["legacy_key"].to_string(), root["rows"].as_u64().unwrap());
    assert!(rows > 1, "{root}");

    let listed = program.run(&["quarantine", "export", "--out", &mend_at]);
    assert!(listed.done().contains("user.csv: 28 rows"), "{}", listed.all());
    let file = mend.join("user.csv");
    let exported = fs::read_to_string(&file).unwrap();
    let mut reader = csv::Reader::from_reader(exported.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|column| column == name).unwrap();
    let mut sheet = csv::Writer::from_writer(Vec::new());
    sheet.write_record(&header).unwrap();
    for row in reader.records() {
        let mut row: Vec<String> = row.unwrap().iter().map(str::to_owned).collect();
        if row[at("id")] == key {
            row[at("email")] = " Mended.Person@Orchard.Example ".to_owned();
        }
        sheet.write_record(&row).unwrap();
    }
    // As spreadsheets write it.
    let text = String::from_utf8(sheet.into_inner().unwrap()).unwrap().replace('\n', "\r\n");
    fs::write(&file, format!("\u{feff}{text}")).unwrap();
    for other in fs::read_dir(&mend).unwrap().map(|entry| entry.unwrap().path()).filter(|path| *path != file) {
        fs::remove_file(other).unwrap();
    }

    let replay = program.run(&["quarantine", "replay", "--from", &mend_at, "--json"]);
    let account: Value = serde_json::from_str(replay.done()).unwrap();
    assert_eq!(account["mended"]["user"]["email"], 1, "{account}");
    assert_eq!(account["steps"]["users.accounts"]["came_in"], 1, "{account}");
    assert!(!replay.err.contains("Orchard"), "{}", replay.err);
    let traced = program.run(&["trace", "user", &key]).done().to_owned();
    assert!(
        ["outcome  migrated", "  mended   ", "Mended.Person@"].iter().all(|words| traced.contains(words)),
        "{traced}"
    );
    let statement = program.run(&["statement", "mended.person@orchard.example"]);
    assert!(statement.done().contains(&format!("user {key}")), "{}", statement.all());
    assert_ne!(worst_root(&program)["legacy_key"], root["legacy_key"]);

    let again = program.run(&["quarantine", "replay", "--json"]);
    let account: Value = serde_json::from_str(again.done()).unwrap();
    let idle = |step: &Value| step["came_in"] == 0 && step["rewritten"] == 0 && step["taken_out"] == 0;
    assert!(account["steps"].as_object().unwrap().values().all(idle), "{account}");
}

#[test]
fn a_bad_file_is_refused_by_line_and_changes_nothing() {
    let program = Program::migrated();
    let (mend, mend_at) = (program.path("mend"), program.path("mend").display().to_string());
    program.run(&["quarantine", "replay", "--from", &mend_at]).refused(1, "read the folder");
    fs::create_dir(&mend).unwrap();
    program.run(&["quarantine", "replay", "--from", &mend_at]).refused(3, "holds no CSV file");
    let key = worst_root(&program)["legacy_key"].to_string();
    let before = program.run(&["status", "--json"]).done().to_owned();
    for (name, text, words) in [
        (
            "user.csv",
            format!("id,email\n{key},a@b.example\n1,secret@b.example\n"),
            "user.csv, line 3: no row with this key",
        ),
        (
            "user.csv",
            format!("id,email\n{key},a@b.example\n{key},secret@b.example\n"),
            "line 3: a row with this key stands above",
        ),
        ("user.csv", format!("id,e-mail\n{key},secret@b.example\n"), "has no column `e-mail`"),
        ("user.csv", "email\nsecret@b.example\n".to_owned(), "the column `id` is missing"),
        ("user.csv", format!("id,deleted\n{key},secret\n"), "line 2: column `deleted`: an integer is expected"),
        ("user.csv", format!("id,created_when\n{key},secret\n"), "a time like 2019-04-01 12:00:00 is expected"),
        ("user.csv", format!("id,email\n{key},secret@b.example,x\n"), "3 cells, but the header has 2"),
        ("users.csv", format!("id,email\n{key},secret@b.example\n"), "no legacy table of this name"),
    ] {
        fs::write(mend.join(name), text).unwrap();
        let refused = program.run(&["quarantine", "replay", "--from", &mend_at]);
        refused.refused(3, words);
        assert!(!refused.all().contains("secret"), "{}", refused.all());
        fs::remove_file(mend.join(name)).unwrap();
    }
    assert_eq!(program.run(&["status", "--json"]).done(), before);
}

/// The cells of a file.
fn cells(file: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(file).unwrap();
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn an_export_does_not_write_over_mended_files() {
    let program = Program::migrated();
    let (mend, mend_at) = (program.path("mend"), program.path("mend").display().to_string());
    let export = |more: &[&str]| program.run(&[&["quarantine", "export", "--out", &mend_at][..], more].concat());
    export(&[]).done();
    // The same again loses nothing.
    export(&[]).done();
    let files = || {
        let mut files: Vec<_> = fs::read_dir(&mend).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|file| (file.clone(), fs::read(&file).unwrap())).collect::<Vec<_>>()
    };
    let (user, project) = (mend.join("user.csv"), mend.join("project.csv"));
    let mended = fs::read_to_string(&user).unwrap().replace("replant_code", "replant_code ");
    fs::write(&user, &mended).unwrap();
    fs::remove_file(&project).unwrap();
    let before = files();
    let refused = export(&[]);
    refused.refused(3, "user.csv");
    assert!(refused.err.contains("--replace") && !refused.err.contains("invoice.csv"), "{}", refused.err);
    assert!(before == files(), "something was written");
    export(&["--step", "project"]).done();
    assert!(project.exists());
    export(&["--replace"]).done();
    assert_ne!(fs::read_to_string(&user).unwrap(), mended);
}

#[test]
fn a_spreadsheet_may_be_used() {
    let program = Program::migrated();
    let (mend, mend_at) = (program.path("mend"), program.path("mend").display().to_string());
    program.run(&["quarantine", "export", "--all", "--out", &mend_at]).done();
    let key = worst_root(&program)["legacy_key"].to_string();
    let mut files = 0;
    for file in fs::read_dir(&mend).unwrap().map(|entry| entry.unwrap().path()) {
        let mut cells = cells(&file);
        let place = |name: &str| cells[0].iter().position(|column| column == name);
        let (id, email) = (place("id").unwrap(), place("email"));
        for row in cells.iter_mut().skip(1) {
            row.iter_mut().for_each(|cell| *cell = british(cell));
            if let Some(email) = email.filter(|_| row[id] == key) {
                row[email] = "mended@orchard.example".to_owned();
            }
        }
        let ends = csv::Terminator::CRLF;
        let mut writer = csv::WriterBuilder::new().terminator(ends).from_writer(b"\xef\xbb\xbf".to_vec());
        cells.iter().for_each(|row| writer.write_record(row).unwrap());
        fs::write(&file, writer.into_inner().unwrap()).unwrap();
        files += 1;
    }
    assert!(files >= 9, "{files}");
    let replay = program.run(&["quarantine", "replay", "--from", &mend_at, "--json"]);
    let account: Value = serde_json::from_str(replay.done()).unwrap();
    assert_eq!(account["mended"], serde_json::json!({ "user": { "email": 1 } }), "{}", replay.err);
    assert_eq!(account["steps"]["users.accounts"]["came_in"], 1, "{account}");
    let told: Vec<&str> = replay.err.lines().filter(|line| line.contains("as a spreadsheet writes them")).collect();
    assert!(told.len() <= files && told.iter().any(|line| line.contains("user.csv: ")), "{}", replay.err);
    assert!(replay.err.contains("judges 6,300 rows again") && !replay.err.contains("moves"), "{}", replay.err);
}

#[test]
fn what_a_spreadsheet_spoilt_wholesale_is_told_in_a_line() {
    let program = Program::migrated();
    let (mend, mend_at) = (program.path("mend"), program.path("mend").display().to_string());
    program.run(&["quarantine", "export", "--step", "user", "--out", &mend_at]).done();
    let file = mend.join("user.csv");
    let mut cells = cells(&file);
    let at = cells[0].iter().position(|column| column == "updated_when").unwrap();
    for row in cells.iter_mut().skip(1) {
        "########".clone_into(&mut row[at]);
    }
    let mut writer = csv::Writer::from_path(&file).unwrap();
    cells.iter().for_each(|row| writer.write_record(row).unwrap());
    writer.flush().unwrap();
    let refused = program.run(&["quarantine", "replay", "--from", &mend_at]);
    refused.refused(3, "28 times, the first in line 2, column `updated_when`");
    assert_eq!(refused.err.matches("user.csv").count(), 1, "{}", refused.err);
}
