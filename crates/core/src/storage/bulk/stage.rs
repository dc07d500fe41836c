//! The stage: a temporary table of the same name, in which the target's own constraints find the rows that they refuse.
//!
//! A table in `pg_temp` hides the target's table of its name, so the same COPY fills it.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::Text;
use serde::Deserialize;

use super::batch::Batch;
use super::pass::{Mode, Pass};
use crate::storage::constraints;
use crate::storage::db::Db;
use crate::storage::failure::{Failure, Told, UNFIT, caught};
use crate::storage::imprint::PRIMARY_KEY;
use crate::storage::model::Insert;
use crate::storage::sql::{literal, quoted};

/// A number that counts the staged rows in the order of the batch, from 1.
pub(super) const ROW: &str = "replant_row";

#[derive(Deserialize)]
struct Staged {
    replant_row: i64,
}

#[derive(QueryableByName, Deserialize)]
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
 WHERE a.attrelid = format('%I.%I', current_schema(), $1)::regclass AND a.attnum > 0 AND a.attnotnull AND NOT a.attisdropped
UNION ALL
SELECT c.conname, format('NOT (%s)', pg_get_expr(c.conbin, c.conrelid)), 2
  FROM pg_constraint c WHERE c.conrelid = format('%I.%I', current_schema(), $1)::regclass AND c.contype = 'c'
   AND coalesce(to_jsonb(c) ->> 'conenforced', 'true') = 'true'
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
 WHERE c.conrelid = format('%I.%I', current_schema(), $1)::regclass AND c.contype = 'f'
   -- A key of, or to, a partitioned table stands there once more for each partition.
   AND c.conparentid = 0 AND coalesce(to_jsonb(c) ->> 'conenforced', 'true') = 'true'
 GROUP BY c.conname, c.conrelid, c.confrelid, n.nspname, t.relname
 ORDER BY place, name";

#[derive(QueryableByName, Deserialize)]
pub(super) struct KeyColumn {
    #[diesel(sql_type = Text)]
    pub(super) name: String,
}

#[derive(QueryableByName, Deserialize)]
struct Defaults {
    #[diesel(sql_type = Text)]
    actions: String,
    #[diesel(sql_type = Text)]
    target: String,
}

/// A model may leave columns to their defaults: the stage has them too.
const DEFAULTS: &str = "
SELECT coalesce(string_agg(format(', ALTER COLUMN %I SET DEFAULT %s', a.attname, CASE a.attidentity WHEN '' THEN pg_get_expr(d.adbin, d.adrelid)
         ELSE format('nextval(%L)', pg_get_serial_sequence(format('%I.%I', current_schema(), $1), a.attname)) END), ''), '') AS actions,
       format('%I.%I', current_schema(), $1) AS target
  FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = format('%I.%I', current_schema(), $1)::regclass AND a.attnum > 0 AND NOT a.attisdropped
   AND (a.attidentity <> '' OR (d.adbin IS NOT NULL AND a.attgenerated = ''))";

/// Rows that are refused, by their places in the batch.
type Refusals = BTreeMap<usize, Failure>;

