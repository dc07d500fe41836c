#![doc = include_str!("../README.md")]
#![allow(clippy::float_arithmetic, reason = "rates are shares; no amount is a float")]

mod calendar;
mod chance;
mod learn;
mod legacy;
mod money;
mod people;
mod platform;
mod rates;
mod row;
mod schema;
mod sink;
mod sizes;
mod spell;
mod table;
// Lists of words, as many to a line as fit.
#[rustfmt::skip]
mod words;
mod world;

use std::io;
use std::path::{Path, PathBuf};

use replant_core::db::{Backend, DbUrl, OpenError};
use replant_testkit::schema::SchemaError;

pub use rates::*;

use sink::Empty;
use table::{Side, Table};
use world::World;

/// Is told of rows as they are written: the table, and how many more. Called from several threads.
pub type Progress<'a> = &'a (dyn Fn(&'static str, u64) + Sync);

/// A legacy database and the platform beside it, made up. The same rows, seed and rates make the same databases.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// Rows of the legacy database, all of its tables together; the platform has about a tenth of that besides.
    pub rows: u64,
    /// Where all chance comes from.
    pub seed: u64,
    /// How often each kind of dirt comes up.
    pub rates: Rates,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulated {
    /// Each table with its rows: those of the legacy database, then those of the platform.
    pub tables: Vec<(&'static str, u64)>,
}

/// Why a simulation failed.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// Too few rows for one of everything.
    #[error("a simulation has at least {} rows", sizes::SMALLEST)]
    TooFew,
    /// A database can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Tables can't be made.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A database that is not the kind that the side has.
    #[error("the {side} database is no {backend}")]
    Backend {
        /// `legacy` or `platform`.
        side: &'static str,
        /// What it is.
        backend: Backend,
    },
    /// A database with rows in it.
    #[error("the {side} database is not empty: `{table}` holds rows; name an empty one")]
    NotEmpty {
        /// `legacy` or `platform`.
        side: &'static str,
        /// A table with rows.
        table: String,
    },
    /// A folder with files in it.
    #[error("{} is not empty; name another folder", folder.display())]
    FolderNotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// A file can't be written.
    #[error("write {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A database refused.
    #[error("the database refused: {what}")]
    Database {
        /// A table, or what was attempted.
        what: &'static str,
        /// Why. It may hold values, which are made up.
        source: diesel::result::Error,
    },
    /// A transaction could not be ended.
    #[error("write into the database")]
    Transaction(#[from] diesel::result::Error),
}

impl SimulateError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

impl Simulation {
    /// A simulation as dirty as the sample.
    pub fn new(rows: u64, seed: u64) -> Self {
        Self { rows, seed, rates: Rates::default() }
    }

    /// Fills two databases, side by side: a legacy one in MariaDB or SQLite, a platform in PostgreSQL or SQLite. Their
    /// tables are made where there are none.
    ///
    /// # Errors
    /// See [`SimulateError`]; a database that holds rows is refused before anything is written.
    pub fn into_databases(&self, legacy: &DbUrl, platform: &DbUrl) -> Result<Simulated, SimulateError> {
        self.into_databases_with(Some(legacy), Some(platform), &|_, _| {})
    }

    /// The same for either or both, and `progress` is told of it.
    ///
    /// # Errors
    /// As [`Simulation::into_databases`].
    pub fn into_databases_with(
        &self,
        legacy: Option<&DbUrl>,
        platform: Option<&DbUrl>,
        progress: Progress<'_>,
    ) -> Result<Simulated, SimulateError> {
        let world = self.world()?;
        let open = |side, url: Option<_>| url.map(|url| Empty::open(side, url)).transpose();
        let (legacy, platform) = (open(Side::Legacy, legacy)?, open(Side::Platform, platform)?);
        let fill = |side: Side, database: Option<Empty<'_>>| match database {
            Some(database) => database.fill(&world, &side.tables(&world), progress),
            None => Ok(Vec::new()),
        };
        let (legacy, platform) = std::thread::scope(|scope| {
            let beside = scope.spawn(|| fill(Side::Platform, platform));
            let legacy = fill(Side::Legacy, legacy);
            (legacy, beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let mut tables = legacy?;
        tables.extend(platform?);
        Ok(Simulated { tables })
    }

    /// Writes `FOLDER/legacy/TABLE.csv` and `FOLDER/platform/TABLE.csv`, as [`replant_testkit::load`] reads them.
    ///
    /// # Errors
    /// See [`SimulateError`]; a folder that holds files is refused.
    pub fn into_folder(&self, folder: &Path) -> Result<Simulated, SimulateError> {
        self.into_folder_with(folder, &|_, _| {})
    }

    /// The same, and `progress` is told of it.
    ///
    /// # Errors
    /// As [`Simulation::into_folder`].
    pub fn into_folder_with(&self, folder: &Path, progress: Progress<'_>) -> Result<Simulated, SimulateError> {
        let world = self.world()?;
        let tables: Vec<Table> = [Side::Legacy, Side::Platform].iter().flat_map(|side| side.tables(&world)).collect();
        Ok(Simulated { tables: sink::into_folder(&world, &tables, folder, progress)? })
    }

    fn world(&self) -> Result<World, SimulateError> {
        if self.rows < sizes::SMALLEST {
            return Err(SimulateError::TooFew);
        }
        Ok(World::new(self.rows, self.seed, self.rates.clone()))
    }
}

impl Side {
    fn tables(self, world: &World) -> Vec<Table> {
        match self {
            Self::Legacy => legacy::tables(world),
            Self::Platform => platform::tables(world),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Platform => "platform",
        }
    }
}
