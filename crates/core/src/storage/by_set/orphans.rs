//! Rows without a parent, looked for once more when all is written: by a query that knows nothing of sets.

use diesel::connection::SimpleConnection;
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
struct Rows {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

#[derive(QueryableByName)]
struct First {
    #[diesel(sql_type = Nullable<Text>)]
    first: Option<String>,
}

/// Tables that were just filled have no statistics: the planner would take what is ours for a few rows, and look for each of them,
/// and for its parent, by an index.
const AS_A_WHOLE: &str = "SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off; \
                          SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off";

/// The rows of some places that have no parent, by foreign key.
///
/// # Errors
/// The database fails.
pub(crate) fn orphans(db: &mut Db, places: &[Place]) -> QueryResult<Vec<Orphans>> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    pg.transaction(|pg| {
        pg.batch_execute(AS_A_WHOLE)?;
        let mut all = Vec::new();
        for place in places {
            let keys: Vec<Key> = diesel::sql_query(KEYS).bind::<Text, _>(place.table).load(pg)?;
            for key in keys {
                all.extend(of(pg, place, key)?);
            }
        }
        Ok(all)
    })
}

fn of(pg: &mut PgConnection, place: &Place, key: Key) -> QueryResult<Option<Orphans>> {
    let Place { table, rows } = place;
    let Key { name: foreign_key, breaks, shown } = key;
    let found = format!("FROM {} s WHERE {rows} AND {breaks}", quoted(table));
    // By itself, so that the server can let several processes count.
    let Rows { rows } = diesel::sql_query(format!("SELECT count(*) AS rows {found}")).get_result(pg)?;
    if rows == 0 {
        return Ok(None);
    }
    let shown = shown.unwrap_or_else(|| "''".to_owned());
    let first =
        format!("SELECT string_agg(key, ' ') AS first FROM (SELECT {shown} AS key {found} ORDER BY 1 LIMIT {NAMED}) f");
    let First { first } = diesel::sql_query(first).get_result(pg)?;
    Ok(Some(Orphans { table, foreign_key, rows, first: first.unwrap_or_default() }))
}
