//! The month that a cross-charge is for, from any of the forms in which it is written.

use std::sync::LazyLock;

use jiff::civil::Date;
use regex::Regex;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// `YYYY-MM`, `MM/YYYY`, `Mon-YY`, `Month YYYY`, each with its groups `m` and `y`.
static FORMS: LazyLock<[Regex; 4]> = LazyLock::new(|| {
    [
        r"^(?<y>[0-9]{4})-(?<m>[0-9]{2})$",
        r"^(?<m>[0-9]{2})/(?<y>[0-9]{4})$",
        r"^(?<m>[A-Za-z]{3})-(?<y>[0-9]{2})$",
        r"^(?<m>[A-Za-z]+) (?<y>[0-9]{4})$",
    ]
    .map(|form| Regex::new(form).expect("the pattern is valid"))
});

/// The first day of the month that a text names: `2023-07`, `07/2023`, `Jul-23` (of this century) or `July 2023`, the names
/// English and in any case. `text` has gone through the text rule.
pub(crate) fn period(text: &str) -> Option<Date> {
    let found = FORMS.iter().find_map(|form| form.captures(text))?;
    let (month, year) = (&found["m"], &found["y"]);
    let named = |name: &&str| match year.len() {
        2 => name[..3].eq_ignore_ascii_case(month),
        _ => name.eq_ignore_ascii_case(month),
    };
    let month = match MONTHS.iter().zip(1..).find(|(name, _)| named(name)) {
        Some((_, month)) => month,
        None => month.parse().ok()?,
    };
    let year: i16 = year.parse().ok()?;
    // No calendar of a database has a year 0.
    let year = match (found["y"].len(), year) {
        (2, year) => 2000 + year,
        (_, 0) => return None,
        (_, year) => year,
    };
    Date::new(year, month, 1).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_month_is_written_in_four_forms() {
        for text in ["2023-07", "07/2023", "Jul-23", "jul-23", "JUL-23", "July 2023", "july 2023"] {
            assert_eq!(period(text), Some(date(2023, 7, 1)), "{text:?}");
        }
        for (text, year, month) in [
            ("May-00", 2000, 5),
            ("May 2099", 2099, 5),
            ("12/1999", 1999, 12),
            ("9999-01", 9999, 1),
            ("Dec-99", 2099, 12),
        ] {
            assert_eq!(period(text), Some(date(year, month, 1)), "{text:?}");
        }
    }

    #[test]
    fn all_else_is_no_month() {
        for text in [
            "",
            "Q3 2023",
            "2023",
            "2023-13",
            "2023-00",
            "0000-01",
            "00/2023",
            "7/2023",
            "2023-7",
            "2023/07",
            "07-2023",
            "2023-07-01",
            "July-23",
            "Jul 2023",
            "Jul-2023",
            "July 23",
            "July  2023",
            "July, 2023",
            "Sept-23",
            "Juli 2023",
            "juillet 2023",
            "Jul-23 ",
            "07/23",
            "ab-23",
            "٢٠٢٣-٠٧",
            "Jul23",
            "12 2023",
            "-12 2023",
        ] {
            assert_eq!(period(text), None, "{text:?}");
        }
    }
}
