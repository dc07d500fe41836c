//! What a database error means for the run: try again, refuse a row, or stop.

use diesel::result::{DatabaseErrorKind, Error};

/// A database error, sorted by what can be done about it. It holds no value of any row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The connection is gone: connect again, then try again.
    Lost,
    /// Serialization failure, deadlock, lock timeout: try again.
    Contention(&'static str),
    /// The statement took too long: a smaller chunk may do.
    TooSlow,
    /// A constraint refused a row: its name, or what the backend says in its place.
    Constraint(String),
    /// A value does not fit its column, in a way that no constraint names.
    Value(&'static str),
    /// No room left: nothing can be written until somebody makes some.
    Full,
    /// Anything else: the statement is wrong, a table is missing, a right is missing.
    Other(&'static str),
}

impl Failure {
    /// Sorts an error. diesel hides SQLSTATE behind `Unknown`, so the server's message is matched where it must be.
    pub fn of(error: &Error) -> Self {
        let Error::DatabaseError(kind, info) = error else {
            return match error {
                Error::BrokenTransactionManager | Error::AlreadyInTransaction => Self::Lost,
                Error::SerializationError(_) => Self::Value("a value cannot be sent to the target"),
                Error::DeserializationError(_) => Self::Other("a value could not be read"),
                Error::RollbackErrorOnCommit { commit_error, .. } => Self::of(commit_error),
                Error::NotFound => Self::Other("a row that must be there is not"),
                _ => Self::Other("the query could not be built"),
            };
        };
        let constraint =
            || Self::Constraint(info.constraint_name().map_or_else(|| named(info.message()), str::to_owned));
        match kind {
            DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::CheckViolation
            | DatabaseErrorKind::RestrictViolation
            | DatabaseErrorKind::ExclusionViolation => constraint(),
            DatabaseErrorKind::NotNullViolation => match info.column_name() {
                Some(column) => Self::Constraint(format!("{column} is not null")),
                None => constraint(),
            },
            DatabaseErrorKind::SerializationFailure => {
                Self::Contention("the target could not serialize the transaction")
            }
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => Self::Lost,
            DatabaseErrorKind::ReadOnlyTransaction => Self::Other("the database is read only"),
            _ => by_message(info.message()),
        }
    }

    /// A word for logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Lost => "connection lost",
            Self::Contention(_) => "contention",
            Self::TooSlow => "too slow",
            Self::Constraint(_) => "constraint violated",
            Self::Value(_) => "value refused",
            Self::Full => "no space left",
            Self::Other(_) => "statement failed",
        }
    }

    /// What it means, in words that hold no value.
    pub fn describe(&self) -> String {
        match self {
            Self::Lost => "the connection was lost".to_owned(),
            Self::Contention(why) | Self::Value(why) | Self::Other(why) => (*why).to_owned(),
            Self::TooSlow => "the statement took too long".to_owned(),
            Self::Constraint(name) => format!("the constraint `{name}` was violated"),
            Self::Full => "the server has no disk space left".to_owned(),
        }
    }

    /// Whether a row, not the run, is to blame.
    pub fn blames_a_row(&self) -> bool {
        matches!(self, Self::Constraint(_) | Self::Value(_))
    }
}

/// SQLite names the constraint (or the columns of the index) behind the last colon of its message; a foreign key has no
/// name there.
fn named(message: &str) -> String {
    message.rsplit_once(": ").map_or("a foreign key", |(_, name)| name).to_owned()
}

fn by_message(message: &str) -> Failure {
    let text = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&[
        "no space left",
        "disk is full",
        "disk full",
        "could not extend file",
        "could not write to file",
        "got error 28",
    ]) {
        Failure::Full
    } else if says(&["deadlock"]) {
        Failure::Contention("the target broke a deadlock")
    } else if says(&[
        "lock timeout",
        "database is locked",
        "database table is locked",
        "lock wait timeout",
        "could not obtain lock",
    ]) {
        Failure::Contention("a lock was not to be had in time")
    } else if says(&["statement timeout", "max_statement_time", "query execution was interrupted"]) {
        Failure::TooSlow
    } else if says(&[
        "terminating connection",
        "server closed the connection",
        "connection to server",
        "no connection to the server",
        "ssl syscall",
        "gone away",
        "lost connection",
        "shutting down",
        "starting up",
        "in recovery",
        "could not receive data",
        "could not send data",
        "connection reset",
        "broken pipe",
    ]) {
        Failure::Lost
    } else if says(&["out of range", "too long", "invalid byte sequence", "invalid input", "null character", "0x00"]) {
        Failure::Value("a value does not fit its column")
    } else if says(&["does not exist", "no such table", "no such column", "unknown column", "doesn't exist"]) {
        Failure::Other("a table or a column is missing")
    } else if says(&["permission denied", "must be owner", "command denied", "readonly database"]) {
        Failure::Other("the database user lacks a right")
    } else {
        Failure::Other("the database refused the statement")
    }
}
