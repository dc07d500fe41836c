//! What a database error means for the run: try again, refuse a row, or stop. By its code, and by the texts of the libraries
//! that have no codes; never by the words of a server, which are in its own language.

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error};

use super::told::{self, NOT_TAKEN, Told};

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
            // MariaDB's codes have four digits.
            return if told.code.len() == 5 { by_sqlstate(&told) } else { by_mariadb(&told) };
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
            _ => by_library(info.message()),
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
        (None, Some((SQLITE_CONSTRAINT, _))) => "a foreign key".to_owned(),
        (None, Some((start, name))) if start.ends_with(SQLITE_CONSTRAINT) => name.to_owned(),
        (None, _) if info.message().starts_with(SQLITE_FOREIGN_KEY) => "a foreign key".to_owned(),
        (None, _) => "a constraint without a name".to_owned(),
    }
}

const DEADLOCK: Failure = Failure::Contention("the target broke a deadlock");
const LOCKED: Failure = Failure::Contention("a lock was not to be had in time");
const TOO_LONG: Failure = Failure::TooSlow("the statement took too long");
const NO_MEMORY: Failure = Failure::TooSlow("the server ran out of memory");
const FULL: Failure = Failure::Full("the target server (PostgreSQL)");
const UNFIT: &str = "a value does not fit its column";
const TOO_LARGE: &str = "a value is larger than the server can hold there";
const MISSING: &str = "a table, a column or a function is missing";
const NO_RIGHT: &str = "the database user lacks a right";

/// By SQLSTATE: PostgreSQL, appendix A of its manual. What a trigger of the site raises blames the row, unless it lacks
/// something that no row can mend (a right, a table, a setting) or fails for want of a lock, time or space.
fn by_sqlstate(of: &Told) -> Failure {
    let code = of.code.as_str();
    let class = code.get(..2).unwrap_or_default();
    match (class, code) {
        ("08", _) | (_, "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04") => return Failure::Lost,
        (_, "40P01") => return DEADLOCK,
        (_, "55P03") => return LOCKED,
        ("40", _) => return Failure::Contention("the target could not serialize the transaction"),
        (_, "57014") => return TOO_LONG,
        (_, "53100") => return FULL,
        (_, "53200") => return NO_MEMORY,
        ("53", _) => return Failure::Contention("the server is short of something that others use"),
        _ => {}
    }
    let other = |why: &str| match &of.trigger {
        Some(table) => Failure::Other(format!("a trigger of `{table}`: {why} (SQLSTATE {code})")),
        None => Failure::Other(match &of.statement {
            Some(statement) => format!("{why}: {statement} (SQLSTATE {code})"),
            None => format!("{why} (SQLSTATE {code})"),
        }),
    };
    match class {
        _ if code == NOT_TAKEN => {
            Failure::Refused(format!("a trigger of `{}`, which drops it without an error", of.table))
        }
        _ if code == told::UNGUARDED => Failure::Other(
            "the server checks no foreign keys in new sessions of this user: session_replication_role is not origin"
                .to_owned(),
        ),
        _ if code == told::UNFIT => Failure::Value(UNFIT.to_owned()),
        "00" => Failure::Untold(of.statement.clone()),
        "42" if code == "42501" => other(NO_RIGHT),
        "42" | "3D" | "3F" => other(MISSING),
        "25" => other("the database is read only, or the transaction is in another state than it should be"),
        "58" | "XX" | "F0" => other("the server found its own data or disk damaged"),
        "0A" => other("the server cannot do that"),
        _ if let Some(table) = &of.trigger => Failure::Refused(format!("a trigger of `{table}` (SQLSTATE {code})")),
        "22" => Failure::Value(format!("{UNFIT} (SQLSTATE {code})")),
        "54" => Failure::Value(format!("{TOO_LARGE} (SQLSTATE {code})")),
        "23" if of.no_partition => Failure::Refused(format!("`{}`, no partition of which takes it", of.table)),
        "23" if code == "23502" && !of.column.is_empty() => Failure::Constraint(not_null(&of.column)),
        "23" if !of.constraint.is_empty() => Failure::Constraint(of.constraint.clone()),
        "23" | "44" => Failure::Refused(format!("a rule of the target (SQLSTATE {code})")),
        // Codes of the language of functions, and codes that somebody made up.
        "P0" => Failure::Refused(format!("a function of the target (SQLSTATE {code})")),
        _ if class.starts_with(|first: char| !first.is_ascii_digit()) => {
            Failure::Refused(format!("a function of the target (SQLSTATE {code})"))
        }
        _ => other("the database refused the statement"),
    }
}

/// By the number of an error of MariaDB or MySQL.
fn by_mariadb(told: &Told) -> Failure {
    match told.code.parse().unwrap_or(0) {
        1205 | 1222 => LOCKED,
        1213 => DEADLOCK,
        // The definition of a table changed, or of a prepared statement: the next one finds the new one.
        1412 | 1615 => Failure::Contention("a table was changed meanwhile"),
        1969 | 3024 | 1317 | 1028 => TOO_LONG,
        1037 | 1038 | 1041 => NO_MEMORY,
        1021 | 1114 => Failure::Full("the legacy server (MariaDB)"),
        1040 | 1042 | 1043 | 1053 | 1077 | 1079 | 1080 | 1152..=1161 | 1184 | 1203 | 1226 | 1927 | 2000..=2999 => {
            Failure::Lost
        }
        code @ (1264 | 1265 | 1292 | 1366 | 1406) => Failure::Value(format!("{UNFIT} (error {code})")),
        code @ (1044 | 1045 | 1095 | 1142 | 1143 | 1227 | 1345 | 1356 | 1370) => {
            Failure::Other(format!("{NO_RIGHT} (error {code})"))
        }
        code @ (1049 | 1051 | 1054 | 1109 | 1146 | 1305) => Failure::Other(format!("{MISSING} (error {code})")),
        code @ (1290 | 1792) => Failure::Other(format!("the database is read only (error {code})")),
        code => Failure::Other(format!("the database refused the statement (error {code})")),
    }
}

