//! Invoice numbers: `MT-10123` from any of the forms in which people write it.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

/// The number of an invoice in its one form, `MT-10123`: no leading zeros (a number that has nothing else is `MT-0`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvoiceNumber(Box<str>);

/// The whole of a text is a number.
static WHOLE: LazyLock<Regex> = LazyLock::new(|| regex(r"(?i)^MT[ -]*([0-9]+)$"));
/// A number within a text, with the letters that stand right before it: where there are some, it is another word (`AMT 5`).
static WITHIN: LazyLock<Regex> = LazyLock::new(|| regex(r"(?i)(\p{Alphabetic}*)MT[ -]*([0-9]+)"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is valid")
}

impl InvoiceNumber {
    /// The number that a text is, in any case, with any run of spaces and `-` between, or nothing. `text` has gone through the text rule.
    pub fn of(text: &str) -> Option<Self> {
        WHOLE.captures(text).map(|found| Self::of_digits(&found[1]))
    }

    /// All numbers that a free text names, in the order named, each once. `text` has gone through the text rule.
    pub fn all_in(text: &str) -> Vec<Self> {
        let mut numbers = Vec::new();
        for found in WITHIN.captures_iter(text).filter(|found| found[1].is_empty()) {
            let number = Self::of_digits(&found[2]);
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        numbers
    }

    fn of_digits(digits: &str) -> Self {
        let significant = digits.trim_start_matches('0');
        Self(format!("MT-{}", if significant.is_empty() { "0" } else { significant }).into())
    }

    /// `MT-10123`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InvoiceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_form() {
        for (text, expect) in [
            ("MT-10123", Some("MT-10123")),
            ("mt10123", Some("MT-10123")),
            ("Mt 10123", Some("MT-10123")),
            ("MT-0010123", Some("MT-10123")),
            ("MT 000", Some("MT-0")),
            ("MT-99999999999999999999999999999", Some("MT-99999999999999999999999999999")),
            ("MT-", None),
            ("MT", None),
            ("10123", None),
            ("INV10123", None),
            ("MT--10123", Some("MT-10123")),
            ("MT - 10123", Some("MT-10123")),
            ("mt -- - 0010123", Some("MT-10123")),
            ("MT-–10123", None),
            ("MT-_10123", None),
            ("MT - ", None),
            ("MT-10123a", None),
            ("MT-10 123", None),
            ("AMT 10123", None),
            ("MT-١٢", None),
            ("", None),
        ] {
            assert_eq!(InvoiceNumber::of(text).as_ref().map(InvoiceNumber::as_str), expect, "{text:?}");
        }
    }

    #[test]
    fn a_text_names_numbers_in_order_and_each_once() {
        for (text, expect) in [
            ("Inv MT-7 & mt2 & MT 0005", vec!["MT-7", "MT-2", "MT-5"]),
            ("mt10, MT-10 + MT 0010, MT-9", vec!["MT-10", "MT-9"]),
            ("MT1MT2", vec!["MT-1", "MT-2"]),
            ("(MT-3)/_mt4: MT-5x", vec!["MT-3", "MT-4", "MT-5"]),
            ("MORETREES MT 12 – Société", vec!["MT-12"]),
            ("AMT 500, émt7, INVMT8", vec![]),
            ("MT", vec![]),
            ("MT - 10 MT--11 INV 12 13", vec!["MT-10", "MT-11"]),
            ("mt -- - 007, MT–8, AMT - 9", vec!["MT-7"]),
            ("", vec![]),
        ] {
            let found: Vec<String> = InvoiceNumber::all_in(text).iter().map(ToString::to_string).collect();
            assert_eq!(found, expect, "{text:?}");
        }
    }
}
