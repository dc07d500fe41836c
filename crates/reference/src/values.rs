//! What More Trees takes for granted in its values: London's clocks, nothing before 2015, pounds, British telephones.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, date};
use jiff::tz::TimeZone;
use replant_clean::{self as clean, Calendar, Currencies, Currency, CurrencyCode, CurrencyMark, Fault, Snapshot};

/// Where the application ran.
pub(crate) const ZONE: &str = "Europe/London";

/// What the bulk import wrote in `user.created_when`.
const BULK_IMPORT: DateTime = date(2019, 4, 1).at(0, 0, 0, 0);

const GBP: CurrencyCode = CurrencyCode::of(*b"GBP");

static CALENDAR: LazyLock<Calendar> = LazyLock::new(|| {
    let zone = TimeZone::get(ZONE).expect("the bundled time zones include Europe/London");
    Calendar::new(zone, date(2015, 1, 1))
});

/// The instant of a London wall time that can be true: from 2015 up to S.
pub fn known_london(wall: DateTime, snapshot: Snapshot) -> Option<Timestamp> {
    CALENDAR.known(wall, snapshot)
}

/// The instant of a UTC wall time that can be true: `finance_transaction.tx_when`.
pub fn known_utc(wall: DateTime, snapshot: Snapshot) -> Option<Timestamp> {
    CALENDAR.known_utc(wall, snapshot)
}

/// [`known_london`] for `user.created_when`, where the bulk import's marker is unknown.
pub fn created_when(wall: DateTime, snapshot: Snapshot) -> Option<Timestamp> {
    if wall == BULK_IMPORT { None } else { known_london(wall, snapshot) }
}

/// The instant of a London wall time that may be after S: `next_billing_when`.
pub fn future_london(wall: DateTime) -> Option<Timestamp> {
    CALENDAR.future(wall)
}

/// The instant that `user.last_login` names ([`Calendar::known_text`]).
pub fn last_login(text: &str, snapshot: Snapshot) -> Option<Timestamp> {
    CALENDAR.known_text(text, snapshot)
}

/// The day of a time by London's clocks.
pub fn london_day(at: Timestamp) -> Date {
    CALENDAR.day(at)
}

/// The day that a text names, of something that happened: `received`, `issued`.
pub fn known_date(text: &str, snapshot: Snapshot) -> Option<Date> {
    CALENDAR.known_date(text, snapshot)
}

/// The day that a text names, of something that may be to come: `due`.
pub fn due_date(text: &str) -> Option<Date> {
    CALENDAR.future_date(text)
}

/// The currency rule: the column (raw), else what the amount's own text says, else GBP.
///
/// # Errors
/// Those of [`clean::currency`].
pub fn currency(column: Option<&str>, of_amount: Option<CurrencyMark>, known: &Currencies) -> Result<Currency, Fault> {
    clean::currency(column, of_amount, known, GBP)
}

/// A telephone number in E.164, without `+` read as one of `region`, an alpha-2 code (None: GB).
pub fn phone(text: &str, region: Option<&str>) -> Option<String> {
    clean::phone(text, region.unwrap_or("GB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        Snapshot("2024-03-20T23:40:00Z".parse().expect("a time"))
    }

    #[track_caller]
    fn check(found: Option<Timestamp>, expect: Option<&str>) {
        assert_eq!(found.map(|at| at.to_string()).as_deref(), expect);
    }

    fn wall(text: &str) -> DateTime {
        text.parse().expect("a wall time")
    }

    #[test]
    fn times_are_london_s_and_begin_with_2015() {
        check(known_london(wall("2020-07-15T12:00:00"), snapshot()), Some("2020-07-15T11:00:00Z"));
        check(known_london(wall("2015-01-01T00:00:00"), snapshot()), Some("2015-01-01T00:00:00Z"));
        check(known_london(wall("2014-12-31T23:59:59"), snapshot()), None);
        check(known_utc(wall("2020-07-15T12:00:00"), snapshot()), Some("2020-07-15T12:00:00Z"));
        check(future_london(wall("2099-07-01T00:00:00")), Some("2099-06-30T23:00:00Z"));
        check(last_login("01/08/2021 00:09", snapshot()), Some("2021-07-31T23:09:00Z"));
        assert_eq!(london_day("2020-07-15T23:30:00Z".parse().expect("a time")), date(2020, 7, 16));
        assert_eq!((known_date("31/12/2014", snapshot()), due_date("01/01/2015")), (None, Some(date(2015, 1, 1))));
    }

    #[test]
    fn the_mark_of_the_bulk_import() {
        let known = |text| created_when(wall(text), snapshot());
        check(known("2019-04-01T00:00:00"), None);
        check(known("2019-04-01T00:00:01"), Some("2019-03-31T23:00:01Z"));
        check(known("2014-01-01T00:00:00"), None);
    }

    #[test]
    fn amounts_are_pounds_and_telephones_british_where_nothing_says_otherwise() {
        let known = Currencies::new([("GBP".to_owned(), 2)]);
        let found = currency(None, None, &known).expect("GBP is known");
        assert_eq!((found.code.as_str(), found.defaulted), ("GBP", true));
        assert_eq!(phone("07400 112204", None).as_deref(), Some("+447400112204"));
        assert_eq!(phone("(201) 558-1756", Some("US")).as_deref(), Some("+12015581756"));
    }
}
