//! Rows without a parent, looked for once more when all is written: by a query that knows nothing of sets.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::keys::{self, ForeignKey};
use crate::storage::db::Db;
use crate::storage::ledger::plan::Ours;
use crate::storage::sql::quoted;

/// How many rows are named.
const NAMED: usize = 20;

/// Where rows are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The table.
    pub(crate) table: &'static str,
    /// Which of its rows `s` the step has written, as SQL; none where it has no ids of ours: those that point to a row of ours are
    /// looked at.
    pub(crate) rows: Option<String>,
}

/// A foreign key whose rows are looked at.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    table: &'static str,
    rows: String,
    key: ForeignKey,
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
    /// The first of them: their ids, or where they stand. No other value.
    pub(crate) first: String,
}

#[derive(QueryableByName)]
struct Shown {
    #[diesel(sql_type = Nullable<Text>)]
    shown: Option<String>,
}

/// The integers of the primary key of a row `s`; none where it has others.
const SHOWN: &str = "
SELECT CASE WHEN bool_and(a.atttypid IN (20, 21, 23)) THEN string_agg(format('s.%I::text', a.attname), ' || '','' || ' ORDER BY a.attnum) END AS shown
  FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey)
 WHERE x.indrelid = format('%I.%I', current_schema(), $1)::regclass AND x.indisprimary";

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

/// Tables that were just filled have no statistics, so the planner is told how to join. Many rows: their table and the parents' are
/// read as a whole. It would take what is ours for a few rows, and look for each of them, and for its parent, by an index.
const MANY: &str = "SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off; \
                    SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off";
/// Few rows beside many parents: each parent by its index.
const FEW: &str = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";

/// Whether rows are few beside the parents, by the bytes of both tables. A step writes about a row a key: it is taken for 100 bytes.
/// To look a parent up costs about eight times as much as to read it past.
const ARE_FEW: &str = "
SELECT least($1 * 100, pg_relation_size(format('%I.%I', current_schema(), $2)::regclass)) * 8 < pg_relation_size($3::regclass) AS few";

#[derive(QueryableByName)]
struct Share {
    #[diesel(sql_type = Bool)]
    few: bool,
}

/// The foreign keys of some tables that sets can have checked. What is checked by row is the server's to answer for.
///
/// # Errors
/// The catalogue cannot be read.
pub(crate) fn looks(db: &mut Db, places: &[Place], ours: &Ours) -> QueryResult<Vec<Look>> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    let mut looks = Vec::new();
    for place in places {
        for key in keys::of(pg, place.table)?.unwrap_or_default() {
            let rows = match (&place.rows, &*key.columns) {
                (Some(rows), _) => rows.clone(),
                (None, [column]) => ours.condition(&key.parent_name, &format!("s.{}", quoted(column))),
                (None, _) => continue,
            };
            looks.push(Look { table: place.table, rows, key });
        }
    }
    Ok(looks)
}

impl Look {
    /// The rows without a parent, in a transaction of its own: the table is not held for longer than the server takes to count.
    ///
    /// `keys`: how many the step has.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn orphans(&self, db: &mut Db, keys: u64) -> QueryResult<Option<Orphans>> {
        let Db::Pg(pg) = db else { return Ok(None) };
        pg.transaction(|pg| {
            let share = diesel::sql_query(ARE_FEW).bind::<BigInt, _>(i64::try_from(keys).unwrap_or(i64::MAX / 100));
            let share = share.bind::<Text, _>(self.table).bind::<Text, _>(&self.key.parent);
            let Share { few } = share.get_result(pg)?;
            pg.batch_execute(if few { FEW } else { MANY })?;
            let found = self.found();
            // By itself, so that the server can let several processes count.
            let Rows { rows } = diesel::sql_query(format!("SELECT count(*) AS rows {found}")).get_result(pg)?;
            if rows == 0 {
                return Ok(None);
            }
            let Shown { shown } = diesel::sql_query(SHOWN).bind::<Text, _>(self.table).get_result(pg)?;
            let shown = shown.unwrap_or_else(|| "s.ctid::text".to_owned());
            let first = format!(
                "SELECT string_agg(key, ' ') AS first FROM (SELECT {shown} AS key {found} ORDER BY 1 LIMIT {NAMED}) f"
            );
            let First { first } = diesel::sql_query(first).get_result(pg)?;
            let foreign_key = self.key.name.clone();
            Ok(Some(Orphans { table: self.table, foreign_key, rows, first: first.unwrap_or_default() }))
        })
    }

    fn found(&self) -> String {
        let Self { table, rows, key } = self;
        let given: Vec<String> = key.columns.iter().map(|column| format!("s.{} IS NOT NULL", quoted(column))).collect();
        let columns = key.columns.iter().zip(&key.parent_columns).zip(&key.operators);
        let equal: Vec<String> = columns
            .map(|((column, parent), operator)| format!("p.{} {operator} s.{}", quoted(parent), quoted(column)))
            .collect();
        format!(
            "FROM ONLY {} s WHERE {rows} AND {} AND NOT EXISTS (SELECT FROM ONLY {} p WHERE {})",
            quoted(table),
            given.join(" AND "),
            key.parent,
            equal.join(" AND ")
        )
    }
}
