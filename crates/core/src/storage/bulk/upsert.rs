//! Rows that a replay writes anew: each takes the place of the one with its primary key.

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};

use super::batch::Batch;
use super::pass::Pass;
use super::stage::{KeyColumn, PRIMARY_KEY, ROW, fill, of_table, open};
use crate::storage::db::Db;
use crate::storage::failure::Told;
use crate::storage::model::Insert;
#[cfg(feature = "mysql")]
use crate::storage::model::no_target;
use crate::storage::sql::quoted;

const PRIMARY_KEY_LITE: &str = "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk";

/// A model may leave columns to their defaults: the temporary table has them too.
const COLUMNS_LITE: &str = "SELECT name, type AS declared, dflt_value AS value FROM pragma_table_info(?)";

#[derive(QueryableByName)]
struct LiteColumn {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    declared: String,
    #[diesel(sql_type = Nullable<Text>)]
    value: Option<String>,
}

impl LiteColumn {
    fn declared(&self) -> String {
        let default = self.value.as_ref().map(|value| format!(" DEFAULT ({value})")).unwrap_or_default();
        format!("{} {}{default}", quoted(&self.name), self.declared)
    }
}

/// INSERT ... ON CONFLICT from a temporary table of the same name, which hides the target's: so the model's own insertion
/// fills it. diesel has no upsert over all columns of any table.
pub(super) fn upsert<T: Insert>(pass: &mut Pass<'_>, batch: &Batch<T>) -> QueryResult<()> {
    let shape = T::shape();
    let table = quoted(shape.name);
    let columns: Vec<String> = shape.columns.iter().map(|column| quoted(column.name)).collect();
    match &mut *pass.db {
        Db::Pg(pg) => {
            let keys: Vec<KeyColumn> = pass.mode.rows(pg, &of_table(PRIMARY_KEY, shape.name))?;
            let target = open(pg, pass.mode, shape.name)?;
            fill(pg, |pg| T::copy(pg, batch.rows()))?;
            let from =
                format!("OVERRIDING SYSTEM VALUE SELECT {} FROM pg_temp.{table} ORDER BY {ROW}", columns.join(", "));
            let written = pass.mode.execute(pg, &statement(&target, &columns, &from, &keys))?;
            // A row whose columns are all in its key has nothing to be written anew.
            if written != batch.rows().len() && columns.len() > keys.len() {
                return Err(Told::not_taken(shape.name));
            }
            diesel::sql_query(format!("DROP TABLE pg_temp.{table}")).execute(pg)?;
            pass.touched.extend(batch.units.iter().copied());
            Ok(())
        }
        Db::Lite(lite) => {
            let keys: Vec<KeyColumn> = diesel::sql_query(PRIMARY_KEY_LITE).bind::<Text, _>(shape.name).load(lite)?;
            let from = format!("SELECT {} FROM temp.{table} WHERE true", columns.join(", "));
            let sql = statement(&format!("main.{table}"), &columns, &from, &keys);
            let columns: Vec<LiteColumn> = diesel::sql_query(COLUMNS_LITE).bind::<Text, _>(shape.name).load(lite)?;
            let columns: Vec<String> = columns.iter().map(LiteColumn::declared).collect();
            let create = format!("CREATE TEMP TABLE {table} ({})", columns.join(", "));
            let nothing_to_write = columns.len() <= keys.len();
            for (unit, row) in batch.iter() {
                pass.each_lite(unit, shape.name, |lite| {
                    diesel::sql_query(&create).execute(lite)?;
                    T::insert(lite, row)?;
                    let written = diesel::sql_query(&sql).execute(lite);
                    diesel::sql_query(format!("DROP TABLE temp.{table}")).execute(lite)?;
                    written.map(|written| if nothing_to_write { 1 } else { written })
                })?;
            }
            Ok(())
        }
        #[cfg(feature = "mysql")]
        Db::My(_) => Err(no_target()),
    }
}

fn statement(table: &str, columns: &[String], from: &str, keys: &[KeyColumn]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| quoted(&key.name)).collect();
    let others = columns.iter().filter(|column| !keys.contains(column));
    let set: Vec<String> = others.map(|column| format!("{column} = excluded.{column}")).collect();
    let action = if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", set.join(", ")) };
    format!("INSERT INTO {table} ({}) {from} ON CONFLICT ({}) DO {action}", columns.join(", "), keys.join(", "))
}

#[derive(QueryableByName)]
struct Whole {
    #[diesel(sql_type = Text)]
    whole: String,
}

/// A row by its id, all columns of it as JSON: what the ledger keeps of a row that a replay changes or takes out.
pub(crate) fn whole_row(db: &mut Db, table: &str, id: i64) -> QueryResult<Option<String>> {
    let row = match db {
        Db::Pg(_) => "to_jsonb(t)::text".to_owned(),
        _ => {
            let columns: Vec<LiteColumn> = diesel::sql_query(COLUMNS_LITE).bind::<Text, _>(table).load(db)?;
            let pairs = columns.iter().map(|column| format!("'{}', t.{}", column.name, quoted(&column.name)));
            format!("json_object({})", pairs.collect::<Vec<_>>().join(", "))
        }
    };
    let sql = format!("SELECT {row} AS whole FROM {} t WHERE t.id = {id}", quoted(table));
    Ok(diesel::sql_query(sql).get_result::<Whole>(db).optional()?.map(|row| row.whole))
}
