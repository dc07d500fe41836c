//! The sample platform with some thousand customers more, and runs of users into it.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use replant_core::db::{Db, DbUrl, Role};
use replant_core::{Event, Migration, Registry, Report, Reporter, RunError, Settings, Stop};
use replant_testkit::Database;

/// Customers beside those of the sample.
const CUSTOMERS: i64 = 3_000;
/// Of these, pairs with one address but for its case: they are consolidated when the step is finished.
const PAIRS: i64 = 700;

/// Customers with an address of their own, and both of each pair.
const SIGNED_UP: &str = "
INSERT INTO accounts (kind, email, display_name, marketing_consent, status, created_at, updated_at)
SELECT 'person', format('%s%s@customers.site', CASE WHEN n > LAST THEN 'Customer' ELSE 'customer' END, 1 + (n - 1) % LAST),
       'A customer', false, 'active', now(), now() FROM generate_series(1, LAST + PAIRS) n";

/// A legacy database and a platform.
pub(crate) struct Site {
    pub(crate) platform: Database,
    pub(crate) legacy: DbUrl,
    registry: Registry,
    _folder: tempfile::TempDir,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// The number that a query gives as `number`.
pub(crate) fn number(db: &mut Db, sql: &str) -> i64 {
    diesel::sql_query(sql).get_result::<Number>(db).unwrap().number
}

/// The index as the catalogue has it: whether it is valid and unique. Empty where it is not there.
const INDEX: &str = "SELECT format('%s %s', CASE WHEN indisvalid THEN 'valid' ELSE 'invalid' END, \
                     CASE WHEN indisunique THEN 'unique' ELSE 'plain' END) AS line \
                     FROM pg_index WHERE indexrelid = to_regclass('public.accounts_one_per_email')";

/// Sessions that build an index beside others.
pub(crate) const BUILDING: &str = "SELECT count(*) AS number FROM pg_stat_progress_create_index \
                                   WHERE datname = current_database() AND command = 'CREATE INDEX CONCURRENTLY'";

impl Site {
    /// None where the test is skipped.
    pub(crate) fn new() -> Option<Self> {
        let platform = fixtures::PLATFORM.in_postgres()?;
        let signed_up = SIGNED_UP.replace("LAST", &CUSTOMERS.to_string()).replace("PAIRS", &PAIRS.to_string());
        platform.open().batch_execute(&signed_up).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let legacy = fixtures::LEGACY.in_sqlite(folder.path());
        let registry = Registry::default().domain(users::domain());
        Some(Self { platform, legacy, registry, _folder: folder })
    }

    /// A session of the site.
    pub(crate) fn open(&self) -> Db {
        let mut db = self.platform.open();
        db.batch_execute("SET application_name = 'customer'; SET lock_timeout = 0").unwrap();
        db
    }

    pub(crate) fn run(&self, stop: &Stop, reporter: &dyn Reporter) -> Result<Report, RunError> {
        run(&self.registry, &self.legacy, &self.platform.url(), stop, reporter)
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        number(&mut self.open(), sql)
    }

    /// The id of the first account with this address.
    pub(crate) fn account(&self, email: &str) -> i64 {
        self.number(&format!("SELECT min(id) AS number FROM accounts WHERE email = '{email}'"))
    }

    pub(crate) fn index(&self) -> String {
        let found: Vec<Line> = diesel::sql_query(INDEX).load(&mut self.open()).unwrap();
        found.into_iter().map(|line| line.line).collect()
    }

    /// Asserts that the step is done and all that it promises is there.
    #[track_caller]
    pub(crate) fn assert_done(&self) {
        assert_eq!(self.index(), "valid unique");
        assert_eq!(self.number("SELECT count(*) AS number FROM replant_steps WHERE state = 'done'"), 1);
        let open = "SELECT count(*) AS number FROM accounts WHERE email LIKE 'Customer%' AND merged_into IS NULL";
        assert_eq!(self.number(open), 0, "every pair is consolidated");
        let merged = "SELECT count(*) AS number FROM accounts a JOIN accounts b ON b.id = a.merged_into \
                      WHERE b.email LIKE 'customer%@customers.site'";
        assert_eq!(self.number(merged), PAIRS);
        let twin = "INSERT INTO accounts (kind, email, display_name, marketing_consent, status, created_at, updated_at) \
                    SELECT kind, upper(email), display_name, false, 'active', now(), now() FROM accounts \
                    WHERE merged_into IS NULL LIMIT 1";
        assert!(self.open().batch_execute(twin).is_err(), "an account has a twin");
    }
}

/// Runs the users of a legacy database into a platform.
pub(crate) fn run(
    registry: &Registry,
    legacy: &DbUrl,
    target: &DbUrl,
    stop: &Stop,
    reporter: &dyn Reporter,
) -> Result<Report, RunError> {
    let settings = Settings { chunk_rows: 500, ..Settings::default() };
    let (legacy, target) = (legacy.clone(), target.clone());
    Migration { registry, snapshot: reference::snapshot, legacy, target, settings }.run(stop, reporter)
}

/// Remembers what it hears.
#[derive(Default)]
pub(crate) struct Ear(Mutex<Vec<Event>>);

impl Reporter for Ear {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Ear {
    pub(crate) fn heard(&self, is: impl Fn(&Event) -> bool) -> bool {
        self.0.lock().unwrap().iter().any(is)
    }
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}: it did not come to be");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A transaction that stays open until it is committed.
pub(crate) struct Idle(Db);

impl Idle {
    /// Begins one with a statement.
    pub(crate) fn with(site: &Site, begin: &str, sql: &str) -> Self {
        let mut db = site.open();
        db.batch_execute(begin).unwrap();
        db.batch_execute(sql).unwrap();
        Self(db)
    }

    /// One with a changed account.
    pub(crate) fn changing(site: &Site, account: i64) -> Self {
        Self::with(site, "BEGIN", &format!("UPDATE accounts SET last_seen_at = now() WHERE id = {account}"))
    }

    pub(crate) fn commit(mut self) {
        self.0.batch_execute("COMMIT").unwrap();
    }
}

/// A connection of a process that knows an address alone.
pub(crate) fn address(address: &str) -> DbUrl {
    address.parse().unwrap()
}

/// Opens a database for whoever looks at it.
pub(crate) fn opened(url: &DbUrl) -> Db {
    Db::open(url, Role::Target).unwrap()
}
