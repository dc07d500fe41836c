//! A MariaDB whose settings would change how a query is read, how far its answer goes, or how long it may take.

use std::process::Command;
use std::time::Duration;

use replant_core::diesel::connection::SimpleConnection;
use replant_testkit::sample;
use replant_testkit::servers::{self, Kind, ServerOptions};

use crate::{assert_ends_as_ordinary, program, restricted, until_done};

/// Settings of every session that does not have its own.
fn ends_as_ordinary_with(settings: &[&str]) {
    let Some((target, _)) = restricted() else { return };
    let Some(server) = servers::own(Kind::MariaDb, &ServerOptions::new()) else { return };
    let legacy = sample::legacy_in(&server);
    for setting in settings {
        legacy.open().batch_execute(&format!("SET GLOBAL {setting}")).unwrap();
    }
    let mut migrate = program(&["migrate", "--env", "local"], &target);
    migrate.env("REPLANT__LEGACY__URL", legacy.address());
    assert_ends_as_ordinary(&settings.join("; "), &target, &migrate.output().unwrap());
}

#[test]
fn other_modes_of_sql() {
    ends_as_ordinary_with(&["sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH'"]);
}

#[test]
fn another_time_zone() {
    ends_as_ordinary_with(&["time_zone = '+05:00'"]);
}

#[test]
fn few_rows_of_an_answer() {
    ends_as_ordinary_with(&["sql_select_limit = 500"]);
}

#[test]
fn little_time() {
    ends_as_ordinary_with(&["max_statement_time = 0.02", "wait_timeout = 1", "interactive_timeout = 1"]);
}

#[test]
fn fewer_rows_than_a_join_may_look_at() {
    ends_as_ordinary_with(&["max_join_size = 1000"]);
}

/// A server that is stopped answers nothing, and ends no connection either.
#[test]
fn a_server_that_does_not_answer_for_a_while() {
    let Some((target, _)) = restricted() else { return };
    let Some(server) = servers::own(Kind::MariaDb, &ServerOptions::new()) else { return };
    let legacy = sample::legacy_in(&server);
    let mut migrate = program(&["migrate", "--env", "local"], &target);
    migrate.env("REPLANT__LEGACY__URL", legacy.address()).env("REPLANT__RUN__ANSWER_SECONDS", "1");
    let run = migrate.spawn().unwrap();
    until_done(&target, 3);
    let server = server.pid().expect("it runs").to_string();
    let signal = |name: &str| assert!(Command::new("kill").args([name, &server]).status().unwrap().success());
    signal("-STOP");
    std::thread::sleep(Duration::from_millis(1_700));
    signal("-CONT");
    let end = run.wait_with_output().unwrap();
    assert!(crate::words(&end).contains("has not answered for 1 s"), "{}", crate::words(&end));
    assert_ends_as_ordinary("a legacy server that was stopped", &target, &end);
}
