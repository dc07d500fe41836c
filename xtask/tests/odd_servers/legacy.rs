//! A MariaDB whose settings would change how a query is read, how far its answer goes, or how long it may take.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use replant_core::db::{Db, DbUrl, Role};
use replant_core::diesel;
use replant_core::diesel::connection::SimpleConnection;
use replant_core::diesel::prelude::*;
use replant_core::diesel::sql_query;
use replant_core::diesel::sql_types::Text;
use replant_testkit::servers::{self, Kind, ServerOptions};

use crate::{
    assert_ends_as_ordinary, copy_of_legacy, legacy, number, program, program_from, read, restricted, until_done, words,
};

/// Settings of every session that does not have its own.
fn ends_as_ordinary_with(settings: &[&str]) {
    let Some((target, _)) = restricted() else { return };
    let Some(server) = servers::own(Kind::MariaDb, &ServerOptions::new()) else { return };
    let legacy = fixtures::LEGACY.on(&server);
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
    let legacy = fixtures::LEGACY.on(&server);
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
    assert!(words(&end).contains("has not answered for 1 s"), "{}", words(&end));
    assert_ends_as_ordinary("a legacy server that was stopped", &target, &end);
}

/// A name that an address holds only encoded.
#[test]
fn a_database_whose_name_has_a_space() {
    let Some((target, _)) = restricted() else { return };
    let Some(server) = servers::own(Kind::MariaDb, &ServerOptions::new()) else { return };
    let database = fixtures::LEGACY.on(&server);
    let name = database.address().rsplit_once('/').unwrap().1;
    database.open().batch_execute(&moved_to(&mut database.open(), "a legacy; `of` more trees")).unwrap();
    let encoded = "a%20legacy%3B%20%60of%60%20more%20trees";
    let mut migrate = program(&["migrate", "--env", "local"], &target);
    migrate.env("REPLANT__LEGACY__URL", database.address().replace(name, encoded));
    assert_ends_as_ordinary("a name with spaces", &target, &migrate.output().unwrap());
}

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
}

/// What moves every table of a database into another one.
fn moved_to(db: &mut Db, name: &str) -> String {
    let name = name.replace('`', "``");
    let tables = "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()";
    let tables: Vec<Table> = sql_query(tables).load(db).unwrap();
    let moved = tables.iter().map(|Table { name: table }| format!("RENAME TABLE `{table}` TO `{name}`.`{table}`;"));
    format!("CREATE DATABASE `{name}`; {}", moved.collect::<String>())
}

/// A copy of a file that is in use: a table of it is in the log alone.
#[test]
fn a_file_whose_log_holds_rows() {
    let Some((target, _)) = restricted() else { return };
    let [live, copied] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (file, mut writer) = copy_of_legacy(live.path());
    let logged = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
        CREATE TABLE kept AS SELECT * FROM subscription; DELETE FROM subscription; PRAGMA wal_checkpoint(TRUNCATE);
        INSERT INTO subscription SELECT * FROM kept; DROP TABLE kept";
    writer.batch_execute(logged).unwrap();
    let files = ["legacy.db", "legacy.db-wal"].map(|name| copied.path().join(name));
    for (from, to) in [file.clone(), file.with_extension("db-wal")].iter().zip(&files) {
        fs::copy(from, to).unwrap();
    }
    drop(writer);
    let before = files.each_ref().map(|file| read(file));
    assert!(!before[1].is_empty());
    for command in ["plan", "migrate", "status", "plan"] {
        let end = program_from(&files[0], &[command, "--env", "local"], &target).output().unwrap();
        assert!(end.status.success(), "{command}: {}", words(&end));
        if command == "migrate" {
            assert_ends_as_ordinary("rows in the log", &target, &end);
        }
        assert!(before == files.each_ref().map(|file| read(file)), "{command} changes a file");
    }
}

