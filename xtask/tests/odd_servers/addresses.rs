//! Passwords with signs that an address reads in its own way.

use std::fs;
use std::process::Output;

use replant_core::diesel::connection::SimpleConnection;
use replant_testkit::Database;
use replant_testkit::servers::{self, Kind, Server, ServerOptions};

use crate::world::Target;
use crate::{assert_ends_as_ordinary, program, words};

/// Both sides, which ask for a password.
struct Guarded {
    legacy: Database,
    platform: String,
    target: Target,
    _servers: [Server; 2],
}

/// Who reads the one side and writes the other.
const ROLE: &str = "mover";

impl Guarded {
    fn by(password: &str) -> Option<Self> {
        let options = ServerOptions::new();
        let servers = [servers::own(Kind::MariaDb, &options)?, servers::own(Kind::Postgres, &options)?];
        let (legacy, platform) = (fixtures::LEGACY.on(&servers[0]), fixtures::PLATFORM.on(&servers[1]));
        let user = format!(
            "CREATE USER {ROLE}@'127.0.0.1' IDENTIFIED BY '{password}'; GRANT SELECT ON {}.* TO {ROLE}@'127.0.0.1'",
            legacy.name()
        );
        legacy.open().batch_execute(&user).unwrap();
        let guards = servers[1].folder().join("data/pg_hba.conf");
        let others = fs::read_to_string(&guards).unwrap();
        fs::write(&guards, format!("host all {ROLE} 127.0.0.1/32 scram-sha-256\n{others}")).unwrap();
        let role = format!("CREATE ROLE {ROLE} SUPERUSER LOGIN PASSWORD '{password}'; SELECT pg_reload_conf()");
        platform.open().batch_execute(&role).unwrap();
        let address = platform.address().to_owned();
        Some(Self { legacy, platform: address, target: Target::of(platform), _servers: servers })
    }

    /// A command with these passwords in the addresses of the legacy side and of the target.
    fn run(&self, command: &str, passwords: [&str; 2]) -> Output {
        let mut run = program(&[command, "--env", "local"], &self.target);
        run.env("REPLANT__LEGACY__URL", with(passwords[0], self.legacy.address()));
        run.env("REPLANT__TARGET__URL", with(passwords[1], &self.platform));
        run.output().unwrap()
    }
}

/// The same address, for the role with this password.
fn with(password: &str, address: &str) -> String {
    let (scheme, rest) = address.split_once("//").unwrap();
    let (_, place) = rest.split_once('@').unwrap();
    format!("{scheme}//{ROLE}:{password}@{place}")
}

#[test]
fn passwords_with_signs() {
    let (plain, encoded) = ("p@ss#w%rd/x?+ü:&=", "p%40ss%23w%25rd%2Fx%3F%2B%C3%BC%3A%26%3D");
    let Some(guarded) = Guarded::by(plain) else { return };
    for passwords in [["another", encoded], [encoded, "another"]] {
        let refused = guarded.run("plan", passwords);
        assert!(words(&refused).contains("refuses the user or the password"), "{}", words(&refused));
    }
    for passwords in [[plain, encoded], [encoded, plain]] {
        is_told_to_encode(&guarded.run("plan", passwords), &["p@ss", "w%rd", "x?+"]);
    }
    assert_ends_as_ordinary("encoded passwords", &guarded.target, &guarded.run("migrate", [encoded, encoded]));
}

/// Each of the signs by itself. An address can take some of them as they are.
#[test]
fn passwords_with_one_sign() {
    for sign in ["@", "#", "/", "?", "%", ":", "&", "=", "+", " ", "%z"] {
        let (plain, encoded) = (format!("zq7{sign}4kx"), format!("zq7{}4kx", encoded(sign)));
        let Some(guarded) = Guarded::by(&plain) else { return };
        let taken = guarded.run("plan", [&encoded, &encoded]);
        assert!(taken.status.success(), "{sign}: {}", words(&taken));
        for passwords in [[&plain, &encoded], [&encoded, &plain]] {
            let end = guarded.run("plan", passwords.map(String::as_str));
            if !end.status.success() {
                is_told_to_encode(&end, &["zq7", "4kx"]);
            }
        }
    }
}

fn encoded(signs: &str) -> String {
    signs.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[track_caller]
fn is_told_to_encode(end: &Output, secrets: &[&str]) {
    let words = words(end);
    let says_how = ["as %40", "not encoded"].iter().any(|how| words.contains(how));
    assert!(!end.status.success() && says_how, "{words}");
    for secret in secrets {
        assert!(!words.contains(secret), "{secret} of the password is told: {words}");
    }
}
