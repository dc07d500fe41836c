//! When the migration may go how fast: windows of local time, with both changes of the clock.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use thiserror::Error;

/// A window that no clock can keep.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WindowError {
    /// The zone is none of the time zone database.
    #[error("`{0}` is no time zone: write one as Asia/Tokyo")]
    Zone(String),
    /// It has no day.
    #[error("a window has no days: write some of mon, tue, wed, thu, fri, sat, sun")]
    NoDays,
    /// It ends when it begins.
    #[error("a window begins and ends at {0}: for all of a day write two, from 00:00 to 12:00 and from 12:00 to 00:00")]
    Empty(Time),
}

/// Some hours of some days. One that ends at an earlier time than it begins goes on past midnight, and belongs to the day on which it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    days: Vec<Weekday>,
    from: Time,
    to: Time,
    zone: TimeZone,
}

/// What a change of the clock makes of a window on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockChange {
    /// It begins or ends at a time that the clock skips: as much later as is skipped.
    Skipped,
    /// It begins or ends at a time that comes twice: at the first of the two.
    Repeated,
    /// Nothing is left of it.
    Gone,
}

impl Window {
    /// A window from one time of the clock to another, on days of a time zone.
    ///
    /// # Errors
    /// The zone is unknown, there is no day, or it ends when it begins.
    pub fn new(days: Vec<Weekday>, (from, to): (Time, Time), zone: &str) -> Result<Self, WindowError> {
        let found = TimeZone::get(zone).map_err(|_| WindowError::Zone(zone.to_owned()))?;
        match () {
            () if days.is_empty() => Err(WindowError::NoDays),
            () if from == to => Err(WindowError::Empty(from)),
            () => Ok(Self { days, from, to, zone: found }),
        }
    }

    /// When it opens and closes that begins on a day; none where none does.
    fn on(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        let (opens, closes) = self.clock(day)?;
        // A time that the clock skips is as much later, one that comes twice is the first.
        let at = |day: Date, time: Time| self.zone.to_timestamp(day.to_datetime(time)).ok();
        let span = (at(opens, self.from)?, at(closes, self.to)?);
        (span.0 < span.1).then_some(span)
    }

    /// The days on which one begins and ends that begins on a day.
    fn clock(&self, day: Date) -> Option<(Date, Date)> {
        if !self.days.contains(&day.weekday()) {
            return None;
        }
        Some((day, if self.to < self.from { day.tomorrow().ok()? } else { day }))
    }

    /// What changes of the clock make of it on a day; none where they make nothing.
    pub fn clock_change(&self, day: Date) -> Option<ClockChange> {
        let (opens, closes) = self.clock(day)?;
        if self.on(day).is_none() {
            return Some(ClockChange::Gone);
        }
        let offset = |day: Date, time: Time| self.zone.to_ambiguous_timestamp(day.to_datetime(time)).offset();
        [offset(opens, self.from), offset(closes, self.to)].into_iter().find_map(|offset| match offset {
            AmbiguousOffset::Unambiguous { .. } => None,
            AmbiguousOffset::Gap { .. } => Some(ClockChange::Skipped),
            AmbiguousOffset::Fold { .. } => Some(ClockChange::Repeated),
        })
    }

    /// When it is open around a moment and in the week after it.
    fn around(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> + '_ {
        let today = self.zone.to_datetime(now).date();
        let days = today.yesterday().unwrap_or(today).series(jiff::Span::new().days(1)).take(9);
        days.filter_map(|day| self.on(day)).filter(move |(_, closes)| *closes > now)
    }
}

/// Windows, of which the first counts where several are open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendar {
    windows: Vec<Window>,
}

/// How it is from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The place of the window that is open; none where none is.
    pub window: Option<usize>,
    /// Until when; none where it stays so.
    pub until: Option<Timestamp>,
}

/// Segments that a forecast looks through at the most: two years of some windows a day.
const FAR: usize = 10_000;

impl Calendar {
    /// Of some windows.
    pub fn new(windows: Vec<Window>) -> Self {
        Self { windows }
    }

