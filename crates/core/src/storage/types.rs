//! Times as SQL knows them: the wall times of a legacy DATETIME and the instants of a target TIMESTAMPTZ.

use std::any::Any;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::query_builder::QueryId;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{self, BigInt, HasSqlType, SqlType};
use diesel::sqlite::Sqlite;
use jiff::SignedDuration;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize, Serializer};

use super::db::{MultiBackend, MultiRawValue};

/// The SQL type of an instant: TIMESTAMPTZ in PostgreSQL, TEXT `YYYY-MM-DD HH:MM:SS.ffffff` in UTC in SQLite.
#[derive(SqlType, QueryId, Debug, Clone, Copy, Default)]
#[diesel(postgres_type(oid = 1184, array_oid = 1185), mysql_type(name = "DateTime"), sqlite_type(name = "Text"))]
pub struct Utc;

/// An instant in a target table, to the microsecond. The infinities of PostgreSQL are the first and the last of all; a time that
/// is no more of these, be it that its year has five digits, is [`Instant::BEYOND`]: it is read and compared, never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = Utc)]
pub struct Instant(pub jiff::Timestamp);

const SHAPE: &str = "%Y-%m-%d %H:%M:%S%.6f";

impl From<jiff::Timestamp> for Instant {
    fn from(at: jiff::Timestamp) -> Self {
        Self(at)
    }
}

impl Instant {
    /// Now, to the microsecond that a column holds.
    pub fn now() -> Self {
        let now = jiff::Timestamp::now();
        Self(jiff::Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now))
    }

    /// `infinity`.
    pub const INFINITY: Self = Self(jiff::Timestamp::MAX);
    /// `-infinity`.
    pub const MINUS_INFINITY: Self = Self(jiff::Timestamp::MIN);
    /// A time that cannot be held.
    pub const BEYOND: Self = Self(jiff::Timestamp::constant(253_402_207_200, 0));

    fn from_pg(micros: i64) -> Self {
        match micros {
            i64::MAX | i64::MIN => Self::from_micros(micros),
            micros => micros.checked_add(PG_EPOCH_MICROS).map_or(Self::BEYOND, Self::from_micros),
        }
    }

    /// Microseconds since 1970; the infinities are the ends of what there is.
    pub(crate) fn micros(self) -> i64 {
        match self {
            at if at == Self::INFINITY => i64::MAX,
            at if at == Self::MINUS_INFINITY => i64::MIN,
            Self(at) => at.as_microsecond(),
        }
    }

    pub(crate) fn from_micros(micros: i64) -> Self {
        match micros {
            i64::MAX => Self::INFINITY,
            i64::MIN => Self::MINUS_INFINITY,
            micros => jiff::Timestamp::from_microsecond(micros).map_or(Self::BEYOND, Self),
        }
    }

    fn to_pg(self) -> Option<i64> {
        match self.micros() {
            _ if self == Self::BEYOND => None,
            infinity @ (i64::MAX | i64::MIN) => Some(infinity),
            micros => Some(micros - PG_EPOCH_MICROS),
        }
    }

    /// As an SQL literal without its quotes, the infinities of PostgreSQL included.
    pub(crate) fn as_literal(&self) -> String {
        match self.micros() {
            i64::MAX => "infinity".to_owned(),
            i64::MIN => "-infinity".to_owned(),
            _ => self.as_sql(),
        }
    }

    /// As an SQL literal without its quotes: UTC, which is the zone of every target session.
    pub fn as_sql(&self) -> String {
        self.0.to_zoned(jiff::tz::TimeZone::UTC).strftime(SHAPE).to_string()
    }
}

/// What a person reads has it as text, all else as microseconds.
impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => self.0.serialize(serializer),
            false => serializer.serialize_i64(self.micros()),
        }
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.is_human_readable() {
            true => jiff::Timestamp::deserialize(deserializer).map(Self),
            false => i64::deserialize(deserializer).map(Self::from_micros),
        }
    }
}

impl std::fmt::Display for Instant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// PostgreSQL counts microseconds from the year 2000.
const PG_EPOCH_MICROS: i64 = 946_684_800_000_000;

impl ToSql<Utc, Pg> for Instant {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let micros = self.to_pg().ok_or("a time that cannot be held is not written")?;
        <i64 as ToSql<BigInt, Pg>>::to_sql(&micros, &mut out.reborrow())
    }
}

impl FromSql<Utc, Pg> for Instant {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        <i64 as FromSql<BigInt, Pg>>::from_sql(value).map(Self::from_pg)
    }
}

impl ToSql<Utc, Sqlite> for Instant {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        if *self == Self::BEYOND {
            return Err("a time that cannot be held is not written".into());
        }
        out.set_value(self.as_sql());
        Ok(IsNull::No)
    }
}

impl FromSql<Utc, Sqlite> for Instant {
    fn from_sql(mut value: <Sqlite as diesel::backend::Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        let wall = value.read_text().parse::<DateTime>().ok();
        let at = wall.and_then(|wall| jiff::tz::TimeZone::UTC.to_timestamp(wall).ok());
        Ok(at.map_or(Self::BEYOND, Self))
    }
}

impl HasSqlType<Utc> for MultiBackend {
    fn metadata(lookup: &mut dyn Any) -> Self::TypeMetadata {
        Self::lookup_sql_type::<Utc>(lookup)
    }
}

