//! What points to rows of a table: every foreign key of the database that leads there, of tables that nobody here knows as well.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::db::{Backend, Db};
use super::imprint::{Columns, Reading, Value};
use super::ledger::changes::RowName;
use super::ledger::plan::Ours;
use super::sql::{literal, quoted};

/// A foreign key that leads to a table.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct Pointing {
    /// The table that points, if it is one of the platform's schema.
    #[diesel(sql_type = Nullable<Text>)]
    of: Option<String>,
    /// The same, as SQL names it.
    #[diesel(sql_type = Text)]
    pub(crate) place: String,
    /// Whether its rows have an `id`.
    #[diesel(sql_type = Bool)]
    has_id: bool,
    /// The condition by which its row `p` points to row `t`.
    #[diesel(sql_type = Text)]
    condition: String,
    /// Its first column.
    #[diesel(sql_type = Text)]
    pub(crate) column: String,
    /// The columns by which a row of that table is known, as JSON: a list.
    #[diesel(sql_type = Text)]
    key: String,
    /// The tables to which that table points, by the columns that do, as JSON.
    #[diesel(sql_type = Text)]
    parents: String,
    /// Whether an index begins with the first column.
    #[diesel(sql_type = Bool)]
    pub(crate) is_indexed: bool,
    /// How large the table is.
    #[diesel(sql_type = BigInt)]
    pub(crate) bytes: i64,
    /// Whether the user may read it.
    #[diesel(sql_type = Bool)]
    pub(crate) may_read: bool,
    /// Whether the user may make an index of it.
    #[diesel(sql_type = Bool)]
    pub(crate) may_index: bool,
}

