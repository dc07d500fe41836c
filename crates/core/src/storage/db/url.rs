//! The address of a database.

use std::path::PathBuf;
use std::str::FromStr;
use std::{fmt, fs, io};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use super::Backend;
use super::tls::{self, Misworded, Tls};

/// The address of a database. It may hold a password, so it is never printed: [`DbUrl::place`] says where it leads.
#[derive(Clone)]
pub struct DbUrl {
    pub(super) backend: Backend,
    pub(super) url: SecretString,
    pub(super) place: Place,
    pub(super) tls: Tls,
}

/// Where an address leads: what of it is no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) user: String,
    /// The database; of SQLite the file.
    pub(super) database: String,
    /// Of PostgreSQL the schema in which the tables are, where the address names one: `?schema=shop`.
    pub(super) schema: Option<String>,
}

/// Why an address was refused. Its text never holds the address.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// No scheme, or no URL at all.
    #[error(
        "a database address looks like mysql://user:password@host/database, postgres://… or sqlite:///path/to/file.db; signs \
         such as @ : / ? # % in a user's name or a password stand there as %40 %3A %2F %3F %23 %25"
    )]
    Shape,
    /// A scheme that no backend answers to.
    #[error("`{0}` is no database that Replant knows: use mysql, mariadb, postgres, postgresql or sqlite")]
    Scheme(String),
    /// A mode of TLS that there is not.
    #[error("TLS to {0} is asked for with {modes}", modes = tls::modes(*.0))]
    Mode(Backend),
    /// A parameter of TLS in the words of another database.
    #[error("the parameters of TLS in an address of {0} are {parameters}", parameters = tls::parameters(*.0))]
    Parameter(Backend),
    /// The password stands in the address and in a file.
    #[error("the address holds a password, and names a file that holds one: take one of them away")]
    TwoPasswords,
    /// The file that holds the password cannot be read.
    #[error("the file of the password, which `{PASSWORD_FILE}` names, cannot be read: {0}")]
    PasswordFile(#[source] io::Error),
}

/// The parameter that names a file with the password, so that the address holds no secret.
const PASSWORD_FILE: &str = "password_file";

impl FromStr for DbUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Shape)?;
        if rest.is_empty() {
            return Err(UrlError::Shape);
        }
        let backend = match scheme {
            "mysql" | "mariadb" => Backend::MariaDb,
            "postgres" | "postgresql" => Backend::Postgres,
            "sqlite" => return Ok(Self::sqlite_at(rest)),
            other => return Err(UrlError::Scheme(other.to_owned())),
        };
        let scheme = if backend == Backend::MariaDb { "mysql" } else { "postgres" };
        let url = url::Url::parse(&format!("{scheme}://{rest}")).map_err(|_| UrlError::Shape)?;
        // No address has a fragment: what looks like one is the rest of a password.
        if url.fragment().is_some() {
            return Err(UrlError::Shape);
        }
        // MariaDB's client library reads more than a name out of such a host.
        if backend == Backend::MariaDb && url.host_str().is_some_and(|host| host.contains([';', '='])) {
            return Err(UrlError::Shape);
        }
        let tls = Tls::of(backend, &url).map_err(|wrong| match wrong {
            Misworded::Mode => UrlError::Mode(backend),
            Misworded::Parameter => UrlError::Parameter(backend),
        })?;
        let place = Place::of(&url);
        let url = with_password(url)?;
        let url = match backend {
            Backend::Postgres => with_defaults(without_schema(url), tls),
            _ => url.into(),
        };
        Ok(Self { backend, url: url.into(), place, tls })
    }
}

/// The address with the password of the file that it names: the first line is all of it.
fn with_password(mut url: url::Url) -> Result<url::Url, UrlError> {
    let named = url.query_pairs().find(|(name, _)| name == PASSWORD_FILE).map(|(_, path)| path.into_owned());
    let Some(path) = named else { return Ok(url) };
    if url.password().is_some() {
        return Err(UrlError::TwoPasswords);
    }
    let text = fs::read_to_string(path).map_err(UrlError::PasswordFile)?;
    let password = text.lines().next().filter(|line| !line.is_empty());
    let password = password.ok_or_else(|| UrlError::PasswordFile(io::Error::other("it is empty")))?;
    let encoded = utf8_percent_encode(password, NON_ALPHANUMERIC).to_string();
    url.set_password(Some(&encoded)).map_err(|()| UrlError::Shape)?;
    drop_parameter(&mut url, PASSWORD_FILE);
    Ok(url)
}