/// A backup on a mount that nobody may write to.
#[test]
fn a_file_in_wal_mode_beside_which_nobody_may_write() {
    let Some((target, _)) = restricted() else { return };
    let backup = tempfile::tempdir().unwrap();
    let file = backup.path().join("legacy.db");
    fs::copy(legacy(), &file).unwrap();
    let mut writer = Db::open(&DbUrl::sqlite(&file), Role::Target).unwrap();
    writer.batch_execute("PRAGMA journal_mode = WAL").unwrap();
    drop(writer);
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    mode(&file, 0o444);
    mode(backup.path(), 0o555);
    // Root may write anywhere, so it runs as somebody else, from where everybody may.
    let place = tempfile::tempdir().unwrap();
    mode(place.path(), 0o755);
    let own = place.path().join("xtask");
    fs::copy(env!("CARGO_BIN_EXE_xtask"), &own).unwrap();
    let config = place.path().join("config");
    fs::create_dir(&config).unwrap();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/config")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), config.join(entry.file_name())).unwrap();
    }
    let plan = |address: String| {
        let ours = program(&["plan", "--env", "local", "--config-dir"], &target);
        let mut plan = Command::new(&own);
        plan.args(ours.get_args()).arg(&config).current_dir(place.path());
        plan.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        plan.env("REPLANT__LEGACY__URL", address);
        if place.path().metadata().unwrap().uid() == 0 {
            plan.uid(NOBODY).gid(NOBODY);
        }
        plan.output().unwrap()
    };
    let address = format!("sqlite://{}", file.display());
    let refused = plan(address.clone());
    assert!(!refused.status.success() && words(&refused).contains("it is in WAL mode"), "{}", words(&refused));
    let planned = plan(address + "?immutable=1");
    assert!(planned.status.success(), "{}", words(&planned));
    assert_eq!(fs::read_dir(backup.path()).unwrap().count(), 1);
    mode(backup.path(), 0o755);
}

/// The user and the group that own nothing.
const NOBODY: u32 = 65_534;

/// Megabytes that a process may need beside the rows that it has in hand.
const OWN: u64 = 176;
/// The setting's own.
const QUEUE: u64 = 24;

/// 360 megabytes of them: as many rows as a first chunk has weigh more than the queue may hold.
#[test]
fn wide_rows_do_not_fill_the_memory() {
    let Some((target, _)) = restricted() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (file, mut legacy) = copy_of_legacy(folder.path());
    let rows = "WITH RECURSIVE n (id) AS (SELECT 1000000 UNION ALL SELECT id + 1 FROM n WHERE id < 1005999)
        INSERT INTO user (id, email, first_name, last_name, type, deleted, created_when, updated_when, notes)
        SELECT id, 'wide' || id || '@example.org', 'Wide', 'Example', 'user', 0, '2020-01-01 10:00:00',
               '2020-01-01 10:00:00', hex(zeroblob(30000)) FROM n";
    legacy.batch_execute(rows).unwrap();
    drop(legacy);
    let mut migrate = program_from(&file, &["migrate", "--env", "local", "--only", "users"], &target);
    let settings = [("CHUNK_ROWS", 5_000), ("CHUNK_MS", 1_000), ("QUEUE_MB", QUEUE)];
    migrate.envs(settings.map(|(name, value)| (format!("REPLANT__RUN__{name}"), value.to_string())));
    let mut run = migrate.spawn().unwrap();
    let mut peak = 0;
    while run.try_wait().unwrap().is_none() {
        peak = peak_megabytes(run.id()).unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(5));
    }
    let end = run.wait_with_output().unwrap();
    assert!(end.status.success(), "{}", words(&end));
    let came = "SELECT count(*) AS number FROM accounts WHERE email LIKE 'wide%@example.org'";
    assert_eq!(number(&mut target.open(), came), Some(6_000));
    assert!((1..=QUEUE + OWN).contains(&peak), "{peak} megabytes");
}

/// The most that a process has had in memory, as Linux tells it.
fn peak_megabytes(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.trim().trim_end_matches(" kB").parse::<u64>().ok()? / 1024)
}
