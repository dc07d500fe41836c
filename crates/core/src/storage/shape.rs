//! The shape of a table: what a hand-written `table!` says of it, held against what the database says.

use std::fmt;

use diesel::prelude::*;
use diesel::sql_types as st;

use super::db::{Backend, Db};
use super::types::Utc;

/// The kind of value that a column holds, whatever the backend calls its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An integer of two bytes.
    SmallInt,
    /// An integer of four bytes.
    Integer,
    /// An integer of eight bytes.
    BigInt,
    /// A single-precision float.
    Float,
    /// A double-precision float.
    Double,
    /// Any text type.
    Text,
    /// True or false.
    Bool,
    /// A wall time without zone.
    Wall,
    /// An instant.
    Instant,
    /// A calendar date.
    Date,
}

/// A column as `table!` declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnShape {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be NULL.
    pub nullable: bool,
}

/// A table as `table!` declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableShape {
    /// Its name.
    pub name: &'static str,
    /// Its columns, in order.
    pub columns: Vec<ColumnShape>,
}

/// A SQL type whose kind is known.
pub trait HasKind {
    /// The kind.
    const KIND: Kind;
    /// Whether NULL is admitted.
    const NULLABLE: bool = false;
}

macro_rules! kinds {
    ($($sql:ty => $kind:ident),* $(,)?) => { $(impl HasKind for $sql { const KIND: Kind = Kind::$kind; })* };
}
kinds! {
    st::SmallInt => SmallInt, st::Integer => Integer, st::BigInt => BigInt, st::Float => Float, st::Double => Double,
    st::Text => Text, st::Bool => Bool, st::Timestamp => Wall, Utc => Instant, st::Date => Date,
}

impl<T: HasKind + st::SqlType> HasKind for st::Nullable<T>
where
    st::Nullable<T>: st::SqlType,
{
    const KIND: Kind = T::KIND;
    const NULLABLE: bool = true;
}

/// A tuple of columns.
pub trait ColumnList {
    /// The shape of each.
    fn shapes() -> Vec<ColumnShape>;
}

macro_rules! column_list {
    ($($c:ident)*) => {
        impl<$($c),*> ColumnList for ($($c,)*)
        where $($c: Column, $c::SqlType: HasKind),*
        {
            fn shapes() -> Vec<ColumnShape> {
                vec![$(ColumnShape { name: $c::NAME, kind: <$c::SqlType>::KIND, nullable: <$c::SqlType>::NULLABLE }),*]
            }
        }
    };
}
macro_rules! column_lists {
    ($first:ident) => { column_list!($first); };
    ($first:ident $($rest:ident)*) => { column_list!($first $($rest)*); column_lists!($($rest)*); };
}
column_lists!(A B C D E F G H I J K L M N O P Q R S T U V W X);

/// The shape that `table!` gives to the table `T`.
pub fn shape_of<T>(name: &'static str) -> TableShape
where
    T: diesel::Table,
    T::AllColumns: ColumnList,
{
    TableShape { name, columns: T::AllColumns::shapes() }
}

/// A column as the database declares it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct FoundColumn {
    /// Its name.
    #[diesel(sql_type = st::Text)]
    pub name: String,
    /// Its type in the database's words; of a domain the type that it is made of.
    #[diesel(sql_type = st::Text)]
    pub declared: String,
    /// Whether it may be NULL.
    #[diesel(sql_type = st::Bool)]
    pub nullable: bool,
    /// Whether the database fills it by itself: a default, an identity, an expression.
    #[diesel(sql_type = st::Bool)]
    pub filled: bool,
    /// Whether it is computed from an expression, so that nobody can write it.
    #[diesel(sql_type = st::Bool)]
    pub generated: bool,
}

