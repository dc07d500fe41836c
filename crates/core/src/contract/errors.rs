//! Why a step cannot be prepared or finished.

use crate::storage::failure::Failure;
use crate::storage::ledger::LedgerError;
use crate::storage::pool::PoolError;

/// Why a step could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// No connection.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The ledger fails.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A query fails.
    #[error("{what} could not be read: {}", Failure::of(.source).describe())]
    Query {
        /// What was read.
        what: String,
        /// What came back. Not shown: it may hold values.
        source: diesel::result::Error,
    },
    /// The step of a lookup is not done: a mistake in `AFTER`.
    #[error("the rows of `{0}` are asked for before that step is done: name it in AFTER")]
    NotDone(&'static str),
    /// A step that it waits for ended without being done.
    #[error("step {0} was not done")]
    Interrupted(&'static str),
    /// The sources are not as they must be.
    #[error("{0}")]
    Source(String),
}

impl From<diesel::result::Error> for PrepareError {
    fn from(source: diesel::result::Error) -> Self {
        Self::Query { what: "the target".to_owned(), source }
    }
}

/// Why a step cannot be finished.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// The database fails.
    #[error("{}", Failure::of(.0).describe())]
    Database(#[from] diesel::result::Error),
    /// The target is not as it must be: what is wrong and what to do. Holds ids, no values.
    #[error("{0}")]
    Target(String),
    /// The ledger of its chunks is not that of its keys: a defect, or a ledger that somebody changed.
    #[error(
        "its chunks have {keys} keys and read {read} rows, where {planned} were planned, so it is not called done: look at \
         replant_chunks, and restore the ledger with the target if it was changed by hand"
    )]
    Unaccounted {
        /// Keys that were planned.
        planned: u64,
        /// Keys in its chunks.
        keys: i64,
        /// Rows that they read.
        read: i64,
    },
}
