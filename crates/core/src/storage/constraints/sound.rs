//! What is wrong with the constraints and indexes of tables: what does not hold, and what is not there any more.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text};

use crate::storage::db::Db;
use crate::storage::ledger::{LedgerError, frozen};
use crate::storage::sql::literal;

/// Something that is wrong with a table.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub(crate) struct Unsound {
    /// What, in a clause.
    #[diesel(sql_type = Text)]
    pub(crate) what: String,
    /// The statement that mends it.
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) mend: Option<String>,
}

/// A column of an older server may not be there: the catalogue is read as JSON.
const UNSOUND: &str = "
WITH of AS (SELECT c.oid, c.relname, format('%I.%I', n.nspname, c.relname) AS name
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = current_schema() AND c.relname = ANY ($1) AND c.relkind IN ('r', 'p'))
SELECT format('the constraint `%s` of `%s` is not %s', c.conname, of.relname,
              CASE WHEN to_jsonb(c) ->> 'conenforced' = 'false' THEN 'enforced' ELSE 'validated: rows may break it' END) AS what,
       CASE WHEN to_jsonb(c) ->> 'conenforced' = 'false' THEN format('ALTER TABLE %s ALTER CONSTRAINT %I ENFORCED;', of.name, c.conname)
            ELSE format('ALTER TABLE %s VALIDATE CONSTRAINT %I;', of.name, c.conname) END AS mend
  FROM of JOIN pg_constraint c ON c.conrelid = of.oid
 WHERE NOT c.convalidated OR to_jsonb(c) ->> 'conenforced' = 'false'
UNION ALL
SELECT format('the index `%s` of `%s` is not valid: no query uses it, and a unique one may miss doubles', i.relname, of.relname),
       format('REINDEX INDEX CONCURRENTLY %I.%I;', n.nspname, i.relname)
  FROM of JOIN pg_index x ON x.indrelid = of.oid JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace
 WHERE NOT (x.indisvalid AND x.indisready AND x.indislive)
   AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index b WHERE b.index_relid = x.indexrelid)
UNION ALL
SELECT format('the foreign key `%s` of `%s` is not checked: its trigger is off', c.conname, of.relname),
       format('ALTER TABLE %s ENABLE TRIGGER ALL;', of.name)
  FROM of JOIN pg_trigger g ON g.tgrelid = of.oid JOIN pg_constraint c ON c.oid = g.tgconstraint
 WHERE g.tgenabled IN ('D', 'R') AND c.contype = 'f' GROUP BY c.conname, of.relname, of.name
 ORDER BY 1";

/// What is wrong with the constraints and indexes of some tables. Nothing where the target is no PostgreSQL: SQLite checks what it has.
///
/// # Errors
/// The database fails.
pub(crate) fn unsound(db: &mut Db, tables: &[&str]) -> QueryResult<Vec<Unsound>> {
    match db {
        Db::Pg(pg) => diesel::sql_query(UNSOUND).bind::<Array<Text>, _>(tables).load(pg),
        Db::Lite(lite) => {
            let sql = "SELECT format('%d rows of `%s` point to rows of `%s` that are not there', count(*), \"table\", parent) AS what, NULL AS mend \
                         FROM pragma_foreign_key_check GROUP BY \"table\", parent ORDER BY 1";
            diesel::sql_query(sql).load(lite)
        }
        #[cfg(feature = "mysql")]
        Db::My(_) => Ok(Vec::new()),
    }
}

#[derive(QueryableByName)]
struct Doubles {
    #[diesel(sql_type = Text)]
    what: String,
    #[diesel(sql_type = Text)]
    counted: String,
}

/// A unique key that does not hold from one row to the next: it is deferrable, so replica mode does not check it, or not valid.
const LOOSE: &str = "
SELECT format('of `%s`, by the columns of `%s`', t.relname, i.relname) AS what,
       format('SELECT count(*) AS rows FROM (SELECT 1 FROM %I.%I WHERE %s AND %s GROUP BY %s HAVING count(*) > 1) d', n.nspname, t.relname,
              coalesce(pg_get_expr(x.indpred, x.indrelid), 'true'),
              string_agg(pg_get_indexdef(x.indexrelid, k, true) || ' IS NOT NULL', ' AND '),
              string_agg(pg_get_indexdef(x.indexrelid, k, true), ', ')) AS counted
  FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = t.relnamespace
 CROSS JOIN generate_series(1, x.indnkeyatts::int) k
 WHERE n.nspname = current_schema() AND t.relname = ANY ($1) AND x.indisunique AND NOT (x.indimmediate AND x.indisvalid)
 GROUP BY t.relname, i.relname, n.nspname, x.indexrelid, x.indpred, x.indrelid";