/// Takes a parameter out of an address. The others stay as they are written: each client library decodes them in its own way.
pub(super) fn drop_parameter(url: &mut url::Url, name: &str) {
    let is_it = |pair: &str| url::form_urlencoded::parse(pair.as_bytes()).any(|(key, _)| key == name);
    let kept: Vec<&str> =
        url.query().into_iter().flat_map(|query| query.split('&')).filter(|pair| !is_it(pair)).collect();
    let kept = (!kept.is_empty()).then(|| kept.join("&"));
    url.set_query(kept.as_deref());
}

impl Place {
    fn of(url: &url::Url) -> Self {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = url.host_str().filter(|host| !host.is_empty()).unwrap_or("localhost");
        Self {
            host: format!("{}{port}", decoded(host)),
            user: decoded(url.username()),
            database: decoded(url.path().trim_start_matches('/')),
            schema: url.query_pairs().find(|(name, _)| name == SCHEMA).map(|(_, schema)| schema.into_owned()),
        }
    }
}

/// The parameter of an address that names a schema. The client library knows none of that name.
const SCHEMA: &str = "schema";

fn without_schema(mut url: url::Url) -> url::Url {
    let is_other = |pair: &&str| pair.split('=').next() != Some(SCHEMA);
    let kept = url.query().map(|query| query.split('&').filter(is_other).collect::<Vec<_>>().join("&"));
    url.set_query(kept.as_deref().filter(|kept| !kept.is_empty()));
    url
}

/// A network that swallows packets must look like a lost connection, not like a slow server.
fn with_defaults(mut url: url::Url, tls: Tls) -> String {
    let wished = [
        ("connect_timeout", "10"),
        ("keepalives_idle", "30"),
        ("keepalives_interval", "10"),
        ("keepalives_count", "3"),
        ("tcp_user_timeout", "60000"),
        ("application_name", "replant"),
    ];
    let given: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    let mode = tls.postgres_mode().map(|mode| ("sslmode", mode));
    for (name, value) in wished.into_iter().chain(mode).filter(|(name, _)| !given.iter().any(|g| g == name)) {
        url.query_pairs_mut().append_pair(name, value);
    }
    url.into()
}

impl fmt::Debug for DbUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DbUrl({}, [hidden])", self.backend)
    }
}

impl DbUrl {
    /// The address of a SQLite file.
    pub fn sqlite(path: &std::path::Path) -> Self {
        Self::sqlite_at(&path.to_string_lossy())
    }

    fn sqlite_at(path: &str) -> Self {
        let place = Place { database: path.strip_suffix(IMMUTABLE).unwrap_or(path).to_owned(), ..Place::default() };
        Self { backend: Backend::Sqlite, url: path.to_owned().into(), place, tls: Tls::default() }
    }

    /// The backend that its scheme names.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// The file of a SQLite database.
    pub fn sqlite_path(&self) -> Option<PathBuf> {
        (self.backend == Backend::Sqlite).then(|| PathBuf::from(&self.place.database))
    }

    /// Whether the address says that nobody writes to a SQLite file: it is then read without any lock.
    pub(super) fn is_immutable(&self) -> bool {
        self.backend == Backend::Sqlite && self.url.expose_secret().ends_with(IMMUTABLE)
    }

    /// The schema of PostgreSQL in which the tables are.
    pub fn schema(&self) -> &str {
        self.place.schema.as_deref().unwrap_or("public")
    }

    /// Where it leads, without the password: `platform at db1:5432 as replant`, or the path of a file.
    pub fn place(&self) -> String {
        let Place { host, user, database, schema } = &self.place;
        let schema = schema.as_ref().map(|schema| format!(", schema {schema}")).unwrap_or_default();
        match self.backend {
            Backend::Sqlite => database.clone(),
            _ if user.is_empty() => format!("{database} at {host}{schema}"),
            _ => format!("{database} at {host} as {user}{schema}"),
        }
    }
}