const POINTING: &str = "
SELECT CASE WHEN n.nspname = current_schema() THEN t.relname::text END AS of, format('%I.%I', n.nspname, t.relname) AS place,
       EXISTS (SELECT FROM pg_attribute i WHERE i.attrelid = t.oid AND i.attname = 'id' AND NOT i.attisdropped) AS has_id,
       k.condition, k.first AS column,
       coalesce((SELECT json_agg(a.attname::text ORDER BY a.attnum) FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey)
                  WHERE x.indrelid = t.oid AND x.indisprimary), '[]')::text AS key,
       (SELECT coalesce(json_object_agg(i.attname, r.relname), '{}')::text
          FROM pg_constraint o JOIN pg_class r ON r.oid = o.confrelid
          JOIN pg_attribute i ON i.attrelid = o.conrelid AND i.attnum = o.conkey[1]
         WHERE o.conrelid = t.oid AND o.contype = 'f' AND n.nspname = current_schema()) AS parents,
       EXISTS (SELECT FROM pg_index x WHERE x.indrelid = t.oid AND x.indisvalid AND x.indpred IS NULL AND x.indkey[0] = c.conkey[1]
                  AND NOT EXISTS (SELECT FROM pg_class i WHERE i.oid = x.indexrelid AND starts_with(i.relname, 'replant_undo_'))) AS is_indexed,
       pg_relation_size(t.oid)::bigint AS bytes, has_table_privilege(t.oid, 'SELECT') AS may_read,
       pg_has_role(t.relowner, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE') AS may_index
  FROM pg_constraint c
  JOIN pg_class t ON t.oid = c.conrelid
  JOIN pg_namespace n ON n.oid = t.relnamespace
 CROSS JOIN LATERAL (
   SELECT string_agg(format('p.%I = t.%I', a.attname, f.attname), ' AND ') AS condition, min(a.attname::text) FILTER (WHERE k.place = 1) AS first
     FROM unnest(c.conkey, c.confkey) WITH ORDINALITY AS k(mine, theirs, place)
     JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.mine
     JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = k.theirs) k
 WHERE c.confrelid = to_regclass(format('%I.%I', current_schema(), $1)) AND c.contype = 'f' AND c.conparentid = 0
 ORDER BY c.oid";
const POINTING_LITE: &str = "
SELECT m.name AS of, format('\"%w\"', m.name) AS place,
       EXISTS (SELECT 1 FROM pragma_table_info(m.name) i WHERE i.name = 'id') AS has_id,
       format('p.\"%w\" = t.\"%w\"', f.\"from\", coalesce(f.\"to\", 'id')) AS condition, f.\"from\" AS \"column\",
       (SELECT json_group_array(i.name) FROM pragma_table_info(m.name) i WHERE i.pk > 0) AS key,
       (SELECT json_group_object(o.\"from\", o.\"table\") FROM pragma_foreign_key_list(m.name) o) AS parents,
       1 AS is_indexed, 0 AS bytes, 1 AS may_read, 1 AS may_index
  FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f
 WHERE m.type = 'table' AND f.\"table\" = $1";

/// The foreign keys that lead to a table.
///
/// # Errors
/// The catalogue cannot be read.
pub(crate) fn pointing(db: &mut Db, table: &str) -> QueryResult<Vec<Pointing>> {
    let sql = match db.backend() {
        Backend::Postgres => POINTING,
        Backend::Sqlite | Backend::MariaDb => POINTING_LITE,
    };
    diesel::sql_query(sql.replace("$1", &literal(table))).load(db)
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Which of some ids rows of a table have.
///
/// # Errors
/// The database fails.
pub(crate) fn there(db: &mut Db, table: &str, ids: &[i64]) -> QueryResult<Vec<i64>> {
    let mut there = Vec::new();
    for some in ids.chunks(AT_ONCE) {
        let ids: Vec<String> = some.iter().map(ToString::to_string).collect();
        let sql = format!("SELECT id FROM {} WHERE id IN ({})", quoted(table), ids.join(", "));
        there.extend(diesel::sql_query(sql).load::<Id>(db)?.into_iter().map(|row| row.id));
    }
    Ok(there)
}

/// Whether anything points to rows `t` of a table for which a condition holds. They are locked, so that nothing comes to do so.
///
/// # Errors
/// The database fails: what may not be read, say, may point to one.
pub(crate) fn is_pointed(db: &mut Db, table: &str, condition: &str) -> QueryResult<bool> {
    for key in pointing(db, table)? {
        if key.points(db, table, condition, "")? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Who points to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PointedBy {
    Nobody,
    /// Rows that the migration made, and only those.
    Ours,
    /// Rows that it did not make, or that it cannot tell from such.
    Others,
}

/// Who points to rows `t` of a table for which a condition holds, and which are to go. Where a foreign key says ON DELETE CASCADE or SET
/// NULL, a server deletes what points, or empties the column, without a word; where it does not, it refuses. The rows are locked, so that
/// nothing comes to point to them meanwhile.
///
/// # Errors
/// The database fails: what may not be read, say, may point to one.
pub(crate) fn pointed_by(db: &mut Db, table: &str, condition: &str, ours: &Ours) -> QueryResult<PointedBy> {
    let mut by = PointedBy::Nobody;
    for key in pointing(db, table)? {
        if key.points(db, table, condition, "")? {
            let others = match key.is_ours(ours) {
                Some(is_ours) => key.points(db, table, condition, &format!(" AND NOT ({is_ours})"))?,
                None => true,
            };
            by = by.max(if others { PointedBy::Others } else { PointedBy::Ours });
        }
    }
    Ok(by)
}

/// A row that points to another one.
#[derive(Debug, Clone)]
pub(crate) struct Pointer {
    /// The key of the row that it points to.
    pub(crate) to: Vec<Value>,
    /// Its table, if it is one of the platform's schema.
    pub(crate) of: Option<String>,
    /// Which row it is.
    pub(crate) row: RowName,
    /// Whether it has one of our ids, or stands between rows that have.
    pub(crate) is_ours: bool,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    parent: String,
    #[diesel(sql_type = Text)]
    child: String,
}

impl Pointing {
    /// Whether its rows `p`, with `more` of a condition, point to rows `t` of a table for which a condition holds.
    fn points(&self, db: &mut Db, table: &str, condition: &str, more: &str) -> QueryResult<bool> {
        let sql = format!(
            "SELECT count(*) AS id FROM {} t WHERE {condition} AND EXISTS (SELECT 1 FROM {} p WHERE {}{more})",
            quoted(table),
            self.place,
            self.condition
        );
        Ok(diesel::sql_query(sql).get_result::<Id>(db)?.id > 0)
    }

    /// The condition by which its row `p` is one of ours. None: it cannot be told.
    fn is_ours(&self, ours: &Ours) -> Option<String> {
        if let Some(of) = self.of.as_ref().filter(|_| self.has_id) {
            return Some(ours.condition(of, "p.\"id\""));
        }
        // What stands between rows of ours, and nothing else, is taken for one.
        let between = self.between();
        let all = between.iter().map(|(column, of)| ours.condition(of, &format!("p.{}", quoted(column))));
        (between.len() > 1).then(|| all.collect::<Vec<_>>().join(" AND "))
    }

    /// The tables to which its table points, by the columns that do.
    fn between(&self) -> BTreeMap<String, String> {
        serde_json::from_str(&self.parents).unwrap_or_default()
    }

    /// The rows that point to some rows of a table, by its `reading`.
    ///
    /// # Errors
    /// The database fails: what may not be read, say, may point to it.
    pub(crate) fn rows(
        &self,
        db: &mut Db,
        reading: &Reading,
        keys: &[Vec<Value>],
        ours: &Ours,
    ) -> QueryResult<Vec<Pointer>> {
        let backend = db.backend();
        let key: Vec<String> = serde_json::from_str(&self.key).unwrap_or_default();
        let between = self.between();
        let object = |alias: &str, names: &mut dyn Iterator<Item = &str>| {
            let pairs: Vec<String> = names.map(|name| format!("{}, {alias}.{}", literal(name), quoted(name))).collect();
            let function = if backend == Backend::Postgres { "json_build_object" } else { "json_object" };
            match (pairs.is_empty(), backend) {
                (true, Backend::Postgres) => format!("json_build_object('ctid', {alias}.ctid::text)::text"),
                (false, Backend::Postgres) => format!("{function}({})::text", pairs.join(", ")),
                _ => format!("{function}({})", pairs.join(", ")),
            }
        };
        let named = key.iter().chain(between.keys()).collect::<std::collections::BTreeSet<_>>();
        let (parent, child) = (
            object("t", &mut reading.keyed().iter().map(|(name, _)| name.as_str())),
            object("p", &mut named.iter().map(|name| name.as_str())),
        );
        let mut pointers = Vec::new();
        for some in keys.chunks(AT_ONCE) {
            let sql = format!(
                "SELECT {parent} AS parent, {child} AS child FROM {} t JOIN {} p ON {} WHERE {}",
                quoted(reading.table()),
                self.place,
                self.condition,
                reading.among("t", some.iter(), backend)
            );
            for Found { parent, child } in diesel::sql_query(sql).load(db)? {
                let parent: Columns = serde_json::from_str(&parent).unwrap_or_default();
                let child: Columns = serde_json::from_str(&child).unwrap_or_default();
                let value = |(name, kind): &(String, _)| parent.get(name).map(|json| Value::from_json(json, *kind));
                let Some(to) = reading.keyed().iter().map(value).collect() else { continue };
                let row: Columns = match key.is_empty() {
                    true => child.clone(),
                    false => child
                        .iter()
                        .filter(|(name, _)| key.contains(name))
                        .map(|(n, v)| (n.clone(), v.clone()))
                        .collect(),
                };
                let row = RowName::of_key(&row);
                let is_one = |(column, table): (&String, &String)| {
                    child.get(column).and_then(serde_json::Value::as_i64).is_some_and(|id| ours.made(table, id))
                };
                let is_ours = match (&row, &self.of) {
                    (RowName::Id(id), Some(of)) => ours.made(of, *id),
                    // What stands between rows of ours, and nothing else, is taken for one.
                    _ => between.len() > 1 && between.iter().all(is_one),
                };
                pointers.push(Pointer { to, of: self.of.clone(), row, is_ours });
            }
        }
        Ok(pointers)
    }
}

/// Rows that are asked for at once.
const AT_ONCE: usize = 5_000;
