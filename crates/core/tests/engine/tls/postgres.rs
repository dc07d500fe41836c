//! PostgreSQL.

use replant_core::db::{Backend, Db};
use replant_core::diesel::connection::SimpleConnection;
use replant_core::diesel::sql_types::Bool;
use replant_core::diesel::{self, QueryableByName, RunQueryDsl};
use replant_testkit::Database;
use replant_testkit::conformance::Target;
use replant_testkit::servers::{self, Kind, Server};

use super::certificates::Certificates;
use super::{is_refused, open, with_files};
use crate::outages::waits_for_a_server_that_crashes;
use crate::world::target_ddl;

/// Who may come, and how.
const GUARDS: &str = "\
hostssl all certified 127.0.0.1/32 trust clientcert=verify-ca
host all secret 127.0.0.1/32 scram-sha-256
host all postgres 127.0.0.1/32 trust
";

struct Guarded {
    certificates: Certificates,
    database: Database,
    port: String,
    _server: Server,
}

impl Guarded {
    fn start() -> Option<Self> {
        let certificates = Certificates::make();
        let options = with_files(&certificates).file("hba.conf", GUARDS).settings(&[
            "ssl=on",
            "ssl_cert_file=../server.pem",
            "ssl_key_file=../server.key",
            "ssl_ca_file=../ca.pem",
            "hba_file=hba.conf",
        ]);
        let server = servers::own_with_tls(&options)?;
        let database = server.database().unwrap();
        let roles = "CREATE ROLE certified LOGIN; CREATE ROLE secret LOGIN PASSWORD 'p@ss:w%rd'";
        database.open().batch_execute(roles).unwrap();
        let (_, port) = server.url("").rsplit_once(':').map(|(start, port)| (start.to_owned(), port.to_owned()))?;
        Some(Self { certificates, database, port: port.trim_end_matches('/').to_owned(), _server: server })
    }

    /// An address of the server, whatever the host is called.
    fn at(&self, user: &str, host: &str, parameters: &str) -> String {
        let (port, database) = (&self.port, self.database.name());
        format!("postgres://{user}@{host}:{port}/{database}?hostaddr=127.0.0.1&{parameters}")
    }

    fn file(&self, name: &str) -> String {
        self.certificates.file(name)
    }
}

#[derive(QueryableByName)]
struct Session {
    #[diesel(sql_type = Bool)]
    ssl: bool,
}

#[track_caller]
fn is_encrypted(address: &str) -> bool {
    let mut db: Db = open(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    let ask = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    diesel::sql_query(ask).get_result::<Session>(&mut db).unwrap().ssl
}

#[test]
fn a_server_is_verified_or_refused() {
    let Some(guarded) = Guarded::start() else { return };
    let (ours, another) = (guarded.file("ca.pem"), guarded.file("another.pem"));
    let at = |host: &str, parameters: &str| guarded.at("postgres", host, parameters);
    for (host, parameters) in [
        ("localhost", format!("sslmode=verify-full&sslrootcert={ours}")),
        ("localhost", format!("sslrootcert={ours}")),
        ("db.example", format!("sslmode=verify-ca&sslrootcert={ours}")),
        ("db.example", "sslmode=require".to_owned()),
    ] {
        assert!(is_encrypted(&at(host, &parameters)), "{host} {parameters}");
    }
    assert!(!is_encrypted(&at("localhost", "sslmode=disable")));

    let place = format!("{} at localhost:{} as postgres", guarded.database.name(), guarded.port);
    let refused = |parameters: &str, what_to_type| is_refused(&at("localhost", parameters), &place, what_to_type);
    refused(&format!("sslmode=verify-full&sslrootcert={another}"), "sslrootcert=/path/ca.pem");
    refused(&format!("sslmode=verify-ca&sslrootcert={another}"), "sslrootcert=/path/ca.pem");
    refused("sslmode=verify-full&sslrootcert=/none.pem", "sslrootcert=system");
    refused("sslmode=verify-full&sslrootcert=system", "sslrootcert=/path/ca.pem");
    for parameters in [format!("sslmode=verify-full&sslrootcert={ours}"), format!("sslrootcert={ours}")] {
        is_refused(&at("db.example", &parameters), "at db.example", "hostaddr=ADDRESS");
    }
}

#[test]
fn a_server_asks_for_a_certificate() {
    let Some(guarded) = Guarded::start() else { return };
    let files = |name: &str| {
        let (certificate, key) = (guarded.file(&format!("{name}.pem")), guarded.file(&format!("{name}.key")));
        format!("sslmode=verify-full&sslrootcert={}&sslcert={certificate}&sslkey={key}", guarded.file("ca.pem"))
    };
    let at = |parameters: &str| guarded.at("certified", "localhost", parameters);
    assert!(is_encrypted(&at(&files("client"))));
    let refused = |parameters: &str, what_to_type| is_refused(&at(parameters), "as certified", what_to_type);
    let without = format!("sslmode=verify-full&sslrootcert={}", guarded.file("ca.pem"));
    refused(&without, "sslcert=/path/client.pem&sslkey=/path/client.key");
    refused(&files("stranger"), "sslcert=/path/client.pem&sslkey=/path/client.key");
    refused("sslmode=disable", "sslmode=require");
    refused(&files("none"), "sslcert=/path/client.pem");
    refused(&files("client").replace("client.key", "stranger.key"), "belong together");
    guarded.certificates.set_mode("client.key", 0o644);
    refused(&files("client"), "chmod 600");
}

#[test]
fn a_password_comes_from_a_file() {
    let Some(guarded) = Guarded::start() else { return };
    let certificates = &guarded.certificates;
    let at = |parameters: &str| guarded.at("secret", "localhost", &format!("sslmode=require&{parameters}"));
    certificates.write("password", "p@ss:w%rd\n");
    certificates.write("pgpass", &format!("localhost:{}:*:secret:p@ss\\:w%rd\n", guarded.port));
    assert!(is_encrypted(&at(&format!("password_file={}", guarded.file("password")))));
    assert!(is_encrypted(&at(&format!("passfile={}", guarded.file("pgpass")))));
    is_refused(&at("passfile=/none"), "as secret", "~/.pgpass");
    certificates.write("password", "another\n");
    let wrong = at(&format!("password_file={}", guarded.file("password")));
    is_refused(&wrong, "as secret", "refuses the user or the password");
}

#[test]
fn a_server_that_crashes_is_waited_for() {
    let Some(guarded) = Guarded::start() else { return };
    guarded.database.open().batch_execute(&target_ddl(Backend::Postgres)).unwrap();
    let verified = format!("sslmode=verify-full&sslrootcert={}", guarded.file("ca.pem"));
    let url = guarded.at("postgres", "localhost", &verified).parse().unwrap();
    waits_for_a_server_that_crashes(&Target { url, guard: Box::new(()) });
}

#[test]
fn a_server_without_tls_is_refused() {
    let Some(server) = servers::available(Kind::Postgres) else { return };
    let database = server.database().unwrap();
    assert!(open(database.address()).is_ok());
    let what_to_type = if cfg!(feature = "tls") { "ssl = on" } else { "apt install libssl-dev" };
    for parameters in
        ["sslmode=require", "sslmode=verify-full&sslrootcert=system", "sslcert=/none.pem&sslkey=/none.key"]
    {
        is_refused(&format!("{}?{parameters}", database.address()), database.name(), what_to_type);
    }
}