    /// How it is at a moment.
    pub fn at(&self, now: Timestamp) -> Segment {
        let mut segment = Segment { window: None, until: None };
        for (place, window) in self.windows.iter().enumerate() {
            let Some((opens, closes)) = window.around(now).next() else { continue };
            if opens <= now {
                // Whatever comes later in the list does not count before this one closes.
                return Segment { window: Some(place), until: sooner(segment.until, closes) };
            }
            segment.until = sooner(segment.until, opens);
        }
        segment
    }

    /// When something is done that takes so long at full speed; `speed`: that of a window and of the time outside of all, in thousandths.
    /// None: never, or not in years.
    pub fn done_at(&self, now: Timestamp, work: Duration, speed: impl Fn(Option<usize>) -> u32) -> Option<Timestamp> {
        let (mut at, mut left) = (now, work.as_millis() * 1_000);
        for _ in 0..FAR {
            let Segment { window, until } = self.at(at);
            let speed = u128::from(speed(window));
            let takes = (speed > 0)
                .then(|| Duration::from_millis(u64::try_from(left.div_ceil(speed.max(1))).unwrap_or(u64::MAX)));
            let ends = takes.and_then(|takes| at.checked_add(takes).ok());
            let Some(until) = until else { return ends };
            if let Some(ends) = ends.filter(|ends| *ends <= until) {
                return Some(ends);
            }
            let open = u128::try_from(until.duration_since(at).as_millis()).unwrap_or(0);
            left = left.saturating_sub(open * speed);
            at = until;
        }
        None
    }
}

