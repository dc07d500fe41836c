//! Why a measurement could not be made.

use std::io;

use replant_core::db::OpenError;
use replant_core::{Failure, LedgerError};
use replant_testkit::load::LoadError;
use replant_testkit::schema::SchemaError;
use replant_testkit::servers::ServerError;
use simulate::SimulateError;

/// Why a measurement could not be made. Holds no value of a row.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A server is missing, or does not come up.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A schema could not be made.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The sample could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The rows could not be made up.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    /// A throwaway server cannot be connected to.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The ledger of a migrated platform cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A throwaway server refuses something.
    #[error("{attempt}: {}", .failure.describe())]
    Database {
        /// What was attempted.
        attempt: String,
        /// Why it failed.
        failure: Failure,
    },
    /// A system call failed.
    #[error("{attempt}")]
    Io {
        /// What was attempted.
        attempt: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A program that is measured, or that measures, failed.
    #[error("{what}; the end of what it said:\n{said}")]
    Program {
        /// Which, and what became of it.
        what: String,
        /// Its last lines.
        said: String,
    },
    /// `psql` is not there.
    #[error("no `psql` on this machine: apt-get install postgresql-client")]
    NoPsql,
    /// Two ways that must write the same did not.
    #[error("{0}")]
    Differs(String),
    /// Somebody asked to stop.
    #[error("stopped on request: nothing was measured to its end")]
    Stopped,
}

impl BenchError {
    pub(crate) fn io(attempt: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let attempt = attempt.into();
        move |source| Self::Io { attempt, source }
    }
}

/// Says what a query was for.
pub(crate) trait Attempt<T> {
    fn attempt(self, what: &str) -> Result<T, BenchError>;
}

impl<T> Attempt<T> for Result<T, diesel::result::Error> {
    fn attempt(self, what: &str) -> Result<T, BenchError> {
        self.map_err(|error| BenchError::Database { attempt: what.to_owned(), failure: Failure::of(&error) })
    }
}
