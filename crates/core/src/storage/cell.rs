//! Cells of a legacy row, read leniently: a bad cell never fails its page.

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
#[cfg(feature = "mysql")]
use diesel::mysql::{Mysql, MysqlValue};
use diesel::pg::{Pg, PgValue};
use diesel::sql_types::HasSqlType;
use diesel::sqlite::{Sqlite, SqliteType};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::db::{MultiBackend, MultiRawValue};

/// What a legacy column holds: a value, nothing, or something that its type cannot say.
#[derive(Debug, Clone, PartialEq, FromSqlRow)]
pub enum Cell<T> {
    /// A value of the column's type.
    Good(T),
    /// NULL.
    Null,
    /// What is stored there does not fit the type: kept as text, so that nothing is lost.
    Bad(Box<Unfit>),
}

/// What a cell holds that is no value of its type. Boxed: it is rare, and every cell of every row would be as large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// What is stored, as text (bytes that are no text in hexadecimal).
    pub raw: String,
    /// Why it is no value.
    pub why: String,
}

/// A cell that no rule foresees, with its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadCell {
    /// The column.
    pub column: &'static str,
    /// Why its content is no value. Holds no content.
    pub why: String,
}

impl<T> Cell<T> {
    /// A cell that holds something else than a value.
    pub fn bad(raw: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Bad(Box::new(Unfit { raw: raw.into(), why: why.into() }))
    }

    /// The value, if there is a good one.
    pub fn good(&self) -> Option<&T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Null | Self::Bad(_) => None,
        }
    }

    /// The value or NULL.
    ///
    /// # Errors
    /// The cell is bad: `column` says which.
    pub fn read(&self, column: &'static str) -> Result<Option<&T>, BadCell> {
        match self {
            Self::Good(value) => Ok(Some(value)),
            Self::Null => Ok(None),
            Self::Bad(unfit) => Err(BadCell { column, why: unfit.why.clone() }),
        }
    }
}

impl Cell<String> {
    /// A text cell as a text or NULL.
    ///
    /// # Errors
    /// The cell is bad: `column` says which.
    pub fn text(&self, column: &'static str) -> Result<Option<&str>, BadCell> {
        self.read(column).map(|value| value.map(String::as_str))
    }
}

impl Cell<i64> {
    /// A reference to another row; 0 is NULL.
    ///
    /// The column is unsigned, so it may hold a number beyond `i64`, which no row has as its key. It comes as the negative
    /// number of the same 64 bits: no key of an unsigned column is negative, and different numbers stay different.
    ///
    /// # Errors
    /// The cell is bad: `column` says which.
    pub fn reference(&self, column: &'static str) -> Result<Option<i64>, BadCell> {
        if let Self::Bad(unfit) = self
            && let Some(id) = beyond_every_key(&unfit.raw)
        {
            return Ok(Some(id));
        }
        self.read(column).map(|value| value.copied().filter(|id| *id != 0))
    }
}

impl<T: ToString> Cell<T> {
    /// What is stored there, as a repair shows it; none of NULL.
    pub fn stored(&self) -> Option<String> {
        match self {
            Self::Good(value) => Some(value.to_string()),
            Self::Null => None,
            Self::Bad(unfit) => Some(unfit.raw.clone()),
        }
    }
}

/// The number of a text that has 64 bits, the first of them set. SQLite keeps such a number as a REAL, whose last digits are
/// lost, and shows fifteen of them.
fn beyond_every_key(raw: &str) -> Option<i64> {
    const FIRST: f64 = 9_223_372_036_854_775_808.0;
    const LAST: f64 = 1.844_674_407_370_96e19;
    if !raw.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    match raw.parse::<u64>() {
        Ok(number) => Some(number.cast_signed()).filter(|id| *id < 0),
        Err(_) if !raw.contains(['.', 'e', 'E']) => None,
        Err(_) => raw.parse::<f64>().ok().filter(|real| (FIRST..=LAST).contains(real)).map(|_| i64::MIN),
    }
}

impl<T: Serialize> Serialize for Cell<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Good(value) => value.serialize(serializer),
            Self::Null => serializer.serialize_none(),
            Self::Bad(unfit) => {
                let mut bad = serializer.serialize_struct("Bad", 2)?;
                bad.serialize_field("raw", &unfit.raw)?;
                bad.serialize_field("why", &unfit.why)?;
                bad.end()
            }
        }
    }
}

