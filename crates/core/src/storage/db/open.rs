//! Opening a connection, and why one cannot be opened.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::{Connection, ConnectionError, PgConnection, SqliteConnection};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret;

use super::trouble::{MISREAD, Trouble, Unopened, is_about_tls, refused_user};
use super::url::DbUrl;
use super::{Backend, Db, Role, diagnosis, session};
use crate::storage::failure::Failure;

/// Why a database could not be opened. Its text holds no password.
#[derive(Debug, thiserror::Error)]
#[error("the {role} database ({backend}, {place}) cannot be opened: {reason}")]
pub struct OpenError {
    /// Which side it is.
    pub role: Role,
    /// Which kind.
    pub backend: Backend,
    /// Where it is: [`DbUrl::place`].
    pub place: String,
    /// What went wrong, in our words: a client library's own text may repeat the password.
    pub reason: &'static str,
    /// Whether trying again later may help.
    pub transient: bool,
}

impl OpenError {
    pub(crate) fn new(url: &DbUrl, role: Role, reason: &'static str, transient: bool) -> Self {
        Self { role, backend: url.backend(), place: url.place(), reason, transient }
    }
}

#[cfg(not(feature = "mysql"))]
const NO_MYSQL: &str = "this build has no MariaDB support, because its client library was not found: \
     install it (Debian: apt install libmariadb-dev pkg-config; macOS: brew install mariadb-connector-c) and run the command again";

impl Db {
    /// Opens a database for `role` and sets the session up: read only for the legacy side, UTC, foreign keys on.
    ///
    /// # Errors
    /// The server cannot be reached, refuses, or is not in this build; a SQLite file that is not there.
    pub fn open(url: &DbUrl, role: Role) -> Result<Self, OpenError> {
        let refused = |reason, transient| OpenError::new(url, role, reason, transient);
        let connected: Result<Self, Unopened> = match url.backend() {
            #[cfg(feature = "mysql")]
            Backend::MariaDb => super::mariadb::open(url).map(Self::My),
            #[cfg(not(feature = "mysql"))]
            Backend::MariaDb => Err(Unopened::Refused(NO_MYSQL)),
            Backend::Postgres => postgres(url).map(Self::Pg),
            Backend::Sqlite => {
                let path = Path::new(&url.place.database);
                if !path.is_file() {
                    return Err(refused("the file does not exist; `demo` makes one from the sample", false));
                }
                let address = match role {
                    Role::Legacy => read_only(path, url.is_immutable()).map_err(|reason| refused(reason, false))?,
                    Role::Target => url.place.database.clone(),
                };
                SqliteConnection::establish(&address).map(Self::Lite).map_err(Unopened::Failed)
            }
        };
        let mut db = connected.map_err(|unopened| match unopened {
            Unopened::Refused(reason) => refused(reason, false),
            Unopened::Failed(error) => {
                let (reason, transient) = reason(&error, url);
                refused(reason, transient)
            }
        })?;
        let ready = session::set_up(&mut db, role, url.schema()).and_then(|()| is_readable(&mut db, role));
        diagnosis::ask(&mut db, ready).map_err(|error| {
            let failure = Failure::of(&error);
            tracing::debug!(%role, backend = %url.backend(), failure = failure.kind(), "session set-up failed");
            match failure {
                Failure::Lost => refused("the connection was lost while the session was set up", true),
                _ if url.backend() == Backend::Sqlite && is_wal(Path::new(&url.place.database)) => refused(WAL, false),
                _ => refused("it was reached but refused the session's settings", false),
            }
        })?;
        Ok(db)
    }
}

fn postgres(url: &DbUrl) -> Result<PgConnection, Unopened> {
    if url.tls.is_asked_for() && cfg!(not(feature = "tls")) {
        return Err(Unopened::Refused(Trouble::NotBuilt.reason(Backend::Postgres)));
    }
    let mut pg = PgConnection::establish(url.url.expose_secret())?;
    diagnosis::remember(&mut pg);
    Ok(pg)
}

/// What stands in a path as it is: all else is encoded in an address of a file.
const IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// The address of a SQLite file that is only read: its bytes stay as they are, and so do those of its log. Of a database in WAL
/// mode SQLite makes an index of the log beside it, and an empty log where there is none.
fn read_only(path: &Path, immutable: bool) -> Result<String, &'static str> {
    File::open(path).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => "the file may not be read",
        _ => "the file cannot be read",
    })?;
    // Whoever opens a file as one that never changes does not look at its log.
    let has_log = || fs::metadata(format!("{}-wal", path.display())).is_ok_and(|log| log.len() > 0);
    if immutable && has_log() {
        return Err(LOG);
    }
    let encoded = utf8_percent_encode(&path.to_string_lossy(), IN_A_PATH).to_string();
    Ok(format!("file:{encoded}?mode=ro{}", if immutable { "&immutable=1" } else { "" }))
}

/// Whether a SQLite file is in WAL mode: byte 18 of its header says so.
fn is_wal(path: &Path) -> bool {
    let mut header = [0; 20];
    File::open(path).and_then(|mut file| file.read_exact(&mut header)).is_ok() && header[18] == 2
}

const WAL: &str = "it is in WAL mode, and the index of its log cannot be made beside it: give the folder write permission; or, \
     where nobody writes to the file and its log is empty, put ?immutable=1 behind its path";

const LOG: &str = "its log (the file beside it that ends in -wal) is not empty, and ?immutable=1 would leave out the rows in it: copy both \
     to where the folder can be written, or have them joined (PRAGMA wal_checkpoint(TRUNCATE))";

/// A SQLite file is opened when it is first read.
fn is_readable(db: &mut Db, role: Role) -> diesel::QueryResult<()> {
    match (db, role) {
        (Db::Lite(lite), Role::Legacy) => lite.batch_execute("SELECT count(*) FROM sqlite_master"),
        _ => Ok(()),
    }
}

