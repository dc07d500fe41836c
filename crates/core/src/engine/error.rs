//! Why a run ends without being done, and what the operator does then.

use super::chunk::ChunkError;
use super::registry::OrderError;
use crate::contract::errors::FinishError;
use crate::contract::errors::PrepareError;
use crate::contract::inspect::Finding;
use crate::policy::retry::{Action, action};
use crate::storage::constraints::OfflineError;
use crate::storage::db::Role;
use crate::storage::db::diagnosis;
use crate::storage::failure::Failure;
use crate::storage::ledger::LedgerError;
use crate::storage::ledger::owner::HeldError;
use crate::storage::pool::{Pool, PoolError};

/// How it is said that a check before a run got no answer.
pub(crate) const UNCHECKED: &str = "it cannot be checked whether a run can begin";

/// Why a run ends without being done.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The selection or the code is wrong.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The settings do not fit together.
    #[error("{0}")]
    Settings(String),
    /// A database is not as it must be. Nothing was written.
    #[error("the databases are not as they must be, so nothing was written:{}", refusals(.findings))]
    Preflight {
        /// What was found, notes among it: the refusals first.
        findings: Vec<Finding>,
    },
    /// A database went away, or was too busy, while it was checked. Nothing was written.
    #[error("{UNCHECKED}: {side}: {}", .failure.describe())]
    Unchecked {
        /// The side.
        side: Role,
        /// What became of the question.
        failure: Failure,
    },
    /// The legacy database is not in the state to which the target was brought last.
    #[error(
        "the legacy database is of {found}, but this target was brought to the state of {begun}, so nothing was written"
    )]
    OtherSnapshot {
        /// The snapshot that was found.
        found: jiff::Timestamp,
        /// That of the last state.
        begun: jiff::Timestamp,
    },
    /// The target is being brought to a later state.
    #[error("this target is being brought to a later state of the legacy database, that of {snapshot}")]
    CatchingUp {
        /// That state.
        snapshot: jiff::Timestamp,
    },
    /// More legacy rows have gone than go by themselves.
    #[error("{gone} of {of} rows of the legacy table `{table}` have gone since the last state, so nothing was written")]
    ManyGone {
        /// The table.
        table: &'static str,
        /// How many have gone.
        gone: u64,
        /// Of how many.
        of: u64,
    },
    /// More legacy rows come out otherwise than do by themselves.
    #[error(
        "{changed} of {of} rows of the legacy table `{table}` would come out otherwise than in the last state, so nothing was written"
    )]
    ManyChanged {
        /// The table.
        table: &'static str,
        /// How many come out otherwise.
        changed: u64,
        /// Of how many.
        of: u64,
    },
    /// Another process works on the target.
    #[error(transparent)]
    Held(HeldError),
    /// A database cannot be reached.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The ledger fails.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A step cannot be prepared.
    #[error("step {step} cannot be prepared: {source}")]
    Prepare {
        /// The step.
        step: &'static str,
        /// Why.
        source: PrepareError,
    },
    /// A step cannot be finished.
    #[error("step {step} moved its rows but cannot be finished: {source}")]
    Finish {
        /// The step.
        step: &'static str,
        /// Why.
        source: FinishError,
    },
    /// Nobody works on the target.
    #[error("no run is under way on this target (looked for {} s): begin one with `migrate`", .waited.as_secs())]
    NoRun {
        /// How long it was looked for.
        waited: std::time::Duration,
    },
    /// A replay or a trial before the migration is done.
    #[error("step {0} is not done: only what a finished migration has judged can be judged again")]
    NotDone(&'static str),
    /// A load cannot be offline, or what it dropped cannot be built again.
    #[error(transparent)]
    Offline(#[from] OfflineError),
    /// A row that points to nothing cannot be taken out again.
    #[error(
        "step {step} moved its rows, but a row that points to nothing cannot be taken out again, because more than rows of \
         its own was written for it ({orphans}). The foreign keys stay out; give it what it points to, then run the same command again"
    )]
    Entangled {
        /// The step.
        step: &'static str,
        /// Which row, against which foreign key.
        orphans: String,
    },
    /// Nobody has the address of a person who is to be erased.
    #[error(
        "nobody has that address: no legacy row holds it, nor anything that the ledger or the target keeps. Nothing was written"
    )]
    Nobody,
    /// A reading of the target that is kept holds the address of a person who is to be erased.
    #[error(
        "what was read of the target under the name of {readings} holds the address still, so nothing was written: let `migrate` come \
         to its end first; where it has, `Frozen::erase` of that reading leaves persons in it"
    )]
    HeldStill {
        /// The names of the readings.
        readings: String,
    },
    /// Steps build on what is to be taken back.
    #[error("these steps build on what is to be taken back, and are not to go: {steps}. Nothing was written")]
    BuiltUpon {
        /// The steps, with their chunks.
        steps: String,
    },
    /// A chunk cannot be taken back.
    #[error("step {step} cannot be taken back at chunk {chunk}: {source}")]
    Undo {
        /// The step.
        step: &'static str,
        /// The chunk; 0: what was left of some.
        chunk: i64,
        /// Why.
        source: ChunkError,
    },
    /// A chunk cannot be done.
    #[error("step {step} stopped at the chunk of legacy keys {lo} to {hi}: {source}")]
    Chunk {
        /// The step.
        step: &'static str,
        /// The first key.
        lo: i64,
        /// The last key.
        hi: i64,
        /// Why.
        source: ChunkError,
    },
}

