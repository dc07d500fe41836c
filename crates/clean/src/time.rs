//! Wall times, instants and days, and which of them can be true.

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};

/// The moment of the frozen copy (S): nothing that happened is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Snapshot(pub Timestamp);

/// What a company's times are read by: the time zone of its wall clocks, and the first day that can be true.
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
    first_day: Date,
    /// 00:00 UTC of the first day.
    begins: Timestamp,
}

impl Calendar {
    /// The first day begins at 00:00 UTC.
    pub fn new(zone: TimeZone, first_day: Date) -> Self {
        let begins = at_utc(first_day.at(0, 0, 0, 0));
        Self { zone, first_day, begins }
    }

    /// The instant of a wall time: of an ambiguous one the earlier, a skipped one moved forward by the gap.
    ///
    /// Wall times beyond what a [`Timestamp`] holds (after 9999-12-30) become its last or first.
    pub fn instant(&self, wall: DateTime) -> Timestamp {
        instant(&self.zone, wall).unwrap_or_else(|| beyond(wall.date()))
    }

    /// The instant of a wall time that can be true. NULL and zero dates have no wall time to begin with.
    pub fn known(&self, wall: DateTime, snapshot: Snapshot) -> Option<Timestamp> {
        self.plausible(instant(&self.zone, wall)?, snapshot)
    }

    /// The instant of a UTC wall time that can be true.
    pub fn known_utc(&self, wall: DateTime, snapshot: Snapshot) -> Option<Timestamp> {
        self.plausible(instant(&TimeZone::UTC, wall)?, snapshot)
    }

    /// The instant of a wall time that may be after S.
    ///
    /// None too for wall times after 9999-12-30, which a [`Timestamp`] cannot hold.
    pub fn future(&self, wall: DateTime) -> Option<Timestamp> {
        instant(&self.zone, wall).filter(|when| *when >= self.begins)
    }

    /// The instant that a text names: `YYYY-MM-DD HH:MM:SS`, `DD/MM/YYYY HH:MM` (both by the wall clock) or ten digits of
    /// Unix seconds. `text` has gone through the text rule.
    pub fn known_text(&self, text: &str, snapshot: Snapshot) -> Option<Timestamp> {
        if text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return self.plausible(Timestamp::from_second(text.parse().ok()?).ok()?, snapshot);
        }
        let (day, time) = text.split_once(' ')?;
        let (day, [hour, minute, second]) = match *time.as_bytes() {
            [h, i, b':', m, n, b':', s, t] => (iso_date(day)?, [[h, i], [m, n], [s, t]]),
            [h, i, b':', m, n] => (slash_date(day)?, [[h, i], [m, n], [b'0', b'0']]),
            _ => return None,
        };
        let wall = DateTime::new(
            day.year(),
            day.month(),
            day.day(),
            number(&hour)?.try_into().ok()?,
            number(&minute)?.try_into().ok()?,
            number(&second)?.try_into().ok()?,
            0,
        );
        self.known(wall.ok()?, snapshot)
    }

    /// The day of a time by the wall clock.
    pub fn day(&self, at: Timestamp) -> Date {
        self.zone.to_datetime(at).date()
    }

    /// The [`date`] of something that happened: known from the first day up to the UTC day of S.
    pub fn known_date(&self, text: &str, snapshot: Snapshot) -> Option<Date> {
        self.future_date(text).filter(|day| *day <= TimeZone::UTC.to_datetime(snapshot.0).date())
    }

    /// The [`date`] of something that may be to come: known from the first day.
    pub fn future_date(&self, text: &str) -> Option<Date> {
        date(text).filter(|day| *day >= self.first_day)
    }

    fn plausible(&self, when: Timestamp, snapshot: Snapshot) -> Option<Timestamp> {
        (when >= self.begins && when <= snapshot.0).then_some(when)
    }
}

/// The day that a text names, plausible or not: `YYYY-MM-DD`, `DD/MM/YYYY`, `D Mon YYYY` (English, any case).
/// `text` has gone through the text rule.
pub fn date(text: &str) -> Option<Date> {
    iso_date(text).or_else(|| slash_date(text)).or_else(|| month_date(text))
}

/// 12:00 UTC of a day.
pub fn noon_utc(day: Date) -> Timestamp {
    at_utc(day.at(12, 0, 0, 0))
}

