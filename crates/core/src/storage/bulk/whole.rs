//! A row of the target with all that it has.

use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::storage::db::{Backend, Db};
use crate::storage::sql::{literal, quoted};

#[derive(QueryableByName)]
struct Whole {
    #[diesel(sql_type = Text)]
    whole: String,
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
}

/// The row that a condition on `t` names, all its columns as JSON; none where there is none.
pub(crate) fn whole_row(db: &mut Db, table: &str, condition: &str) -> QueryResult<Option<String>> {
    let row = match db.backend() {
        Backend::Postgres => "to_jsonb(t)::text".to_owned(),
        Backend::Sqlite | Backend::MariaDb => {
            let sql = format!("SELECT name FROM pragma_table_info({})", literal(table));
            let columns: Vec<Column> = diesel::sql_query(sql).load(db)?;
            let pairs = columns.iter().map(|column| format!("{}, t.{}", literal(&column.name), quoted(&column.name)));
            format!("json_object({})", pairs.collect::<Vec<_>>().join(", "))
        }
    };
    let sql = format!("SELECT {row} AS whole FROM {} t WHERE {condition}", quoted(table));
    Ok(diesel::sql_query(sql).get_result::<Whole>(db).optional()?.map(|row| row.whole))
}
