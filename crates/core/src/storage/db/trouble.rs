//! Why client libraries give no connection; what they say about TLS, and what an operator does about it. The libraries run in this process and speak
//! English; a server speaks its own language.

use diesel::ConnectionError;

use super::Backend;
use super::tls::Tls;

pub(super) const MISREAD: &str = "the address cannot be read: signs such as @ : / ? # % in a user's name or a password stand there as %40 %3A \
     %2F %3F %23 %25";

/// Why a client library gave no connection.
pub(super) enum Unopened {
    /// It was not asked, or what it gave is not what was asked for.
    Refused(&'static str),
    /// It says so itself.
    Failed(ConnectionError),
}

impl From<ConnectionError> for Unopened {
    fn from(error: ConnectionError) -> Self {
        Self::Failed(error)
    }
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The client library was built without TLS.
    NotBuilt,
    /// It is older than what it is asked for.
    TooOld,
    /// The server has no TLS.
    NotOffered,
    /// The session has come to be without TLS.
    #[cfg_attr(not(feature = "mysql"), expect(dead_code, reason = "libpq refuses such a session by itself"))]
    Plain,
    /// The file of the authorities cannot be read.
    NoAuthority,
    /// Another authority has signed the server's certificate.
    Authority,
    /// The server's certificate is for another host.
    Name,
    /// The server's certificate is too old or too young.
    Expired,
    /// The client's own certificate or key cannot be used.
    OwnFiles,
    /// Others may read the client's key.
    OpenKey,
    /// The server asks for a certificate of the client, or refuses the one that it was shown.
    OwnCertificate,
    /// Anything else.
    Other,
}

#[rustfmt::skip]
const SAID: &[(&str, Trouble)] = &[
    ("ssl support is not compiled in", Trouble::NotBuilt),
    ("server host 'host=", Trouble::TooOld),
    ("server does not support ssl", Trouble::NotOffered),
    ("ssl is required, but the server does not support it", Trouble::NotOffered),
    ("ssl is required but the server doesn't support it", Trouble::NotOffered),
    ("root certificate file", Trouble::NoAuthority),
    ("locate root certificate", Trouble::NoAuthority),
    ("ca certificate is required", Trouble::NoAuthority),
    ("does not match host name", Trouble::Name),
    ("host name from server certificate", Trouble::Name),
    ("hostname verification failed", Trouble::Name),
    ("hostname mismatch", Trouble::Name),
    ("ip address mismatch", Trouble::Name),
    ("validation of ssl server certificate failed", Trouble::Name),
    ("failed to verify the server certificate", Trouble::Name),
    ("certificate has expired", Trouble::Expired),
    ("certificate is not yet valid", Trouble::Expired),
    ("not yet valid or expired", Trouble::Expired),
    ("group or world access", Trouble::OpenKey),
    ("private key file", Trouble::OwnFiles),
    ("read certificate file", Trouble::OwnFiles),
    ("open certificate file", Trouble::OwnFiles),
    ("key values mismatch", Trouble::OwnFiles),
    ("ssl error: no such file", Trouble::OwnFiles),
    ("ssl error: permission denied", Trouble::OwnFiles),
    ("no start line", Trouble::OwnFiles),
    ("no certificate or crl found", Trouble::OwnFiles),
    ("unable to get ca certificate", Trouble::OwnFiles),
    ("unable to get certificate", Trouble::OwnFiles),
    ("unable to get private key", Trouble::OwnFiles),
    ("alert unknown ca", Trouble::OwnCertificate),
    ("alert bad certificate", Trouble::OwnCertificate),
    ("alert certificate", Trouble::OwnCertificate),
    ("certificate verify failed", Trouble::Authority),
    ("certificate verification fail", Trouble::Authority),
    ("self-signed certificate", Trouble::Authority),
    ("self signed certificate", Trouble::Authority),
    ("local issuer certificate", Trouble::Authority),
    ("is not trusted", Trouble::Authority),
];

/// The word for a certificate in the languages that PostgreSQL speaks, as far as it stays the same.
const CERTIFICATE: &[&str] =
    &["certif", "certyfik", "zertif", "sertif", "сертиф", "სერტიფ", "証明", "인증서", "客户端认证", "憑證"];

impl Trouble {
    /// What the text of a client library means, if it is about TLS and says more than that.
    pub(super) fn of(text: &str) -> Option<Self> {
        let lower = text.to_lowercase();
        SAID.iter().find(|(said, _)| lower.contains(said)).map(|(_, trouble)| *trouble)
    }