/// What stands behind the path of a SQLite file that nobody writes to.
const IMMUTABLE: &str = "?immutable=1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_picks_the_backend() {
        let backend = |text: &str| text.parse::<DbUrl>().map(|url| url.backend());
        assert_eq!(backend("mariadb://u:p@h/db").unwrap(), Backend::MariaDb);
        assert_eq!(backend("postgresql://h/db").unwrap(), Backend::Postgres);
        assert_eq!(backend("sqlite:///tmp/x.db").unwrap(), Backend::Sqlite);
        assert!(matches!(backend("oracle://h/db"), Err(UrlError::Scheme(_))));
        assert!(matches!(backend("oracle.db"), Err(UrlError::Shape)));
    }

    #[test]
    fn a_schema_is_ours_to_know() {
        let url = |text: &str| text.parse::<DbUrl>().unwrap();
        for (address, schema) in [
            ("postgres://h/db", "public"),
            ("postgres://h/db?schema=shop", "shop"),
            ("postgres://h/db?options=-c%20jit%3Doff&schema=The%20shop&sslmode=require", "The shop"),
        ] {
            let url = url(address);
            assert_eq!(url.schema(), schema);
            assert!(!url.url.expose_secret().contains("schema"), "{address}");
        }
        assert!(
            url("postgres://h/db?options=-c%20jit%3Doff&schema=s")
                .url
                .expose_secret()
                .contains("?options=-c%20jit%3Doff&")
        );
    }

    #[test]
    fn a_password_that_is_not_encoded_is_told_how_to_be() {
        for address in ["postgres://joe:p#w@h/db", "mysql://joe:p#w@h/db", "postgres://joe:p/w@h/db"] {
            let error = address.parse::<DbUrl>().expect_err(address).to_string();
            assert!(error.contains("%23") && !error.contains("joe"), "{error}");
        }
        assert!("postgres://joe:p%23w@h/db".parse::<DbUrl>().is_ok());
    }

    #[test]
    fn a_password_may_stand_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "p@ss#w%rd/x?+ü:&=\n").unwrap();
        for scheme in ["postgres", "mysql"] {
            let address = format!("{scheme}://joe@h/db?options=-c%20a+b&password_file={}", file.display());
            let url: DbUrl = address.parse().unwrap();
            let whole = url.url.expose_secret();
            assert!(whole.contains("joe:p%40ss%23w%25rd%2Fx%3F%2B%C3%BC%3A%26%3D@h"), "{whole}");
            assert!(whole.contains("?options=-c%20a+b") && !whole.contains("password_file"), "{whole}");
            assert!(!format!("{url:?}{}", url.place()).contains("p%40ss"));
        }
        let twice = format!("mysql://joe:p@h/db?password_file={}", file.display());
        assert!(matches!(twice.parse::<DbUrl>(), Err(UrlError::TwoPasswords)));
        fs::write(&file, "\n").unwrap();
        for missing in [&file, &folder.path().join("none")] {
            let address = format!("postgres://joe@h/db?password_file={}", missing.display());
            assert!(matches!(address.parse::<DbUrl>(), Err(UrlError::PasswordFile(_))));
        }
    }

    #[test]
    fn a_host_of_mariadb_is_a_host_and_no_more() {
        for host in ["h;ssl-verify-server-cert=0", "host=h"] {
            assert!(matches!(format!("mysql://joe@{host}/db").parse::<DbUrl>(), Err(UrlError::Shape)), "{host}");
        }
    }

    #[test]
    fn a_place_has_no_password() {
        for (address, place) in [
            ("postgres://replant:hunter2@db1:5432/platform", "platform at db1:5432 as replant"),
            ("mysql://u%40x:p@h/a%20b", "a b at h as u@x"),
            ("postgres:///platform", "platform at localhost"),
            ("postgres://h/platform?sslmode=require&schema=The%20shop", "platform at h, schema The shop"),
            ("sqlite:///tmp/x.db?immutable=1", "/tmp/x.db"),
        ] {
            assert_eq!(address.parse::<DbUrl>().unwrap().place(), place);
        }
    }
}