const ENDED: &str = "the server ended the connection at once";

/// In TLS 1.3 a server may end a session without a word as it sees the client's certificate.
const ENDED_WITH_CERTIFICATE: &str = "the server ended the connection at once: does it trust the authority that signed the certificate of sslcert or ssl_cert?";

const NO_PASSWORD: &str = "the server asks for a password and there is none: write it into the address, into a file that the address \
     names (?password_file=/path), into ~/.pgpass (host:port:database:user:password; chmod 600), or into PGPASSWORD";

/// What client libraries say where they do not get as far as a server that answers. They run in this process and speak English.
#[rustfmt::skip]
const LIBRARIES: &[(&str, &str, bool)] = &[
    ("could not translate host", "the host name cannot be resolved (is a sign of the password not encoded?)", false),
    ("unknown server host", "the host name cannot be resolved (is a sign of the password not encoded?)", false),
    ("unknown mysql server host", "the host name cannot be resolved (is a sign of the password not encoded?)", false),
    ("name or service not known", "the host name cannot be resolved (is a sign of the password not encoded?)", false),
    ("percent-encoded", MISREAD, false),
    ("forbidden value %00", MISREAD, false),
    ("uri query parameter", MISREAD, false),
    ("separator", MISREAD, false),
    ("invalid port", MISREAD, false),
    ("no password supplied", NO_PASSWORD, false),
    ("connection refused", "no server answers at that host and port", true),
    ("can't connect to", "no server answers at that host and port", true),
    ("no such file or directory", "no server answers at that host and port", true),
    ("timeout expired", "no server answers at that host and port", true),
    ("timed out", "no server answers at that host and port", true),
    ("no route to host", "no server answers at that host and port", true),
    ("network is unreachable", "no server answers at that host and port", true),
    ("server closed the connection unexpectedly", ENDED, true),
    ("lost connection to server", ENDED, true),
    ("connection reset", ENDED, true),
    ("has been closed unexpectedly", ENDED, true),
    ("unexpected eof", ENDED, true),
    ("eof detected", ENDED, true),
    ("broken pipe", ENDED, true),
];

/// What a failure to connect means, and whether it may pass. Nothing of the text is repeated: client libraries put addresses
/// into theirs. A server that answers refuses in its own language: which of our own names its answer holds tells what it is
/// about, and one that holds none is about the server itself.
fn reason(error: &ConnectionError, url: &DbUrl) -> (&'static str, bool) {
    let (text, backend, place) = (error.to_string(), url.backend(), &url.place);
    if let Some(trouble) = Trouble::of(&text) {
        return (trouble.reason(backend), false);
    }
    let lower = text.to_lowercase();
    if let Some((_, reason, transient)) = LIBRARIES.iter().find(|(said, ..)| lower.contains(said)) {
        let reason = if *reason == ENDED && url.tls.certificate { ENDED_WITH_CERTIFICATE } else { reason };
        return (reason, *transient);
    }
    if is_about_tls(&lower) {
        return (Trouble::Other.reason(backend), false);
    }
    // The address itself stands in front of the server's answer.
    let answer = text.rsplit_once("failed: ").map_or(text.as_str(), |(_, answer)| answer);
    let names = |name: &str| !name.is_empty() && answer.contains(name);
    match (names(&place.database), names(&place.user)) {
        (true, false) => ("the server has no database of that name, or the user may not connect to it", false),
        (false, true) => (refused_user(backend, url.tls), false),
        (true, true) => (
            "the server refuses the user, the password or the database, or its pg_hba.conf lets nobody in from here in this \
             way (it may ask for TLS: sslmode=require)",
            false,
        ),
        (false, false) => match Trouble::of_answer(answer) {
            Some(trouble) => (trouble.reason(backend), false),
            None => ("the server answers, but is starting, stopping or has no connection left", true),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> (&'static str, bool) {
        let url: DbUrl = "postgres://joe@h/stock".parse().unwrap();
        reason(&ConnectionError::BadConnection(text.to_owned()), &url)
    }

    #[test]
    fn a_server_that_refuses_is_understood_in_any_language() {
        let at = "connection to server at \"127.0.0.1\", port 5432 failed: ";
        for (answer, about, transient) in [
            ("FATAL:  not you, \"joe\"", "password", false),
            ("FATAL:  »joe« kommt hier nicht herein", "password", false),
            ("FATAL:  \"stock\" is not here", "no database", false),
            ("FATAL:  »stock« gibt es hier nicht", "no database", false),
            ("fe_sendauth: no password supplied", "PGPASSWORD", false),
            ("FATAL:  Verbindung erfordert ein gültiges Client-Zertifikat", "sslcert=/path/client.pem", false),
            ("FATAL:  no room", "no connection left", true),
            ("FATAL:  noch nicht so weit", "starting", true),
        ] {
            let (reason, may_pass) = said(&format!("{at}{answer}"));
            assert!(reason.contains(about) && may_pass == transient, "{answer}: {reason}");
        }
        assert!(said("connection to server at \"127.0.0.1\", port 1 failed: Connection refused").1);
    }

    #[test]
    fn a_server_that_is_lost_over_tls_may_come_back() {
        for lost in [
            "unexpected eof while reading",
            "SSL SYSCALL error: EOF detected",
            "SSL connection has been closed unexpectedly",
        ] {
            assert!(said(&format!("connection to server at \"h\", port 1 failed: SSL error: {lost}")).1, "{lost}");
        }
        let (reason, may_pass) = said("connection to server at \"h\", port 1 failed: SSL error: unsupported protocol");
        assert!(reason.contains("sslmode") && !may_pass, "{reason}");
    }
}
