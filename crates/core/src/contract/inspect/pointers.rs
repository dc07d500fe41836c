//! Foreign keys to a target table of which no step knows.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use serde::{Deserialize, Serialize};

use super::finding::Finding;
use crate::storage::db::{Db, Role};
use crate::storage::sql::quoted;

/// What becomes of a column that points to a row which is merged into another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PointerRule {
    /// It points to the other row afterwards.
    Follow,
    /// It stays as it is.
    Leave,
}

/// What the settings say of columns that point to a target table and that no step knows: `labels.item_id`, with the
/// schema in front where that is not the platform's own.
pub type PointerRules = BTreeMap<String, PointerRule>;

/// A column that points to a target table.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Pointer {
    /// Its schema; `main` in SQLite.
    #[diesel(sql_type = Text)]
    pub schema: String,
    /// Whether that is the platform's own.
    #[diesel(sql_type = Bool)]
    pub at_home: bool,
    /// Its table.
    #[diesel(sql_type = Text)]
    pub table: String,
    /// The column.
    #[diesel(sql_type = Text)]
    pub column: String,
    /// Whether the foreign key has this column alone, and points to the `id`.
    #[diesel(sql_type = Bool)]
    pub single: bool,
    /// Whether the rows of its table have an `id` that is an integer: it can be noted which of them were changed.
    #[diesel(sql_type = Bool)]
    pub has_id: bool,
}

impl Pointer {
    /// As the settings name it: `labels.item_id`, with the schema in front where that is not the platform's own.
    pub fn name(&self) -> String {
        let Self { schema, table, column, .. } = self;
        if self.at_home { format!("{table}.{column}") } else { format!("{schema}.{table}.{column}") }
    }

    /// Its table as SQL names it.
    pub fn sql_table(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.table))
    }

    /// The column as SQL names it.
    pub fn sql_column(&self) -> String {
        quoted(&self.column)
    }
}

/// Foreign keys of partitions stand for that of their table: only that is named.
const POSTGRES: &str = "
SELECT n.nspname::text AS schema, n.oid = to_regnamespace(current_setting('replant.schema')) AS at_home, t.relname::text AS table, a.attname::text AS column,
       cardinality(c.conkey) = 1 AND f.attname = 'id' AS single,
       EXISTS (SELECT FROM pg_attribute i WHERE i.attrelid = t.oid AND i.attname = 'id' AND NOT i.attisdropped
                  AND i.atttypid IN ('bigint'::regtype, 'integer'::regtype, 'smallint'::regtype)) AS has_id
  FROM pg_constraint c
  JOIN pg_class t ON t.oid = c.conrelid
  JOIN pg_namespace n ON n.oid = t.relnamespace
  CROSS JOIN LATERAL unnest(c.conkey, c.confkey) AS k(mine, theirs)
  JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.mine
  JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = k.theirs
 WHERE c.contype = 'f' AND c.conparentid = 0 AND c.confrelid = to_regclass(format('%s.%I', current_setting('replant.schema'), $1))
   AND n.nspname <> 'replant'
 GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 3, 4";

const SQLITE: &str = "
SELECT DISTINCT 'main' AS schema, true AS at_home, m.name AS \"table\", f.\"from\" AS \"column\",
       (SELECT count(*) FROM pragma_foreign_key_list(m.name) o WHERE o.id = f.id) = 1 AND coalesce(f.\"to\", 'id') = 'id' AS single,
       EXISTS (SELECT 1 FROM pragma_table_info(m.name) i WHERE i.name = 'id' AND lower(i.type) LIKE '%int%') AS has_id
  FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f
 WHERE m.type = 'table' AND f.\"table\" = ? ORDER BY 3, 4";

/// Every column of a foreign key to `table`.
pub(crate) fn pointers_to(db: &mut Db, table: &str) -> QueryResult<Vec<Pointer>> {
    let sql = if matches!(db, Db::Pg(_)) { POSTGRES } else { SQLITE };
    diesel::sql_query(sql).bind::<Text, _>(table).load(db)
}

pub(super) fn unknown(
    db: &mut Db,
    table: &str,
    known: &[(&str, &str)],
    rules: &PointerRules,
) -> QueryResult<Vec<Finding>> {
    let is_known =
        |pointer: &Pointer| pointer.at_home && known.contains(&(pointer.table.as_str(), pointer.column.as_str()));
    let found = pointers_to(db, table)?;
    let further = found.iter().filter(|pointer| !is_known(pointer));
    Ok(further.filter_map(|pointer| judge(pointer, table, rules)).collect())
}

fn judge(pointer: &Pointer, table: &str, rules: &PointerRules) -> Option<Finding> {
    let name = pointer.name();
    match rules.get(&name) {
        Some(PointerRule::Leave) => None,
        Some(PointerRule::Follow) if pointer.single => None,
        Some(PointerRule::Follow) => {
            let what = format!(
                "the column `{name}` cannot follow a merged row of `{table}`: its foreign key has other columns beside it"
            );
            Some(Finding::refusal(Role::Target, what).mend(format!("[target.pointers] \"{name}\" = \"leave\"")))
        }
        None => {
            let what = format!(
                "the column `{name}` points to `{table}`, and the migration does not know it: is it to point to the other row \
                 where rows of `{table}` are merged (follow), or to stay (leave)?"
            );
            let mend = format!("in the environment's file, [target.pointers]: \"{name}\" = \"follow\", or \"leave\"");
            Some(Finding::refusal(Role::Target, what).mend(mend))
        }
    }
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Text)]
    name: String,
}

/// The columns of foreign keys, named as the settings name them.
const NAMES: &str = "
SELECT DISTINCT concat(CASE WHEN n.oid <> to_regnamespace(current_setting('replant.schema')) THEN n.nspname || '.' END, t.relname, '.', a.attname) AS name
  FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
 WHERE c.contype = 'f'";

const NAMES_LITE: &str = "
SELECT DISTINCT m.name || '.' || f.\"from\" AS name FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table'";

/// Names the settings that speak of no foreign key of the target: a misspelt one would have no effect.
pub(crate) fn unknown_settings(db: &mut Db, rules: &PointerRules) -> QueryResult<Vec<Finding>> {
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let sql = if matches!(db, Db::Pg(_)) { NAMES } else { NAMES_LITE };
    let known: Vec<Known> = diesel::sql_query(sql).load(db)?;
    let misspelt = rules.keys().filter(|name| !known.iter().any(|known| known.name == **name));
    Ok(misspelt
        .map(|name| {
            let what = format!("the setting `[target.pointers]` names `{name}`, which is no column of a foreign key");
            Finding::refusal(Role::Target, what)
                .mend("name it TABLE.COLUMN, or SCHEMA.TABLE.COLUMN outside of the platform's own schema")
        })
        .collect())
}
