//! Why a chunk could not be done.

use crate::storage::db::Db;
use crate::storage::db::diagnosis;
use crate::storage::failure::Failure;
use crate::storage::ledger::LedgerError;
use crate::storage::pool::PoolError;

/// Why a chunk could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// A database fails.
    #[error("{}", .0.describe())]
    Database(Failure),
    /// No connection.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// Rows are unaccounted for: a defect of the step.
    #[error("{0}")]
    Unbalanced(String),
    /// A model does not say what its columns hold: a defect of the step.
    #[error("the model of `{table}` has a field that is no column of it, or that holds no value of a column: a defect")]
    Untold {
        /// The table.
        table: &'static str,
    },
    /// What reads or writes the rows panicked: a defect of the step.
    #[error("reading or writing its rows panicked: a defect of the step")]
    Panicked,
    /// What the ledger says cannot be read, or a mended row is not one of its table.
    #[error(transparent)]
    Ledger(LedgerError),
    /// What was written for a row cannot be taken back.
    #[error("what was written for the legacy row {key} cannot be taken back")]
    Entangled {
        /// The leader of its unit.
        key: i64,
    },
    /// Another worker holds the chunk now.
    #[error("the lease was lost to another worker")]
    LeaseLost,
}

impl From<diesel::result::Error> for ChunkError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(Failure::of(&error))
    }
}

impl From<LedgerError> for ChunkError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Database { source, .. } => source.into(),
            other => Self::Ledger(other),
        }
    }
}

impl ChunkError {
    /// Has the target tell what it refused, where nobody could tell yet.
    pub(crate) fn diagnose(&mut self, db: &mut Db) {
        if let Self::Database(failure) = self
            && failure.is_untold()
        {
            *failure = diagnosis::of_last(db).unwrap_or_else(|| failure.clone());
        }
    }

    /// The failure of a database behind it, if that is what it is.
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Database(failure) => Some(failure.clone()),
            // It was waited for long enough.
            Self::Pool(PoolError::Silent { .. }) => None,
            Self::Pool(_) => Some(Failure::Lost),
            Self::Unbalanced(_)
            | Self::Panicked
            | Self::Untold { .. }
            | Self::Ledger(_)
            | Self::Entangled { .. }
            | Self::LeaseLost => None,
        }
    }
}
