//! What a spreadsheet makes of a cell without being asked to: the same number, date or flag in a form of its own.
//!
//! `2019-04-01 00:00:00` comes back as `01/04/2019 00:00`, `0012.50` as `12.5`, `1234567890123456` as `1.23457E+15`, `2023-07`
//! as `Jul-23`, `true` as `TRUE`. Nobody meant to change these.

use std::sync::LazyLock;

use jiff::civil::Date;
use regex::{Captures, Regex};

/// Which of `01/04/2019` is the day: it depends on the country that a spreadsheet was set up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    DayFirst,
    MonthFirst,
}

impl Order {
    /// The order that explains most of the cells that changed, as they were and as they are.
    pub(super) fn of<'a>(changed: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut day, mut month) = (0, 0);
        for (was, is) in changed {
            day += usize::from(same_time(was, is, Self::DayFirst));
            month += usize::from(same_time(was, is, Self::MonthFirst));
        }
        if month > day { Self::MonthFirst } else { Self::DayFirst }
    }
}

/// Whether `is` says what `was` says, as a spreadsheet writes it.
pub(super) fn respelled(was: &str, is: &str, order: Order) -> bool {
    let flag = |text: &str| ["true", "false"].iter().any(|flag| flag.eq_ignore_ascii_case(text.trim()));
    (flag(was) && was.trim().eq_ignore_ascii_case(is.trim()))
        || unix(was) == unix(is)
        || Number::read(was).zip(Number::read(is)).is_some_and(|(was, is)| was.shows_as(&is))
        || same_time(was, is, order)
}

fn unix(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// Whether a text is a plain number.
pub(super) fn is_number(text: &str) -> bool {
    Number::read(text).is_some()
}

/// Digits that a spreadsheet keeps of a number.
const KEPT: usize = 15;

/// Digits from which on a spreadsheet may have rounded what it shows.
const ROUNDED: usize = 9;

/// A number by its digits: none of them is lost, however many there are.
#[derive(Debug, PartialEq, Eq)]
struct Number {
    negative: bool,
    /// Without zeros at the ends; none for 0.
    digits: Vec<u8>,
    /// The power of ten of the first digit.
    power: i64,
    /// As many digits as were written, leading zeros aside.
    written: usize,
    scientific: bool,
}

impl Number {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let (negative, text) = match text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
            Some(inner) => (true, inner),
            None => match text.strip_prefix('-') {
                Some(rest) => (true, rest),
                None => (false, text.strip_prefix('+').unwrap_or(text)),
            },
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent.parse::<i32>().ok()?)),
            None => (text, None),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let whole = ungrouped(whole)?;
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if all.is_empty() || !all.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let zeros = all.iter().take_while(|digit| **digit == b'0').count();
        let written = all.len() - zeros;
        let mut digits = all[zeros..].to_vec();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let first = i64::try_from(whole.len()).ok()? - 1 - i64::try_from(zeros).ok()?;
        let power = if digits.is_empty() { 0 } else { first + i64::from(exponent.unwrap_or(0)) };
        let negative = negative && !digits.is_empty();
        Some(Self { negative, digits, power, written, scientific: exponent.is_some() })
    }

    /// Whether `shown` is what a spreadsheet shows of it.
    fn shows_as(&self, shown: &Self) -> bool {
        let same = |(digits, power): (Vec<u8>, i64)| digits == shown.digits && power == shown.power;
        let exact = || (self.digits.clone(), self.power);
        let rounds = shown.scientific || shown.written >= ROUNDED;
        self.negative == shown.negative
            && (same(exact())
                || rounds && !shown.digits.is_empty() && same(self.rounded(shown.written))
                || self.digits.len() > KEPT && same(cut(self.digits[..KEPT].to_vec(), self.power)))
    }

    /// To so many digits, half away from zero.
    fn rounded(&self, count: usize) -> (Vec<u8>, i64) {
        let Some(next) = self.digits.get(count) else { return (self.digits.clone(), self.power) };
        let mut digits = self.digits[..count].to_vec();
        if *next < b'5' {
            return cut(digits, self.power);
        }
        while digits.last() == Some(&b'9') {
            digits.pop();
        }
        match digits.last_mut() {
            Some(last) => *last += 1,
            None => return (vec![b'1'], self.power + 1),
        }
        (digits, self.power)
    }
}