fn sooner(a: Option<Timestamp>, b: Timestamp) -> Option<Timestamp> {
    Some(a.map_or(b, |a| a.min(b)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    const WEEKDAYS: [Weekday; 5] =
        [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];
    const DAILY: [Weekday; 7] = [
        Weekday::Monday,
        Weekday::Tuesday,
        Weekday::Wednesday,
        Weekday::Thursday,
        Weekday::Friday,
        Weekday::Saturday,
        Weekday::Sunday,
    ];

    fn window(days: &[Weekday], from: &str, to: &str, zone: &str) -> Window {
        Window::new(days.to_vec(), (from.parse().unwrap(), to.parse().unwrap()), zone).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn nights_of_weekdays() {
        let calendar = Calendar::new(vec![window(&WEEKDAYS, "22:00", "06:00", "Europe/London")]);
        // 4 December 2026 is a Friday.
        for (now, open, until) in [
            ("2026-12-04T21:59:59Z", false, "2026-12-04T22:00:00Z"),
            ("2026-12-04T22:00:00Z", true, "2026-12-05T06:00:00Z"),
            // The night that began on Friday.
            ("2026-12-05T05:59:59Z", true, "2026-12-05T06:00:00Z"),
            ("2026-12-05T06:00:00Z", false, "2026-12-07T22:00:00Z"),
            ("2026-12-06T23:00:00Z", false, "2026-12-07T22:00:00Z"),
            // In summer the same hours are an hour earlier.
            ("2026-07-03T21:00:00Z", true, "2026-07-04T05:00:00Z"),
        ] {
            let expected = Segment { window: open.then_some(0), until: Some(at(until)) };
            assert_eq!(calendar.at(at(now)), expected, "{now}");
        }
    }

    #[test]
    fn the_clock_is_changed_in_the_night() {
        // London: 29 March 2026, 01:00 to 02:00 is skipped; 25 October 2026, 01:00 to 02:00 comes twice.
        for (from, to, day, opens, closes, change) in [
            ("22:00", "06:00", "2026-03-28", "2026-03-28T22:00:00Z", "2026-03-29T05:00:00Z", None),
            ("22:00", "06:00", "2026-10-24", "2026-10-24T21:00:00Z", "2026-10-25T06:00:00Z", None),
            (
                "01:30",
                "03:00",
                "2026-03-29",
                "2026-03-29T01:30:00Z",
                "2026-03-29T02:00:00Z",
                Some(ClockChange::Skipped),
            ),
            (
                "00:30",
                "01:30",
                "2026-03-29",
                "2026-03-29T00:30:00Z",
                "2026-03-29T01:30:00Z",
                Some(ClockChange::Skipped),
            ),
            (
                "01:30",
                "03:00",
                "2026-10-25",
                "2026-10-25T00:30:00Z",
                "2026-10-25T03:00:00Z",
                Some(ClockChange::Repeated),
            ),
            (
                "00:30",
                "01:30",
                "2026-10-25",
                "2026-10-24T23:30:00Z",
                "2026-10-25T00:30:00Z",
                Some(ClockChange::Repeated),
            ),
        ] {
            let (window, day): (_, Date) = (window(&DAILY, from, to, "Europe/London"), day.parse().unwrap());
            assert_eq!(window.on(day), Some((at(opens), at(closes))), "{from} to {to} on {day}");
            assert_eq!(window.clock_change(day), change, "{from} to {to} on {day}");
        }
        // From a time that is skipped to one that comes before it then.
        let window = window(&DAILY, "01:45", "02:15", "Europe/London");
        let day = "2026-03-29".parse().unwrap();
        assert_eq!((window.on(day), window.clock_change(day)), (None, Some(ClockChange::Gone)));
        // The next one is that of the day after.
        let next = Calendar::new(vec![window]).at(at("2026-03-29T00:00:00Z"));
        assert_eq!(next, Segment { window: None, until: Some(at("2026-03-30T00:45:00Z")) });
    }

    #[test]
    fn of_several_windows_the_first_counts() {
        let calendar = Calendar::new(vec![
            window(&DAILY, "02:00", "04:00", "UTC"),
            window(&DAILY, "22:00", "06:00", "UTC"),
            window(&[Weekday::Saturday], "03:00", "12:00", "UTC"),
        ]);
        for (now, window, until) in [
            ("2026-12-04T23:00:00Z", Some(1), "2026-12-05T02:00:00Z"),
            ("2026-12-05T02:00:00Z", Some(0), "2026-12-05T04:00:00Z"),
            ("2026-12-05T04:00:00Z", Some(1), "2026-12-05T06:00:00Z"),
            ("2026-12-05T06:00:00Z", Some(2), "2026-12-05T12:00:00Z"),
            ("2026-12-05T12:00:00Z", None, "2026-12-05T22:00:00Z"),
        ] {
            assert_eq!(calendar.at(at(now)), Segment { window, until: Some(at(until)) }, "{now}");
        }
        assert_eq!(Calendar::default().at(at("2026-12-05T12:00:00Z")), Segment { window: None, until: None });
    }

    #[test]
    fn a_forecast_goes_through_windows() {
        let nights = Calendar::new(vec![window(&WEEKDAYS, "22:00", "06:00", "UTC")]);
        let hours = |hours: u64| Duration::from_hours(hours);
        let only_nights = |window: Option<usize>| if window.is_some() { 1_000 } else { 0 };
        let slow_days = |window: Option<usize>| if window.is_some() { 1_000 } else { 500 };
        // From a Friday at noon.
        let now = at("2026-12-04T12:00:00Z");
        assert_eq!(nights.done_at(now, hours(8), only_nights), Some(at("2026-12-05T06:00:00Z")));
        assert_eq!(nights.done_at(now, hours(9), only_nights), Some(at("2026-12-07T23:00:00Z")));
        assert_eq!(nights.done_at(now, hours(5), slow_days), Some(at("2026-12-04T22:00:00Z")));
        assert_eq!(nights.done_at(now, hours(6), slow_days), Some(at("2026-12-04T23:00:00Z")));
        assert_eq!(nights.done_at(now, hours(1), |_| 0), None);
        assert_eq!(Calendar::default().done_at(now, hours(3), |_| 1_000), Some(at("2026-12-04T15:00:00Z")));
        assert_eq!(Calendar::default().done_at(now, hours(3), |_| 0), None);
    }

    #[test]
    fn what_no_clock_can_keep_is_refused() {
        let of = |days: &[Weekday], from: &str, to: &str, zone: &str| {
            Window::new(days.to_vec(), (from.parse().unwrap(), to.parse().unwrap()), zone).unwrap_err().to_string()
        };
        assert_eq!(
            of(&DAILY, "22:00", "06:00", "Europe/Lundon"),
            "`Europe/Lundon` is no time zone: write one as Asia/Tokyo"
        );
        assert!(of(&[], "22:00", "06:00", "UTC").contains("mon, tue"));
        assert!(of(&DAILY, "22:00", "22:00", "UTC").contains("22:00:00"));
    }
}
