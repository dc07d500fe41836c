//! Drives the built program: what it refuses, how it exits, and the demo.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod program;

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use program::{Program, sqlite};

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
    let end = program.run(&["migrate"]);
    end.refused(4, "no server answers");
    assert!(end.err.contains("into db at 127.0.0.1:1 as u"), "{}", end.err);
    program.run(&["status"]).refused(4, "it is db at 127.0.0.1:1 as u;");
}

#[test]
fn a_missing_file_is_an_error_and_makes_no_file() {
    let program = Program::new();
    program.run(&["migrate"]).refused(2, "the file does not exist; `demo` makes one");
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
    program.run(&["migrate", "--env", "prod", "--dry-run"]).refused(3, "nobody is here to confirm");
    program.run(&["migrate", "--env", "prod", "--dry-run", "--confirm", "prod"]).done();
}

#[test]
fn a_second_demo_writes_nothing() {
    let program = Program::new();
    assert!(!program.run(&["demo"]).done().contains("All is done already"));
    let bytes = |name: &str| fs::read(program.path(name)).unwrap();
    let before = bytes("local/platform.db");
    let second = program.run(&["demo"]);
    assert!(second.done().starts_with("All is done already: nothing was written."), "{}", second.all());
    let tried = program.run(&["try", "invoice", "--sample", "100", "--diff"]);
    let all_the_same = "100 units were tried: all come out as the target has them.";
    assert!(tried.done().contains(all_the_same), "{}", tried.all());
    assert!(before == bytes("local/platform.db"), "the second demo, or a trial, changed the target");
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

#[test]
fn a_log_for_programs_has_an_object_a_line_with_run_step_and_chunk() {
    let program = Program::with_sample().with("RUST_LOG", "debug");
    let file = program.path("run.log").display().to_string();
    fs::write(&file, "").unwrap();
    let mut command = program.command(&["migrate", "--only", "users", "--log-format", "json", "--log-file", &file]);
    let end = program.end(command.env("RUST_LOG", "replant_cli=debug").output().unwrap());
    end.done();
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let chunk = lines.iter().find(|line| line["message"] == "a chunk is done").unwrap_or_else(|| panic!("{text}"));
    assert!(chunk["chunk"].is_i64() && chunk["step"] == "users.accounts" && chunk["rows"].is_u64(), "{chunk}");
    let run = chunk["run"].as_str().unwrap();
    let known = program.run(&["status", "--json"]);
    assert!(known.done().contains(&format!("\"{run}\"")), "{}", known.all());
    // Who watches the terminal still reads.
    assert!(end.err.contains("moves 6,300 rows") && !end.err.contains("{\"at\""), "{}", end.err);

    let on_screen = program.run(&["migrate", "--only", "projects", "--log-format", "json"]);
    on_screen.done();
    assert!(on_screen.err.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{}", on_screen.err);
    program.run(&["status", "--log-file", "/nowhere/at/all.log"]).refused(1, "write the log into /nowhere/at/all.log");
}

#[test]
fn status_begins_with_how_far_it_is_and_shows_the_frequent_codes() {
    let program = Program::migrated();
    let status = program.run(&["status"]);
    let first: Vec<&str> = status.done().lines().take(2).collect();
    assert!(first[0] == "local: all 69,981 rows are done." && first[1].starts_with("Last commit: 20"), "{first:?}");
    assert!(status.out.lines().count() < 40 && status.out.contains("cargo xtask status --codes"), "{}", status.out);
    let all = program.run(&["status", "--codes"]);
    assert!(all.done().lines().count() > 100 && !all.out.contains("more:"), "{}", all.out);
}

#[test]
fn people_read_major_units_and_scripts_exact_minor_ones() {
    let program = Program::migrated();
    let money = program.run(&["status", "--money"]);
    assert!(money.done().contains("GBP 74,074.02 in plantation 7474"), "{}", money.out);
    let money: Value = serde_json::from_str(program.run(&["status", "--money", "--json"]).done()).unwrap();
    let pounds = money["largest"].as_array().unwrap().iter().find(|row| row["currency"] == "GBP").unwrap();
    assert!(pounds["amount"].as_str().unwrap().starts_with("74074"), "{pounds}");
    let list = program.run(&["quarantine", "list"]);
    assert!(list.done().starts_with("Quarantined: 1,350 rows."), "{}", list.out);
    let overview: Value = serde_json::from_str(program.run(&["quarantine", "list", "--json"]).done()).unwrap();
    let codes = overview["codes"].as_array().unwrap();
    let rows: u64 = codes.iter().map(|code| code["rows"].as_u64().unwrap()).sum();
    assert_eq!(rows, 1_350);
    let roots = overview["roots"].as_array().unwrap();
    assert_eq!((roots.len(), &roots[0]["code"]), (20, &Value::from("email_invalid")));
    assert!(roots[0]["money"]["GBP"].is_string(), "{}", roots[0]);
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
