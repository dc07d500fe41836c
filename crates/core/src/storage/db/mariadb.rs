//! Opening MariaDB: what an address says and diesel does not hand to the client library.

use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{Connection, ConnectionError, MysqlConnection, QueryableByName, RunQueryDsl};
use mysqlclient_sys::SUPPORTS_MYSQL_SSL_MODE;
use secrecy::ExposeSecret;
use url::{Host, Url};

use super::Backend;
use super::tls::Wish;
use super::trouble::{MISREAD, Trouble, Unopened};
use super::url::{DbUrl, drop_parameter};

/// Opens it. A session that is to be encrypted is asked whether it is: a client library may have gone on without.
pub(super) fn open(url: &DbUrl) -> Result<MysqlConnection, Unopened> {
    let mut address = Url::parse(url.url.expose_secret()).map_err(|_| Unopened::Refused(MISREAD))?;
    // MySQL's own library understands diesel's `ssl_mode`; MariaDB's passes over it.
    if !SUPPORTS_MYSQL_SSL_MODE && url.tls.wish != Wish::Unsaid {
        ask_in_the_host(&mut address, url).map_err(Unopened::Refused)?;
    }
    // A server may be told to open any name of a database: the client library takes the name as it stands in the address.
    let database = &url.place.database;
    let is_plain = database.chars().all(|c| c.is_ascii_alphanumeric() || "_-$.".contains(c));
    if !is_plain {
        address.set_path("");
    }
    let mut my = MysqlConnection::establish(address.as_str())?;
    let late = |error: diesel::result::Error| ConnectionError::BadConnection(error.to_string());
    if url.tls.wish >= Wish::Encrypted && !is_encrypted(&mut my).map_err(late)? {
        return Err(Unopened::Refused(Trouble::Plain.reason(Backend::MariaDb)));
    }
    if !is_plain {
        my.batch_execute(&format!("USE `{}`", database.replace('`', "``"))).map_err(late)?;
    }
    Ok(my)
}

const LOCAL: &str = "MariaDB's client library does not check the name of a server at 127.0.0.1, ::1 or localhost: write the name or the \
     address that stands in the server's certificate, or ssl_mode=VERIFY_CA, which checks who signed it";

const IPV6: &str = "MariaDB's client library takes no TLS along with an IPv6 address: write a host name (a line in /etc/hosts makes one)";

/// MariaDB's client library takes a connection string in the place of a host (since 3.3; an older one looks for a host of that
/// name, in vain). So it is told to insist on TLS and to verify, before it sends anything of the user. It verifies authority and
/// name, or neither; where no authority is named, or the server is local, newer ones pass over what does not match.
fn ask_in_the_host(address: &mut Url, url: &DbUrl) -> Result<(), &'static str> {
    let host = match address.host() {
        Some(Host::Ipv6(_)) => return Err(IPV6),
        Some(host) => host.to_string(),
        None => String::new(),
    };
    let host = if host.is_empty() { "localhost" } else { &host };
    let verify = url.tls.wish >= Wish::Authority;
    if verify && !url.tls.authority {
        return Err(Trouble::NoAuthority.reason(Backend::MariaDb));
    }
    if url.tls.wish == Wish::Name && ["127.0.0.1", "localhost"].contains(&host) {
        return Err(LOCAL);
    }
    let (enforce, verify) = (u8::from(url.tls.wish != Wish::Off), u8::from(verify));
    let asking = format!("host={host};ssl-enforce={enforce};ssl-verify-server-cert={verify}");
    address.set_host(Some(&asking)).map_err(|_| MISREAD)?;
    drop_parameter(address, "ssl_mode");
    Ok(())
}

#[derive(QueryableByName)]
struct Cipher {
    #[diesel(sql_type = Text, column_name = "Value")]
    cipher: String,
}

fn is_encrypted(my: &mut MysqlConnection) -> diesel::QueryResult<bool> {
    let cipher: Cipher = diesel::sql_query("SHOW SESSION STATUS LIKE 'Ssl_cipher'").get_result(my)?;
    Ok(!cipher.cipher.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(address: &str) -> Result<String, &'static str> {
        let url: DbUrl = address.parse().unwrap();
        let mut address = Url::parse(url.url.expose_secret()).unwrap();
        ask_in_the_host(&mut address, &url).map(|()| address.into())
    }

    #[test]
    fn mariadbs_library_is_told_in_its_own_words() {
        for (address, told) in [
            (
                "mysql://joe:p@db1:3307/x?ssl_mode=REQUIRED",
                "joe:p@host=db1;ssl-enforce=1;ssl-verify-server-cert=0:3307/x",
            ),
            ("mysql://db1/x?ssl_mode=disabled", "host=db1;ssl-enforce=0;ssl-verify-server-cert=0/x"),
            (
                "mysql://db1/x?ssl_mode=VERIFY_IDENTITY&ssl_ca=/ca.pem",
                "host=db1;ssl-enforce=1;ssl-verify-server-cert=1/x?ssl_ca=/ca.pem",
            ),
            (
                "mysql://127.0.0.1/x?ssl_ca=/ca.pem&ssl_mode=VERIFY_CA",
                "host=127.0.0.1;ssl-enforce=1;ssl-verify-server-cert=1/x?ssl_ca=/ca.pem",
            ),
        ] {
            assert_eq!(asked(address).unwrap(), format!("mysql://{told}"));
        }
    }

    #[test]
    fn what_it_cannot_verify_is_refused_with_the_way_out() {
        for (address, way_out) in [
            ("mysql://db1/x?ssl_mode=VERIFY_IDENTITY", "ssl_ca=/path/ca.pem"),
            ("mysql://db1/x?ssl_mode=VERIFY_CA", "ssl_ca=/path/ca.pem"),
            ("mysql://127.0.0.1/x?ssl_mode=VERIFY_IDENTITY&ssl_ca=/ca.pem", "ssl_mode=VERIFY_CA"),
            ("mysql://localhost/x?ssl_ca=/ca.pem", "ssl_mode=VERIFY_CA"),
            ("mysql://[fd00::1]/x?ssl_mode=REQUIRED", "host name"),
        ] {
            let refused = asked(address).expect_err(address);
            assert!(refused.contains(way_out), "{refused}");
        }
    }
}