/// Inserts a batch through a stage. The units of rows that the target refuses, whatever it is that refuses them, are refused
/// in `pass`.
pub(super) fn insert<T: Insert>(pass: &mut Pass<'_>, batch: &Batch<T>) -> QueryResult<()> {
    let shape = T::shape();
    let table = quoted(shape.name);
    let Db::Pg(pg) = &mut *pass.db else { unreachable!("only PostgreSQL stages") };
    let public = open(pg, Mode::Staged, shape.name)?;
    let mut refused = Refusals::new();
    copy_parts(pg, &table, batch.rows(), 0, &mut refused)?;

    let mut constraints: Vec<Constraint> = caught::rows(pg, &of_table(CONSTRAINTS, shape.name))?;
    let dropped = constraints::dropped_keys(pg, shape.name)?;
    constraints.extend(dropped.into_iter().map(|key| Constraint { name: key.name, refuses: key.refuses }));
    for constraint in constraints {
        let sql = format!(
            "WITH out AS (DELETE FROM pg_temp.{table} s WHERE {} RETURNING s.{ROW}) SELECT string_agg({ROW}::text, ',') FROM out",
            constraint.refuses
        );
        for row in rows_of(caught::text(pg, &sql)?) {
            refused.insert(row - 1, Failure::Constraint(constraint.name.clone()));
        }
    }

    let columns = shape.columns.iter().map(|c| quoted(c.name)).collect::<Vec<_>>().join(", ");
    let keys: Vec<KeyColumn> = caught::rows(pg, &of_table(PRIMARY_KEY, shape.name))?;
    let stage =
        Stage { name: shape.name, table, public, columns, keys: keys.iter().map(|key| quoted(&key.name)).collect() };
    let mut taken = stage.twins(pg)?;
    stage.put(pg, (1, batch.rows().len()), &mut taken, &mut refused)?;
    taken.sort_unstable();
    // Which unique index it was, only the server can say: the few rows are tried again one by one.
    for row in taken {
        if let Some(failure) = stage.put_one(pg, row)? {
            refused.insert(row - 1, failure);
        }
    }
    Mode::Staged.execute(pg, &format!("DROP TABLE pg_temp.{}", stage.table))?;

    for (place, failure) in &refused {
        pass.refuse_for(batch.units[*place], failure);
    }
    for (place, unit) in batch.units.iter().enumerate() {
        if !refused.contains_key(&place) {
            if pass.out.contains(*unit) {
                pass.dirty.insert(*unit);
            }
            pass.touched.insert(*unit);
        }
    }
    Ok(())
}

/// Copies rows into a stage; what does not even fit into a table without constraints is found by halves. The numbers of the rows
/// are those of the batch, which begins at `first`.
fn copy_parts<T: Insert>(
    pg: &mut PgConnection,
    table: &str,
    rows: &[T],
    first: usize,
    refused: &mut Refusals,
) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let copied = |pg: &mut PgConnection| {
        let number = format!("SELECT setval(pg_get_serial_sequence($1, '{ROW}'), {}, false)", first + 1);
        diesel::sql_query(number).bind::<Text, _>(format!("pg_temp.{table}")).execute(pg)?;
        fill(pg, |pg| T::copy(pg, rows))
    };
    let Err(error) = copied(pg) else { return Ok(()) };
    if !Failure::of(&error).blames_a_row() {
        return Err(error);
    }
    if let [_] = rows {
        // A row is blamed for what happens to it twice: the first time, somebody may have cancelled the statement.
        return match copied(pg).map_err(|error| (Failure::of(&error), error)) {
            Ok(()) => Ok(()),
            Err((failure, _)) if failure.blames_a_row() => {
                refused.insert(first, failure);
                Ok(())
            }
            Err((_, error)) => Err(error),
        };
    }
    let (left, right) = rows.split_at(rows.len() / 2);
    copy_parts(pg, table, left, first, refused)?;
    copy_parts(pg, table, right, first + left.len(), refused)
}

/// Copies rows into a table of our own, which has no constraint and no trigger and which nobody else sees: what is refused there,
/// while the server takes other rows, is a value.
///
/// # Errors
/// A value, or what the server refuses other rows for as well: it has no room, say.
pub(super) fn fill(
    pg: &mut PgConnection,
    copy: impl FnOnce(&mut PgConnection) -> QueryResult<usize>,
) -> QueryResult<()> {
    let Err(error) = pg.transaction(copy) else { return Ok(()) };
    if !Failure::of(&error).is_untold() {
        return Err(error);
    }
    caught::attempt(pg, PROBE)?;
    Err(Told { code: UNFIT.to_owned(), ..Told::default() }.into_error(DatabaseErrorKind::Unknown))
}

/// What takes as much room as most rows, and cannot be compressed.
const PROBE: &str = "CREATE TEMP TABLE replant_probe ON COMMIT DROP AS
    SELECT md5(random()::text) AS filled FROM generate_series(1, 4096)";

/// A query about a table.
pub(super) fn of_table(sql: &str, table: &str) -> String {
    sql.replace("$1", &literal(table))
}

/// The numbers of rows, from a list of them.
fn rows_of(list: Option<String>) -> impl Iterator<Item = usize> {
    list.unwrap_or_default().split(',').filter_map(|row| row.parse().ok()).collect::<Vec<usize>>().into_iter()
}