fn cut(mut digits: Vec<u8>, power: i64) -> (Vec<u8>, i64) {
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    (digits, power)
}

/// A whole number without the commas between its groups of three.
fn ungrouped(whole: &str) -> Option<String> {
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or_default();
    let grouped = first.len() <= 3 && !first.is_empty() && groups.clone().all(|group| group.len() == 3);
    if whole.contains(',') && !grouped { None } else { Some(whole.replace(',', "")) }
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// The forms in which people and spreadsheets write a date, a month or a day of a year, a time behind it or not.
static FORMS: LazyLock<[Regex; 7]> = LazyLock::new(|| {
    [
        r"(?<y>[0-9]{4})-(?<m>[0-9]{1,2})-(?<d>[0-9]{1,2})",
        r"(?<a>[0-9]{1,2})/(?<b>[0-9]{1,2})/(?<y>[0-9]{4}|[0-9]{2})",
        r"(?<d>[0-9]{1,2})[ -](?<name>[A-Za-z]{3,9})[ -](?<y>[0-9]{4}|[0-9]{2})",
        r"(?<y>[0-9]{4})-(?<m>[0-9]{1,2})",
        r"(?<m>[0-9]{1,2})/(?<y>[0-9]{4})",
        r"(?<name>[A-Za-z]{3,9})[ -](?<y>[0-9]{4}|[0-9]{2})",
        r"(?:(?<a>[0-9]{1,2})[/-](?<b>[0-9]{1,2})|(?<d>[0-9]{1,2})-(?<name>[A-Za-z]{3}))",
    ]
    .map(|form| {
        let clock = r"(?:[ T](?<h>[0-9]{1,2}):(?<min>[0-9]{2})(?::(?<s>[0-9]{2})(?:\.[0-9]+)?)?)?";
        Regex::new(&format!("^{form}{clock}$")).expect("the pattern is valid")
    })
});

/// What a text says of a time.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    day: Date,
    /// Whether there is no year: a spreadsheet shows `1/2` as `01-Feb`.
    yearless: bool,
    minute: (u8, u8),
    second: Option<u8>,
}

fn same_time(was: &str, is: &str, order: Order) -> bool {
    let Some(is) = said(is, order) else { return false };
    [Order::DayFirst, order].into_iter().filter_map(|order| said(was, order)).any(|was| {
        let seconds = was.second.zip(is.second).is_none_or(|(was, is)| was == is);
        was.day == is.day && was.yearless == is.yearless && was.minute == is.minute && seconds
    })
}

fn said(text: &str, order: Order) -> Option<Said> {
    let text = text.trim();
    let found = FORMS.iter().find_map(|form| form.captures(text))?;
    let number = |name: &str| found.name(name)?.as_str().parse::<i8>().ok();
    let (day, month) = match (number("a"), number("b")) {
        (Some(a), Some(b)) if order == Order::MonthFirst => (Some(b), Some(a)),
        (Some(a), Some(b)) => (Some(a), Some(b)),
        _ => (number("d"), number("m").or_else(|| month(&found))),
    };
    let year = found.name("y").map(|year| year.as_str());
    let of_century = |year: i16| if year < 30 { 2000 + year } else { 1900 + year };
    let number_of_year = match year {
        // A leap year has every day.
        None => 2000,
        Some(year) if year.len() == 2 => of_century(year.parse().ok()?),
        Some(year) => year.parse().ok()?,
    };
    Some(Said {
        day: Date::new(number_of_year, month?, day.unwrap_or(1)).ok()?,
        yearless: year.is_none(),
        minute: (part(&found, "h").unwrap_or(0), part(&found, "min").unwrap_or(0)),
        second: part(&found, "s"),
    })
}

