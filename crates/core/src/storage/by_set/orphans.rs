//! Rows without a parent, looked for once more when all is written: by a query that knows nothing of sets.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::storage::db::Db;
use crate::storage::sql::quoted;

/// How many rows are named.
const NAMED: usize = 20;

/// Where rows are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The table.
    pub(crate) table: &'static str,
    /// Which of its rows `s`, as SQL: those that the migration has written, where that can be told.
    pub(crate) rows: String,
}

/// Rows that point to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Orphans {
    /// Their table.
    pub(crate) table: &'static str,
    /// The foreign key that they break.
    pub(crate) foreign_key: String,
    /// How many.
    pub(crate) rows: i64,
    /// The first of them, by their primary keys.
    pub(crate) first: String,
}

#[derive(QueryableByName)]
struct Key {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    breaks: String,
    /// What names a row `s`.
    #[diesel(sql_type = Nullable<Text>)]
    shown: Option<String>,
}

/// Each foreign key that is enforced, as the condition by which a row `s` breaks it.
const KEYS: &str = "
SELECT c.conname::text AS name,
       format('%s AND NOT EXISTS (SELECT FROM %I.%I p WHERE %s)', string_agg(format('s.%I IS NOT NULL', a.attname), ' AND '),
              n.nspname, p.relname, string_agg(format('p.%I = s.%I', f.attname, a.attname), ' AND ')) AS breaks,
       (SELECT string_agg(format('s.%I::text', i.attname), ' || '','' || ' ORDER BY i.attnum)
          FROM pg_index x JOIN pg_attribute i ON i.attrelid = x.indrelid AND i.attnum = ANY (x.indkey)
         WHERE x.indrelid = c.conrelid AND x.indisprimary) AS shown
  FROM pg_constraint c
  JOIN pg_class p ON p.oid = c.confrelid
  JOIN pg_namespace n ON n.oid = p.relnamespace
  CROSS JOIN LATERAL unnest(c.conkey, c.confkey) AS k(mine, theirs)
  JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.mine
  JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = k.theirs
 WHERE c.conrelid = format('%I.%I', current_schema(), $1)::regclass AND c.contype = 'f' AND c.conparentid = 0
   AND c.convalidated AND coalesce(to_jsonb(c) ->> 'conenforced', 'true') = 'true'
 GROUP BY c.conname, c.conrelid, n.nspname, p.relname
 ORDER BY 1";

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    rows: i64,
    #[diesel(sql_type = Nullable<Text>)]
    first: Option<String>,
}

/// The rows of some places that have no parent, by foreign key.
///
/// # Errors
/// The database fails.
pub(crate) fn orphans(db: &mut Db, places: &[Place]) -> QueryResult<Vec<Orphans>> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for Place { table, rows } in places {
        let keys: Vec<Key> = diesel::sql_query(KEYS).bind::<Text, _>(table).load(pg)?;
        for Key { name, breaks, shown } in keys {
            let shown = shown.unwrap_or_else(|| "''".to_owned());
            let sql = format!(
                "WITH found AS MATERIALIZED (SELECT {shown} AS key FROM {} s WHERE {rows} AND {breaks}) \
                 SELECT count(*) AS rows, (SELECT string_agg(key, ' ') FROM (SELECT key FROM found ORDER BY 1 LIMIT {NAMED}) f) AS first \
                   FROM found",
                quoted(table)
            );
            let Found { rows, first } = diesel::sql_query(sql).get_result(pg)?;
            if rows > 0 {
                all.push(Orphans { table, foreign_key: name, rows, first: first.unwrap_or_default() });
            }
        }
    }
    Ok(all)
}
