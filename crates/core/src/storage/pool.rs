//! Pools of connections, sized by configuration.

use std::time::Duration;

use diesel::Connection;
use diesel::r2d2::{self, ManageConnection};

use super::db::{Backend, Db, DbUrl, OpenError, Role};

/// A pool of connections to one database.
#[derive(Clone)]
pub struct Pool {
    inner: r2d2::Pool<Manager>,
    url: DbUrl,
    role: Role,
    name: Option<String>,
    rehearsal: bool,
}

/// A connection on loan from a pool.
pub(crate) type Pooled = r2d2::PooledConnection<Manager>;

/// Why a pool was refused.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// No connection became free, or none could be opened, in time.
    #[error("no connection to the {role} database ({backend}) was to be had within {} s", .waited.as_secs())]
    Timeout {
        /// Which side.
        role: Role,
        /// Which kind.
        backend: Backend,
        /// How long it was tried.
        waited: Duration,
    },
}

/// Opens and checks the connections of a pool.
pub struct Manager {
    url: DbUrl,
    role: Role,
    name: Option<String>,
    rehearsal: bool,
}

impl ManageConnection for Manager {
    type Connection = Db;
    type Error = OpenError;

    fn connect(&self) -> Result<Db, OpenError> {
        let mut db = named(&self.url, self.role, self.name.as_deref())?;
        if self.rehearsal {
            db.begin_test_transaction().map_err(|_| OpenError {
                role: self.role,
                backend: self.url.backend(),
                place: self.url.place(),
                reason: "it did not begin a transaction",
                transient: true,
            })?;
        }
        Ok(db)
    }

    fn is_valid(&self, _: &mut Db) -> Result<(), OpenError> {
        Ok(())
    }

    fn has_broken(&self, db: &mut Db) -> bool {
        !self.rehearsal && (std::thread::panicking() || broken(db))
    }
}

/// Opens a database as a session that the server lists under `name`.
fn named(url: &DbUrl, role: Role, name: Option<&str>) -> Result<Db, OpenError> {
    let mut db = Db::open(url, role)?;
    if let (Db::Pg(pg), Some(name)) = (&mut db, name) {
        use diesel::RunQueryDsl;
        let set = diesel::sql_query("SELECT set_config('application_name', $1, false)");
        set.bind::<diesel::sql_types::Text, _>(name).execute(pg).map_err(|_| OpenError {
            role,
            backend: url.backend(),
            place: url.place(),
            reason: "it was reached but refused the session's name",
            transient: true,
        })?;
    }
    Ok(db)
}

fn broken(db: &mut Db) -> bool {
    use diesel::connection::TransactionManager;
    <<Db as Connection>::TransactionManager as TransactionManager<Db>>::is_broken_transaction_manager(db)
        || diesel::connection::SimpleConnection::batch_execute(db, "SELECT 1").is_err()
}

const WAIT: Duration = Duration::from_secs(30);

impl Pool {
    /// Opens a pool of at most `size` connections, which PostgreSQL lists under `name`. One is opened at once, so that a
    /// wrong address is an error now.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub fn open(url: &DbUrl, role: Role, size: u32, name: Option<String>) -> Result<Self, PoolError> {
        Self::build(url, role, size, name, false)
    }

    /// Opens a pool for a rehearsal: its one connection lives in a transaction that is never committed.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub fn rehearse(url: &DbUrl, role: Role) -> Result<Self, PoolError> {
        Self::build(url, role, 1, None, true)
    }

    fn build(url: &DbUrl, role: Role, size: u32, name: Option<String>, rehearsal: bool) -> Result<Self, PoolError> {
        let manager = Manager { url: url.clone(), role, name: name.clone(), rehearsal };
        // r2d2 tries again in silence until its time is over, and logs the client library's text: look once first.
        drop(Db::open(url, role)?);
        let inner = r2d2::Pool::builder()
            .max_size(size)
            .min_idle(Some(0))
            .max_lifetime(None)
            .idle_timeout(if rehearsal { None } else { Some(Duration::from_secs(600)) })
            .test_on_check_out(false)
            .connection_timeout(WAIT)
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build_unchecked(manager);
        Ok(Self { inner, url: url.clone(), role, name, rehearsal })
    }

    /// A connection, once one is free.
    ///
    /// # Errors
    /// None became free or could be opened in time.
    pub fn get(&self) -> Result<Pooled, PoolError> {
        self.inner.get().map_err(|_| match Db::open(&self.url, self.role) {
            Err(error) => PoolError::Open(error),
            Ok(_) => PoolError::Timeout { role: self.role, backend: self.url.backend(), waited: WAIT },
        })
    }

    /// A connection of its own, outside the pool: for a lock that lives as long as its session.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn dedicated(&self) -> Result<Db, OpenError> {
        named(&self.url, self.role, self.name.as_deref())
    }

    /// The most connections that it opens.
    pub fn size(&self) -> u32 {
        self.inner.max_size()
    }

    /// The backend.
    pub fn backend(&self) -> Backend {
        self.url.backend()
    }

    /// Whether nothing that is written here stays.
    pub fn is_rehearsal(&self) -> bool {
        self.rehearsal
    }

    /// The address.
    pub fn url(&self) -> &DbUrl {
        &self.url
    }
}