fn part(found: &Captures<'_>, name: &str) -> Option<u8> {
    found.name(name)?.as_str().parse().ok()
}

fn month(found: &Captures<'_>) -> Option<i8> {
    let name = found.name("name")?.as_str().to_ascii_lowercase();
    let place = MONTHS.iter().position(|month| name.starts_with(month))?;
    i8::try_from(place + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_writes_anew_says_the_same() {
        for (was, is) in [
            ("2019-04-01 00:00:00", "01/04/2019 00:00"),
            ("2019-04-01 12:34:56", "01/04/2019 12:34"),
            ("2019-04-01 12:34:56", "01/04/2019 12:34:56"),
            ("2023-01-05", "05/01/2023"),
            ("2023-01-05", "05/01/23"),
            ("5 Jan 2023", "05-Jan-23"),
            ("05/01/2023", "5/1/2023"),
            ("2023-07", "Jul-23"),
            ("07/2023", "Jul-23"),
            ("July 2023", "Jul-23"),
            ("1/2", "01-Feb"),
            ("12.50", "12.5"),
            ("0012", "12"),
            ("07700900123", "7700900123"),
            ("1,250", "1250"),
            ("1250", "1,250"),
            ("(5)", "-5"),
            ("+447700900123", "4.47701E+11"),
            ("1234567890123456", "1.23457E+15"),
            ("1234567890123456", "1234567890123450"),
            ("1872426993747e56", "1.87E+68"),
            ("0.123456789012", "0.123456789"),
            ("9999999999999999", "1E+16"),
            ("1e5", "1.00E+05"),
            ("0.00", "0"),
            ("true", "TRUE"),
            ("a\r\nb\rc", "a\nb\nc"),
        ] {
            assert!(respelled(was, is, Order::DayFirst), "{was} {is}");
        }
        assert!(respelled("2019-04-01 00:00:00", "4/1/2019 0:00", Order::MonthFirst));
        assert!(respelled("05/06/2019", "5/6/2019", Order::MonthFirst));
    }

    #[test]
    fn what_a_person_changes_is_a_change() {
        for (was, is) in [
            ("2019-04-01 00:00:00", "02/04/2019 00:00"),
            ("2019-04-01 00:00:00", "04/01/2019 00:00"),
            ("2019-04-01 12:34:56", "2019-04-01 12:34:57"),
            ("2019-04-01 12:34:56", "01/04/2019 12:35"),
            ("2023-07", "Aug-23"),
            ("12.50", "13"),
            ("12.50", "12.05"),
            ("125", "12.5"),
            ("5", "-5"),
            ("1234567890123456", "1.23458E+15"),
            ("1234567890123456", "1.23457E+16"),
            ("123", "124"),
            ("100000001", "100000002"),
            ("", "0"),
            ("\\N", "0"),
            ("true", "FALSE"),
            ("yes", "TRUE"),
            ("tbc", "TBC"),
            ("n/a", ""),
            ("0000-00-00 00:00:00", "2019-04-01 00:00:00"),
            ("1,25", "125"),
        ] {
            assert!(!respelled(was, is, Order::DayFirst), "{was} {is}");
        }
    }

    #[test]
    fn the_order_is_that_of_most_dates() {
        let day = [("2019-04-01 00:00:00", "01/04/2019 00:00"), ("2019-04-30 00:00:00", "30/04/2019 00:00")];
        let month = [("2019-04-01 00:00:00", "4/1/2019 0:00"), ("2019-04-04 00:00:00", "4/4/2019 0:00")];
        assert_eq!(Order::of(day.into_iter()), Order::DayFirst);
        assert_eq!(Order::of(month.into_iter()), Order::MonthFirst);
        assert_eq!(Order::of(std::iter::empty()), Order::DayFirst);
    }
}