    /// Whether a server that refuses us speaks of a certificate, which can only be ours.
    pub(super) fn of_answer(answer: &str) -> Option<Self> {
        let lower = answer.to_lowercase();
        CERTIFICATE.iter().any(|word| lower.contains(word)).then_some(Self::OwnCertificate)
    }

    /// What is wrong, and what to type.
    pub(super) fn reason(self, backend: Backend) -> &'static str {
        if backend == Backend::MariaDb { self.of_mariadb() } else { self.of_postgres() }
    }

    fn of_postgres(self) -> &'static str {
        match self {
            Self::NotBuilt | Self::TooOld => {
                "the address asks for TLS, and this build has none for PostgreSQL, because OpenSSL was not found: install it \
                 (Debian: apt install libssl-dev pkg-config; macOS: brew install openssl@3, and export \
                 OPENSSL_DIR=$(brew --prefix openssl@3)) and run the command again; or tunnel the connection \
                 (ssh -L 5433:localhost:5432 HOST) and leave sslmode out"
            }
            Self::NotOffered | Self::Plain => {
                "the address asks for TLS, and the server has none: switch it on there (ssl = on), or tunnel the connection \
                 (ssh -L 5433:localhost:5432 HOST) and write sslmode=disable"
            }
            Self::NoAuthority => {
                "the file of the authorities that may sign the server's certificate cannot be read: name it with \
                 sslrootcert=/path/ca.pem (otherwise it is ~/.postgresql/root.crt), or write sslrootcert=system for those \
                 that this machine trusts"
            }
            Self::Authority => {
                "the server's certificate is not signed by an authority of the address: name the one that signed it with \
                 sslrootcert=/path/ca.pem; if that is the one, another server answers at this host and port, or its certificate \
                 has expired"
            }
            Self::Name => {
                "the server's certificate is for another host: write the name that stands in it as the host (where that name \
                 does not lead to the server, add hostaddr=ADDRESS), or sslmode=verify-ca if only its authority matters"
            }
            Self::Expired => "the server's certificate has expired, or is not valid yet: renew it, or set the clock",
            Self::OwnFiles => {
                "the client's certificate cannot be used: sslcert=/path/client.pem and sslkey=/path/client.key must be \
                 readable, and belong together"
            }
            Self::OpenKey => "others may read the client's key: chmod 600 the file that sslkey names",
            Self::OwnCertificate => {
                "the server asks for a certificate of the client, or does not take the one that it was shown: \
                 sslcert=/path/client.pem&sslkey=/path/client.key, signed by an authority that the server trusts (its \
                 ssl_ca_file), for this user where pg_hba.conf says so"
            }
            Self::Other => "the two ends do not agree on TLS: look at sslmode, and at ssl in the server's settings",
        }
    }

    fn of_mariadb(self) -> &'static str {
        match self {
            Self::NotBuilt | Self::TooOld => {
                "MariaDB's client library is older than 3.3: it can neither insist on TLS nor verify a server. Install a newer \
                 one (Debian 12 has it) and build again; or tunnel the connection (ssh -L 3307:127.0.0.1:3306 HOST) and leave \
                 ssl_mode out"
            }
            Self::NotOffered => {
                "the address asks for TLS, and the server has none: switch it on there (ssl_cert, ssl_key), or tunnel the \
                 connection (ssh -L 3307:127.0.0.1:3306 HOST) and write ssl_mode=DISABLED"
            }
            Self::Plain => {
                "the address asks for TLS, and the session has none: switch it on at the server (ssl_cert, ssl_key); localhost \
                 is its socket, which needs none: there leave ssl_mode out, or write 127.0.0.1; or tunnel the connection \
                 (ssh -L 3307:127.0.0.1:3306 HOST)"
            }
            Self::NoAuthority => {
                "to verify the server takes the authority that signed its certificate: name it with ssl_ca=/path/ca.pem (those \
                 that this machine trusts: on Debian /etc/ssl/certs/ca-certificates.crt); ssl_mode=REQUIRED encrypts and \
                 verifies nothing"
            }
            Self::Authority => {
                "the server's certificate is not signed by an authority of the address: name the one that signed it with \
                 ssl_ca=/path/ca.pem; if that is the one, another server answers at this host and port"
            }
            Self::Name => {
                "the server's certificate is for another host: write the name that stands in it as the host (where that name \
                 does not lead to the server, a line in /etc/hosts does it); MariaDB's client library checks the name along \
                 with the authority, so VERIFY_CA is no way out"
            }
            Self::Expired => "the server's certificate has expired, or is not valid yet: renew it, or set the clock",
            Self::OwnFiles | Self::OpenKey => {
                "a file of ssl_ca, ssl_cert or ssl_key cannot be read, is no certificate or key in PEM, or the key does not \
                 belong to the certificate"
            }
            Self::OwnCertificate => {
                "the server asks for a certificate of the client, or does not take the one that it was shown: \
                 ssl_cert=/path/client.pem&ssl_key=/path/client.key, signed by an authority that the server trusts (its ssl_ca)"
            }
            Self::Other => "the two ends do not agree on TLS: look at ssl_mode, and at ssl in the server's settings",
        }
    }
}

