//! The stage: a temporary table of the same name, in which the target's own constraints find the rows that they refuse.
//!
//! A table in `pg_temp` hides the public one of its name, so the same COPY fills it.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::{Batch, Insert, Replace, Tx};
use crate::storage::constraints;
use crate::storage::db::Db;
use crate::storage::failure::Failure;

/// A number that counts the staged rows in the order of the batch, from 1.
pub(super) const ROW: &str = "replant_row";

#[derive(QueryableByName)]
struct Staged {
    #[diesel(sql_type = BigInt)]
    replant_row: i64,
}

#[derive(QueryableByName)]
struct Constraint {
    #[diesel(sql_type = Text)]
    name: String,
    /// SQL that is true for a staged row `s` which the constraint refuses.
    #[diesel(sql_type = Text)]
    refuses: String,
}

/// NOT NULL, CHECK and FOREIGN KEY constraints, each as the condition by which it refuses a row. The catalogue writes
/// them: no constraint of the platform is known to the code.
const CONSTRAINTS: &str = "
SELECT a.attname || ' is not null' AS name, format('s.%I IS NULL', a.attname) AS refuses, 1 AS place
  FROM pg_attribute a
 WHERE a.attrelid = format('public.%I', $1)::regclass AND a.attnum > 0 AND a.attnotnull AND NOT a.attisdropped
UNION ALL
SELECT c.conname, format('NOT (%s)', pg_get_expr(c.conbin, c.conrelid)), 2
  FROM pg_constraint c WHERE c.conrelid = format('public.%I', $1)::regclass AND c.contype = 'c'
UNION ALL
SELECT c.conname,
       format('%s AND NOT EXISTS (SELECT FROM %I.%I p WHERE %s)',
              string_agg(format('s.%I IS NOT NULL', a.attname), ' AND '), n.nspname, t.relname,
              string_agg(format('p.%I = s.%I', f.attname, a.attname), ' AND '))
       -- A row may point to another one of its batch.
       || CASE WHEN c.confrelid = c.conrelid THEN
            format(' AND NOT EXISTS (SELECT FROM pg_temp.%I p WHERE %s)', t.relname,
                   string_agg(format('p.%I = s.%I', f.attname, a.attname), ' AND ')) ELSE '' END, 3
  FROM pg_constraint c
  JOIN pg_class t ON t.oid = c.confrelid
  JOIN pg_namespace n ON n.oid = t.relnamespace
  CROSS JOIN LATERAL unnest(c.conkey, c.confkey) AS k(mine, theirs)
  JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.mine
  JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = k.theirs
 WHERE c.conrelid = format('public.%I', $1)::regclass AND c.contype = 'f'
 GROUP BY c.conname, c.conrelid, c.confrelid, n.nspname, t.relname
 ORDER BY place, name";

#[derive(QueryableByName)]
pub(super) struct KeyColumn {
    #[diesel(sql_type = Text)]
    pub(super) name: String,
}

pub(super) const PRIMARY_KEY: &str = "
SELECT a.attname::text AS name
  FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
 WHERE i.indrelid = format('public.%I', $1)::regclass AND i.indisprimary ORDER BY a.attnum";

#[derive(QueryableByName)]
struct Defaults {
    #[diesel(sql_type = Text)]
    actions: String,
}

/// A model may leave columns to their defaults: the stage has them too.
const DEFAULTS: &str = "
SELECT coalesce(string_agg(format(', ALTER COLUMN %I SET DEFAULT %s', a.attname, CASE a.attidentity WHEN '' THEN pg_get_expr(d.adbin, d.adrelid)
         ELSE format('nextval(%L)', pg_get_serial_sequence(format('public.%I', $1), a.attname)) END), ''), '') AS actions
  FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = format('public.%I', $1)::regclass AND a.attnum > 0 AND NOT a.attisdropped
   AND (a.attidentity <> '' OR (d.adbin IS NOT NULL AND a.attgenerated = ''))";