/// What is wrong with a table, in words for the operator. Holds names only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// The table is not there.
    NoTable(String),
    /// The column is not there.
    NoColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// The column holds another kind of value.
    OtherType {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type in the database.
        found: String,
        /// What Replant expects.
        expected: Kind,
    },
    /// The column forbids NULL where Replant may write it.
    NotNull {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A column that Replant does not know must be filled.
    Unknown {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// The database computes a column that Replant writes.
    Generated {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTable(table) => write!(f, "table `{table}` is missing"),
            Self::NoColumn { table, column } => write!(f, "column `{table}.{column}` is missing"),
            Self::OtherType { table, column, found, expected: Kind::Wall } if is_zoned(found) => write!(
                f,
                "column `{table}.{column}` is {found}, where datetime was expected: its value depends on the session's time zone"
            ),
            Self::OtherType { table, column, found, expected } => {
                write!(f, "column `{table}.{column}` is {found}, where {expected:?} was expected")
            }
            Self::NotNull { table, column } => write!(f, "column `{table}.{column}` forbids NULL"),
            Self::Unknown { table, column } => {
                write!(f, "column `{table}.{column}` is unknown to Replant and must be filled")
            }
            Self::Generated { table, column } => {
                write!(f, "column `{table}.{column}` is computed by the database, where Replant writes it")
            }
        }
    }
}

/// Whether a type that holds instants stands where wall times are expected.
fn is_zoned(declared: &str) -> bool {
    declared.to_lowercase().starts_with("timestamp")
}

/// Domains are looked through: what they are made of is what is sent and received.
const COLUMNS_POSTGRES: &str = "
SELECT a.attname::text AS name, format_type(base.oid, NULL)::text AS declared,
       NOT (a.attnotnull OR base.forbids_null) AS nullable,
       a.attidentity <> '' OR a.atthasdef OR base.has_default AS filled, a.attgenerated <> '' AS generated
  FROM pg_attribute a
  CROSS JOIN LATERAL (
    WITH RECURSIVE inner_type (oid, kind, made_of, forbids_null, has_default) AS (
      SELECT t.oid, t.typtype, t.typbasetype, t.typnotnull, t.typtype = 'd' AND t.typdefault IS NOT NULL
        FROM pg_type t WHERE t.oid = a.atttypid
      UNION ALL
      SELECT t.oid, t.typtype, t.typbasetype, i.forbids_null OR t.typnotnull, i.has_default OR (t.typtype = 'd' AND t.typdefault IS NOT NULL)
        FROM inner_type i JOIN pg_type t ON t.oid = i.made_of WHERE i.kind = 'd')
    SELECT * FROM inner_type WHERE kind <> 'd') base
 WHERE a.attrelid = to_regclass(quote_ident($1)) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// `extra` of a computed column says VIRTUAL or STORED GENERATED.
const COLUMNS_MARIADB: &str = "
SELECT column_name AS name, column_type AS declared, is_nullable = 'YES' AS nullable,
       column_default IS NOT NULL OR extra <> '' AS filled, extra LIKE '%GENERATED%' AS generated
  FROM information_schema.columns WHERE table_schema = database() AND table_name = ? ORDER BY ordinal_position";

/// `hidden` is 2 or 3 of a computed column. A lone key of type INTEGER is the row's own number.
const COLUMNS_SQLITE: &str = "
SELECT c.name, lower(c.type) AS declared, c.\"notnull\" = 0 AND c.pk = 0 AS nullable,
       c.dflt_value IS NOT NULL OR c.hidden > 1 OR (c.pk = 1 AND lower(c.type) = 'integer'
         AND (SELECT count(*) FROM pragma_table_info(t.name) k WHERE k.pk > 0) = 1) AS filled,
       c.hidden > 1 AS generated
  FROM (SELECT ? AS name) t JOIN pragma_table_xinfo(t.name) c WHERE c.hidden <> 1 ORDER BY c.cid";

/// The columns of a table as the database knows them, in order; none where there is no such table.
///
/// # Errors
/// The catalogue cannot be read.
pub fn columns(db: &mut Db, table: &str) -> QueryResult<Vec<FoundColumn>> {
    // The catalogues have no common form and no place in diesel's query builder.
    let sql = match db.backend() {
        Backend::MariaDb => COLUMNS_MARIADB,
        Backend::Postgres => COLUMNS_POSTGRES,
        Backend::Sqlite => COLUMNS_SQLITE,
    };
    diesel::sql_query(sql).bind::<st::Text, _>(table).load(db)
}

