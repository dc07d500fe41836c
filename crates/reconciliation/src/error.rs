//! Why a report could not be made.

use replant_core::{Failure, LedgerError};

/// Why a report could not be made. No text holds a value of a row.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The ledger fails.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A query fails.
    #[error("{what} could not be read: {}", Failure::of(.source).describe())]
    Query {
        /// What was read: tables in words.
        what: &'static str,
        /// What came back. Not shown: it may hold values.
        source: diesel::result::Error,
    },
    /// No brand has the id or the name that was asked for.
    #[error("the platform has no brand with that id or name")]
    NoBrand,
    /// The brand with that id is not on the platform.
    #[error("legacy brand {id} is not on the platform: it was {outcome} ({code})")]
    BrandNotThere {
        /// The legacy brand.
        id: i64,
        /// What became of it.
        outcome: String,
        /// Why.
        code: String,
    },
    /// Several brands have that name.
    #[error("several brands have that name: {}", .0.iter().map(i64::to_string).collect::<Vec<_>>().join(", "))]
    SeveralBrands(
        /// Their legacy ids (those of the platform where they have none).
        Vec<i64>,
    ),
    /// Nobody and nothing is known by that address.
    #[error("neither the platform nor the legacy database knows that e-mail address")]
    NobodyThere,
}

/// Names what was read when a query fails.
pub(crate) trait Reading<T> {
    fn reading(self, what: &'static str) -> Result<T, ReportError>;
}

impl<T> Reading<T> for diesel::QueryResult<T> {
    fn reading(self, what: &'static str) -> Result<T, ReportError> {
        self.map_err(|source| ReportError::Query { what, source })
    }
}

/// A transaction that could not be begun or ended.
impl From<diesel::result::Error> for ReportError {
    fn from(source: diesel::result::Error) -> Self {
        Self::Query { what: "the target", source }
    }
}