/// How SQLite's messages about constraints begin; behind it `: ` and the name.
const SQLITE_CONSTRAINT: &str = "constraint failed";
/// A foreign key has no name there.
const SQLITE_FOREIGN_KEY: &str = "FOREIGN KEY constraint failed";

type Said = (&'static str, fn() -> Failure);

/// The texts of libraries that run in this process, and so always speak English: SQLite itself, and the client libraries of
/// PostgreSQL and MariaDB where they have lost their server. How a text begins, or what it has in it.
#[rustfmt::skip]
const LIBRARIES: &[Said] = &[
    // SQLite
    ("database or disk is full", || Failure::Full("the folder of the SQLite file")),
    ("database is locked", || LOCKED),
    ("database table is locked", || LOCKED),
    ("database schema is locked", || LOCKED),
    ("out of memory", || NO_MEMORY),
    ("interrupted", || TOO_LONG),
    ("string or blob too big", || Failure::Value(TOO_LARGE.to_owned())),
    ("datatype mismatch", || Failure::Value(UNFIT.to_owned())),
    ("integer overflow", || Failure::Value(UNFIT.to_owned())),
    ("attempt to write a readonly database", || Failure::Other(NO_RIGHT.to_owned())),
    ("unable to open database file", || Failure::Other("the file or its folder cannot be opened".to_owned())),
    ("disk I/O error", || Failure::Other("the file cannot be read or written: its disk or its folder refuses".to_owned())),
    ("database disk image is malformed", || Failure::Other("the file is damaged".to_owned())),
    ("file is not a database", || Failure::Other("the file is no SQLite database".to_owned())),
    ("no such table", || Failure::Other(MISSING.to_owned())),
    ("no such column", || Failure::Other(MISSING.to_owned())),
    // libpq
    ("server closed the connection unexpectedly", || Failure::Lost),
    ("no connection to the server", || Failure::Lost),
    ("connection not open", || Failure::Lost),
    ("could not receive data from server", || Failure::Lost),
    ("could not send data to server", || Failure::Lost),
    ("SSL SYSCALL", || Failure::Lost),
    ("SSL error", || Failure::Lost),
    ("SSL connection has been closed unexpectedly", || Failure::Lost),
    // libmariadb
    ("Lost connection to server", || Failure::Lost),
    ("Server has gone away", || Failure::Lost),
    ("Can't connect to", || Failure::Lost),
    ("TLS/SSL error", || Failure::Lost),
];

/// By the text of a library that has no code for it; untold where no library says such a thing.
fn by_library(message: &str) -> Failure {
    let message = message.trim_start();
    let found = LIBRARIES.iter().find(|(text, _)| message.starts_with(text));
    found.map_or(Failure::Untold(None), |(_, failure)| failure())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: &str) -> Told {
        Told { code: code.to_owned(), ..Told::default() }
    }

    #[test]
    fn a_code_decides_whatever_the_words() {
        for (code, expected) in [
            ("08006", Failure::Lost),
            ("57P01", Failure::Lost),
            ("40P01", DEADLOCK),
            ("55P03", LOCKED),
            ("57014", TOO_LONG),
            ("53100", FULL),
            ("53200", NO_MEMORY),
        ] {
            assert_eq!(by_sqlstate(&told(code)), expected, "{code}");
        }
        assert!(["22P05", "22003", "54000"].iter().all(|code| by_sqlstate(&told(code)).blames_a_row()));
        assert!(by_sqlstate(&told("P0001")).blames_a_row());
        assert!(by_sqlstate(&told("MT001")).blames_a_row());
        assert!(!by_sqlstate(&told("42501")).blames_a_row());
    }

    #[test]
    fn what_a_trigger_says_blames_the_row_unless_no_row_could_mend_it() {
        let by_trigger = |code: &str| Told { trigger: Some("items".to_owned()), ..told(code) };
        for code in ["P0001", "23514", "22012", "XY123"] {
            let failure = by_sqlstate(&by_trigger(code));
            assert_eq!(failure, Failure::Refused(format!("a trigger of `items` (SQLSTATE {code})")));
        }
        for code in ["42501", "42704", "42P01"] {
            let failure = by_sqlstate(&by_trigger(code));
            assert!(matches!(&failure, Failure::Other(why) if why.contains("trigger of `items`")), "{failure:?}");
        }
        assert_eq!(by_sqlstate(&by_trigger("55P03")), LOCKED);
    }

    #[test]
    fn a_server_that_is_lost_over_tls_is_lost() {
        for message in [
            "SSL SYSCALL error: EOF detected",
            "SSL error: unexpected eof",
            "TLS/SSL error: unexpected eof while reading",
        ] {
            assert_eq!(by_library(message), Failure::Lost, "{message}");
        }
    }

    #[test]
    fn a_server_may_say_what_it_likes() {
        for message in ["Sperre nicht zu bekommen", "verbinding verbroken", "the moon is full"] {
            assert!(by_library(message).is_untold());
        }
    }
}