/// Whether a column of a declared type can be used as a kind. A binary COPY, and diesel's reading of PostgreSQL's binary
/// results, take an integer of exactly its width; what is read through lenient cells may be of any.
fn kind_fits(kind: Kind, declared: &str, backend: Backend, usage: Use) -> bool {
    let declared = declared.to_lowercase();
    let starts = |words: &[&str]| words.iter().any(|word| declared.starts_with(word));
    match kind {
        Kind::SmallInt | Kind::Integer | Kind::BigInt if backend == Backend::Postgres && usage != Use::Read => {
            declared
                == match kind {
                    Kind::SmallInt => "smallint",
                    Kind::BigInt => "bigint",
                    _ => "integer",
                }
        }
        Kind::SmallInt | Kind::Integer | Kind::BigInt => {
            starts(&["int", "bigint", "smallint", "mediumint", "tinyint"])
                && !starts(&["interval", "int4range", "int8range"])
        }
        Kind::Float => starts(&["float", "real"]),
        Kind::Double => starts(&["double"]),
        // citext may stand in a schema of its own. All of these are sent and received as text.
        Kind::Text => {
            starts(&["text", "char", "varchar", "mediumtext", "longtext", "tinytext"])
                || (backend == Backend::Postgres && declared.rsplit('.').next() == Some("citext"))
        }
        Kind::Bool => starts(&["bool"]),
        // SQLite has no type for a time: text that looks like one.
        Kind::Wall => match backend {
            Backend::Sqlite => starts(&["datetime", "timestamp", "text"]),
            // MariaDB's TIMESTAMP is an instant, which it shows in the time zone of whoever asks.
            Backend::MariaDb => starts(&["datetime"]),
            Backend::Postgres => starts(&["timestamp"]) && !declared.contains("with time zone"),
        },
        Kind::Instant => match backend {
            Backend::Postgres => declared == "timestamp with time zone",
            Backend::MariaDb | Backend::Sqlite => declared == "timestamptz",
        },
        Kind::Date => declared == "date",
    }
}

/// Which side a table is on decides what counts as a misfit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Read leniently: NULLs and further columns are welcome.
    Read,
    /// Read as its types say: by lookups of the target.
    Reference,
    /// Written: NULLs must be taken, and no unknown column may insist on a value.
    Write,
}

/// What keeps the table in `db` from being used as `expected`.
///
/// # Errors
/// The catalogue cannot be read.
pub fn misfits(db: &mut Db, expected: &TableShape, usage: Use) -> QueryResult<Vec<Misfit>> {
    let found = columns(db, expected.name)?;
    let table = || expected.name.to_owned();
    if found.is_empty() {
        return Ok(vec![Misfit::NoTable(table())]);
    }
    let mut misfits = Vec::new();
    for column in &expected.columns {
        let name = || column.name.to_owned();
        let Some(there) = found.iter().find(|f| f.name == column.name) else {
            misfits.push(Misfit::NoColumn { table: table(), column: name() });
            continue;
        };
        if usage == Use::Write && there.generated {
            misfits.push(Misfit::Generated { table: table(), column: name() });
        } else if !kind_fits(column.kind, &there.declared, db.backend(), usage) {
            let (found, expected) = (there.declared.clone(), column.kind);
            misfits.push(Misfit::OtherType { table: table(), column: name(), found, expected });
        } else if usage == Use::Write && column.nullable && !there.nullable {
            misfits.push(Misfit::NotNull { table: table(), column: name() });
        }
    }
    if usage == Use::Write {
        let unknown =
            found.iter().filter(|f| !f.nullable && !f.filled && !expected.columns.iter().any(|c| c.name == f.name));
        misfits.extend(unknown.map(|f| Misfit::Unknown { table: table(), column: f.name.clone() }));
    }
    Ok(misfits)
}
