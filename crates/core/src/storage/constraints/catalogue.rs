//! What may be dropped of a table, as the catalogue defines it.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text};

use crate::storage::db::Db;

/// A foreign key or an index that can be dropped and built again exactly.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub(super) struct Droppable {
    #[diesel(sql_type = Text)]
    pub(super) table_name: String,
    #[diesel(sql_type = Text)]
    pub(super) name: String,
    #[diesel(sql_type = Text)]
    pub(super) kind: String,
    #[diesel(sql_type = Text)]
    pub(super) definition: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) refuses: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) tablespace: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) remark: Option<String>,
    /// About how many rows the table has that a foreign key points to.
    #[diesel(sql_type = BigInt)]
    pub(super) parents: i64,
}

/// Left alone is what could not come back exactly or would change what happens meanwhile: foreign keys that are not
/// validated, whose triggers were switched off or that do more than refuse; indexes that are unique, clustered on, a replica
/// identity, not valid, of an extension, or with statistics of their own; all of partitions.
///
/// The condition of a foreign key that points to its own table names that twice: unqualified it is the stage, if there is one.
const DROPPABLE: &str = "
WITH filled AS (
  SELECT t.oid, t.relname FROM pg_class t
   WHERE t.relnamespace = to_regnamespace(current_setting('replant.schema')) AND t.relkind = 'r' AND NOT t.relispartition AND t.relname = ANY ($1))
SELECT t.relname::text AS table_name, c.conname::text AS name, 'foreign key' AS kind, pg_get_constraintdef(c.oid) AS definition,
       k.given || format(' AND NOT EXISTS (SELECT FROM %I.%I p WHERE %s)', n.nspname, p.relname, k.same)
       || CASE WHEN p.oid = t.oid THEN format(' AND NOT EXISTS (SELECT FROM %I p WHERE %s)', p.relname, k.same) ELSE '' END AS refuses,
       NULL AS tablespace, obj_description(c.oid, 'pg_constraint') AS remark, pg_stat_get_live_tuples(p.oid) AS parents
  FROM filled t
  JOIN pg_constraint c ON c.conrelid = t.oid
  JOIN pg_class p ON p.oid = c.confrelid AND p.relkind = 'r'
  JOIN pg_namespace n ON n.oid = p.relnamespace
  CROSS JOIN LATERAL (
    SELECT string_agg(format('s.%I IS NOT NULL', a.attname), ' AND ' ORDER BY k.place) AS given,
           string_agg(format('p.%I = s.%I', f.attname, a.attname), ' AND ' ORDER BY k.place) AS same
      FROM unnest(c.conkey, c.confkey) WITH ORDINALITY AS k(mine, theirs, place)
      JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.mine
      JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = k.theirs) k
 WHERE c.contype = 'f' AND c.convalidated AND c.conparentid = 0 AND c.conislocal
   AND c.confmatchtype = 's' AND c.confdeltype IN ('a', 'r') AND c.confupdtype IN ('a', 'r')
   AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgconstraint = c.oid AND g.tgenabled <> 'O')
UNION ALL
SELECT t.relname::text, i.relname::text, 'index', pg_get_indexdef(i.oid), NULL, s.spcname::text, obj_description(i.oid, 'pg_class'), 0
  FROM filled t
  JOIN pg_index x ON x.indrelid = t.oid
  JOIN pg_class i ON i.oid = x.indexrelid AND i.relkind = 'i' AND NOT i.relispartition
  LEFT JOIN pg_tablespace s ON s.oid = i.reltablespace
 WHERE NOT x.indisunique AND NOT x.indisprimary AND NOT x.indisexclusion AND NOT x.indisclustered AND NOT x.indisreplident
   AND x.indisvalid AND x.indisready
   AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.oid)
   AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.oid AND a.attstattarget >= 0)
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = i.oid AND d.deptype IN ('e', 'x'))
 ORDER BY 1, 3, 2";

/// What can be dropped of some tables.
pub(super) fn droppable(pg: &mut PgConnection, tables: &[String]) -> QueryResult<Vec<Droppable>> {
    qualified(pg, |pg| diesel::sql_query(DROPPABLE).bind::<Array<Text>, _>(tables).load(pg))
}

#[derive(QueryableByName)]
struct Path {
    #[diesel(sql_type = Text)]
    path: String,
}

/// Reads the catalogue with no schema on the search path: definitions then qualify every name. What is set for a
/// transaction outlives a savepoint, so it is set back.
pub(super) fn qualified<T>(
    pg: &mut PgConnection,
    read: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
) -> QueryResult<T> {
    let set = "SELECT set_config('search_path', $1, true)";
    pg.transaction(|pg| {
        let Path { path } = diesel::sql_query("SELECT current_setting('search_path') AS path").get_result(pg)?;
        diesel::sql_query(set).bind::<Text, _>("pg_catalog").execute(pg)?;
        let found = read(pg)?;
        diesel::sql_query(set).bind::<Text, _>(path).execute(pg)?;
        Ok(found)
    })
}

#[derive(QueryableByName)]
struct Lacking {
    #[diesel(sql_type = Text)]
    lacking: String,
}

/// An owner's rights come with membership in the role that owns.
const LACKING: &str = "
SELECT format('membership in `%s`, which owns `%s`', pg_get_userbyid(t.relowner), t.relname) AS lacking
  FROM pg_class t
 WHERE t.relnamespace = to_regnamespace(current_setting('replant.schema')) AND t.relname = ANY ($1) AND NOT pg_has_role(t.relowner, 'USAGE')
UNION
SELECT format('REFERENCES on `%s`', p.relname)
  FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class p ON p.oid = c.confrelid
 WHERE c.contype = 'f' AND t.relnamespace = to_regnamespace(current_setting('replant.schema')) AND t.relname = ANY ($1)
   AND NOT has_table_privilege(p.oid, 'REFERENCES')
UNION
SELECT 'CREATE on the schema ' || to_regnamespace(current_setting('replant.schema'))::text
 WHERE NOT has_schema_privilege(to_regnamespace(current_setting('replant.schema')), 'CREATE')
 ORDER BY 1";

/// The rights that the user lacks to drop and build what these tables have.
///
/// # Errors
/// The catalogue cannot be read.
pub(crate) fn lacking_rights(db: &mut Db, tables: &[String]) -> QueryResult<Vec<String>> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    let lacking: Vec<Lacking> = diesel::sql_query(LACKING).bind::<Array<Text>, _>(tables).load(pg)?;
    Ok(lacking.into_iter().map(|right| right.lacking).collect())
}
