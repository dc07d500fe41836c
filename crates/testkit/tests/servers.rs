//! Throwaway servers: they start, they end with us in every way that we may end, and a missing one is never silent.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use replant_core::db::{Db, DbUrl, Role};
use replant_testkit::servers::{self, Kind, REQUIRE, SKIPPED, Server, ServerOptions};
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

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    word: String,
}

fn word(db: &mut Db, sql: &str) -> String {
    diesel::sql_query(format!("SELECT {sql} AS word")).get_result::<Word>(db).unwrap().word
}

fn main_database(server: &Server) -> Db {
    Db::open(&server.url("postgres").parse().unwrap(), Role::Target).unwrap()
}

#[test]
fn a_server_is_of_the_version_that_is_asked_for() {
    for major in [13, 18] {
        let Some(server) = servers::postgres_of(major) else { continue };
        let mut db = main_database(&server);
        let version = word(&mut db, "current_setting('server_version')");
        assert!(version.starts_with(&format!("{major}.")), "{version}");
        assert_eq!(word(&mut db, "current_setting('server_encoding')"), "UTF8");
    }
}

#[test]
fn a_version_that_is_not_here_is_named() {
    let error = Server::start_postgres_of(7).unwrap_err().to_string();
    assert!(error.contains("no PostgreSQL 7") && error.contains(postgres::FOLDERS), "{error}");
}

#[test]
fn a_german_server_answers_in_german() {
    let Some(server) = servers::german() else { return };
    let mut db = main_database(&server);
    assert_eq!(db.batch_execute("SELECT 1 / 0").unwrap_err().to_string(), "Division durch Null");
    let log = std::fs::read_to_string(server.folder().join("log")).unwrap();
    assert!(log.contains(" 22012 "), "the log has no codes: {log}");
}

#[test]
fn a_server_and_its_databases_are_of_the_encoding_that_is_asked_for() {
    let Some(server) = servers::own(Kind::Postgres, &ServerOptions::new().initdb("--encoding=LATIN9")) else { return };
    let encoding = |database: Database| word(&mut database.open(), "current_setting('server_encoding')");
    assert_eq!(encoding(server.database().unwrap()), "LATIN9");
    let options = "TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'";
    assert_eq!(encoding(server.database_with(options).unwrap()), "LATIN1");
}

#[test]
fn a_server_that_crashes_comes_back_with_what_was_flushed() {
    // A process that is gone has still given to the system what it had flushed: the disk need not have it.
    let options = ServerOptions::new().settings(&["synchronous_commit=on", "wal_writer_delay=10s"]);
    let Some(mut server) = servers::own(Kind::Postgres, &options) else { return };
    let database = server.database().unwrap();
    let mut db = database.open();
    db.batch_execute("CREATE TABLE kept (id INT PRIMARY KEY); INSERT INTO kept VALUES (1)").unwrap();
    db.batch_execute("SET synchronous_commit = off; INSERT INTO kept VALUES (2)").unwrap();
    let before = server.pid().unwrap();
    for _ in 0..2 {
        server.crash().unwrap();
        assert!(db.batch_execute("SELECT 1").is_err());
        server.start_again().unwrap();
        db = database.open();
        assert_ne!(server.pid().unwrap(), before);
        assert_eq!(word(&mut db, "(SELECT string_agg(id::text, ',' ORDER BY id) FROM kept)"), "1");
    }
    let folder = server.folder().to_owned();
    drop((db, database, server));
    assert!(!folder.exists());
}

#[test]
fn a_restricted_role_passes_by_nothing() {
    let Some(database) = postgres::database() else { return };
    let tables =
        "CREATE TABLE items (id BIGINT, name TEXT); CREATE TABLE parts (id BIGINT); CREATE TABLE colours (name TEXT)";
    database.open().batch_execute(tables).unwrap();
    let role = database.restricted_role(&["items"]).unwrap();
    database.open().batch_execute("INSERT INTO colours VALUES ('red'), ('green')").unwrap();
    let open = || Db::open(&role.address().parse().unwrap(), Role::Target).unwrap();
    assert_eq!(word(&mut open(), "current_user::text"), role.role());
    open().batch_execute("CREATE INDEX ON items (name); CREATE TEMP TABLE t (x INT); CREATE SCHEMA own").unwrap();
    assert!(open().batch_execute("CREATE INDEX ON parts (id)").is_err());
    assert!(open().batch_execute("TRUNCATE colours").is_err());
    let count = "(SELECT count(*)::text FROM colours)";
    assert_eq!(word(&mut open(), count), "2");
    database.open().batch_execute("ALTER TABLE colours ENABLE ROW LEVEL SECURITY").unwrap();
    // Our sessions would rather fail than see fewer rows.
    assert!(open().batch_execute(&format!("SELECT {count}")).is_err());
    let mut db = open();
    db.batch_execute("SET row_security = on").unwrap();
    assert_eq!(word(&mut db, count), "0");
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
