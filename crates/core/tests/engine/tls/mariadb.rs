//! MariaDB. The client library does not check the name of 127.0.0.1, so the server is spoken to at others of the machine's
//! addresses.
#![cfg(target_os = "linux")]

use replant_core::db::Db;
use replant_core::diesel::connection::SimpleConnection;
use replant_core::diesel::sql_types::Text;
use replant_core::diesel::{self, QueryableByName, RunQueryDsl};
use replant_testkit::servers::{self, Kind, Server, ServerOptions};
use replant_testkit::{Database, mariadb};

use super::certificates::Certificates;
use super::{is_refused, open, with_files};

struct Guarded {
    certificates: Certificates,
    database: Database,
    _server: Server,
}

impl Guarded {
    fn start() -> Option<Self> {
        let certificates = Certificates::make();
        let options = with_files(&certificates).settings(&[
            "ssl-cert=../server.pem",
            "ssl-key=../server.key",
            "ssl-ca=../ca.pem",
            "bind-address=0.0.0.0",
        ]);
        let server = servers::own(Kind::MariaDb, &options)?;
        let database = server.database().unwrap();
        let user = format!(
            "CREATE USER certified@'127.0.0.1' IDENTIFIED BY 'p' REQUIRE X509; GRANT ALL ON {}.* TO certified@'127.0.0.1'",
            database.name()
        );
        database.open().batch_execute(&user).unwrap();
        Some(Self { certificates, database, _server: server })
    }

    /// An address of the server at another address of the machine.
    fn at(&self, host: &str, parameters: &str) -> String {
        format!("{}?{parameters}", self.database.address().replace("@127.0.0.1:", &format!("@{host}:")))
    }

    fn file(&self, name: &str) -> String {
        self.certificates.file(name)
    }
}

#[derive(QueryableByName)]
struct Cipher {
    #[diesel(sql_type = Text, column_name = "Value")]
    cipher: String,
}

#[track_caller]
fn is_encrypted(address: &str) -> bool {
    let mut db: Db = open(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    let ask = "SHOW SESSION STATUS LIKE 'Ssl_cipher'";
    !diesel::sql_query(ask).get_result::<Cipher>(&mut db).unwrap().cipher.is_empty()
}

#[test]
fn a_server_is_verified_or_refused() {
    let Some(guarded) = Guarded::start() else { return };
    let (ours, another) = (guarded.file("ca.pem"), guarded.file("another.pem"));
    for (host, parameters) in [
        ("127.0.0.2", format!("ssl_mode=VERIFY_IDENTITY&ssl_ca={ours}")),
        ("127.0.0.2", format!("ssl_ca={ours}")),
        ("127.0.0.1", format!("ssl_mode=VERIFY_CA&ssl_ca={ours}")),
        ("127.0.0.3", "ssl_mode=REQUIRED".to_owned()),
        ("127.0.0.1", "ssl_mode=PREFERRED".to_owned()),
    ] {
        assert!(is_encrypted(&guarded.at(host, &parameters)), "{host} {parameters}");
    }
    assert!(!is_encrypted(&guarded.at("127.0.0.1", "ssl_mode=DISABLED")));

    let database = guarded.database.name();
    let refused = |host: &str, parameters: &str, what_to_type: &str| {
        is_refused(&guarded.at(host, parameters), &format!("{database} at {host}"), what_to_type);
    };
    refused("127.0.0.2", &format!("ssl_mode=VERIFY_IDENTITY&ssl_ca={another}"), "ssl_ca=/path/ca.pem");
    refused("127.0.0.1", &format!("ssl_mode=VERIFY_CA&ssl_ca={another}"), "ssl_ca=/path/ca.pem");
    refused("127.0.0.3", &format!("ssl_mode=VERIFY_IDENTITY&ssl_ca={ours}"), "the name that stands in it");
    refused("127.0.0.2", "ssl_mode=VERIFY_IDENTITY&ssl_ca=/none.pem", "cannot be read");
}

#[test]
fn a_server_asks_for_a_certificate() {
    let Some(guarded) = Guarded::start() else { return };
    let certified = |address: String| address.replace(mariadb::CREDENTIALS, "certified:p");
    let files = |name: &str| {
        let (certificate, key) = (guarded.file(&format!("{name}.pem")), guarded.file(&format!("{name}.key")));
        format!("ssl_ca={}&ssl_cert={certificate}&ssl_key={key}", guarded.file("ca.pem"))
    };
    let at = |parameters: &str| certified(guarded.at("127.0.0.2", parameters));
    assert!(is_encrypted(&at(&files("client"))));
    let refused = |parameters: &str, what_to_type| is_refused(&at(parameters), "as certified", what_to_type);
    refused(&format!("ssl_ca={}", guarded.file("ca.pem")), "ssl_cert=/path/client.pem&ssl_key=/path/client.key");
    refused("ssl_mode=DISABLED", "ssl_mode=REQUIRED");
    refused(&files("none"), "cannot be read");
    refused(&files("client").replace("client.key", "stranger.key"), "does not belong");
    let strange = open(&at(&files("stranger"))).err().unwrap().to_string();
    assert!(strange.contains("ssl_cert"), "{strange}");
}

#[test]
fn a_server_without_tls_is_refused() {
    let Some(server) = servers::own(Kind::MariaDb, &ServerOptions::new().setting("skip-ssl")) else { return };
    let (database, certificates) = (server.database().unwrap(), Certificates::make());
    let at = |parameters: &str| format!("{}?{parameters}", database.address());
    assert!(!is_encrypted(&at("ssl_mode=PREFERRED")));
    let verified = format!("ssl_mode=VERIFY_CA&ssl_ca={}", certificates.file("ca.pem"));
    for parameters in ["ssl_mode=REQUIRED", &verified] {
        is_refused(&at(parameters), database.name(), "ssl_cert, ssl_key");
    }
}

#[test]
fn a_password_comes_from_a_file() {
    let Some(guarded) = Guarded::start() else { return };
    let (user, password) = mariadb::CREDENTIALS.split_once(':').unwrap();
    guarded.certificates.write("password", password);
    let from_file = format!("ssl_mode=REQUIRED&password_file={}", guarded.file("password"));
    let address = guarded.at("127.0.0.1", &from_file).replace(mariadb::CREDENTIALS, user);
    assert!(is_encrypted(&address));
}