fn at_utc(wall: DateTime) -> Timestamp {
    instant(&TimeZone::UTC, wall).unwrap_or_else(|| beyond(wall.date()))
}

/// What stands for an instant that no [`Timestamp`] holds.
fn beyond(day: Date) -> Timestamp {
    if day.year() > 0 { Timestamp::MAX } else { Timestamp::MIN }
}

fn instant(zone: &TimeZone, wall: DateTime) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(wall).compatible().ok()
}

fn iso_date(text: &str) -> Option<Date> {
    match *text.as_bytes() {
        [a, b, c, d, b'-', m, n, b'-', x, y] => day(&[a, b, c, d], number(&[m, n])?, &[x, y]),
        _ => None,
    }
}

fn slash_date(text: &str) -> Option<Date> {
    match *text.as_bytes() {
        [x, y, b'/', m, n, b'/', a, b, c, d] => day(&[a, b, c, d], number(&[m, n])?, &[x, y]),
        _ => None,
    }
}

fn month_date(text: &str) -> Option<Date> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let (date, rest) = text.split_once(' ')?;
    let (name, year) = rest.split_once(' ')?;
    let month = (1..).zip(MONTHS).find(|(_, month)| name.eq_ignore_ascii_case(month))?.0;
    if year.len() != 4 || !(1..=2).contains(&date.len()) {
        return None;
    }
    day(year.as_bytes(), month, date.as_bytes())
}

fn day(year: &[u8], month: i16, day: &[u8]) -> Option<Date> {
    Date::new(number(year)?, month.try_into().ok()?, number(day)?.try_into().ok()?).ok()
}

