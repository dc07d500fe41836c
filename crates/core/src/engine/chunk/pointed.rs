//! What points to a row that is to go.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::storage::db::{Backend, Db};
use crate::storage::ledger::plan::Ours;
use crate::storage::sql::{literal, quoted};

/// A foreign key that points to a table.
#[derive(QueryableByName)]
struct Pointer {
    /// The table that points, if it is one of the schema and has an `id`: ids of ours are known in those.
    #[diesel(sql_type = Nullable<Text>)]
    of: Option<String>,
    /// Of a table of the schema without `id`: the tables to which it points, by the columns that do, as JSON.
    #[diesel(sql_type = Text)]
    parents: String,
    /// That table as `p`, and the condition by which its row names row `k`.
    #[diesel(sql_type = Text)]
    pointing: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    found: i64,
}

const POINTERS: &str = "
SELECT CASE WHEN n.nspname = current_schema() AND EXISTS (SELECT FROM pg_attribute i
         WHERE i.attrelid = t.oid AND i.attname = 'id' AND NOT i.attisdropped) THEN t.relname::text END AS of,
       (SELECT coalesce(json_object_agg(i.attname, r.relname), '{}')::text
          FROM pg_constraint o JOIN pg_class r ON r.oid = o.confrelid
          JOIN pg_attribute i ON i.attrelid = o.conrelid AND i.attnum = o.conkey[1]
         WHERE o.conrelid = t.oid AND o.contype = 'f' AND n.nspname = current_schema()) AS parents,
       format('%I.%I p WHERE %s', n.nspname, t.relname, string_agg(format('p.%I = k.%I', a.attname, f.attname), ' AND ')) AS pointing
  FROM pg_constraint c
  JOIN pg_class t ON t.oid = c.conrelid
  JOIN pg_namespace n ON n.oid = t.relnamespace
 CROSS JOIN LATERAL unnest(c.conkey, c.confkey) AS k(mine, theirs)
  JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.mine
  JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = k.theirs
 WHERE c.confrelid = to_regclass(format('%I.%I', current_schema(), $1)) AND c.contype = 'f' AND c.conparentid = 0
 GROUP BY c.oid, n.nspname, t.relname, t.oid ORDER BY c.oid";
const POINTERS_LITE: &str = "
SELECT CASE WHEN EXISTS (SELECT 1 FROM pragma_table_info(m.name) i WHERE i.name = 'id') THEN m.name END AS of,
       (SELECT json_group_object(o.\"from\", o.\"table\") FROM pragma_foreign_key_list(m.name) o) AS parents,
       format('\"%w\" p WHERE p.\"%w\" = k.\"%w\"', m.name, f.\"from\", coalesce(f.\"to\", 'id')) AS pointing
  FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f
 WHERE m.type = 'table' AND f.\"table\" = $1";

/// Who points to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PointedBy {
    Nobody,
    /// Rows that the migration made, and only those.
    Ours,
    /// Rows that it did not make, or that it cannot tell from such.
    Others,
}

/// Who points to a row that is to go. Where a foreign key says ON DELETE CASCADE or SET NULL, a server deletes what points, or empties
/// the column, without a word; where it does not, it refuses. The row is locked, so that nothing comes to point to it meanwhile.
///
/// # Errors
/// Those of the database: what may not be read, say, may point to it.
pub(crate) fn pointed_by(db: &mut Db, table: &str, condition: &str, ours: &Ours) -> QueryResult<PointedBy> {
    let sql = match db.backend() {
        Backend::Postgres => POINTERS,
        Backend::Sqlite | Backend::MariaDb => POINTERS_LITE,
    };
    let pointers: Vec<Pointer> = diesel::sql_query(sql.replace("$1", &literal(table))).load(db)?;
    let mut by = PointedBy::Nobody;
    for Pointer { of, parents, pointing } in pointers {
        let mut exist = |more: &str| {
            let sql = format!(
                "SELECT count(*) AS found FROM {} k WHERE {condition} AND EXISTS (SELECT 1 FROM {pointing}{more})",
                quoted(table)
            );
            Ok::<_, diesel::result::Error>(diesel::sql_query(sql).get_result::<Count>(db)?.found > 0)
        };
        if exist("")? {
            let between: BTreeMap<String, String> = serde_json::from_str(&parents).unwrap_or_default();
            let ours = |(column, of): (&String, &String)| ours.condition(of, &format!("p.{}", quoted(column)));
            let others = match of {
                Some(of) => exist(&format!(" AND NOT {}", ours((&"id".to_owned(), &of))))?,
                // What stands between rows of ours, and nothing else, is taken for one.
                None if between.len() > 1 => {
                    let all: Vec<String> = between.iter().map(ours).collect();
                    exist(&format!(" AND NOT ({})", all.join(" AND ")))?
                }
                None => true,
            };
            by = by.max(if others { PointedBy::Others } else { PointedBy::Ours });
        }
    }
    Ok(by)
}
