//! What a server tells of a failure when it is asked: its code, and what stands beside it.

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error};

/// The code of our own for a row that nothing refused and that the target did not take either: it counts fewer rows than
/// were sent.
pub(crate) const NOT_TAKEN: &str = "RPL01";

/// The code of our own for a value that does not even fit into a table without constraints, in a way that nobody tells.
pub(crate) const UNFIT: &str = "RPL02";

/// The code of our own for a session in which the server checks no foreign keys.
pub(crate) const UNGUARDED: &str = "RPL03";

/// The code of a failure of which only the statement is known.
pub(crate) const UNKNOWN: &str = "00000";

/// How the message of a told failure begins; the code follows. It is ours, and no server's.
const SQLSTATE: &str = "replant: SQLSTATE ";
const MARIADB: &str = "replant: error ";

/// What a server tells of a failure. Holds names, no value of any row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Five characters (PostgreSQL), or a number (MariaDB).
    pub(crate) code: String,
    /// The constraint; empty where there is none.
    pub(crate) constraint: String,
    /// The table; empty where the server names none.
    pub(crate) table: String,
    /// The column; empty where the server names none.
    pub(crate) column: String,
    /// The table of the trigger in whose function it happened.
    pub(crate) trigger: Option<String>,
    /// Whether a partitioned table has no partition for the row.
    pub(crate) no_partition: bool,
    /// The kind of statement, and its table.
    pub(crate) statement: Option<String>,
}

impl Told {
    /// As an error of diesel's, so that it goes its ways.
    pub(crate) fn into_error(self, otherwise: DatabaseErrorKind) -> Error {
        let kind = match self.code.as_str() {
            "23505" => DatabaseErrorKind::UniqueViolation,
            "23503" => DatabaseErrorKind::ForeignKeyViolation,
            "23502" => DatabaseErrorKind::NotNullViolation,
            "23514" => DatabaseErrorKind::CheckViolation,
            "23001" => DatabaseErrorKind::RestrictViolation,
            "23P01" => DatabaseErrorKind::ExclusionViolation,
            "40001" => DatabaseErrorKind::SerializationFailure,
            "25006" => DatabaseErrorKind::ReadOnlyTransaction,
            _ => otherwise,
        };
        let start = if self.code.len() == 5 { SQLSTATE } else { MARIADB };
        let message = format!("{start}{}", self.code);
        let details = match &self.trigger {
            Some(table) => Some(format!("{TRIGGER}{table}")),
            None => self.no_partition.then(|| NO_PARTITION.to_owned()),
        };
        Error::DatabaseError(kind, Box::new(Spoken { message, details, told: self }))
    }

    /// Nothing refused a row, but the target did not take it either.
    pub(crate) fn not_taken(table: &str) -> Error {
        Self { code: NOT_TAKEN.to_owned(), table: table.to_owned(), ..Self::default() }
            .into_error(DatabaseErrorKind::Unknown)
    }

    /// What was told of an error, if anybody asked.
    pub(crate) fn of(info: &dyn DatabaseErrorInformation) -> Option<Self> {
        let message = info.message();
        let code = message.strip_prefix(SQLSTATE).or_else(|| message.strip_prefix(MARIADB))?;
        let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
        let details = info.details();
        Some(Self {
            code: code.to_owned(),
            constraint: text(info.constraint_name()),
            table: text(info.table_name()),
            column: text(info.column_name()),
            trigger: details.and_then(|details| details.strip_prefix(TRIGGER)).map(str::to_owned),
            no_partition: details == Some(NO_PARTITION),
            statement: info.hint().map(str::to_owned),
        })
    }
}

/// The details of an error with this start name a trigger's table.
const TRIGGER: &str = "trigger of ";
const NO_PARTITION: &str = "no partition";

struct Spoken {
    message: String,
    details: Option<String>,
    told: Told,
}

impl DatabaseErrorInformation for Spoken {
    fn message(&self) -> &str {
        &self.message
    }

    fn details(&self) -> Option<&str> {
        self.details.as_deref()
    }

    fn hint(&self) -> Option<&str> {
        self.told.statement.as_deref()
    }

    fn table_name(&self) -> Option<&str> {
        Some(&self.told.table)
    }

    fn column_name(&self) -> Option<&str> {
        Some(&self.told.column)
    }

    fn constraint_name(&self) -> Option<&str> {
        Some(&self.told.constraint)
    }

    fn statement_position(&self) -> Option<i32> {
        None
    }
}