/// What a cell is written as: [`Serialize`] the other way round. Where no person reads it, a bad cell has no form.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Cell<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Option::deserialize(deserializer).map(|value| value.map_or(Self::Null, Self::Good));
        }
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Written<T> {
            Bad { raw: String, why: String },
            Value(Option<T>),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Bad { raw, why } => Self::bad(raw, why),
            Written::Value(Some(value)) => Self::Good(value),
            Written::Value(None) => Self::Null,
        })
    }
}

/// A backend whose values can be read without failing.
pub trait Lenient: Backend {
    /// The value as `T`, or what stands there instead.
    fn cell<T, ST>(value: Self::RawValue<'_>) -> Cell<T>
    where
        T: FromSql<ST, Self>,
        Self: HasSqlType<ST>;
}

impl<T, ST, DB> FromSql<ST, DB> for Cell<T>
where
    DB: Lenient + HasSqlType<ST>,
    T: FromSql<ST, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(DB::cell::<T, ST>(value))
    }

    fn from_nullable_sql(value: Option<DB::RawValue<'_>>) -> deserialize::Result<Self> {
        Ok(value.map_or(Cell::Null, DB::cell::<T, ST>))
    }
}

fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().fold("\\x".to_owned(), |hex, byte| hex + &format!("{byte:02x}")),
    }
}

