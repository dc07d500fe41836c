//! What an address asks of TLS.

use url::Url;

use super::Backend;

/// How much of TLS an address asks for, from nothing to all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    /// It says nothing: the client library does what it does by itself.
    #[default]
    Unsaid,
    /// None.
    Off,
    /// Encrypted where the server offers it.
    Offered,
    /// Encrypted, with whoever answers.
    Encrypted,
    /// Encrypted, with a server whose certificate an authority of ours has signed.
    Authority,
    /// The same, and the certificate is for the host of the address.
    Name,
}

/// What an address asks of TLS.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tls {
    pub(super) wish: Wish,
    /// Whether it names the authorities that may sign.
    pub(super) authority: bool,
    /// Whether it names a certificate of the client.
    pub(super) certificate: bool,
}

/// Why it cannot be told what an address asks of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misworded {
    /// There is no such mode.
    Mode,
    /// A parameter is one of the other backend's.
    Parameter,
}

/// How the addresses of a backend say it.
struct Words {
    mode: &'static str,
    modes: &'static [(&'static str, Wish)],
    authority: &'static str,
    certificate: &'static str,
    key: &'static str,
}

const POSTGRES: Words = Words {
    mode: "sslmode",
    modes: &[
        ("disable", Wish::Off),
        ("allow", Wish::Offered),
        ("prefer", Wish::Offered),
        ("require", Wish::Encrypted),
        ("verify-ca", Wish::Authority),
        ("verify-full", Wish::Name),
    ],
    authority: "sslrootcert",
    certificate: "sslcert",
    key: "sslkey",
};

const MARIADB: Words = Words {
    mode: "ssl_mode",
    modes: &[
        ("DISABLED", Wish::Off),
        ("PREFERRED", Wish::Offered),
        ("REQUIRED", Wish::Encrypted),
        ("VERIFY_CA", Wish::Authority),
        ("VERIFY_IDENTITY", Wish::Name),
    ],
    authority: "ssl_ca",
    certificate: "ssl_cert",
    key: "ssl_key",
};

impl Words {
    fn of(backend: Backend) -> &'static Self {
        if backend == Backend::MariaDb { &MARIADB } else { &POSTGRES }
    }

    fn all(&self) -> [&'static str; 4] {
        [self.mode, self.authority, self.certificate, self.key]
    }

    /// What a mode asks for. MariaDB's may be written small.
    fn meaning(&self, mode: &str) -> Option<Wish> {
        let is_it = |name: &str| name == mode || name == mode.to_uppercase();
        self.modes.iter().find(|(name, _)| is_it(name)).map(|(_, wish)| *wish)
    }
}

/// The parameters of a backend's addresses, for an error.
pub(super) fn parameters(backend: Backend) -> String {
    Words::of(backend).all().join(", ")
}

/// The modes of a backend's addresses, for an error.
pub(super) fn modes(backend: Backend) -> String {
    let Words { mode, modes, .. } = Words::of(backend);
    let modes: Vec<&str> = modes.iter().map(|(name, _)| *name).collect();
    format!("{mode}={}", modes.join("|"))
}

impl Tls {
    /// Reads it from the parameters of an address. Who names an authority and no mode wants the server verified.
    ///
    /// # Errors
    /// A mode that there is not; a parameter of the other backend, which the client library would pass over in silence.
    pub(super) fn of(backend: Backend, url: &Url) -> Result<Self, Misworded> {
        let words = Words::of(backend);
        let given = |name: &str| url.query_pairs().filter(|(key, _)| key == name).last().map(|(_, value)| value);
        if url.query_pairs().any(|(key, _)| is_foreign(backend, &key)) {
            return Err(Misworded::Parameter);
        }
        let (authority, certificate) = (given(words.authority).is_some(), given(words.certificate).is_some());
        let wish = match given(words.mode) {
            Some(mode) => words.meaning(&mode).ok_or(Misworded::Mode)?,
            None if backend == Backend::Postgres && std::env::var_os("PGSSLMODE").is_some() => Wish::Unsaid,
            None if authority => Wish::Name,
            None if certificate => Wish::Encrypted,
            None => Wish::Unsaid,
        };
        Ok(Self { wish, authority, certificate })
    }

    /// The mode of PostgreSQL that says the same.
    pub(super) fn postgres_mode(self) -> Option<&'static str> {
        POSTGRES.modes.iter().find(|(_, wish)| *wish == self.wish).map(|(name, _)| *name)
    }

    /// Whether a session without TLS would be less than what was asked for.
    pub(super) fn is_asked_for(self) -> bool {
        self.wish >= Wish::Encrypted || self.authority || self.certificate
    }
}

/// Whether a parameter is about TLS, but in words that this backend does not have. libpq itself refuses what it does not
/// know; MariaDB's side passes over it.
fn is_foreign(backend: Backend, parameter: &str) -> bool {
    match backend {
        Backend::MariaDb => {
            let lower = parameter.to_lowercase();
            (lower.starts_with("ssl") || lower.starts_with("tls")) && !MARIADB.all().contains(&parameter)
        }
        _ => MARIADB.all().contains(&parameter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{DbUrl, UrlError};

    fn wish(address: &str) -> Result<Wish, UrlError> {
        address.parse::<DbUrl>().map(|url| url.tls.wish)
    }

    #[test]
    fn each_backend_has_words_of_its_own() {
        for (address, asked) in [
            ("postgres://h/db", Wish::Unsaid),
            ("postgres://h/db?sslmode=prefer", Wish::Offered),
            ("postgres://h/db?sslmode=verify-full", Wish::Name),
            ("postgres://h/db?sslrootcert=/ca.pem", Wish::Name),
            ("postgres://h/db?sslrootcert=/ca.pem&sslmode=require", Wish::Encrypted),
            ("postgres://h/db?sslcert=/c.pem&sslkey=/c.key", Wish::Encrypted),
            ("mysql://h/db?ssl_mode=verify_ca", Wish::Authority),
            ("mysql://h/db?ssl_ca=/ca.pem", Wish::Name),
            ("mariadb://h/db?ssl_mode=DISABLED", Wish::Off),
        ] {
            assert_eq!(wish(address).unwrap(), asked, "{address}");
        }
    }

    #[test]
    fn what_would_be_passed_over_in_silence_is_refused() {
        for address in ["mysql://h/db?sslmode=verify-full", "mysql://h/db?ssl-ca=/ca.pem", "mysql://h/db?tls=true"] {
            let error = wish(address).expect_err(address).to_string();
            assert!(error.contains("ssl_mode, ssl_ca, ssl_cert, ssl_key"), "{error}");
        }
        let error = wish("postgres://h/db?ssl_mode=REQUIRED").expect_err("MariaDB's").to_string();
        assert!(error.contains("sslmode, sslrootcert, sslcert, sslkey"), "{error}");
        for address in ["postgres://h/db?sslmode=verify_full", "postgres://h/db?sslmode=REQUIRE"] {
            let error = wish(address).expect_err(address).to_string();
            assert!(error.contains("require|verify-ca|verify-full"), "{error}");
        }
    }

    #[test]
    fn who_names_an_authority_has_the_server_verified() {
        use secrecy::ExposeSecret;
        let url: DbUrl = "postgres://h/db?sslrootcert=/ca.pem".parse().unwrap();
        assert!(url.url.expose_secret().contains("sslmode=verify-full"));
        let url: DbUrl = "postgres://h/db?sslrootcert=/ca.pem&sslmode=prefer".parse().unwrap();
        assert_eq!(url.url.expose_secret().matches("sslmode").count(), 1);
    }
}
