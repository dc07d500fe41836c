//! Whether something points to a row that is to go, where the server would not ask.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::storage::db::{Backend, Db};
use crate::storage::sql::{literal, quoted};

/// A foreign key of one column that points to a table, and lets its rows go.
#[derive(QueryableByName)]
struct Pointer {
    #[diesel(sql_type = Text)]
    pointing: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    found: i64,
}

/// ON DELETE CASCADE, SET NULL and SET DEFAULT: the condition by which a row `p` of the table that points names row `k`.
const POINTERS: &str = "
SELECT format('%I.%I p WHERE %s', n.nspname, t.relname, string_agg(format('p.%I = k.%I', a.attname, f.attname), ' AND ')) AS pointing
  FROM pg_constraint c
  JOIN pg_class t ON t.oid = c.conrelid
  JOIN pg_namespace n ON n.oid = t.relnamespace
 CROSS JOIN LATERAL unnest(c.conkey, c.confkey) AS k(mine, theirs)
  JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.mine
  JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = k.theirs
 WHERE c.confrelid = to_regclass(format('%I.%I', current_schema(), $1)) AND c.contype = 'f' AND c.conparentid = 0
   AND c.confdeltype IN ('c', 'n', 'd')
 GROUP BY c.oid, n.nspname, t.relname ORDER BY c.oid";
const POINTERS_LITE: &str = "
SELECT format('\"%w\" p WHERE p.\"%w\" = k.\"%w\"', m.name, f.\"from\", coalesce(f.\"to\", 'id')) AS pointing
  FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f
 WHERE m.type = 'table' AND f.\"table\" = $1 AND f.on_delete IN ('CASCADE', 'SET NULL', 'SET DEFAULT')";

/// Whether a row points to one that is to go and would go with it, or lose what it points to: a server deletes it, or empties the
/// column, without a word. The row that is to go is locked, so that nothing comes to point to it.
///
/// # Errors
/// Those of the database: what may not be read, say, may point to it.
pub(crate) fn pointed_at(db: &mut Db, table: &str, condition: &str) -> QueryResult<bool> {
    let sql = match db.backend() {
        Backend::Postgres => POINTERS,
        Backend::Sqlite | Backend::MariaDb => POINTERS_LITE,
    };
    let pointers: Vec<Pointer> = diesel::sql_query(sql.replace("$1", &literal(table))).load(db)?;
    for Pointer { pointing } in pointers {
        let sql = format!(
            "SELECT count(*) AS found FROM {} k WHERE {condition} AND EXISTS (SELECT 1 FROM {pointing})",
            quoted(table)
        );
        if diesel::sql_query(sql).get_result::<Count>(db)?.found > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}
