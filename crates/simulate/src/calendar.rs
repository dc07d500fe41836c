//! Times: seconds of the epoch inside, London wall time and dates in text outside.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::chance::{Chance, Dice};
use crate::rates::TimeRates;
use crate::row::Row;

pub(crate) const DAY: i64 = 86_400;
/// The snapshot: 2024-03-20T23:40:00Z.
pub(crate) const SNAPSHOT: i64 = 1_710_978_000;
/// The pre-launch migration: 2024-01-16T03:00:00Z.
pub(crate) const PRELAUNCH: i64 = 1_705_374_000;
/// The launch: 2024-02-01T09:00:00Z.
pub(crate) const LAUNCH: i64 = 1_706_778_000;

/// How many of a million users had signed up at the beginning of a year, and when that was.
const GROWTH: &[(i64, u64)] = &[
    (1_455_768_000, 0), // 18 February 2016
    (1_483_228_800, 15_700),
    (1_514_764_800, 66_500),
    (1_546_300_800, 145_300),
    (1_577_836_800, 273_400),
    (1_609_459_200, 404_000),
    (1_640_995_200, 561_500),
    (1_672_531_200, 745_900),
    (1_704_067_200, 950_400),
    (SNAPSHOT - DAY, 1_000_000),
];

const IMPLAUSIBLE: &[&str] = &[
    "1970-01-01 00:00:00",
    "1899-12-30 00:00:00",
    "2014-12-31 23:59:59",
    "2032-05-04 10:00:00",
    "2099-12-31 00:00:00",
];
/// Days on which an hour is skipped, or comes twice.
const CLOCK_CHANGES: &[&str] = &[
    "2016-03-27",
    "2016-10-30",
    "2018-03-25",
    "2018-10-28",
    "2019-03-31",
    "2019-10-27",
    "2020-03-29",
    "2020-10-25",
    "2021-03-28",
    "2021-10-31",
    "2022-03-27",
    "2022-10-30",
    "2023-03-26",
    "2023-10-29",
];

/// When the `row`th of `users` users signed up: later ones later, and more of them every year.
pub(crate) fn signed_up(row: u64, users: u64) -> i64 {
    let part = u64::try_from(u128::from(row) * 1_000_000_000 / u128::from(users.max(1))).unwrap_or(0);
    let years = GROWTH.windows(2).find(|years| part < years[1].1 * 1_000).unwrap_or(&GROWTH[GROWTH.len() - 2..]);
    let ((from, low), (to, high)) = (years[0], years[1]);
    let along = i128::from(part) - i128::from(low) * 1_000;
    let span = i128::from(high - low) * 1_000;
    from + i64::try_from(i128::from(to - from) * along / span).unwrap_or(0)
}

/// The time zone of the legacy site.
#[derive(Debug)]
pub(crate) struct London(TimeZone);

impl London {
    pub(crate) fn new() -> Self {
        Self(TimeZone::get("Europe/London").expect("the time zones are bundled"))
    }

    pub(crate) fn wall(&self, at: i64) -> Wall {
        Wall(self.0.to_datetime(timestamp(at)))
    }
}

pub(crate) fn utc(at: i64) -> Wall {
    Wall(TimeZone::UTC.to_datetime(timestamp(at)))
}

fn timestamp(at: i64) -> Timestamp {
    Timestamp::from_second(at).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A wall time, as `YYYY-MM-DD HH:MM:SS`.
#[derive(Clone, Copy)]
pub(crate) struct Wall(pub(crate) DateTime);

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.0.date(), self.0.time());
        let [month, day] = [date.month(), date.day()].map(pair);
        let [hour, minute, second] = [time.hour(), time.minute(), time.second()].map(pair);
        write!(f, "{}-{month}-{day} {hour}:{minute}:{second}", date.year())
    }
}

/// Two digits, without the machinery of formatting: there are millions of them.
pub(crate) fn pair(number: i8) -> Pair {
    let number = number.unsigned_abs();
    Pair([b'0' + number / 10 % 10, b'0' + number % 10])
}

#[derive(Clone, Copy)]
pub(crate) struct Pair([u8; 2]);

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or("00"))
    }
}

/// A moment as the platform has it.
pub(crate) struct Zoned(pub(crate) i64);

impl fmt::Display for Zoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+00", utc(self.0))
    }
}

/// A date as people type it: three ways.
pub(crate) fn typed_date(out: &mut Row, dice: &mut Dice, at: i64) {
    let date = utc(at).0.date();
    let (year, month, day) = (date.year(), pair(date.month()), pair(date.day()));
    match dice.below(3) {
        0 => out.show(format_args!("{year}-{month}-{day}")),
        1 => out.show(format_args!("{day}/{month}/{year}")),
        _ => out.show(format_args!("{} {} {year}", date.day(), &month_name(date.month())[..3])),
    }
}

pub(crate) fn month_name(month: i8) -> &'static str {
    crate::words::MONTHS[usize::from(month.unsigned_abs() - 1) % 12]
}

/// What stands in the place of a time: a word, or a time in the hour of a clock change.
pub(crate) enum Odd {
    Word(&'static str),
    Change { day: &'static str, minute: i8, second: i8 },
}

impl Odd {
    pub(crate) fn write(&self, out: &mut Row) {
        match *self {
            Self::Word(word) => out.word(word),
            Self::Change { day, minute, second } => {
                out.show(format_args!("{day} 01:{}:{}", pair(minute), pair(second)));
            }
        }
    }
}

/// What stands in the place of a time, if anything does.
pub(crate) fn odd(chance: Chance, row: u64, rates: &TimeRates) -> Option<Odd> {
    if chance.hits("null", row, rates.null) {
        return Some(Odd::Word("\\N"));
    }
    if chance.hits("zero", row, rates.zero) {
        return Some(Odd::Word("0000-00-00 00:00:00"));
    }
    let mut dice = chance.dice("which odd", row);
    if chance.hits("implausible", row, rates.implausible) {
        return Some(Odd::Word(dice.of(IMPLAUSIBLE)));
    }
    let sixtieth = |dice: &mut Dice| i8::try_from(dice.below(60)).unwrap_or(0);
    let change = chance.hits("change", row, rates.clock_change);
    change.then(|| Odd::Change {
        day: dice.of(CLOCK_CHANGES),
        minute: sixtieth(&mut dice),
        second: sixtieth(&mut dice),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_grows() {
        assert_eq!(signed_up(0, 100), GROWTH[0].0);
        assert!((1..100).all(|row| signed_up(row, 100) > signed_up(row - 1, 100)));
        assert!(signed_up(99, 100) < SNAPSHOT);
    }

    #[test]
    fn moments_are_written_as_the_databases_have_them() {
        assert_eq!(Zoned(SNAPSHOT).to_string(), "2024-03-20 23:40:00+00");
        assert_eq!(London::new().wall(1_690_000_000).to_string(), "2023-07-22 05:26:40");
    }
}
