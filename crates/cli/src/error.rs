//! What goes wrong at the command line, and how it is shown: once, here, with what to do about it.
//!
//! Errors of core say all of their causes in their own words. Their sources are not shown: a client library may have
//! put an address into them, a database a value.

use std::fmt::Display;
use std::io;
use std::sync::OnceLock;

use replant_core::db::{OpenError, Role};
use replant_core::ledger::LedgerError;
use replant_core::{Failure, OfflineError, PoolError, RunError};

use crate::config::SettingsError;
use crate::exit::Exit;

/// Where the databases of this call are, without passwords.
#[derive(Debug, Default)]
pub(crate) struct Databases {
    pub(crate) legacy: Option<String>,
    pub(crate) target: Option<String>,
}

static PLACES: OnceLock<Databases> = OnceLock::new();

/// From now on, errors say where the database is that they speak of.
pub(crate) fn set_databases(databases: Databases) {
    // A command has one environment.
    let _ = PLACES.set(databases);
}

/// What goes wrong at the command line. What is said holds no value of a row.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings are wrong.
    #[error("{0}")]
    Settings(SettingsError),
    /// The engine or a database fails.
    #[error("{0}")]
    Run(RunError),
    /// Nothing was begun.
    #[error("{what}")]
    Refused {
        /// What was refused, and why.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// What was asked for is not there.
    #[error("{what}")]
    NotFound {
        /// What is not there.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// Something failed.
    #[error("{what}")]
    Failed {
        /// What was attempted, and what came of it.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// An input or output failed.
    #[error("{attempt}")]
    Io {
        /// What was attempted.
        attempt: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    /// An input or output that failed, with what was attempted.
    pub fn io(attempt: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let attempt = attempt.into();
        |source| Self::Io { attempt, source }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) => Exit::Usage,
            Self::Run(error) => error.kind().into(),
            Self::Refused { .. } => Exit::Refused,
            Self::NotFound { .. } | Self::Failed { .. } | Self::Io { .. } => Exit::Failed,
        }
    }

    /// Where it happened, for an operator who has many databases, and what to do about it.
    fn hint(&self) -> Option<String> {
        let hint = self.advice();
        let place = match self {
            Self::Run(RunError::Pool(PoolError::Open(error))) => PLACES.get().and_then(|places| match error.role {
                Role::Legacy => places.legacy.as_ref(),
                Role::Target => places.target.as_ref(),
            }),
            _ => None,
        };
        match (hint, place) {
            (Some(hint), Some(place)) => Some(format!("it is {place}; {hint}")),
            (hint, _) => hint,
        }
    }

    fn advice(&self) -> Option<String> {
        match self {
            Self::Settings(error) => error.hint(),
            Self::Run(RunError::Pool(PoolError::Open(error))) if !error.transient => Some(format!(
                "look at what `{}` (or `[{}]` of the environment's file) says, then run the same command again",
                match error.role {
                    Role::Legacy => "REPLANT__LEGACY__URL",
                    Role::Target => "REPLANT__TARGET__URL",
                },
                error.role
            )),
            Self::Run(error) => Some(error.hint().to_owned()),
            Self::Refused { hint, .. } | Self::NotFound { hint, .. } | Self::Failed { hint, .. } => Some(hint.clone()),
            Self::Io { .. } => None,
        }
    }
}

impl miette::Diagnostic for Error {
    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        self.hint().map(|hint| Box::new(hint) as Box<dyn Display>)
    }
}

impl From<SettingsError> for Error {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

impl From<OfflineError> for Error {
    fn from(error: OfflineError) -> Self {
        Self::Run(error.into())
    }
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        Self::Run(error.into())
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        Self::Run(PoolError::from(error).into())
    }
}

/// A bare query of the ledger that failed: sorted and described by core, so that no value is shown.
pub(crate) fn query_failed(error: replant_core::diesel::result::Error) -> Error {
    tracing::debug!(failure = Failure::of(&error).kind(), "a query failed");
    LedgerError::from(error).into()
}
