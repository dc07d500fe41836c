//! A cell of a quarantined row as a sheet shows it, and back.
//!
//! What a spreadsheet would take for a formula is shown with a `'` before it, as a text that begins with `'` itself is, so
//! that the way back is exact.

use replant_core::shape::Kind;
use serde_json::Value;

use super::respelled::is_number;

/// What stands for NULL.
pub(super) const NULL: &str = "\\N";

/// What a spreadsheet may take for the beginning of a formula, and the mark against it.
const RISKY: [char; 8] = ['=', '+', '-', '@', '\t', '\r', '\n', '\''];

/// What is stored in a cell. What its type could not hold is shown as it was stored.
pub(super) fn stored(cell: Option<&Value>) -> String {
    match cell {
        None | Some(Value::Null) => NULL.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(bad)) => bad.get("raw").and_then(Value::as_str).unwrap_or_default().to_owned(),
        Some(other) => other.to_string(),
    }
}

/// The cell as a sheet shows it: safe to open. Numbers of columns of numbers stay as they are.
pub(super) fn shown(kind: Kind, cell: Option<&Value>) -> String {
    let text = stored(cell);
    let numeric = match kind {
        Kind::SmallInt | Kind::Integer | Kind::BigInt | Kind::Float | Kind::Double => true,
        Kind::Text | Kind::Bool | Kind::Wall | Kind::Instant | Kind::Date => false,
    };
    if numeric && text.trim() == text && is_number(&text) { text } else { safe(text) }
}

/// A text that no spreadsheet takes for a formula.
pub(super) fn safe(text: String) -> String {
    if text.starts_with(RISKY) { format!("'{text}") } else { text }
}

/// The text that a sheet shows: [`safe`] the other way round.
pub(super) fn unmarked(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| rest.starts_with(RISKY)).unwrap_or(text)
}

/// A cell of a column from its text.
///
/// # Errors
/// What is expected there instead.
pub(super) fn parsed(kind: Kind, text: &str) -> Result<Value, &'static str> {
    if text == NULL {
        return Ok(Value::Null);
    }
    let word = text.trim();
    match kind {
        Kind::Text => Ok(Value::from(text)),
        Kind::SmallInt | Kind::Integer | Kind::BigInt => {
            word.parse::<i64>().map(Value::from).map_err(|_| "an integer is expected")
        }
        Kind::Float | Kind::Double => match word.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Value::from(value)),
            _ => Err("a number is expected"),
        },
        Kind::Bool => match word.to_ascii_lowercase().parse::<bool>() {
            Ok(value) => Ok(Value::from(value)),
            Err(_) => Err("true or false is expected"),
        },
        Kind::Wall => match word.parse::<jiff::civil::DateTime>() {
            Ok(at) => Ok(Value::from(at.strftime("%Y-%m-%d %H:%M:%S").to_string())),
            Err(_) => Err("a time like 2019-04-01 12:00:00 is expected"),
        },
        Kind::Date => match word.parse::<jiff::civil::Date>() {
            Ok(day) => Ok(Value::from(day.to_string())),
            Err(_) => Err("a date like 2019-04-01 is expected"),
        },
        Kind::Instant => match word.parse::<jiff::Timestamp>() {
            Ok(at) => Ok(Value::from(at.to_string())),
            Err(_) => Err("a time like 2019-04-01T12:00:00Z is expected"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_like_a_formula_is_marked_and_comes_back() {
        let marked = [
            ("=1+1", "'=1+1"),
            ("+44 20", "'+44 20"),
            ("-5.00", "'-5.00"),
            ("@here", "'@here"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("'tis", "''tis"),
            ("''", "'''"),
            ("'", "''"),
            ("O'Neil", "O'Neil"),
            ("", ""),
            ("\\N", "\\N"),
        ];
        for (text, expect) in marked {
            assert_eq!(safe(text.to_owned()), expect);
            assert_eq!(unmarked(expect), text);
        }
        // As a person types it, or a spreadsheet that takes the mark for its own leaves it.
        assert_eq!(unmarked("'tis"), "'tis");
        assert_eq!(unmarked("=1+1"), "=1+1");
    }

    #[test]
    fn a_number_stays_one_in_a_column_of_numbers_alone() {
        assert_eq!(shown(Kind::Float, Some(&Value::from(-12.5))), "-12.5");
        assert_eq!(shown(Kind::Integer, Some(&Value::from(-3))), "-3");
        assert_eq!(shown(Kind::Text, Some(&Value::from("-12.50"))), "'-12.50");
        let bad = serde_json::json!({ "raw": "-n/a", "why": "no number" });
        assert_eq!(shown(Kind::Integer, Some(&bad)), "'-n/a");
        assert_eq!(shown(Kind::Integer, None), NULL);
    }
}
