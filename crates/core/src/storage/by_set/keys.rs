//! The foreign keys of a table, and what keeps a set from checking them as the server does.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Untyped};

use crate::storage::db::Db;
use crate::storage::shape::TableShape;

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
    /// The parent's table, and as SQL names it.
    pub(super) parent_name: String,
    pub(super) parent: String,
    /// Its oid: another table may take its name at any time.
    pub(super) parent_oid: i64,
    /// The operators by which PostgreSQL compares the columns, as SQL names them.
    pub(super) operators: Vec<String>,
    /// The parent's columns, in the order of `columns`.
    pub(super) parent_columns: Vec<String>,
    /// Their types, as SQL names them.
    pub(super) types: Vec<String>,
    /// The columns of the table itself.
    pub(super) columns: Vec<String>,
    /// Which of those may get a value where none is given.
    pub(super) defaults: Vec<bool>,
}

/// What the catalogue says of a foreign key, or of something else that is in the way (without columns).
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    parent_name: String,
    #[diesel(sql_type = Text)]
    parent: String,
    #[diesel(sql_type = BigInt)]
    parent_oid: i64,
    #[diesel(sql_type = Array<Text>)]
    operators: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    columns: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    parent_columns: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    types: Vec<String>,
    /// Which of the columns may get a value where none is given.
    #[diesel(sql_type = Array<Bool>)]
    defaults: Vec<bool>,
    #[diesel(sql_type = Nullable<Text>)]
    why: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    mend: Option<String>,
}