#[derive(QueryableByName)]
struct Rows {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// Values that stand in several rows although a unique key forbids it, of those keys that do not refuse such rows at once.
///
/// # Errors
/// The database fails.
pub(crate) fn doubles(db: &mut Db, tables: &[&str]) -> QueryResult<Vec<String>> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    let loose: Vec<Doubles> = diesel::sql_query(LOOSE).bind::<Array<Text>, _>(tables).load(pg)?;
    let mut found = Vec::new();
    for Doubles { what, counted } in loose {
        let Rows { rows } = diesel::sql_query(counted).get_result(pg)?;
        if rows > 0 {
            found.push(format!("{rows} values stand in several rows {what}"));
        }
    }
    Ok(found)
}

/// Under which name the ledger keeps what tables had when the migration began.
const BEGUN: &str = "replant.catalogue";

/// A constraint or an index, as the catalogue defines it: table, name, definition.
type Defined = (String, String, String);

#[derive(QueryableByName)]
struct Definition {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    definition: String,
}

fn defined(db: &mut Db, tables: &[&str]) -> QueryResult<Vec<Defined>> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    let schema = literal(&tables.join(","));
    let sql = format!(
        "WITH of AS (SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                      WHERE n.nspname = current_schema() AND c.relname = ANY (string_to_array({schema}, ',')) AND c.relkind IN ('r', 'p'))
         SELECT of.relname::text AS table_name, c.conname::text AS name,
                format('ALTER TABLE %I ADD CONSTRAINT %I %s', of.relname, c.conname, pg_get_constraintdef(c.oid)) AS definition
           FROM of JOIN pg_constraint c ON c.conrelid = of.oid AND c.contype IN ('p', 'u', 'f', 'c', 'x') AND c.convalidated
         UNION ALL
         SELECT of.relname::text, i.relname::text, pg_get_indexdef(x.indexrelid)
           FROM of JOIN pg_index x ON x.indrelid = of.oid AND x.indisvalid JOIN pg_class i ON i.oid = x.indexrelid
          WHERE NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = x.indexrelid AND c.conrelid = of.oid)
          ORDER BY 1, 2"
    );
    let found: Vec<Definition> = diesel::sql_query(sql).load(pg)?;
    Ok(found.into_iter().map(|found| (found.table_name, found.name, found.definition)).collect())
}

/// Keeps in the ledger what tables have, unless it has that of an earlier time.
///
/// # Errors
/// The database fails.
pub(crate) fn note(db: &mut Db, tables: &[&str]) -> Result<(), LedgerError> {
    if frozen::load::<Vec<Defined>>(db, BEGUN)?.is_some() {
        return Ok(());
    }
    let defined = defined(db, tables)?;
    frozen::save_once(db, BEGUN, &defined)
}

/// Whether a table had an index, or a constraint, of a name when the migration began.
///
/// # Errors
/// The database fails.
pub(crate) fn was_there(db: &mut Db, table: &str, name: &str) -> Result<bool, LedgerError> {
    let begun = frozen::load::<Vec<Defined>>(db, BEGUN)?.unwrap_or_default();
    Ok(begun.iter().any(|(of, known, _)| of == table && known == name))
}

/// What tables had when the migration began, and have not any more: those of the names that nothing has now.
///
/// # Errors
/// The database fails.
pub(crate) fn lost(db: &mut Db, tables: &[&str]) -> Result<Vec<Unsound>, LedgerError> {
    let begun = frozen::load::<Vec<Defined>>(db, BEGUN)?.unwrap_or_default();
    let now = defined(db, tables)?;
    let is_there = |(table, name, _): &Defined| now.iter().any(|(other, known, _)| (other, known) == (table, name));
    let lost = begun.iter().filter(|one| tables.contains(&one.0.as_str()) && !is_there(one));
    let unsound = |(table, name, definition): &Defined| Unsound {
        what: format!("`{name}` of `{table}`, which was there when the migration began, is not there, or not valid"),
        mend: Some(format!("{definition};")),
    };
    Ok(lost.map(unsound).collect())
}
