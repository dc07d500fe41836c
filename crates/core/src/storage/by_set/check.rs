//! Whether every value of a foreign key has its parent.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind;
use diesel::sql_types::{Array, BigInt, Text};

use super::keys::ForeignKey;
use super::values::{Column, Values};
use crate::storage::failure::Told;
use crate::storage::sql::quoted;

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    found: i64,
}

/// SQLSTATE of a foreign key violation.
const VIOLATION: &str = "23503";

/// Locks the parents of all values as the server's own check does, so that none of them goes or changes its key before the
/// transaction ends, and counts them.
///
/// # Errors
/// A parent is not there: the violation of the foreign key. A lock is not to be had in time; the database fails.
pub(super) fn all_there(pg: &mut PgConnection, table: &str, key: &ForeignKey, values: &Values) -> QueryResult<()> {
    if values.len() == 0 {
        return Ok(());
    }
    let mut query = diesel::sql_query(statement(key)).into_boxed::<Pg>();
    for column in values.columns() {
        query = match column {
            Column::Integers(values) => query.bind::<Array<BigInt>, _>(values),
            Column::Texts(values) => query.bind::<Array<Text>, _>(values),
        };
    }
    let Found { found } = query.get_result(pg)?;
    if usize::try_from(found) == Ok(values.len()) {
        return Ok(());
    }
    let told =
        Told { code: VIOLATION.to_owned(), constraint: key.name.clone(), table: table.to_owned(), ..Told::default() };
    Err(told.into_error(DatabaseErrorKind::ForeignKeyViolation))
}

/// With the values in the parent's types, so that its index finds them, and of any length: a cast to a shorter type would cut
/// them.
fn statement(key: &ForeignKey) -> String {
    let ForeignKey { parent, parent_oid, parent_columns, operators, types, .. } = key;
    let arrays: Vec<String> = types.iter().enumerate().map(|(n, of)| format!("${}::{of}[]", n + 1)).collect();
    let equal = |n: usize, value: &str| format!("p.{} {} {value}", quoted(&parent_columns[n]), operators[n]);
    let (from, condition) = match &*arrays {
        [array] => (format!("ONLY {parent} p"), equal(0, &format!("ANY ({array})"))),
        _ => {
            let names: Vec<String> = (1..=arrays.len()).map(|n| format!("v{n}")).collect();
            let all: Vec<String> = names.iter().enumerate().map(|(n, name)| equal(n, &format!("k.{name}"))).collect();
            let keys = format!("unnest({}) k ({})", arrays.join(", "), names.join(", "));
            (format!("{keys} JOIN ONLY {parent} p ON {}", all.join(" AND ")), "true".to_owned())
        }
    };
    format!(
        "SELECT count(*) AS found FROM \
         (SELECT FROM {from} WHERE {condition} AND p.tableoid = {parent_oid} FOR KEY SHARE OF p) parents"
    )
}
