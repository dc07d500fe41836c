//! Throwaway servers: they start, they end with us in every way that we may end, and a missing one is never silent.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use replant_core::db::{Db, DbUrl, Role};
use replant_testkit::servers::{self, Kind, REQUIRE, SKIPPED, Server};
use replant_testkit::{Database, catalog, mariadb, postgres};

/// Set for the tests that are the other process of another one. Run by themselves they do nothing.
const OTHER: &str = "TESTKIT_OTHER_PROCESS";

/// One of the tests below, in a process of its own.
fn another_process(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(OTHER, "1");
    command.args(["--ignored", "--exact", test, "--nocapture", "--test-threads=1"]);
    command
}

#[test]
#[ignore = "a process to be killed: run by servers_end_with_a_process_that_is_killed"]
fn holder() {
    if std::env::var_os(OTHER).is_none() {
        return;
    }
    // In a thread that ends: a server must not be tied to it.
    let shared = |kind| servers::available(kind).map(|server| (server.url("postgres"), server.folder().to_owned()));
    let started =
        thread::spawn(move || [Kind::Postgres, Kind::MariaDb].into_iter().filter_map(shared).collect::<Vec<_>>());
    let started = started.join().unwrap();
    thread::sleep(Duration::from_millis(300));
    for (url, folder) in started {
        println!("\nserver {} {}", url.rsplit_once(':').unwrap().1.split_once('/').unwrap().0, folder.display());
    }
    println!("\nall up");
    thread::sleep(Duration::from_secs(60));
}

fn started_by(holder: &mut Child) -> Vec<(u16, PathBuf)> {
    let lines =
        BufReader::new(holder.stdout.take().unwrap()).lines().map(Result::unwrap).take_while(|line| line != "all up");
    let server = |line: String| {
        let (port, folder) = line.strip_prefix("server ")?.split_once(' ')?;
        Some((port.parse().unwrap(), PathBuf::from(folder)))
    };
    lines.filter_map(server).collect()
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn servers_end_with_a_process_that_is_killed() {
    let Some(_) = servers::available(Kind::Postgres) else {
        return;
    };
    let mut holder = another_process("holder").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let servers = started_by(&mut holder);
    assert!(!servers.is_empty());
    assert!(
        servers.iter().all(|(port, folder)| listens(*port) && folder.exists()),
        "they outlive the thread that started them"
    );
    holder.kill().unwrap();
    holder.wait().unwrap();
    let killed = Instant::now();
    while servers.iter().any(|(port, folder)| listens(*port) || folder.exists()) {
        assert!(killed.elapsed() < Duration::from_secs(10), "a server or its folder outlives us");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_dropped_server_is_gone() {
    let Some(_) = servers::available(Kind::Postgres) else {
        return;
    };
    let server = Server::start_durable_with(Kind::Postgres, &["work_mem=7MB"]).unwrap();
    let folder = server.folder().to_owned();
    let database = server.database().unwrap();
    let mut db = database.open();
    db.batch_execute("DO $$ BEGIN ASSERT current_setting('fsync') = 'on'; ASSERT current_setting('work_mem') = '7MB'; ASSERT current_setting('max_connections')::int >= 200; END $$").unwrap();
    let pid = server.pid().unwrap();
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists() || cfg!(not(target_os = "linux")));
    drop((db, database, server));
    assert!(!folder.exists());
}

fn is_new_and_goes(make: fn() -> Option<Database>) {
    let (Some(one), Some(two)) = (make(), make()) else {
        return;
    };
    assert_ne!(one.address(), two.address());
    let mut db = one.open();
    db.batch_execute("CREATE TABLE t (id INT PRIMARY KEY)").unwrap();
    assert_eq!(catalog::tables(&mut db).unwrap(), ["t"]);
    assert!(catalog::tables(&mut two.open()).unwrap().is_empty());
    let url: DbUrl = one.address().parse().unwrap();
    // PostgreSQL drops it under an open connection.
    drop(one);
    assert!(Db::open(&url, Role::Target).is_err());
}

#[test]
fn a_postgres_database_is_new_and_goes_with_its_handle() {
    is_new_and_goes(postgres::database);
}

#[test]
fn a_mariadb_database_is_new_and_goes_with_its_handle() {
    is_new_and_goes(mariadb::database);
}

#[test]
fn clones_of_a_template_are_apart() {
    let Some(template) = postgres::database() else {
        return;
    };
    template.open().batch_execute("CREATE TABLE t (id INT PRIMARY KEY)").unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let clone = postgres::clone_of(&template).unwrap();
                clone.open().batch_execute("INSERT INTO t VALUES (1)").unwrap();
            });
        }
    });
}

#[test]
#[ignore = "a process without servers: run by the tests below"]
fn asks_for_mariadb() {
    if std::env::var_os(OTHER).is_none() {
        return;
    }
    assert!(servers::available(Kind::MariaDb).is_none());
}

fn without_mariadb(skipped: &Path, require: &str) -> Output {
    let mut asks = another_process("asks_for_mariadb");
    // mariadb-install-db is found on the PATH alone.
    asks.env("PATH", "/nonexistent").env(SKIPPED, skipped).env(REQUIRE, require).output().unwrap()
}

#[test]
fn a_skipped_test_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let skipped = folder.path().join("skipped.txt");
    assert!(without_mariadb(&skipped, "postgres").status.success());
    let recorded = std::fs::read_to_string(&skipped).unwrap();
    let how = if cfg!(feature = "mysql") { "install mariadb-server" } else { "build with --features mysql" };
    assert_eq!(recorded, format!("skipped: servers::asks_for_mariadb ({how})\n"));
}

#[test]
fn a_required_server_that_is_missing_fails() {
    let folder = tempfile::tempdir().unwrap();
    let skipped = folder.path().join("skipped.txt");
    let output = without_mariadb(&skipped, "postgres, mariadb");
    let text = String::from_utf8_lossy(&output.stderr);
    let hint = if cfg!(feature = "mysql") { "apt-get install mariadb-server" } else { "--features mysql" };
    assert!(!output.status.success() && text.contains(hint), "{text}");
    assert!(!skipped.exists());
}
