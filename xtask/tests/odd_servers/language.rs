//! A server that speaks German: what an error means is told by its code, whatever its words are.

use std::fs;

use replant_core::diesel::connection::SimpleConnection;
use replant_testkit::Restricted;
use replant_testkit::servers::{self, Server};

use crate::world::Target;
use crate::{assert_ends_as_ordinary, eventually, number, program, until_done};

/// The code of a lock that was not to be had in time.
const LOCK_NOT_AVAILABLE: &str = " 55P03 ";
const CUTS: usize = 5;

fn german() -> Option<(Server, Target, Restricted)> {
    let server = servers::german()?;
    let database = fixtures::PLATFORM.on(&server);
    let role = database.restricted_role(&["accounts"]).unwrap();
    let target = Target::of(database).used_by(&role);
    let error = target.open().batch_execute("SELECT 1 / 0").unwrap_err().to_string();
    assert_eq!(error, "Division durch Null", "the server's translations are missing");
    Some((server, target, role))
}

#[test]
fn a_lock_that_is_held_for_too_long_is_waited_for() {
    let Some((server, target, _)) = german() else { return };
    let run = program(&["migrate", "--env", "local"], &target).spawn().unwrap();
    until_done(&target, 1);
    let mut other = target.open();
    other.batch_execute("SET lock_timeout = 0; BEGIN; LOCK TABLE plantings IN ACCESS EXCLUSIVE MODE").unwrap();
    eventually("a lock that is not to be had in time", || {
        fs::read_to_string(server.folder().join("log")).unwrap().contains(LOCK_NOT_AVAILABLE)
    });
    other.batch_execute("ROLLBACK").unwrap();
    assert_ends_as_ordinary("German, locked", &target, &run.wait_with_output().unwrap());
}

#[test]
fn sessions_that_are_ended_are_opened_again() {
    let Some((_server, target, role)) = german() else { return };
    let mut run = program(&["migrate", "--env", "local"], &target).spawn().unwrap();
    let end = format!(
        "SELECT count(pg_terminate_backend(pid)) AS number FROM pg_stat_activity WHERE usename = '{}' AND state = 'active'",
        role.role()
    );
    let mut other = target.open();
    let mut cuts = 0;
    while cuts < CUTS && run.try_wait().unwrap().is_none() {
        until_done(&target, 1 + 2 * i64::try_from(cuts).unwrap());
        cuts += usize::from(number(&mut other, &end) > Some(0));
    }
    assert!(cuts > 0, "the run was over before a session could be ended");
    assert_ends_as_ordinary(&format!("German, {cuts} cuts"), &target, &run.wait_with_output().unwrap());
    println!("{cuts} times, sessions were ended");
}
