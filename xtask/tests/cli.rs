//! Drives the built program: what it refuses, how it exits, and the demo.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use replant_testkit::sample;
use serde_json::Value;
use tempfile::TempDir;

const SECRET: &str = "hunter2";

/// The program, in a world of its own.
struct Program {
    folder: TempDir,
    vars: Vec<(&'static str, String)>,
}

struct End {
    code: i32,
    out: String,
    err: String,
}

impl Program {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), vars: Vec::new() }
    }

    /// With the sample in the files of `local`, not migrated.
    fn with_sample() -> Self {
        let program = Self::new();
        let local = program.path("local");
        fs::create_dir(&local).unwrap();
        sample::sqlite_legacy_sample(&local);
        sample::sqlite_platform_sample(&local);
        program
    }

    /// With the sample in the files of `local`, migrated.
    fn migrated() -> Self {
        let program = Self::with_sample();
        program.run(&["migrate"]).done();
        program
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.vars.push((name, value.into()));
        self
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("REPLANT") {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .arg("--config-dir")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("config"))
            .arg("--work-dir")
            .arg(self.folder.path())
            .envs(self.vars.iter().map(|(name, value)| (name, value)))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> End {
        self.end(self.command(args).output().unwrap())
    }

    fn end(&self, output: Output) -> End {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let end = End { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
        assert!(!end.all().contains(SECRET), "{}", end.all());
        end
    }
}

impl End {
    fn all(&self) -> String {
        format!("exit {}\n{}\n{}", self.code, self.out, self.err)
    }

    #[track_caller]
    fn refused(&self, code: i32, words: &str) {
        assert_eq!(self.code, code, "{}", self.all());
        assert!(self.err.contains(words), "{}", self.all());
    }

    #[track_caller]
    fn done(&self) -> &str {
        assert_eq!(self.code, 0, "{}", self.all());
        &self.out
    }
}

fn sqlite(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

#[test]
fn an_unknown_command_is_a_mistake_of_the_call() {
    Program::new().run(&["migrat"]).refused(2, "unrecognized subcommand");
}

#[test]
fn an_unknown_environment_names_those_that_there_are() {
    Program::new().run(&["migrate", "--env", "staging"]).refused(2, "there are dev, local, prod, uat");
}

#[test]
fn a_missing_address_names_its_variable() {
    let program = Program::new();
    program.run(&["migrate", "--env", "uat"]).refused(2, "REPLANT__LEGACY__URL");
    program.run(&["status", "--env", "uat"]).refused(2, "REPLANT__TARGET__URL");
}

#[test]
fn a_misspelt_setting_is_refused() {
    let program = Program::new().with("REPLANT__RUN__CHUNKROWS", "5");
    program.run(&["plan"]).refused(2, "unknown field `chunkrows`");
}

#[test]
fn an_unknown_scheme_is_refused() {
    let program = Program::new().with("REPLANT__TARGET__URL", "oracle://u:hunter2@h/db");
    program.run(&["migrate"]).refused(2, "`oracle` is no database that Replant knows");
}

#[test]
fn a_mariadb_target_is_refused() {
    let program = Program::with_sample();
    let program = program.with("REPLANT__TARGET__URL", "mysql://u:hunter2@127.0.0.1:1/db");
    program.run(&["migrate"]).refused(2, "the target is PostgreSQL or SQLite");
}

#[test]
fn a_server_that_is_away_is_no_reason_to_begin_again() {
    let program = Program::with_sample();
    let program = program.with("REPLANT__TARGET__URL", "postgres://u:hunter2@127.0.0.1:1/db");
    program.run(&["migrate"]).refused(4, "no server answers");
}

#[test]
fn a_missing_file_is_an_error_and_makes_no_file() {
    let program = Program::new();
    program.run(&["migrate"]).refused(2, "the file does not exist; `cargo xtask demo` makes one");
    assert!(!program.path("local/legacy.db").exists() && !program.path("local/platform.db").exists());
}

#[test]
fn prod_is_not_written_without_its_name() {
    let program = Program::with_sample();
    let (legacy, target) = (sqlite(&program.path("local/legacy.db")), sqlite(&program.path("local/platform.db")));
    let program = program.with("REPLANT__LEGACY__URL", legacy).with("REPLANT__TARGET__URL", target);
    program.run(&["migrate", "--env", "prod"]).refused(3, "nobody is here to confirm");
    program.run(&["migrate", "--env", "prod", "--confirm", "uat"]).refused(3, "--confirm says `uat`");
    program.run(&["migrate", "--env", "prod", "--confirm", "prod"]).done();
    program.run(&["migrate", "--env", "prod", "--dry-run"]).done();
}

#[test]
fn a_second_demo_writes_nothing() {
    let program = Program::new();
    assert!(!program.run(&["demo"]).done().contains("All is done already"));
    let bytes = |name: &str| fs::read(program.path(name)).unwrap();
    let before = bytes("local/platform.db");
    let second = program.run(&["demo"]);
    assert!(second.done().starts_with("All is done already: nothing was written."), "{}", second.all());
    assert!(before == bytes("local/platform.db"), "the second demo changed the target");
    assert!(!program.run(&["demo", "--fresh"]).done().contains("All is done already"));
}

#[test]
fn a_demo_ignores_addresses_of_real_databases() {
    let program = Program::new().with("REPLANT__TARGET__URL", "postgres://u:hunter2@127.0.0.1:1/db");
    program.run(&["demo"]).done();
}

#[test]
fn a_dry_run_leaves_no_trace() {
    let program = Program::with_sample();
    assert!(program.run(&["migrate", "--dry-run"]).done().contains("nothing was committed"));
    assert!(program.run(&["status"]).done().contains("There is no ledger in the target yet"));
}

#[cfg(unix)]
#[test]
fn a_run_that_is_asked_to_stop_goes_on_later() {
    use std::io::{BufRead, BufReader, Read};

    let program = Program::with_sample().with("REPLANT__RUN__CHUNK_ROWS", "20").with("REPLANT__RUN__CHUNK_MS", "0");
    let mut child = program.command(&["migrate"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(" moves ") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended before it began");
    }
    assert!(Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap().success());
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(6), "{rest}");
    assert!(rest.contains("to go on: cargo xtask migrate"), "{rest}");
    program.run(&["migrate"]).done();
    assert!(program.run(&["migrate"]).done().starts_with("All is done already"));
}

#[test]
fn results_for_scripts_are_json_on_standard_output() {
    let program = Program::migrated();
    for args in
        [&["plan", "--json"][..], &["migrate", "--json"], &["status", "--json"], &["quarantine", "list", "--json"]]
    {
        let end = program.run(args);
        let value: serde_json::Value = serde_json::from_str(end.done()).unwrap_or_else(|_| panic!("{}", end.all()));
        assert!(value.is_array() || value.is_object());
    }
}

#[test]
fn a_target_without_a_ledger_says_so() {
    let program = Program::with_sample();
    let empty = program.path("empty.db");
    fs::write(&empty, "").unwrap();
    let program = program.with("REPLANT__TARGET__URL", sqlite(&empty));
    assert!(program.run(&["status"]).done().contains("There is no ledger in the target yet"));
    program.run(&["trace", "user", "1"]).refused(1, "the target has no ledger yet");
    program.run(&["lineage", "--out", program.path("l.csv").to_str().unwrap()]).refused(1, "no ledger");
    assert!(!program.path("l.csv").exists());
}

#[test]
fn what_quarantine_lists_can_be_shown_and_traced() {
    let program = Program::migrated();
    let listed: serde_json::Value =
        serde_json::from_str(program.run(&["quarantine", "list", "--by", "row", "--limit", "5", "--json"]).done())
            .unwrap();
    let status: serde_json::Value = serde_json::from_str(program.run(&["status", "--json"]).done()).unwrap();
    for row in listed.as_array().unwrap() {
        let step = status["steps"].as_array().unwrap().iter().find(|step| step["step"] == row["step"]).unwrap();
        let (table, key) = (step["legacy_table"].as_str().unwrap(), row["legacy_key"].to_string());
        let code = row["code"].as_str().unwrap();
        assert!(program.run(&["quarantine", "show", table, &key]).done().contains(code));
        assert!(program.run(&["trace", table, &key]).done().contains(&format!("quarantined ({code})")));
    }
}

#[test]
fn lineage_has_a_line_for_every_legacy_row() {
    let program = Program::migrated();
    let out = program.path("lineage.csv");
    program.run(&["lineage", "--out", out.to_str().unwrap()]).done();
    let status: serde_json::Value = serde_json::from_str(program.run(&["status", "--json"]).done()).unwrap();
    let rows: u64 = status["steps"].as_array().unwrap().iter().map(|step| step["rows"].as_u64().unwrap()).sum();
    let text = fs::read_to_string(&out).unwrap();
    assert!(text.starts_with("legacy_table,legacy_id,outcome,code,targets,repairs\n"), "{text}");
    assert_eq!(text.lines().count() as u64, rows + 1);
}

#[test]
fn money_closes_in_every_table_and_currency() {
    let program = Program::migrated();
    let status: Value = serde_json::from_str(program.run(&["status", "--money", "--json"]).done()).unwrap();
    let money = status["money"].as_array().unwrap();
    assert!(money.iter().any(|line| line["table"] == "bank_transfer" && line["currency"] == "JPY"), "{money:?}");
    assert!(money.iter().all(|line| line["balances"] == true), "{money:?}");
    assert!(program.run(&["status", "--money"]).done().contains("finance_transaction"));
}

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
    assert!(program.run(&["trace", "user", &key]).done().contains("outcome  migrated"));
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

#[test]
fn a_target_that_is_held_is_left_alone() {
    let program = Program::migrated();
    let lock = fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(program.path("local/platform.db.replant-lock"));
    let lock = lock.unwrap();
    lock.try_lock().unwrap();
    program.run(&["demo", "--fresh"]).refused(5, "another run works on this target");
}

#[test]
fn completions_are_for_the_shell_that_is_asked_for() {
    assert!(Program::new().run(&["completions", "bash"]).done().contains("_xtask"));
}
