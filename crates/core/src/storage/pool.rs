//! Pools of connections, sized by configuration.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};
use diesel::r2d2::{self, ManageConnection};
use diesel::{Connection, QueryResult};

use super::db::diagnosis;
use super::db::{Backend, Db, DbUrl, OpenError, Role};
use super::failure::Failure;
use super::rehearsal;

/// A pool of connections to one database.
#[derive(Clone)]
pub struct Pool {
    inner: r2d2::Pool<Manager>,
    url: DbUrl,
    role: Role,
    name: Option<String>,
    rehearsal: bool,
    permits: Arc<Permits>,
    size: u32,
    /// How long a server may take to answer; none: as long as it likes.
    patience: Option<Duration>,
}

/// A connection on loan from a pool.
pub(crate) struct Pooled {
    connection: r2d2::PooledConnection<Manager>,
    _permit: Permit,
}

impl Deref for Pooled {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.connection
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut Db {
        &mut self.connection
    }
}

/// How many connections of a pool may be in use. A pool itself has room for a few more: those that were given up, with a server
/// that does not answer at their other ends.
struct Permits {
    free: Mutex<u32>,
    given_back: Condvar,
}

struct Permit(Arc<Permits>);

impl Permits {
    /// One of them, if it can be had in time.
    fn take(self: &Arc<Self>) -> Option<Permit> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.given_back.wait_timeout_while(free, WAIT, |free| *free == 0);
        let (mut free, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *free = free.checked_sub(1)?;
        Some(Permit(Arc::clone(self)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.given_back.notify_one();
    }
}

const NO_COPIES: &str = "its tables could not be copied for a rehearsal: that needs the right to create a schema in the database \
     (GRANT CREATE ON DATABASE), SELECT on every table that the steps write and on what those point to, and room for the copies";

/// So many connections may be given up before the others wait for them.
const GIVEN_UP: u32 = 8;

/// Why a pool was refused.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// No connection became free, or none could be opened, in time.
    #[error("no connection to the {role} database ({backend}, {place}) was to be had within {} s", .waited.as_secs())]
    Timeout {
        /// Which side.
        role: Role,
        /// Which kind.
        backend: Backend,
        /// Where it is.
        place: String,
        /// How long it was tried.
        waited: Duration,
    },
    /// The server does not answer any more: the connection was given up.
    #[error("the {role} database ({backend}, {place}) has not answered for {} s: the connection was given up", .waited.as_secs())]
    Silent {
        /// Which side.
        role: Role,
        /// Which kind.
        backend: Backend,
        /// Where it is.
        place: String,
        /// How long it was waited for.
        waited: Duration,
    },
}

/// Opens and checks the connections of a pool.
pub(crate) struct Manager {
    url: DbUrl,
    role: Role,
    name: Option<String>,
    rehearsal: bool,
    /// What a rehearsal copies.
    copied: Vec<String>,
    /// The connection with which the address was tried: it becomes the pool's first.
    first: Mutex<Option<Db>>,
}

impl ManageConnection for Manager {
    type Connection = Db;
    type Error = OpenError;

    fn connect(&self) -> Result<Db, OpenError> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut db = match first {
            Some(db) => db,
            None => named(&self.url, self.role, self.name.as_deref())?,
        };
        if self.rehearsal {
            let refused = |reason, transient| OpenError::new(&self.url, self.role, reason, transient);
            db.begin_test_transaction().map_err(|_| refused("it did not begin a transaction", true))?;
            if let Db::Pg(pg) = &mut db {
                rehearsal::copy(pg, &self.copied).map_err(|error| {
                    tracing::debug!(failure = Failure::of(&error).kind(), "tables could not be copied");
                    refused(NO_COPIES, false)
                })?;
            }
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
        set.bind::<diesel::sql_types::Text, _>(name)
            .execute(pg)
            .map_err(|_| OpenError::new(url, role, "it was reached but refused the session's name", true))?;
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
        let first = named(url, role, name.as_deref())?;
        Ok(Self::build(url, role, size, name, (Some(first), None)))
    }

    /// The same of a database that may not be asked for anything: a wrong address is an error when it is.
    pub(crate) fn unopened(url: &DbUrl, role: Role, size: u32) -> Self {
        Self::build(url, role, size, None, (None, None))
    }

