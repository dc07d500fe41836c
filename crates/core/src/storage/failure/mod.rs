//! What a database error means for the run: try again, refuse a row, or stop.
//!
//! Failures are told by their codes ([`codes`]), never by the words of a server, which are in its own language. diesel keeps
//! the codes of most failures to itself: whoever needs one has the server tell it ([`told`], [`caught`](super::caught)). Until
//! then such a failure counts as one that may pass.

mod codes;
pub(crate) mod told;

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error};

pub(crate) use told::{NOT_TAKEN, Told, UNFIT};

/// A database error, sorted by what can be done about it. It holds no value of any row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The connection is gone: connect again, then try again.
    Lost,
    /// Serialization failure, deadlock, lock timeout: try again.
    Contention(&'static str),
    /// The statement took too long, or more memory than the server has: a smaller chunk may do.
    TooSlow(&'static str),
    /// A constraint refused a row: its name, or what the backend says in its place.
    Constraint(String),
    /// A value does not fit its column, in a way that no constraint names.
    Value(String),
    /// Something of the site's own refused a row: a trigger.
    Refused(String),
    /// There is no disk space left: whose.
    Full(&'static str),
    /// Anything else: the statement is wrong, a table is missing, a right is missing. With the server's code where it is known,
    /// and the statement that was refused.
    Other(String),
    /// Nobody could tell: the statement, where it is known.
    Untold(Option<String>),
}

impl Failure {
    /// Sorts an error.
    pub fn of(error: &Error) -> Self {
        let Error::DatabaseError(kind, info) = error else {
            return match error {
                Error::BrokenTransactionManager | Error::AlreadyInTransaction => Self::Lost,
                Error::SerializationError(_) => Self::Value("a value cannot be sent to the target".to_owned()),
                Error::DeserializationError(_) => Self::Other("a value could not be read".to_owned()),
                Error::RollbackErrorOnCommit { commit_error, .. } => Self::of(commit_error),
                Error::NotFound => Self::Other("a row that must be there is not".to_owned()),
                _ => Self::Other("the query could not be built".to_owned()),
            };
        };
        if let Some(told) = Told::of(&**info) {
            return told.failure();
        }
        match kind {
            DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::CheckViolation
            | DatabaseErrorKind::RestrictViolation
            | DatabaseErrorKind::ExclusionViolation => Self::Constraint(constraint_of(&**info)),
            DatabaseErrorKind::NotNullViolation => Self::Constraint(match info.column_name() {
                Some(column) => not_null(column),
                None => constraint_of(&**info),
            }),
            DatabaseErrorKind::SerializationFailure => {
                Self::Contention("the target could not serialize the transaction")
            }
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => Self::Lost,
            DatabaseErrorKind::ReadOnlyTransaction => Self::Other("the database is read only".to_owned()),
            _ => codes::by_library(info.message()),
        }
    }

    /// A word for logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Lost => "connection lost",
            Self::Contention(_) => "contention",
            Self::TooSlow(_) => "too slow",
            Self::Constraint(_) => "constraint violated",
            Self::Value(_) => "value refused",
            Self::Refused(_) => "row refused",
            Self::Full(_) => "no space left",
            Self::Other(_) => "statement failed",
            Self::Untold(_) => "not told",
        }
    }

    /// What it means, in words that hold no value.
    pub fn describe(&self) -> String {
        match self {
            Self::Lost => "the connection was lost".to_owned(),
            Self::Contention(why) | Self::TooSlow(why) => (*why).to_owned(),
            Self::Value(why) | Self::Other(why) => why.clone(),
            Self::Constraint(name) => format!("the constraint `{name}` was violated"),
            Self::Refused(by) => format!("it was refused by {by}"),
            Self::Full(whose) => format!("{whose} has no disk space left"),
            Self::Untold(None) => "the database refused a statement; its log says why".to_owned(),
            Self::Untold(Some(statement)) => format!("the database refused a statement; its log says why: {statement}"),
        }
    }

    /// Why a row stays out, where it is to blame. Holds no value.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Constraint(name) => format!("refused by `{name}`"),
            Self::Refused(by) => format!("refused by {by}"),
            Self::Untold(_) => "refused by the target, which does not tell why".to_owned(),
            other => other.describe(),
        }
    }

    /// Whether nobody could tell yet what it was.
    pub(crate) fn is_untold(&self) -> bool {
        matches!(self, Self::Untold(_))
    }

    /// Whether a row, not the run, is to blame.
    pub fn blames_a_row(&self) -> bool {
        matches!(self, Self::Constraint(_) | Self::Value(_) | Self::Refused(_))
    }
}

/// What a NOT NULL constraint is called.
fn not_null(column: &str) -> String {
    format!("{column} is not null")
}

/// The constraint that an error names. SQLite names it (or the columns of the index) behind the last colon of its message,
/// but for a foreign key. PostgreSQL names every constraint: where it names none, a function of the site's own has refused
/// something in the words of a constraint, or a partitioned table has no place for a row.
fn constraint_of(info: &dyn DatabaseErrorInformation) -> String {
    match (info.constraint_name(), info.message().rsplit_once(": ")) {
        (Some(name), _) => name.to_owned(),
        (None, Some((codes::SQLITE_CONSTRAINT, _))) => "a foreign key".to_owned(),
        (None, Some((start, name))) if start.ends_with(codes::SQLITE_CONSTRAINT) => name.to_owned(),
        (None, _) if info.message().starts_with(codes::SQLITE_FOREIGN_KEY) => "a foreign key".to_owned(),
        (None, _) => "a constraint without a name".to_owned(),
    }
}