impl From<diesel::result::Error> for RunError {
    fn from(source: diesel::result::Error) -> Self {
        Self::Ledger(LedgerError::from(source))
    }
}

/// What kind of end it is: the exit code of a command follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The call or the settings are wrong.
    Usage,
    /// A database is not as it must be; nothing was written.
    Refused,
    /// A database cannot be reached or has no room; going on later loses nothing.
    Unavailable,
    /// Another process holds the target.
    Held,
    /// A step failed.
    Failed,
}

impl RunError {
    /// What kind of end it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Order(_) | Self::Settings(_) => Kind::Usage,
            Self::Preflight { .. }
            | Self::OtherSnapshot { .. }
            | Self::CatchingUp { .. }
            | Self::ManyGone { .. }
            | Self::ManyChanged { .. }
            | Self::Nobody
            | Self::HeldStill { .. }
            | Self::BuiltUpon { .. } => Kind::Refused,
            Self::Unchecked { failure, .. } => of(failure),
            Self::Held(_) => Kind::Held,
            // What waiting does not mend is a mistake in an address or a right.
            Self::Pool(PoolError::Open(error)) if !error.transient => Kind::Usage,
            Self::Pool(_) => Kind::Unavailable,
            Self::Ledger(LedgerError::Database { source, .. }) => of(&Failure::of(source)),
            Self::Ledger(_) | Self::NotDone(_) | Self::NoRun { .. } => Kind::Refused,
            Self::Offline(OfflineError::UnderWay(_)) => Kind::Held,
            Self::Offline(error) => error.failure().map_or(Kind::Refused, |failure| of(&failure)),
            Self::Entangled { .. } => Kind::Failed,
            Self::Prepare { .. } | Self::Finish { .. } => self.failure().map_or(Kind::Failed, |failure| of(&failure)),
            Self::Chunk { source: ChunkError::Pool(_), .. } | Self::Undo { source: ChunkError::Pool(_), .. } => {
                Kind::Unavailable
            }
            Self::Chunk { source, .. } | Self::Undo { source, .. } => {
                source.failure().map_or(Kind::Failed, |failure| of(&failure))
            }
        }
    }

    /// The failure of a database behind it, if that is what it is.
    fn failure(&self) -> Option<Failure> {
        match self {
            Self::Pool(_) | Self::Prepare { source: PrepareError::Pool(_), .. } => Some(Failure::Lost),
            Self::Ledger(LedgerError::Database { source, .. })
            | Self::Prepare {
                source: PrepareError::Query { source, .. } | PrepareError::Ledger(LedgerError::Database { source, .. }),
                ..
            }
            | Self::Finish { source: FinishError::Database(source), .. } => Some(Failure::of(source)),
            Self::Unchecked { failure, .. } => Some(failure.clone()),
            Self::Chunk { source, .. } | Self::Undo { source, .. } => source.failure(),
            Self::Offline(error) => error.failure(),
            _ => None,
        }
    }

    /// The error of diesel's behind it, if that is what it is.
    fn query_mut(&mut self) -> Option<&mut diesel::result::Error> {
        match self {
            Self::Ledger(LedgerError::Database { source, .. })
            | Self::Prepare {
                source: PrepareError::Query { source, .. } | PrepareError::Ledger(LedgerError::Database { source, .. }),
                ..
            }
            | Self::Finish { source: FinishError::Database(source), .. } => Some(source),
            Self::Offline(error) => error.query_mut(),
            _ => None,
        }
    }

    /// Has the target tell what it refused, on a session of its own, where nobody could tell yet.
    #[must_use]
    pub(super) fn diagnosed(mut self, target: &Pool) -> Self {
        if !self.failure().is_some_and(|failure| failure.is_untold()) {
            return self;
        }
        let Ok(mut db) = target.dedicated() else { return self };
        if let Some(source) = self.query_mut() {
            let error = std::mem::replace(source, diesel::result::Error::NotFound);
            *source = diagnosis::diagnose(&mut db, error);
        }
        if let Self::Chunk { source, .. } | Self::Undo { source, .. } = &mut self {
            source.diagnose(&mut db);
        }
        self
    }

    /// Whether somebody else had what was needed: it is over when that one lets go.
    pub(crate) fn is_contention(&self) -> bool {
        matches!(self.failure(), Some(Failure::Contention(_)))
    }

    /// Whether it may be over when the same is tried again.
    pub(crate) fn may_pass(&self) -> bool {
        self.failure().is_some_and(|failure| action(&failure, true) == Action::Again)
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::OtherSnapshot { found, begun } if found > begun => {
                return "`catch-up` brings the target to a later state of the legacy database";
            }
            Self::OtherSnapshot { .. } => {
                return "a target is never taken back: name the legacy database of the last state, or of a later one";
            }
            Self::BuiltUpon { .. } => return "`--with-dependants` takes them back as well",
            Self::CatchingUp { .. } => return "`catch-up` goes on with it",
            Self::ManyGone { .. } | Self::ManyChanged { .. } => {
                return "if the legacy database is half-restored or damaged, restore it; if it is so, `catch-up --expect TABLE=N` says so: N is \
                        how many rows may have gone or changed";
            }
            _ => {}
        }
        match self.kind() {
            Kind::Usage => {
                "mend the address or the setting that is named above; `migrate --help` tells where they come from"
            }
            Kind::Refused => {
                "mend what is named above, then run the same command again; `plan` repeats the checks without writing"
            }
            Kind::Unavailable => {
                "nothing is lost: once the database is well again, the same command goes on where this run stopped"
            }
            Kind::Held => "wait until it ends, or stop it with Ctrl-C (SIGTERM), which loses nothing",
            Kind::Failed => {
                "every chunk that was committed stays; `status` shows how far it got. Mend the cause, then run the same command again"
            }
        }
    }
}

/// A list of what keeps a run from beginning, each with what mends it.
fn refusals(findings: &[Finding]) -> String {
    findings.iter().filter(|finding| finding.refuses()).map(|finding| format!("\n  {finding}")).collect()
}

fn of(failure: &Failure) -> Kind {
    match failure {
        Failure::Lost | Failure::Full(_) | Failure::Contention(_) | Failure::TooSlow(_) => Kind::Unavailable,
        Failure::Constraint(_) | Failure::Value(_) | Failure::Refused(_) | Failure::Other(_) | Failure::Untold(_) => {
            Kind::Failed
        }
    }
}
