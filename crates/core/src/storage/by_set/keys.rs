//! The foreign keys of a table, and what keeps a set from checking them as the server does.

use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Nullable, Text};

use crate::storage::db::Db;

/// Why the foreign keys of a table are checked by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Obstacle {
    /// Why, in a clause that holds names alone.
    pub(crate) why: String,
    /// The statement that mends it, where one does.
    pub(crate) mend: Option<String>,
}

/// A foreign key that a set can check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ForeignKey {
    pub(super) name: String,
    /// The parent's table, as SQL names it.
    pub(super) parent: String,
    /// The parent's columns, in the order of `columns`.
    pub(super) parent_columns: Vec<String>,
    /// Their types, as SQL names them.
    pub(super) types: Vec<String>,
    /// The columns of the table itself.
    pub(super) columns: Vec<String>,
    /// Which of those get a value where none is given.
    pub(super) defaults: Vec<bool>,
}

/// What the catalogue says of a foreign key, or of something else that is in the way (without columns).
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    parent: String,
    #[diesel(sql_type = Array<Text>)]
    columns: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    parent_columns: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    types: Vec<String>,
    /// Which of the columns get a value where none is given.
    #[diesel(sql_type = Array<Bool>)]
    defaults: Vec<bool>,
    #[diesel(sql_type = Nullable<Text>)]
    why: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    mend: Option<String>,
}

/// In replica mode no trigger of the table fires on a COPY but those that are meant for it: each trigger on INSERT must be that of
/// a foreign key which the set checks. The catalogue of an older server lacks some columns, so these are read as JSON.
const ROWS: &str = "
WITH of AS (SELECT t.oid, t.relname, t.relkind, t.relispartition FROM pg_class t WHERE t.oid = format('%I.%I', current_schema(), $1)::regclass)
SELECT c.conname::text AS name, format('%I.%I', n.nspname, p.relname) AS parent,
       k.columns, k.parent_columns, k.types, k.defaults,
       CASE WHEN c.condeferrable THEN 'is deferrable'
            WHEN NOT c.convalidated THEN 'is not validated'
            WHEN c.confmatchtype <> 's' THEN 'is not MATCH SIMPLE'
            WHEN j.of ->> 'conenforced' = 'false' THEN 'is not enforced'
            WHEN j.of ->> 'conperiod' = 'true' THEN 'has a period'
            WHEN c.conparentid <> 0 OR p.relkind <> 'r' OR p.relispartition THEN 'leads to a partitioned table'
            WHEN row_security_active(p.oid) THEN 'leads to a table with row-level security'
            WHEN NOT k.same_types THEN 'compares columns of unequal types'
            WHEN NOT k.exact THEN 'compares texts by a collation of its own'
            WHEN EXISTS (SELECT FROM pg_trigger g WHERE g.tgconstraint = c.oid AND g.tgenabled <> 'O') THEN 'is switched off'
            WHEN NOT has_table_privilege(p.oid, 'SELECT') OR NOT has_any_column_privilege(p.oid, 'UPDATE')
            THEN format('leads to `%s`, whose rows the database user may not lock', p.relname) END AS why,
       CASE WHEN NOT has_table_privilege(p.oid, 'SELECT') OR NOT has_any_column_privilege(p.oid, 'UPDATE')
            THEN format('GRANT SELECT, UPDATE ON %s TO %I;', p.oid::regclass, current_user) END AS mend
  FROM of
  JOIN pg_constraint c ON c.conrelid = of.oid AND c.contype = 'f'
  JOIN pg_class p ON p.oid = c.confrelid
  JOIN pg_namespace n ON n.oid = p.relnamespace
  CROSS JOIN LATERAL (SELECT to_jsonb(c) AS of) j
  CROSS JOIN LATERAL (
    SELECT array_agg(a.attname::text ORDER BY k.place) AS columns, array_agg(f.attname::text ORDER BY k.place) AS parent_columns,
           array_agg(format_type(f.atttypid, f.atttypmod) ORDER BY k.place) AS types,
           array_agg(a.atthasdef OR a.attidentity <> '' ORDER BY k.place) AS defaults,
           bool_and(a.atttypid = f.atttypid AND a.attcollation = f.attcollation) AS same_types,
           bool_and(coalesce(o.collisdeterministic, true)) AS exact
      FROM unnest(c.conkey, c.confkey) WITH ORDINALITY AS k(mine, theirs, place)
      JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.mine
      JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = k.theirs
      LEFT JOIN pg_collation o ON o.oid = a.attcollation) k
UNION ALL
SELECT g.tgname::text, '', '{}', '{}', '{}', '{}', format('the trigger `%s` fires on INSERT', coalesce(c.conname, g.tgname)), NULL
  FROM of JOIN pg_trigger g ON g.tgrelid = of.oid
  LEFT JOIN pg_constraint c ON c.oid = g.tgconstraint
 WHERE (g.tgtype & 4) <> 0 AND (c.contype = 'f' AND c.conrelid = of.oid) IS NOT TRUE
UNION ALL
SELECT r.rulename::text, '', '{}', '{}', '{}', '{}', format('the table has the rule `%s`', r.rulename), NULL
  FROM of JOIN pg_rewrite r ON r.ev_class = of.oid
UNION ALL
SELECT of.relname::text, '', '{}', '{}', '{}', '{}', 'the table has partitions, or is one', NULL
  FROM of WHERE of.relkind <> 'r' OR of.relispartition
UNION ALL
SELECT of.relname::text, '', '{}', '{}', '{}', '{}', 'the database user may not lock the table',
       format('GRANT UPDATE ON %s TO %I;', of.oid::regclass, current_user)
  FROM of WHERE NOT has_table_privilege(of.oid, 'UPDATE') AND NOT has_table_privilege(of.oid, 'DELETE')
 ORDER BY 1";

/// The foreign keys of a table; what is in the way of a set, where something is. As long as the table is not locked, either may
/// change.
///
/// # Errors
/// The catalogue cannot be read, or the table is missing.
pub(super) fn of(pg: &mut PgConnection, table: &str) -> QueryResult<Result<Vec<ForeignKey>, Vec<Obstacle>>> {
    let rows: Vec<Row> = diesel::sql_query(ROWS).bind::<Text, _>(table).load(pg)?;
    let (mut keys, mut obstacles) = (Vec::new(), Vec::new());
    for row in rows {
        match row.judged() {
            Ok(key) => keys.push(key),
            Err(obstacle) => obstacles.push(obstacle),
        }
    }
    Ok(if obstacles.is_empty() { Ok(keys) } else { Err(obstacles) })
}

/// What is in the way of checking the foreign keys of a table by sets; none of a table that has no foreign key.
///
/// # Errors
/// The catalogue cannot be read, or the table is missing.
pub(crate) fn obstacles(db: &mut Db, table: &str) -> QueryResult<Vec<Obstacle>> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    Ok(of(pg, table)?.err().unwrap_or_default())
}

impl Row {
    /// The key that a set checks.
    fn judged(self) -> Result<ForeignKey, Obstacle> {
        let Self { name, parent, columns, parent_columns, types, defaults, why, mend } = self;
        match why {
            None => Ok(ForeignKey { name, parent, parent_columns, types, columns, defaults }),
            Some(why) if columns.is_empty() => Err(Obstacle { why, mend }),
            Some(why) => Err(Obstacle { why: format!("the foreign key `{name}` {why}"), mend }),
        }
    }
}