/// A stage that is filled.
struct Stage {
    /// The name of its table and of the target's.
    name: &'static str,
    /// That name, quoted.
    table: String,
    /// The target's table, quoted, with its schema.
    public: String,
    columns: String,
    keys: Vec<String>,
}

impl Stage {
    /// Takes rows out that have the primary key of an earlier one of the stage: what comes back of an insertion could not tell
    /// them apart.
    fn twins(&self, pg: &mut PgConnection) -> QueryResult<Vec<usize>> {
        let Self { table, keys, .. } = self;
        let sql = format!(
            "SELECT d.{ROW} FROM (SELECT {ROW}, row_number() OVER (PARTITION BY {0} ORDER BY {ROW}) AS nth FROM pg_temp.{table}) d \
             WHERE d.nth > 1",
            keys.join(", ")
        );
        Ok(caught::rows::<Staged>(pg, &sql)?.iter().map(|row| place(row.replant_row) + 1).collect())
    }

    /// Inserts the rows `from..=to`, but for those in `taken`, and adds those to `taken` that some unique index keeps out. What
    /// refuses a row in another way is found by halves.
    fn put(
        &self,
        pg: &mut PgConnection,
        (from, to): (usize, usize),
        taken: &mut Vec<usize>,
        refused: &mut Refusals,
    ) -> QueryResult<()> {
        let Self { table, public, columns, keys, .. } = self;
        let twins: Vec<String> = taken.iter().map(usize::to_string).collect();
        let but = if twins.is_empty() { String::new() } else { format!(" AND {ROW} NOT IN ({})", twins.join(", ")) };
        let same = keys.iter().map(|c| format!("i.{c} = s.{c}")).collect::<Vec<_>>().join(" AND ");
        let some = format!("{ROW} BETWEEN {from} AND {to}{but}");
        let sql = format!(
            "WITH inserted AS (INSERT INTO {public} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM pg_temp.{table} \
             WHERE {some} ORDER BY {ROW} ON CONFLICT DO NOTHING RETURNING {}) \
             SELECT string_agg(s.{ROW}::text, ',') FROM pg_temp.{table} s \
             WHERE {some} AND NOT EXISTS (SELECT FROM inserted i WHERE {same})",
            keys.join(", ")
        );
        match caught::text(pg, &sql) {
            Ok(kept_out) => {
                taken.extend(rows_of(kept_out));
                Ok(())
            }
            Err(error) => match Failure::of(&error) {
                failure if !failure.blames_a_row() => Err(error),
                failure if from == to => {
                    refused.insert(from - 1, failure);
                    Ok(())
                }
                _ => {
                    let middle = from + (to - from) / 2;
                    self.put(pg, (from, middle), taken, refused)?;
                    self.put(pg, (middle + 1, to), taken, refused)
                }
            },
        }
    }

    /// Inserts one row; why not, where it is refused.
    fn put_one(&self, pg: &mut PgConnection, row: usize) -> QueryResult<Option<Failure>> {
        let Self { table, public, columns, .. } = self;
        let sql = format!(
            "INSERT INTO {public} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM pg_temp.{table} WHERE {ROW} = {row}"
        );
        match caught::execute(pg, &sql) {
            Ok(1) => Ok(None),
            Ok(_) => Ok(Some(Failure::of(&Told::not_taken(self.name)))),
            Err(error) => match Failure::of(&error) {
                failure if failure.blames_a_row() => Ok(Some(failure)),
                _ => Err(error),
            },
        }
    }
}

/// Makes a table without any constraint, with the columns of the target's, their defaults and a row number. It hides the
/// target's, whose name with its schema comes back.
pub(super) fn open(pg: &mut PgConnection, mode: Mode, name: &str) -> QueryResult<String> {
    let table = quoted(name);
    let mut defaults: Vec<Defaults> = mode.rows(pg, &of_table(DEFAULTS, name))?;
    let Defaults { actions, target } = defaults.pop().ok_or(Error::NotFound)?;
    mode.execute(pg, &format!("CREATE TEMP TABLE {table} ON COMMIT DROP AS TABLE {target} WITH NO DATA"))?;
    mode.execute(pg, &format!("ALTER TABLE pg_temp.{table} ADD COLUMN {ROW} bigserial{actions}"))?;
    Ok(target)
}

fn place(row: i64) -> usize {
    usize::try_from(row - 1).expect("staged rows are counted from 1")
}