    /// Opens a pool for a rehearsal: its one connection lives in a transaction that is never committed, and has copies of
    /// `tables` in PostgreSQL.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub fn rehearse(url: &DbUrl, role: Role, tables: Vec<String>) -> Result<Self, PoolError> {
        let name = "replant rehearsal";
        let first = named(url, role, Some(name))?;
        Ok(Self::build(url, role, 1, Some(name.to_owned()), (Some(first), Some(tables))))
    }

    fn build(
        url: &DbUrl,
        role: Role,
        size: u32,
        name: Option<String>,
        (first, copied): (Option<Db>, Option<Vec<String>>),
    ) -> Self {
        let rehearsal = copied.is_some();
        let copied = copied.unwrap_or_default();
        // r2d2 tries again in silence until its time is over, and logs the client library's text: whoever opened one has looked first.
        let first = Mutex::new(first);
        let manager = Manager { url: url.clone(), role, name: name.clone(), rehearsal, copied, first };
        let inner = r2d2::Pool::builder()
            .max_size(size + GIVEN_UP)
            .min_idle(Some(0))
            .max_lifetime(None)
            .idle_timeout(if rehearsal { None } else { Some(Duration::from_secs(600)) })
            .test_on_check_out(false)
            .connection_timeout(WAIT)
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build_unchecked(manager);
        let permits = Arc::new(Permits { free: Mutex::new(size), given_back: Condvar::new() });
        Self { inner, url: url.clone(), role, name, rehearsal, permits, size, patience: None }
    }

    /// Gives a connection up whose server has not answered a question of [`Pool::ask`] for so long; zero: never. Only of MariaDB: its client
    /// library waits for ever, and that of PostgreSQL looks after its connections itself.
    #[must_use]
    pub(crate) fn giving_up_after(mut self, patience: Duration) -> Self {
        self.patience = (self.backend() == Backend::MariaDb && !patience.is_zero()).then_some(patience);
        self
    }

    /// Asks the database something, on a thread of its own where the server may never answer. A question of several parts calls
    /// what it is handed after each: the time that an answer may take begins anew. What MariaDB refuses is told by its code.
    ///
    /// # Errors
    /// No connection is to be had, or the server does not answer in time.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Db, &dyn Fn()) -> QueryResult<T> + Send + 'static,
    ) -> Result<QueryResult<T>, PoolError> {
        let told = move |db: &mut Db, goes_on: &dyn Fn()| {
            let answer = question(db, goes_on);
            diagnosis::ask(db, answer)
        };
        let Some(patience) = self.patience else { return Ok(told(&mut *self.get()?, &|| {})) };
        let _permit = self.permits.take().ok_or_else(|| self.timeout())?;
        let (answer, answered) = bounded(1);
        let pool = self.clone();
        std::thread::spawn(move || {
            // Whoever asked may have given up.
            let goes_on = || drop(answer.send(None));
            let whole = pool.connection().map(|mut connection| told(&mut connection, &goes_on));
            drop(answer.send(Some(whole)));
        });
        loop {
            match answered.recv_timeout(patience) {
                Ok(None) => {}
                Ok(Some(answer)) => return answer,
                Err(RecvTimeoutError::Timeout) => {
                    let (role, backend, place) = (self.role, self.backend(), self.url.place());
                    return Err(PoolError::Silent { role, backend, place, waited: patience });
                }
                Err(RecvTimeoutError::Disconnected) => panic!("reading the {} database panicked", self.role),
            }
        }
    }

    /// A connection, once one is free.
    ///
    /// # Errors
    /// None became free or could be opened in time.
    pub(crate) fn get(&self) -> Result<Pooled, PoolError> {
        let permit = self.permits.take().ok_or_else(|| self.timeout())?;
        Ok(Pooled { connection: self.connection()?, _permit: permit })
    }

    fn connection(&self) -> Result<r2d2::PooledConnection<Manager>, PoolError> {
        self.inner.get().map_err(|_| match Db::open(&self.url, self.role) {
            Err(error) => PoolError::Open(error),
            Ok(_) => self.timeout(),
        })
    }

    fn timeout(&self) -> PoolError {
        PoolError::Timeout { role: self.role, backend: self.url.backend(), place: self.url.place(), waited: WAIT }
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
        self.size
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
