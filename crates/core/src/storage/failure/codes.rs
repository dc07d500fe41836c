//! What the codes of servers mean, and the texts of the libraries that have no codes.

use super::told::{self, NOT_TAKEN, Told};
use super::{Failure, not_null};

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
pub(super) fn by_sqlstate(of: &Told) -> Failure {
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
pub(super) fn by_mariadb(told: &Told) -> Failure {
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
pub(super) const SQLITE_CONSTRAINT: &str = "constraint failed";
/// A foreign key has no name there.
pub(super) const SQLITE_FOREIGN_KEY: &str = "FOREIGN KEY constraint failed";

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
pub(super) fn by_library(message: &str) -> Failure {
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
        let by_trigger = |code: &str| Told { trigger: Some("accounts".to_owned()), ..told(code) };
        for code in ["P0001", "23514", "22012", "XY123"] {
            let failure = by_sqlstate(&by_trigger(code));
            assert_eq!(failure, Failure::Refused(format!("a trigger of `accounts` (SQLSTATE {code})")));
        }
        for code in ["42501", "42704", "42P01"] {
            let failure = by_sqlstate(&by_trigger(code));
            assert!(matches!(&failure, Failure::Other(why) if why.contains("trigger of `accounts`")), "{failure:?}");
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
