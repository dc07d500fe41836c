//! MariaDB: how a throwaway server is started, and databases in the one that this process shares.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::database::Database;
use crate::servers::supervisor::{Home, Launch, Supervised, find_program, io};
use crate::servers::{self, Kind, ServerError, ServerOptions};

const PACKAGE: &str = "mariadb-server";
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// User and password as a URL has them. There is a password so that tests can look for it where it must not be.
pub const CREDENTIALS: &str = "replant:throwaway-secret";

/// A new, empty database in the shared server; `None` when the test is to be skipped (see [`servers::available`]).
///
/// # Panics
/// The server refuses.
pub fn database() -> Option<Database> {
    let server = servers::available(Kind::MariaDb)?;
    Some(server.database().unwrap_or_else(|error| panic!("a new MariaDB database: {error:?}")))
}

pub(crate) fn launch(port: u16, options: &ServerOptions) -> Result<Supervised, ServerError> {
    if cfg!(not(feature = "mysql")) {
        return Err(ServerError::NoClient);
    }
    let find = |program: &'static str, older: &str| {
        find_program(program).or_else(|| find_program(older)).ok_or(ServerError::Missing { program, package: PACKAGE })
    };
    let (install, server) = (find("mariadb-install-db", "mysql_install_db")?, find("mariadbd", "mysqld")?);
    let home = Home::make("mariadb", "mysql", PACKAGE)?;
    let path = |name: &str| home.path().join(name).display().to_string();
    let data = format!("--datadir={}", path("data"));
    let mut cluster = vec![
        "--no-defaults",
        &data,
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--skip-name-resolve",
    ];
    cluster.extend(options.initdb.iter().map(String::as_str));
    home.run(&install, &cluster)?;
    home.write(&options.files)?;

    let (user, password) = CREDENTIALS.split_once(':').expect("a user and a password");
    let user = format!(
        "CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY '{password}';\nGRANT ALL ON *.* TO '{user}'@'127.0.0.1' WITH GRANT OPTION;\n"
    );
    let init = home.path().join("init.sql");
    fs::write(&init, user).map_err(io(format!("write {}", init.display())))?;

    let mut args =
        vec!["--no-defaults".to_owned(), data, format!("--port={port}"), format!("--init-file={}", init.display())];
    args.extend([
        format!("--socket={}", path("socket")),
        format!("--pid-file={}", path("pid")),
        format!("--tmpdir={}", home.path().display()),
    ]);
    let settings = [
        "bind-address=127.0.0.1",
        "skip-name-resolve",
        "local-infile=1",
        "max-connections=250",
        "character-set-server=utf8mb4",
        "skip-log-bin",
    ];
    args.extend(settings.map(|setting| format!("--{setting}")));
    if !options.durable {
        args.extend(
            ["innodb-flush-log-at-trx-commit=0", "innodb-flush-method=nosync", "innodb-doublewrite=0"]
                .map(|setting| format!("--{setting}")),
        );
    }
    args.extend(options.settings.iter().map(|setting| format!("--{setting}")));
    Supervised::start(home, Launch { program: server, args, stop: "KILL", is_ready: greets, port })
}

/// A MariaDB server speaks first.
fn greets(_home: &Path, port: u16) -> bool {
    let greeting = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), ANSWER_WITHIN)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.read_exact(&mut [0])
    };
    greeting().is_ok()
}
