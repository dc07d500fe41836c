//! Rows of any table as PostgreSQL sends and takes them, so that writing them costs what writing a derived model costs.

use std::io::Write;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types as st;
use diesel::sql_types::HasSqlType;

use crate::tables::Table;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Small,
    Int,
    Big,
    Double,
    Text,
    Padded,
    Bool,
    Instant,
    Date,
}

impl Kind {
    /// The kind of a type, in the words of `format_type`.
    pub(crate) fn of(declared: &str) -> Option<Self> {
        Some(match declared {
            "smallint" => Self::Small,
            "integer" => Self::Int,
            "bigint" => Self::Big,
            "double precision" => Self::Double,
            "text" => Self::Text,
            "boolean" => Self::Bool,
            "timestamp with time zone" => Self::Instant,
            "date" => Self::Date,
            padded if padded.starts_with("character(") => Self::Padded,
            _ => return None,
        })
    }

    /// The function that says how PostgreSQL sends it.
    pub(crate) fn sender(self) -> &'static str {
        match self {
            Self::Small => "int2send",
            Self::Int => "int4send",
            Self::Big => "int8send",
            Self::Double => "float8send",
            Self::Text => "textsend",
            Self::Padded => "bpcharsend",
            Self::Bool => "boolsend",
            Self::Instant => "timestamptz_send",
            Self::Date => "date_send",
        }
    }
}

/// A value in PostgreSQL's binary form; none is NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wire(pub(crate) Option<Vec<u8>>);

impl Wire {
    /// The number, of a `bigint`.
    pub(crate) fn id(&self) -> Option<i64> {
        Some(i64::from_be_bytes(self.0.as_deref()?.try_into().ok()?))
    }
}

impl<ST> ToSql<ST, Pg> for Wire
where
    Pg: HasSqlType<ST>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let Some(bytes) = &self.0 else { return Ok(IsNull::Yes) };
        out.write_all(bytes)?;
        Ok(IsNull::No)
    }
}

/// A row, in the order of its table's columns.
pub(crate) type Row = Vec<Wire>;

/// Binds of one statement at the most.
const BINDS: usize = 65_535;

/// Rows of a statement at the most.
const ROWS: usize = 1_000;

/// How rows of a table are inserted.
pub(crate) struct Into {
    head: String,
    kinds: Vec<Kind>,
}

impl Into {
    pub(crate) fn of(table: &Table) -> Self {
        Self {
            head: format!("INSERT INTO {} ({}) VALUES ", table.quoted(), table.columns("")),
            kinds: table.columns.iter().map(|column| column.kind).collect(),
        }
    }

    /// How many rows one statement takes.
    pub(crate) fn batch(&self) -> usize {
        (BINDS / self.kinds.len().max(1)).clamp(1, ROWS)
    }

    pub(crate) fn rows<'a>(&'a self, rows: &'a [&'a Row]) -> Insert<'a> {
        Insert { into: self, rows }
    }
}

/// `INSERT ... VALUES` with bound values. As diesel does it: of one row it is prepared once and kept, of several not.
pub(crate) struct Insert<'a> {
    into: &'a Into,
    rows: &'a [&'a Row],
}

impl QueryFragment<Pg> for Insert<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        if self.rows.len() != 1 {
            out.unsafe_to_cache_prepared();
        }
        out.push_sql(&self.into.head);
        for (place, row) in self.rows.iter().enumerate() {
            out.push_sql(if place == 0 { "(" } else { ", (" });
            for (place, (value, kind)) in row.iter().zip(&self.into.kinds).enumerate() {
                if place > 0 {
                    out.push_sql(", ");
                }
                match kind {
                    Kind::Small => out.push_bind_param::<st::SmallInt, _>(value)?,
                    Kind::Int => out.push_bind_param::<st::Integer, _>(value)?,
                    Kind::Big => out.push_bind_param::<st::BigInt, _>(value)?,
                    Kind::Double => out.push_bind_param::<st::Double, _>(value)?,
                    Kind::Text | Kind::Padded => out.push_bind_param::<st::Text, _>(value)?,
                    Kind::Bool => out.push_bind_param::<st::Bool, _>(value)?,
                    Kind::Instant => out.push_bind_param::<st::Timestamptz, _>(value)?,
                    Kind::Date => out.push_bind_param::<st::Date, _>(value)?,
                }
            }
            out.push_sql(")");
        }
        Ok(())
    }
}

impl QueryId for Insert<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl RunQueryDsl<PgConnection> for Insert<'_> {}

/// `SELECT id ... WHERE id = $1`, prepared once and kept.
pub(crate) struct Lookup<'a> {
    pub(crate) sql: &'a str,
    pub(crate) id: i64,
}

impl Lookup<'_> {
    /// All of it but the value, for a table.
    pub(crate) fn sql(table: &Table) -> String {
        format!("SELECT id FROM {} WHERE id = ", table.quoted())
    }
}

impl QueryFragment<Pg> for Lookup<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(self.sql);
        out.push_bind_param::<st::BigInt, _>(&self.id)
    }
}

impl QueryId for Lookup<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Lookup<'_> {
    type SqlType = st::BigInt;
}

impl RunQueryDsl<PgConnection> for Lookup<'_> {}
