//! The throwaway servers, the legacy database and the platform as they are before anything is measured.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use replant_core::db::{Db, DbUrl, Role};
use replant_core::{AnyStep, KeySet, Registry};
use replant_testkit::servers::{Kind, Server};
use replant_testkit::{Database, load};
use simulate::Simulation;

use crate::error::{Attempt, BenchError};
use crate::measure::Meter;
use crate::tables::{self, Table};
use crate::usage::Machine;

/// As a server of this kind would be set up, of those that it has by default.
const POSTGRES: &[&str] = &["shared_buffers=1GB", "max_wal_size=4GB", "maintenance_work_mem=256MB"];
const MARIADB: &[&str] = &["innodb-buffer-pool-size=1G", "innodb-log-file-size=512M"];

/// What is told of the servers' settings.
const POSTGRES_TOLD: &str = "fsync synchronous_commit full_page_writes wal_level wal_compression wal_buffers shared_buffers \
    max_wal_size checkpoint_timeout maintenance_work_mem work_mem autovacuum max_connections server_version";
const MARIADB_TOLD: &str = "innodb_flush_log_at_trx_commit innodb_doublewrite innodb_flush_method innodb_buffer_pool_size \
    innodb_log_file_size character_set_server log_bin version";

/// How long MariaDB may take to write down what was loaded.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// What is migrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `fixtures/sample`.
    Sample,
    /// Made-up rows.
    Simulated {
        /// About so many legacy rows.
        rows: u64,
        /// Where all chance comes from.
        seed: u64,
    },
}

impl Source {
    /// The seed that the rows come from.
    pub(crate) fn seed(self) -> Option<u64> {
        match self {
            Self::Sample => None,
            Self::Simulated { seed, .. } => Some(seed),
        }
    }
}

/// Where everything is measured. The databases go before their servers.
pub(crate) struct Stage {
    pub(crate) meter: Meter,
    /// The platform, which nobody has migrated anything into. Every measured platform is a copy of it.
    pub(crate) template: Database,
    pub(crate) legacy: Database,
    /// The platform's tables, parents before children.
    pub(crate) tables: Vec<Table>,
    /// The keys of each step's legacy table.
    pub(crate) keys: BTreeMap<&'static str, KeySet>,
    pub(crate) postgres: Server,
    _mariadb: Server,
}

impl Stage {
    /// Starts the servers and fills them.
    pub(crate) fn set(source: Source, registry: &Registry, tell: &dyn Fn(&str)) -> Result<Self, BenchError> {
        let mariadb = Server::start_durable_with(Kind::MariaDb, MARIADB)?;
        let postgres = Server::start_durable_with(Kind::Postgres, POSTGRES)?;
        let (legacy, template) = (mariadb.database()?, postgres.database()?);
        tell("fills the legacy database and the platform");
        fill(source, &legacy, &template)?;
        let mut db = connect(&legacy, Role::Target)?;
        settle(&mut db)?;
        let keys = |step: &dyn AnyStep| Ok((step.name(), step.keys(&mut db).attempt("read the legacy keys")?));
        let keys = registry.steps().map(keys).collect::<Result<_, BenchError>>()?;
        let mut platform = connect(&template, Role::Target)?;
        let tables = tables::read(&mut platform)?;
        tables::note_first(&mut platform, &tables)?;
        platform.batch_execute("VACUUM ANALYZE").attempt("analyze the platform")?;
        drop(platform);
        let meter = Meter::new(mariadb.pid(), postgres.pid(), plain(&postgres.url("postgres"))?);
        Ok(Self { meter, template, legacy, tables, keys, postgres, _mariadb: mariadb })
    }

    /// A platform of one's own, as it was before anything was migrated.
    pub(crate) fn platform(&self) -> Result<Database, BenchError> {
        Ok(self.postgres.clone_of(&self.template)?)
    }

    pub(crate) fn table(&self, name: &str) -> Option<usize> {
        self.tables.iter().position(|table| table.name == name)
    }

    pub(crate) fn machine(&self) -> Machine {
        Machine::read(self.postgres.folder())
    }

    /// The settings of PostgreSQL and of MariaDB that bear on speed.
    pub(crate) fn settings(&self) -> Result<[BTreeMap<String, String>; 2], BenchError> {
        let names = |told: &str| told.split_whitespace().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        let postgres = format!(
            "SELECT name::text, current_setting(name)::text AS value FROM pg_settings WHERE name IN ({})",
            names(POSTGRES_TOLD)
        );
        let mariadb = format!(
            "SELECT CAST(lower(variable_name) AS CHAR) AS name, CAST(variable_value AS CHAR) AS value \
             FROM information_schema.global_variables WHERE lower(variable_name) IN ({})",
            names(MARIADB_TOLD)
        );
        let read = |database: &Database, sql: String| {
            let found: Vec<Setting> = diesel::sql_query(sql)
                .load(&mut connect(database, Role::Target)?)
                .attempt("read a server's settings")?;
            Ok::<_, BenchError>(found.into_iter().map(|setting| (setting.name, setting.value)).collect())
        };
        Ok([read(&self.template, postgres)?, read(&self.legacy, mariadb)?])
    }
}

#[derive(QueryableByName)]
struct Setting {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    value: String,
}

/// A connection as Replant has it.
pub(crate) fn connect(database: &Database, role: Role) -> Result<Db, BenchError> {
    Ok(Db::open(&database.url(), role)?)
}

/// A connection as anybody has it.
pub(crate) fn plain(address: &str) -> Result<PgConnection, BenchError> {
    PgConnection::establish(address).map_err(|_| BenchError::Database {
        attempt: "connect to the platform".to_owned(),
        failure: replant_core::Failure::Lost,
    })
}

fn fill(source: Source, legacy: &Database, platform: &Database) -> Result<(), BenchError> {
    let (from, to): (DbUrl, DbUrl) = (legacy.url(), platform.url());
    match source {
        Source::Simulated { rows, seed } => {
            Simulation::new(rows, seed).into_databases(&from, &to)?;
        }
        Source::Sample => {
            let (mut legacy, mut platform) = (Db::open(&from, Role::Target)?, Db::open(&to, Role::Target)?);
            fixtures::LEGACY.create(&mut legacy)?;
            fixtures::PLATFORM.create(&mut platform)?;
            load::load_dir(&mut legacy, &fixtures::sample().join("legacy"))?;
            load::load_dir(&mut platform, &fixtures::sample().join("platform"))?;
        }
    }
    Ok(())
}

/// Waits until MariaDB has written what was loaded: it would do so while something is measured.
fn settle(legacy: &mut Db) -> Result<(), BenchError> {
    let what = "wait until MariaDB has written what was loaded";
    legacy.batch_execute("SET GLOBAL innodb_max_dirty_pages_pct = 0").attempt(what)?;
    let began = Instant::now();
    let dirty = "SELECT 'dirty' AS name, CAST(variable_value AS CHAR) AS value FROM information_schema.global_status \
                 WHERE variable_name = 'INNODB_BUFFER_POOL_PAGES_DIRTY'";
    while began.elapsed() < SETTLED_WITHIN {
        let pages: Setting = diesel::sql_query(dirty).get_result(legacy).attempt(what)?;
        if pages.value == "0" {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    legacy.batch_execute("SET GLOBAL innodb_max_dirty_pages_pct = DEFAULT").attempt(what)
}
