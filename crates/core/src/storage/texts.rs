//! Rows of a table of the target, by what their texts hold.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::db::{Backend, Db};
use super::imprint::primary_key;
use super::shape::{Kind, TableShape};
use super::sql::{literal, quoted};

/// A row with its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its `id`, where that is its key.
    pub(crate) id: Option<i64>,
    /// Its texts that are not NULL, by column.
    pub(crate) texts: Vec<(&'static str, String)>,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Nullable<BigInt>)]
    id: Option<i64>,
    #[diesel(sql_type = Text)]
    texts: String,
}

/// Parts texts: a control character that PostgreSQL takes, and that stands in no address.
const PARTED_BY: char = '\u{1f}';

/// Rows of a table of which a text holds one of some needles, which are in lower case. All rows are read.
///
/// # Errors
/// The database fails.
pub(crate) fn holding(db: &mut Db, shape: &TableShape, needles: &[&str]) -> QueryResult<Vec<Row>> {
    let columns: Vec<&'static str> =
        shape.columns.iter().filter(|column| column.kind == Kind::Text).map(|column| column.name).collect();
    if columns.is_empty() || needles.is_empty() {
        return Ok(Vec::new());
    }
    let (place, character) = match db.backend() {
        Backend::Postgres => ("strpos", "chr"),
        Backend::Sqlite | Backend::MariaDb => ("instr", "char"),
    };
    let id = if primary_key(db, shape.name)? == ["id"] { "t.id" } else { "CAST(NULL AS bigint)" };
    let text = |column: &str| format!("coalesce(t.{}, '')", quoted(column));
    let texts = columns.iter().map(|column| text(column)).collect::<Vec<_>>();
    let holds = |column: &'static str| {
        needles.iter().map(move |needle| format!("{place}(lower(t.{}), {}) > 0", quoted(column), literal(needle)))
    };
    let sql = format!(
        "SELECT {id} AS id, {} AS texts FROM {} t WHERE {}",
        texts.join(&format!(" || {character}({}) || ", u32::from(PARTED_BY))),
        quoted(shape.name),
        columns.iter().copied().flat_map(holds).collect::<Vec<_>>().join(" OR ")
    );
    let found: Vec<Found> = diesel::sql_query(sql).load(db)?;
    let row = |Found { id, texts }| {
        let texts = columns.iter().copied().zip(texts.split(PARTED_BY).map(str::to_owned));
        Row { id, texts: texts.filter(|(_, text)| !text.is_empty()).collect() }
    };
    Ok(found.into_iter().map(row).collect())
}