/// The table that is asked about.
const OF: &str = "
WITH of AS (SELECT t.oid, t.relname, t.relkind, t.relispartition FROM pg_class t WHERE t.oid = format('%I.%I', current_schema(), ";

/// In replica mode no trigger of the table fires on a COPY but those that are meant for it: each trigger on INSERT must be that of
/// a foreign key which the set checks. The catalogue of an older server lacks some columns, so these are read as JSON.
const ROWS: &str = ")::regclass)
SELECT c.conname::text AS name, p.relname::text AS parent_name, format('%I.%I', n.nspname, p.relname) AS parent, p.oid::bigint AS parent_oid,
       k.operators, k.columns, k.parent_columns, k.types, k.defaults,
       CASE WHEN c.condeferrable THEN 'is deferrable'
            WHEN NOT c.convalidated THEN 'is not validated'
            WHEN c.confmatchtype <> 's' THEN 'is not MATCH SIMPLE'
            WHEN j.of ->> 'conenforced' = 'false' THEN 'is not enforced'
            WHEN j.of ->> 'conperiod' = 'true' THEN 'has a period'
            WHEN c.conparentid <> 0 OR p.relkind <> 'r' OR p.relispartition THEN 'leads to a partitioned table'
            WHEN row_security_active(p.oid) THEN 'leads to a table with row-level security'
            WHEN NOT k.same_types THEN 'compares columns of unequal types'
            WHEN NOT k.exact THEN 'compares texts by a collation of its own'
            WHEN EXISTS (SELECT FROM pg_trigger g WHERE g.tgconstraint = c.oid AND g.tgenabled <> 'O') THEN 'is not checked as usual (ALTER TABLE ... TRIGGER)'
            WHEN NOT has_schema_privilege(n.oid, 'USAGE') OR NOT has_table_privilege(p.oid, 'SELECT') OR NOT has_any_column_privilege(p.oid, 'UPDATE')
            THEN format('leads to `%s`, whose rows the database user may not lock', p.relname) END AS why,
       CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE') OR NOT has_table_privilege(p.oid, 'SELECT') OR NOT has_any_column_privilege(p.oid, 'UPDATE')
            THEN format('GRANT USAGE ON SCHEMA %I TO %I; GRANT SELECT, UPDATE ON %I.%I TO %I;', n.nspname, current_user, n.nspname, p.relname, current_user) END AS mend
  FROM of
  JOIN pg_constraint c ON c.conrelid = of.oid AND c.contype = 'f'
  JOIN pg_class p ON p.oid = c.confrelid
  JOIN pg_namespace n ON n.oid = p.relnamespace
  CROSS JOIN LATERAL (SELECT to_jsonb(c) AS of) j
  CROSS JOIN LATERAL (
    SELECT array_agg(a.attname::text ORDER BY k.place) AS columns, array_agg(f.attname::text ORDER BY k.place) AS parent_columns,
           array_agg(format_type(f.atttypid, -1) ORDER BY k.place) AS types,
           array_agg(format('OPERATOR(%I.%s)', s.nspname, e.oprname) ORDER BY k.place) AS operators,
           array_agg(a.atthasdef OR a.attidentity <> '' OR y.typtype = 'd' ORDER BY k.place) AS defaults,
           bool_and(a.atttypid = f.atttypid AND a.attcollation = f.attcollation) AS same_types,
           bool_and(coalesce(o.collisdeterministic, true)) AS exact
      FROM unnest(c.conkey, c.confkey, c.conpfeqop) WITH ORDINALITY AS k(mine, theirs, equal, place)
      JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.mine
      JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = k.theirs
      JOIN pg_type y ON y.oid = a.atttypid
      JOIN pg_operator e ON e.oid = k.equal
      JOIN pg_namespace s ON s.oid = e.oprnamespace
      LEFT JOIN pg_collation o ON o.oid = a.attcollation) k
UNION ALL
SELECT g.tgname::text, '', '', 0, '{}', '{}', '{}', '{}', '{}', format('the trigger `%s` fires on INSERT', coalesce(c.conname, g.tgname)), NULL
  FROM of JOIN pg_trigger g ON g.tgrelid = of.oid
  LEFT JOIN pg_constraint c ON c.oid = g.tgconstraint
 WHERE (g.tgtype & 4) <> 0 AND (c.contype = 'f' AND c.conrelid = of.oid) IS NOT TRUE
UNION ALL
SELECT r.rulename::text, '', '', 0, '{}', '{}', '{}', '{}', '{}', format('the table has the rule `%s`', r.rulename), NULL
  FROM of JOIN pg_rewrite r ON r.ev_class = of.oid
UNION ALL
SELECT of.relname::text, '', '', 0, '{}', '{}', '{}', '{}', '{}', 'the table has partitions, or is one', NULL
  FROM of WHERE of.relkind <> 'r' OR of.relispartition
UNION ALL
SELECT of.relname::text, '', '', 0, '{}', '{}', '{}', '{}', '{}', 'the database user may not lock the table',
       format('GRANT UPDATE ON %s TO %I;', of.oid::regclass, current_user)
  FROM of WHERE NOT has_table_privilege(of.oid, 'UPDATE') AND NOT has_table_privilege(of.oid, 'DELETE')
 ORDER BY 1";

/// What the catalogue says of a table. It is asked for each COPY, and to plan that costs four times as much as to answer: a session
/// keeps it prepared.
#[derive(QueryId)]
struct Catalogue {
    table: String,
}

impl Query for Catalogue {
    type SqlType = Untyped;
}

impl diesel::RunQueryDsl<PgConnection> for Catalogue {}

impl QueryFragment<Pg> for Catalogue {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(OF);
        out.push_bind_param::<Text, _>(&self.table)?;
        out.push_sql(ROWS);
        Ok(())
    }
}

/// The foreign keys of a table; what is in the way of a set, where something is. As long as the table is not locked, either may
/// change.
///
/// # Errors
/// The catalogue cannot be read, or the table is missing.
pub(super) fn of(pg: &mut PgConnection, table: &str) -> QueryResult<Result<Vec<ForeignKey>, Vec<Obstacle>>> {
    let rows: Vec<Row> = Catalogue { table: table.to_owned() }.load(pg)?;
    // What else is on a table without foreign keys is in nobody's way.
    if rows.iter().all(|row| row.columns.is_empty()) {
        return Ok(Ok(Vec::new()));
    }
    let (mut keys, mut obstacles) = (Vec::new(), Vec::new());
    for row in rows {
        match row.judged() {
            Ok(key) => keys.push(key),
            Err(obstacle) => obstacles.push(obstacle),
        }
    }
    Ok(if obstacles.is_empty() { Ok(keys) } else { Err(obstacles) })
}

/// What is in the way of checking the foreign keys of a table by sets, given the columns that are known of it; none of a table
/// that has no foreign key.
///
/// # Errors
/// The catalogue cannot be read, or the table is missing.
pub(crate) fn obstacles(db: &mut Db, table: &str, known: Option<&TableShape>) -> QueryResult<Vec<Obstacle>> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    let keys = match of(pg, table)? {
        Ok(keys) => keys,
        Err(obstacles) => return Ok(obstacles),
    };
    let Some(known) = known else { return Ok(Vec::new()) };
    let is_known = |column: &str| known.columns.iter().any(|known| known.name == column);
    let filled = |key: &ForeignKey| {
        let columns = key.columns.iter().zip(&key.defaults);
        columns.filter(|(column, default)| **default && !is_known(column)).map(|(column, _)| column.clone()).next()
    };
    let filled = keys.iter().filter_map(|key| Some((key, filled(key)?)));
    let why = |key: &ForeignKey, column| {
        format!("the foreign key `{}` has the column `{column}`, which the server fills", key.name)
    };
    Ok(filled.map(|(key, column)| Obstacle { why: why(key, column), mend: None }).collect())
}

impl Row {
    /// The key that a set checks.
    fn judged(self) -> Result<ForeignKey, Obstacle> {
        let Self {
            name,
            parent_name,
            parent,
            parent_oid,
            operators,
            columns,
            parent_columns,
            types,
            defaults,
            why,
            mend,
        } = self;
        match why {
            None => Ok(ForeignKey {
                name,
                parent_name,
                parent,
                parent_oid,
                operators,
                parent_columns,
                types,
                columns,
                defaults,
            }),
            Some(why) if columns.is_empty() => Err(Obstacle { why, mend }),
            Some(why) => Err(Obstacle { why: format!("the foreign key `{name}` {why}"), mend }),
        }
    }
}