#[cfg(feature = "mysql")]
impl Lenient for Mysql {
    fn cell<T, ST>(value: MysqlValue<'_>) -> Cell<T>
    where
        T: FromSql<ST, Self>,
    {
        match T::from_sql(value.clone()) {
            Ok(good) => Cell::Good(good),
            Err(why) => Cell::bad(shown_mysql(value), why.to_string()),
        }
    }
}

#[cfg(feature = "mysql")]
fn shown_mysql(value: MysqlValue<'_>) -> String {
    use diesel::mysql::{MysqlType, data_types::MysqlTime};
    if matches!(value.value_type(), MysqlType::Date | MysqlType::DateTime | MysqlType::Timestamp)
        && let Ok(t) = <MysqlTime as FromSql<diesel::sql_types::Timestamp, Mysql>>::from_sql(value.clone())
    {
        return format!("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", t.year, t.month, t.day, t.hour, t.minute, t.second);
    }
    let bytes = value.as_bytes();
    let signed = match value.value_type() {
        MysqlType::Tiny | MysqlType::Short | MysqlType::Long | MysqlType::LongLong => true,
        MysqlType::UnsignedTiny | MysqlType::UnsignedShort | MysqlType::UnsignedLong | MysqlType::UnsignedLongLong => {
            false
        }
        _ => return shown(bytes),
    };
    // An integer comes as so many bytes of this machine.
    let big_end_first: Vec<u8> = match cfg!(target_endian = "big") {
        true => bytes.to_vec(),
        false => bytes.iter().rev().copied().collect(),
    };
    let first = if signed && big_end_first.first().is_some_and(|byte| *byte >= 0x80) { -1 } else { 0 };
    big_end_first.iter().fold(first, |number: i128, byte| (number << 8) | i128::from(*byte)).to_string()
}

impl Lenient for Pg {
    fn cell<T, ST>(value: PgValue<'_>) -> Cell<T>
    where
        T: FromSql<ST, Self>,
    {
        let (oid, bytes) = (value.get_oid(), value.as_bytes().to_vec());
        match T::from_sql(value) {
            Ok(good) => Cell::Good(good),
            Err(why) => Cell::bad(format!("type {oid}: {}", shown(&bytes)), why.to_string()),
        }
    }
}

/// SQLite converts instead of failing ('n/a' read as a number is 0), so the class that is stored is held against the
/// class that is wanted first.
impl Lenient for Sqlite {
    fn cell<T, ST>(mut value: Self::RawValue<'_>) -> Cell<T>
    where
        T: FromSql<ST, Self>,
        Self: HasSqlType<ST>,
    {
        let stored = value.value_type();
        let wanted = <Sqlite as HasSqlType<ST>>::metadata(&mut ());
        let text = |value: &mut Self::RawValue<'_>| match stored {
            Some(SqliteType::Binary | SqliteType::Text) => shown(value.read_blob()),
            _ => value.read_text().to_owned(),
        };
        if let Some(stored) = stored {
            let (have, want) = (class(stored), class(wanted));
            let fits = have == want || (want == Class::Real && have == Class::Integer);
            if !fits {
                return Cell::bad(text(&mut value), format!("stored as {have:?}, expected {want:?}"));
            }
            if have == Class::Text && std::str::from_utf8(value.read_blob()).is_err() {
                return Cell::bad(shown(value.read_blob()), "not valid UTF-8");
            }
            // A number that is too large for its type would be cut to it in silence.
            let within = match wanted {
                SqliteType::SmallInt => i16::try_from(value.read_long()).is_ok(),
                SqliteType::Integer => i32::try_from(value.read_long()).is_ok(),
                _ => true,
            };
            if !within {
                return Cell::bad(text(&mut value), "out of range");
            }
        }
        let kept = text(&mut value);
        match T::from_sql(value) {
            Ok(good) => Cell::Good(good),
            Err(why) => Cell::bad(kept, why.to_string()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Text,
    Blob,
    Real,
    Integer,
}

fn class(stored: SqliteType) -> Class {
    match stored {
        SqliteType::Binary => Class::Blob,
        SqliteType::Float | SqliteType::Double => Class::Real,
        SqliteType::SmallInt | SqliteType::Integer | SqliteType::Long => Class::Integer,
        _ => Class::Text,
    }
}

/// What `Cell<T>` needs of MariaDB; always there in a build without it.
#[cfg(feature = "mysql")]
pub trait MyRead<ST>: FromSql<ST, Mysql> {}
#[cfg(feature = "mysql")]
impl<T: FromSql<ST, Mysql>, ST> MyRead<ST> for T {}
/// What `Cell<T>` needs of MariaDB; always there in a build without it.
#[cfg(not(feature = "mysql"))]
pub trait MyRead<ST> {}
#[cfg(not(feature = "mysql"))]
impl<T, ST> MyRead<ST> for T {}

impl<T, ST> FromSql<ST, MultiBackend> for Cell<T>
where
    Cell<T>: MyRead<ST> + FromSql<ST, Pg> + FromSql<ST, Sqlite>,
{
    fn from_sql(value: MultiRawValue<'_>) -> deserialize::Result<Self> {
        value.from_sql::<Self, ST>()
    }

    fn from_nullable_sql(value: Option<MultiRawValue<'_>>) -> deserialize::Result<Self> {
        value.map_or(Ok(Cell::Null), |value| value.from_sql::<Self, ST>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(cell: &Cell<i64>) -> Result<Option<i64>, String> {
        cell.reference("parent_id").map_err(|bad| format!("{}: {}", bad.column, bad.why))
    }

    #[test]
    fn a_number_beyond_every_key_names_nobody() {
        let beyond = |raw: &str| reference(&Cell::bad(raw, "out of range"));
        assert_eq!(beyond("18446744073709551615"), Ok(Some(-1)));
        assert_eq!(beyond("18446744073709551614"), Ok(Some(-2)));
        assert_eq!(beyond("9223372036854775808"), Ok(Some(i64::MIN)));
        // As SQLite shows it once it is a REAL.
        for real in ["1.84467440737096e+19", "1.8446744073709552e+19", "9.2233720368547758e+18"] {
            assert_eq!(beyond(real), Ok(Some(i64::MIN)), "{real}");
        }
        assert_eq!(Cell::<i64>::bad("18446744073709551615", "").stored().as_deref(), Some("18446744073709551615"));
    }

    #[test]
    fn all_else_that_is_no_id_is_a_bad_cell() {
        for raw in [
            "5",
            "0",
            "9223372036854775807",
            "18446744073709551616",
            "1.5",
            "1e30",
            "-18446744073709551615",
            "-1e19",
            "+18446744073709551615",
            " 18446744073709551615",
            "1844674407370955161x",
            "\\xff",
            "inf",
            "NaN",
            "",
        ] {
            assert_eq!(reference(&Cell::bad(raw, "no id")), Err("parent_id: no id".to_owned()), "{raw:?}");
        }
        assert_eq!(reference(&Cell::Good(0)), Ok(None));
        assert_eq!(reference(&Cell::Good(7)), Ok(Some(7)));
        assert_eq!(reference(&Cell::Null), Ok(None));
    }
}