/// Inserts a batch through a stage. The units of rows that a constraint refuses are refused in `tx`.
pub(super) fn insert<T: Insert>(tx: &mut Tx<'_>, batch: &Batch<T>) -> QueryResult<()> {
    let shape = T::shape();
    let table = quoted(shape.name);
    let columns = shape.columns.iter().map(|c| quoted(c.name)).collect::<Vec<_>>().join(", ");
    let Db::Pg(pg) = &mut *tx.db else { unreachable!("only PostgreSQL stages") };
    open(pg, shape.name)?;
    T::copy(pg, &batch.rows)?;

    let mut refused: Vec<(usize, String)> = Vec::new();
    let mut constraints = diesel::sql_query(CONSTRAINTS).bind::<Text, _>(shape.name).load::<Constraint>(pg)?;
    let dropped = constraints::dropped_keys(pg, shape.name)?;
    constraints.extend(dropped.into_iter().map(|key| Constraint { name: key.name, refuses: key.refuses }));
    for constraint in constraints {
        let sql = format!("DELETE FROM pg_temp.{table} s WHERE {} RETURNING s.{ROW}", constraint.refuses);
        for row in diesel::sql_query(sql).load::<Staged>(pg)? {
            refused.push((place(row.replant_row), constraint.name.clone()));
        }
    }

    let key = diesel::sql_query(PRIMARY_KEY).bind::<Text, _>(shape.name).load::<KeyColumn>(pg)?;
    let key_columns = key.iter().map(|k| quoted(&k.name)).collect::<Vec<_>>();
    let same = key_columns.iter().map(|c| format!("i.{c} = s.{c}")).collect::<Vec<_>>().join(" AND ");
    // Of rows with one key only the first can go in: what came back could not tell them apart.
    let sql = format!(
        "DELETE FROM pg_temp.{table} s USING (SELECT {ROW}, row_number() OVER (PARTITION BY {0} ORDER BY {ROW}) AS nth FROM pg_temp.{table}) d \
         WHERE d.{ROW} = s.{ROW} AND d.nth > 1 RETURNING s.{ROW}",
        key_columns.join(", ")
    );
    let mut taken = diesel::sql_query(sql).load::<Staged>(pg)?;
    let sql = format!(
        "WITH inserted AS (INSERT INTO public.{table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM pg_temp.{table} ORDER BY {ROW} \
         ON CONFLICT DO NOTHING RETURNING {}) \
         SELECT s.{ROW} FROM pg_temp.{table} s WHERE NOT EXISTS (SELECT FROM inserted i WHERE {same})",
        key_columns.join(", ")
    );
    taken.extend(diesel::sql_query(sql).load::<Staged>(pg)?);
    let mut taken: Vec<usize> = taken.iter().map(|row| place(row.replant_row)).collect();
    taken.sort_unstable();
    diesel::sql_query(format!("DROP TABLE pg_temp.{table}")).execute(pg)?;

    // Which unique index it was, only the server can say: the few rows are tried again one by one.
    for place in taken {
        let row = &batch.rows[place..=place];
        match pg.transaction(|pg| T::copy(pg, row)) {
            Ok(_) => {}
            Err(error) => match Failure::of(&error) {
                Failure::Constraint(name) => refused.push((place, name)),
                _ => return Err(error),
            },
        }
    }

    for (place, constraint) in &refused {
        tx.refuse_by(batch.units[*place], constraint);
    }
    let left_out: roaring::RoaringBitmap = refused.iter().map(|(place, _)| place_u32(*place)).collect();
    for (place, unit) in batch.units.iter().enumerate() {
        if !left_out.contains(place_u32(place)) {
            if tx.is_refused(*unit) {
                tx.dirty.insert(*unit);
            }
            tx.touched.insert(*unit);
        }
    }
    Ok(())
}

/// Replaces whole rows by their ids: one COPY, one UPDATE.
pub(super) fn replace<T: Replace>(pg: &mut PgConnection, rows: &[T]) -> QueryResult<()> {
    let shape = T::shape();
    let table = quoted(shape.name);
    open(pg, shape.name)?;
    T::copy(pg, rows)?;
    let columns: Vec<String> = shape.columns.iter().map(|c| quoted(c.name)).filter(|c| c != "\"id\"").collect();
    let sql = format!(
        "UPDATE public.{table} t SET ({}) = ROW({}) FROM pg_temp.{table} s WHERE t.id = s.id",
        columns.join(", "),
        columns.iter().map(|c| format!("s.{c}")).collect::<Vec<_>>().join(", ")
    );
    diesel::sql_query(sql).execute(pg)?;
    diesel::sql_query(format!("DROP TABLE pg_temp.{table}")).execute(pg)?;
    Ok(())
}

/// A table without any constraint, with the columns of the public one, their defaults and a row number.
pub(super) fn open(pg: &mut PgConnection, name: &str) -> QueryResult<()> {
    let table = quoted(name);
    let Defaults { actions } = diesel::sql_query(DEFAULTS).bind::<Text, _>(name).get_result(pg)?;
    diesel::sql_query(format!("CREATE TEMP TABLE {table} ON COMMIT DROP AS TABLE public.{table} WITH NO DATA"))
        .execute(pg)?;
    diesel::sql_query(format!("ALTER TABLE pg_temp.{table} ADD COLUMN {ROW} bigserial{actions}")).execute(pg)?;
    Ok(())
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn place(row: i64) -> usize {
    usize::try_from(row - 1).expect("staged rows are counted from 1")
}

fn place_u32(place: usize) -> u32 {
    u32::try_from(place).expect("a batch has fewer than 2^32 rows")
}
