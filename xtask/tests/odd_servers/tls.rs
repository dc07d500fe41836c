//! A plan over TLS to both sides, with passwords that stand in no address: each server is verified, or refused in a sentence that
//! says what to do.

#[path = "../../../crates/core/tests/engine/tls/certificates.rs"]
#[allow(dead_code, reason = "the tests of the connections use all of it")]
mod certificates;

use std::process::Output;

use replant_core::diesel::connection::SimpleConnection;
use replant_testkit::Database;
use replant_testkit::servers::{self, Kind, Server, ServerOptions};

use crate::world::Target;
use crate::{program, words};
use certificates::Certificates;

const PASSWORD: &str = "s3cret-of-the-mover";

struct Guarded {
    certificates: Certificates,
    legacy: Database,
    platform: String,
    target: Target,
    _servers: [Server; 2],
}

impl Guarded {
    fn start() -> Option<Self> {
        let certificates = Certificates::make();
        let server = certificates.ours.sign("server", &["127.0.0.1", "127.0.0.2", "localhost"]);
        let with_files = ServerOptions::new().file("server.pem", server.certificate).file("server.key", server.key);
        let maria = ["ssl-cert=../server.pem", "ssl-key=../server.key", "bind-address=0.0.0.0"];
        let postgres = ["ssl=on", "ssl_cert_file=../server.pem", "ssl_key_file=../server.key", "hba_file=hba.conf"];
        let guards = "hostssl all mover 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n";
        let servers = [
            servers::own(Kind::MariaDb, &with_files.clone().settings(&maria))?,
            servers::own_with_tls(&with_files.settings(&postgres).file("hba.conf", guards))?,
        ];
        let (legacy, platform) = (fixtures::LEGACY.on(&servers[0]), fixtures::PLATFORM.on(&servers[1]));
        let user = format!(
            "CREATE USER mover@'127.0.0.1' IDENTIFIED BY '{PASSWORD}' REQUIRE SSL; GRANT SELECT ON {}.* TO mover@'127.0.0.1'",
            legacy.name()
        );
        legacy.open().batch_execute(&user).unwrap();
        platform.open().batch_execute(&format!("CREATE ROLE mover SUPERUSER LOGIN PASSWORD '{PASSWORD}'")).unwrap();
        let address = platform.address().to_owned();
        Some(Self { certificates, legacy, platform: address, target: Target::of(platform), _servers: servers })
    }

    /// A plan, where each side trusts this file of authorities.
    fn plan(&self, authorities: [&str; 2]) -> Output {
        let [of_legacy, of_target] = authorities.map(|name| self.certificates.file(name));
        let at = |address: &str, host: &str| {
            let (_, place) = address.rsplit_once("@127.0.0.1").unwrap();
            format!("mover@{host}{place}")
        };
        let legacy = at(self.legacy.address(), "127.0.0.2");
        let target = at(&self.platform, "localhost");
        self.certificates.write("password", PASSWORD);
        self.certificates.write("pgpass", &format!("*:*:*:mover:{PASSWORD}"));
        let mut run = program(&["plan", "--env", "local"], &self.target);
        run.env(
            "REPLANT__LEGACY__URL",
            format!(
                "mysql://{legacy}?ssl_mode=VERIFY_IDENTITY&ssl_ca={of_legacy}&password_file={}",
                self.certificates.file("password")
            ),
        );
        run.env(
            "REPLANT__TARGET__URL",
            format!("postgres://{target}?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={of_target}"),
        );
        run.env("PGPASSFILE", self.certificates.path("pgpass"));
        run.output().unwrap()
    }
}

#[test]
fn a_plan_over_tls() {
    let Some(guarded) = Guarded::start() else { return };
    let plan = guarded.plan(["ca.pem", "ca.pem"]);
    assert!(plan.status.success(), "{}", words(&plan));
    for (authorities, side, what_to_type) in [
        (["another.pem", "ca.pem"], "the legacy database (MariaDB", "ssl_ca=/path/ca.pem"),
        (["ca.pem", "another.pem"], "the target database (PostgreSQL", "sslrootcert=/path/ca.pem"),
    ] {
        let refused = guarded.plan(authorities);
        let words = words(&refused).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!refused.status.success() && words.contains(side), "{words}");
        assert!(words.contains("not signed by an authority") && words.contains(what_to_type), "{words}");
        assert!(!words.contains(PASSWORD), "{words}");
    }
}