/// At most four ASCII digits.
fn number(digits: &[u8]) -> Option<i16> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i16::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date as civil_date;

    use super::*;

    const FIRST_DAY: Date = civil_date(2015, 1, 1);
    const S: &str = "2024-03-20T23:40:00Z";

    fn snapshot() -> Snapshot {
        Snapshot(instant_of(S))
    }

    fn london() -> Calendar {
        Calendar::new(TimeZone::get("Europe/London").unwrap(), FIRST_DAY)
    }

    fn instant_of(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn wall(text: &str) -> DateTime {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(found: Option<Timestamp>, expect: impl Into<Option<&'static str>>) {
        assert_eq!(found, expect.into().map(instant_of));
    }

    #[test]
    fn london_wall_times() {
        for (wall_time, expect) in [
            ("2020-01-15T12:00:00", "2020-01-15T12:00:00Z"),
            ("2020-07-15T12:00:00", "2020-07-15T11:00:00Z"),
            // skipped: forward by the gap
            ("2019-03-31T00:59:59", "2019-03-31T00:59:59Z"),
            ("2019-03-31T01:00:00", "2019-03-31T01:00:00Z"),
            ("2019-03-31T01:59:59", "2019-03-31T01:59:59Z"),
            ("2019-03-31T02:00:00", "2019-03-31T01:00:00Z"),
            // ambiguous: the earlier
            ("2019-10-27T00:59:59", "2019-10-26T23:59:59Z"),
            ("2019-10-27T01:00:00", "2019-10-27T00:00:00Z"),
            ("2019-10-27T01:59:59", "2019-10-27T00:59:59Z"),
            ("2019-10-27T02:00:00", "2019-10-27T02:00:00Z"),
            // beyond the table of the time zone
            ("2099-07-01T00:00:00", "2099-06-30T23:00:00Z"),
        ] {
            check(Some(london().instant(wall(wall_time))), expect);
        }
        assert_eq!(london().instant(DateTime::MAX), Timestamp::MAX);
        assert_eq!(london().instant(DateTime::MIN), Timestamp::MIN);
    }

    #[test]
    fn implausible_times_are_unknown() {
        let known = |text| london().known(wall(text), snapshot());
        check(known("2014-12-31T23:59:59"), None);
        check(known("2015-01-01T00:00:00"), "2015-01-01T00:00:00Z");
        check(known("1970-01-01T00:00:00"), None);
        check(known("2024-03-20T23:40:00"), S);
        check(known("2024-03-20T23:40:01"), None);
        check(known("2019-04-01T00:00:00"), "2019-03-31T23:00:00Z");
        check(known("2099-12-31T00:00:00"), None);
        assert_eq!(london().known(DateTime::MAX, snapshot()), None);
    }

    #[test]
    fn utc_wall_times() {
        let known = |text| london().known_utc(wall(text), snapshot());
        check(known("2020-07-15T12:00:00"), "2020-07-15T12:00:00Z");
        check(known("2019-03-31T01:30:00"), "2019-03-31T01:30:00Z");
        check(known("2014-12-31T23:59:59"), None);
        check(known("2024-03-20T23:40:01"), None);
        assert_eq!(london().known_utc(DateTime::MIN, snapshot()), None);
    }

    #[test]
    fn times_to_come() {
        check(london().future(wall("2099-12-31T00:00:00")), "2099-12-31T00:00:00Z");
        check(london().future(wall("2014-12-31T23:59:59")), None);
        assert_eq!(london().future(DateTime::MAX), None);
    }

    #[test]
    fn times_in_text() {
        let known = |text| london().known_text(text, snapshot());
        check(known("2017-09-21 03:08:36"), "2017-09-21T02:08:36Z");
        check(known("01/08/2021 00:09"), "2021-07-31T23:09:00Z");
        check(known("1606434138"), "2020-11-26T23:42:18Z");
        check(known("2021-03-28 01:45:10"), "2021-03-28T01:45:10Z");
        check(known("1710978000"), S);
        for text in [
            "1710978001",
            "0000000001",
            "yesterday",
            "12/2019",
            "0",
            "0000-00-00 00:00:00",
            "1606434138000",
            "2017-09-21",
            "2017-09-21T03:08:36",
            "2017-09-21 03:08",
            "2017-09-21  03:08:36",
            "01/08/2021 00:09:00",
            "1/8/2021 0:09",
            "",
            "31/02/2021 10:00",
            "2021-02-29 10:00:00",
            "2021-02-28 24:00:00",
            "2021-02-28 10:60:00",
            "2021-02-28 10:00:60",
            "2099-01-01 00:00:00",
            "+606434138",
            "١٦٠٦٤",
            "never",
            "2014-12-31 23:59:59",
            "31/12/2014 23:59",
        ] {
            assert_eq!(known(text), None, "{text:?}");
        }
    }

    #[test]
    fn dates_in_text() {
        for text in ["2023-05-04", "04/05/2023", "4 May 2023", "04 may 2023", "4 MAY 2023"] {
            assert_eq!(date(text), Some(civil_date(2023, 5, 4)), "{text:?}");
        }
        assert_eq!(date("29 Feb 2024"), Some(civil_date(2024, 2, 29)));
        assert_eq!(date("12/11/2023"), Some(civil_date(2023, 11, 12)));
        for text in [
            "",
            "tbc",
            "31/02/2021",
            "2021-02-29",
            "29 Feb 2023",
            "0000-00-00",
            "4/5/2023",
            "2023-5-4",
            "4 Mayo 2023",
            "4 May 23",
            "4th May 2023",
            "May 4 2023",
            "March 2023",
            "04-05-2023",
            "2023/05/04",
            "4 September 2023",
            "4  May 2023",
            "004 May 2023",
            "2023-05-04 00:00:00",
            "05/31/2023",
            "20230504",
            "0 May 2023",
        ] {
            assert_eq!(date(text), None, "{text:?}");
        }
    }

    #[test]
    fn plausible_dates() {
        let days = |text| (london().known_date(text, snapshot()), london().future_date(text));
        assert_eq!(days("2014-12-31"), (None, None));
        assert_eq!(days("01/01/2015"), (Some(FIRST_DAY), Some(FIRST_DAY)));
        assert_eq!(days("20 Mar 2024").0, Some(civil_date(2024, 3, 20)));
        assert_eq!(days("21 Mar 2024"), (None, Some(civil_date(2024, 3, 21))));
        // the UTC day of S, whatever London says
        let summer = Snapshot(instant_of("2023-06-30T23:30:00Z"));
        assert_eq!(london().known_date("2023-07-01", summer), None);
        assert_eq!(london().known_date("2023-06-30", summer), Some(civil_date(2023, 6, 30)));
        check(Some(noon_utc(civil_date(2023, 6, 30))), "2023-06-30T12:00:00Z");
        assert_eq!(noon_utc(Date::MAX), Timestamp::MAX);
    }
}
