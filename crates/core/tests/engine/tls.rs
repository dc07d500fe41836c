//! TLS to both databases, with certificates that the tests make: what an address asks for is had, or it is refused in a
//! sentence that says what to type.

mod certificates;
mod mariadb;
mod postgres;

use replant_core::db::{Db, DbUrl, OpenError, Role};
use replant_testkit::servers::ServerOptions;

use certificates::Certificates;

/// The names that the servers' certificate holds.
const NAMES: &[&str] = &["localhost", "127.0.0.1", "127.0.0.2"];

fn open(address: &str) -> Result<Db, OpenError> {
    let url: DbUrl = address.parse().unwrap_or_else(|error| panic!("{address}: {error}"));
    Db::open(&url, Role::Target)
}

/// An address that is refused for good, in words that say where it leads and what to type.
#[track_caller]
fn is_refused(address: &str, place: &str, what_to_type: &str) {
    let error = open(address).err().unwrap_or_else(|| panic!("{address} was taken"));
    let words = error.to_string();
    assert!(words.contains("target database") && words.contains(place), "{words}");
    assert!(words.contains(what_to_type), "{address}: {words}");
    assert!(!error.transient, "{words}");
}

/// A server's options, with the certificate and key that it has to show, and the authority of its clients.
fn with_files(certificates: &Certificates) -> ServerOptions {
    let server = certificates.ours.sign("server", NAMES);
    ServerOptions::new()
        .file("server.pem", server.certificate)
        .file("server.key", server.key)
        .file("ca.pem", certificates.ours.certificate.clone())
}
