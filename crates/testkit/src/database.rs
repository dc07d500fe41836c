//! A database of a throwaway server, or a SQLite file: its address, and its end.

use diesel::connection::SimpleConnection;
use replant_core::db::{Backend, Db, DbUrl, Role};

/// A database in a throwaway server. It is dropped with this handle, as far as the server still lets us.
#[derive(Debug)]
pub struct Database {
    backend: Backend,
    name: String,
    url: String,
    maintenance: String,
}

impl Database {
    pub(crate) fn new(backend: Backend, name: String, url: impl Fn(&str) -> String, maintenance: &str) -> Self {
        Self { backend, url: url(&name), maintenance: url(maintenance), name }
    }

    /// Its name in its server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address as a configuration would name it, password included.
    pub fn address(&self) -> &str {
        &self.url
    }

    /// Its address.
    pub fn url(&self) -> DbUrl {
        self.url.parse().expect("the testkit writes addresses that parse")
    }

    /// A new connection, allowed to write.
    ///
    /// # Panics
    /// The server is gone or out of connections.
    pub fn open(&self) -> Db {
        Db::open(&self.url(), Role::Target).unwrap_or_else(|error| panic!("open {}: {error}", self.name))
    }

    pub(crate) fn maintenance(&self) -> DbUrl {
        self.maintenance.parse().expect("the testkit writes addresses that parse")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let force = match self.backend {
            Backend::Postgres => " WITH (FORCE)",
            Backend::MariaDb | Backend::Sqlite => "",
        };
        // Best effort: the server goes with the process anyway.
        if let Ok(mut server) = Db::open(&self.maintenance(), Role::Target) {
            let _ = server.batch_execute(&format!("DROP DATABASE IF EXISTS {}{force}", self.name));
        }
    }
}
