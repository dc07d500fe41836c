//! Why the ledger cannot be used.

use diesel::QueryResult;

use crate::storage::failure::Failure;

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database refused something.
    #[error("the ledger in the target database could not be {attempted}: {}", Failure::of(.source).describe())]
    Database {
        /// What was tried.
        attempted: &'static str,
        /// What came back. Not shown: it may hold values.
        source: diesel::result::Error,
    },
    /// The ledger's tables could not be made.
    #[error("the ledger's tables could not be made in the target database ({hint})")]
    Install {
        /// What to look at.
        hint: &'static str,
    },
    /// A later version of Replant wrote the ledger.
    #[error(
        "the ledger in the target database was written by a later version of Replant: use that version, or a later one"
    )]
    TooNew,
    /// A payload cannot be read back.
    #[error(
        "the ledger's {what} of `{of}` cannot be read back: it was written by another version of Replant or damaged"
    )]
    Unreadable {
        /// Which payload.
        what: &'static str,
        /// Whose.
        of: String,
    },
}

/// Names what was attempted when a query of the ledger fails.
pub(crate) trait Attempt<T> {
    fn attempt(self, attempted: &'static str) -> Result<T, LedgerError>;
}

impl<T> Attempt<T> for QueryResult<T> {
    fn attempt(self, attempted: &'static str) -> Result<T, LedgerError> {
        self.map_err(|source| LedgerError::Database { attempted, source })
    }
}

impl From<diesel::result::Error> for LedgerError {
    fn from(source: diesel::result::Error) -> Self {
        Self::Database { attempted: "read or written", source }
    }
}

impl LedgerError {
    /// As an error of the database: inside a transaction nothing else comes back.
    pub(crate) fn into_diesel(self) -> diesel::result::Error {
        match self {
            Self::Database { source, .. } => source,
            other => diesel::result::Error::DeserializationError(Box::new(other)),
        }
    }
}