#[cfg(feature = "mysql")]
mod mysql {
    //! A target is never MariaDB, but the connection type has a variant for it.
    use super::{Instant, IsNull, Output, ToSql, Utc, deserialize, serialize};
    use diesel::deserialize::FromSql;
    use diesel::mysql::{Mysql, MysqlValue};

    impl ToSql<Utc, Mysql> for Instant {
        fn to_sql<'b>(&'b self, _: &mut Output<'b, '_, Mysql>) -> serialize::Result {
            Ok(IsNull::Yes)
        }
    }

    impl FromSql<Utc, Mysql> for Instant {
        fn from_sql(_: MysqlValue<'_>) -> deserialize::Result<Self> {
            Err("MariaDB is no target".into())
        }
    }
}

impl FromSql<Utc, MultiBackend> for Instant {
    fn from_sql(value: MultiRawValue<'_>) -> deserialize::Result<Self> {
        value.from_sql::<Self, Utc>()
    }
}

impl ToSql<Utc, MultiBackend> for Instant {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, MultiBackend>) -> serialize::Result {
        out.set_value((Utc, self));
        Ok(IsNull::No)
    }
}

/// Why a cell is no wall time: in the same words whatever the database, for a quarantined row keeps them.
const NO_SUCH_TIME: &str = "there is no such date or time";

/// What a legacy DATETIME column shows: a date and a time of some wall clock, without a zone, to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wall(pub DateTime);

/// Where the microseconds of wall times begin.
const FIRST: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

impl Serialize for Wall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(&self.0.strftime("%Y-%m-%d %H:%M:%S%.f"));
        }
        let since = self.0.duration_since(FIRST);
        match i64::try_from(since.as_micros()) {
            Ok(micros) if SignedDuration::from_micros(micros) == since => serializer.serialize_i64(micros),
            _ => Err(serde::ser::Error::custom("a time that is finer than a microsecond")),
        }
    }
}

impl<'de> Deserialize<'de> for Wall {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            return text.parse().map(Self).map_err(|_| serde::de::Error::custom("no time like 2019-04-01 00:00:00"));
        }
        let micros = i64::deserialize(deserializer)?;
        let at = FIRST.checked_add(SignedDuration::from_micros(micros));
        at.map(Self).map_err(|_| serde::de::Error::custom("a time that no clock shows"))
    }
}

#[cfg(feature = "mysql")]
impl FromSql<sql_types::Timestamp, diesel::mysql::Mysql> for Wall {
    fn from_sql(value: diesel::mysql::MysqlValue<'_>) -> deserialize::Result<Self> {
        use diesel::mysql::{Mysql, data_types::MysqlTime};
        let t = <MysqlTime as FromSql<sql_types::Timestamp, Mysql>>::from_sql(value)?;
        let nanos = i32::try_from(t.second_part)?.checked_mul(1000).ok_or("fraction of a second out of range")?;
        let [month, day, hour, minute, second] = [t.month, t.day, t.hour, t.minute, t.second].map(i8::try_from);
        let at = DateTime::new(i16::try_from(t.year)?, month?, day?, hour?, minute?, second?, nanos);
        at.map(Self).map_err(|_| NO_SUCH_TIME.into())
    }
}

impl FromSql<sql_types::Timestamp, Pg> for Wall {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let micros = <i64 as FromSql<BigInt, Pg>>::from_sql(value)?;
        let micros = micros.checked_add(PG_EPOCH_MICROS).ok_or("infinite time")?;
        Ok(Self(jiff::Timestamp::from_microsecond(micros)?.to_zoned(jiff::tz::TimeZone::UTC).datetime()))
    }
}

impl FromSql<sql_types::Timestamp, Sqlite> for Wall {
    fn from_sql(mut value: <Sqlite as diesel::backend::Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        value.read_text().parse().map(Self).map_err(|_| NO_SUCH_TIME.into())
    }
}

#[cfg(test)]
mod tests {
    use diesel::prelude::*;
    use replant_testkit::postgres;

    use super::*;
    use crate::storage::db::{Db, Role};

    #[derive(QueryableByName)]
    struct At {
        #[diesel(sql_type = Utc)]
        at: Instant,
    }

    #[test]
    fn a_time_that_cannot_be_held_fails_no_reading_and_is_never_written() {
        let Some(database) = postgres::database() else { return };
        let mut db = Db::open(&database.address().parse().unwrap(), Role::Target).unwrap();
        let at = |db: &mut Db, literal: &str| {
            diesel::sql_query(format!("SELECT TIMESTAMPTZ '{literal}' AS at")).get_result::<At>(db).unwrap().at
        };
        assert_eq!(at(&mut db, "infinity"), Instant::INFINITY);
        assert_eq!(at(&mut db, "-infinity"), Instant::MINUS_INFINITY);
        assert_eq!(at(&mut db, "20240-01-05 00:00:00+00"), Instant::BEYOND);
        let early = at(&mut db, "2015-01-01 00:00:00.000001+00");
        assert!(Instant::MINUS_INFINITY < early && early < Instant::BEYOND && Instant::BEYOND < Instant::INFINITY);
        let mut back = |at: Instant| {
            diesel::sql_query("SELECT $1 AS at").bind::<Utc, _>(at).get_result::<At>(&mut db).map(|row| row.at)
        };
        for instant in [Instant::INFINITY, Instant::MINUS_INFINITY, early] {
            assert_eq!(back(instant).unwrap(), instant);
        }
        assert!(back(Instant::BEYOND).is_err());
    }
}