/// Whether a text in small letters, which says nothing else that is known, is about TLS.
pub(super) fn is_about_tls(lower: &str) -> bool {
    ["ssl error", "ssl connection"].iter().any(|words| lower.contains(words))
}

/// A server that refuses a user says no more, and MariaDB refuses one who comes without the TLS or the certificate that the
/// user is bound to in the same words.
pub(super) fn refused_user(backend: Backend, tls: Tls) -> &'static str {
    match backend {
        Backend::MariaDb if !tls.certificate => {
            "the server refuses the user or the password (is a sign of it not encoded? is the user bound to TLS or to a \
             certificate: ssl_mode=REQUIRED, ssl_cert=/path/client.pem&ssl_key=/path/client.key?)"
        }
        _ => "the server refuses the user or the password (is a sign of it not encoded?)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_libraries_say_is_understood() {
        for (text, trouble) in [
            (r#"sslmode value "require" invalid when SSL support is not compiled in"#, Trouble::NotBuilt),
            ("Unknown MySQL server host 'host=db1;ssl-enforce=1' (-2)", Trouble::TooOld),
            ("server does not support SSL, but SSL was required", Trouble::NotOffered),
            ("TLS/SSL error: SSL is required, but the server does not support it", Trouble::NotOffered),
            (r#"root certificate file "/x" does not exist"#, Trouble::NoAuthority),
            (r#"could not read root certificate file "/x": no certificate or crl found"#, Trouble::NoAuthority),
            ("SSL error: certificate verify failed", Trouble::Authority),
            ("TLS/SSL error: self-signed certificate in certificate chain", Trouble::Authority),
            ("TLS/SSL error: Certificate verification failure: The certificate is NOT trusted.", Trouble::Authority),
            ("SSL error: certificate verify failed: certificate has expired", Trouble::Expired),
            (r#"server certificate for "a" (and 1 other name) does not match host name "b""#, Trouble::Name),
            ("TLS/SSL error: Validation of SSL server certificate failed", Trouble::Name),
            ("TLS/SSL error: Hostname verification failed", Trouble::Name),
            (r#"private key file "/k" has group or world access; ..."#, Trouble::OpenKey),
            (r#"certificate present, but not private key file "/k""#, Trouble::OwnFiles),
            ("TLS/SSL error: No such file or directory (2)", Trouble::OwnFiles),
            ("TLS/SSL error: key values mismatch", Trouble::OwnFiles),
            ("SSL error: tlsv1 alert unknown ca", Trouble::OwnCertificate),
        ] {
            assert_eq!(Trouble::of(text), Some(trouble), "{text}");
        }
        for text in ["connection refused", "SSL error: unexpected eof while reading"] {
            assert_eq!(Trouble::of(text), None, "{text}");
        }
    }

    #[test]
    fn a_server_asks_for_a_certificate_in_any_language() {
        for answer in [
            "connection requires a valid client certificate",
            "Verbindung erfordert ein gültiges Client-Zertifikat",
            "la connexion requiert un certificat client valide",
            "この接続には有効なクライアント証明が必要です",
            "연결에 유효한 클라이언트 인증서가 필요함",
            "для подключения требуется годный сертификат клиента",
            "Anslutning kräver ett giltigt klientcertifikat",
            "підключення потребує припустимий сертифікат клієнта",
            "连接中需要一个有效的客户端认证",
        ] {
            assert_eq!(Trouble::of_answer(answer), Some(Trouble::OwnCertificate), "{answer}");
        }
        assert_eq!(Trouble::of_answer("the database system is starting up"), None);
    }
}
