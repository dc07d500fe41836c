//! Keys of the legacy tables: integers that 63 bits hold.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};

use crate::contract::inspect::Finding;
use crate::engine::registry::Registry;
use crate::storage::db::{Backend, Db, Role};
use crate::storage::shape::columns;

#[derive(QueryableByName)]
struct Highest {
    #[diesel(sql_type = Nullable<Text>)]
    highest: Option<String>,
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    yes: bool,
}

/// Names the tables that have keys which Replant cannot count by. Their keys are indexed, so the highest one is at hand.
pub(super) fn possible(registry: &Registry, tables: &BTreeSet<&str>, db: &mut Db) -> QueryResult<Vec<Finding>> {
    let mut keys: Vec<(&str, &str)> =
        registry.steps().map(|step| step.legacy_shape()).map(|(table, key)| (table.name, key)).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut found = Vec::new();
    for (table, key) in keys.into_iter().filter(|(table, _)| tables.contains(table)) {
        let Some(column) = columns(db, table)?.into_iter().find(|column| column.name == key) else { continue };
        let declared = column.declared.to_lowercase();
        let refuse = |what: String| Finding::refusal(Role::Legacy, what);
        match db.backend() {
            Backend::MariaDb if declared.contains("bigint") && declared.contains("unsigned") => {
                let sql = format!("SELECT CAST(max(`{key}`) AS CHAR) AS highest FROM `{table}`");
                let Highest { highest } = diesel::sql_query(sql).get_result(db)?;
                if let Some(highest) = highest.filter(|highest| highest.parse::<i64>().is_err()) {
                    let what = format!(
                        "the row of `{table}` with the {key} {highest} cannot be moved: a key is at most {}, and no row of the \
                         table could be read",
                        i64::MAX
                    );
                    found.push(
                        refuse(what)
                            .mend(format!("give that row of `{table}` another `{key}` in a copy of the database")),
                    );
                }
            }
            // diesel reads eight bytes.
            Backend::Postgres if declared != "bigint" && declared.contains("int") => {
                let what = format!("the key `{table}.{key}` is {declared}, where bigint was expected");
                found.push(refuse(what).mend(format!("ALTER TABLE {table} ALTER COLUMN {key} TYPE bigint;")));
            }
            // Whatever its type, a column of SQLite holds anything, unless it is the row's own number.
            Backend::Sqlite if declared != "integer" || !column.filled => {
                let sql =
                    format!("SELECT EXISTS (SELECT 1 FROM \"{table}\" WHERE typeof(\"{key}\") <> 'integer') AS yes");
                let Answer { yes } = diesel::sql_query(sql).get_result(db)?;
                if yes {
                    let what = format!("the key `{table}.{key}` holds something else than integers in some rows");
                    found.push(
                        refuse(what).mend(format!("give those rows of `{table}` integers in a copy of the database")),
                    );
                }
            }
            Backend::MariaDb | Backend::Postgres | Backend::Sqlite => {}
        }
    }
    Ok(found)
}
