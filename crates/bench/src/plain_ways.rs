//! The plain ways: a row at a time, and batches with cached lookups. On one connection, in one thread.
//!
//! Nothing is settled before them: the first change of a page after a checkpoint writes the whole page into the log, which a
//! slice would feel much more than a whole migration does.

use std::collections::HashMap;
use std::hint::black_box;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use replant_core::db::{Db, Role};
use replant_core::{AnyStep, KeyRange};
use replant_testkit::Database;

use crate::error::{Attempt, BenchError};
use crate::measure::Measure;
use crate::slice::{Item, PAGE, Slice};
use crate::stage::{Stage, connect, plain};
use crate::tables::Table;
use crate::wire::{Into, Lookup, Row};

/// When the naive way commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    EachStatement,
    Per1000,
}

const WRITING: &str = "write rows in a plain way";

/// How a table is asked and written.
struct Statements {
    lookups: Vec<String>,
    inserts: Vec<Into>,
}

impl Statements {
    fn of(tables: &[Table]) -> Self {
        Self { lookups: tables.iter().map(Lookup::sql).collect(), inserts: tables.iter().map(Into::of).collect() }
    }
}

/// A row at a time: it is read by its key, each of its parents is looked up, each of its target rows inserted.
pub(crate) fn naive(
    stage: &mut Stage,
    database: &Database,
    step: &dyn AnyStep,
    items: &[&Item],
    commit: Commit,
) -> Result<Measure, BenchError> {
    let statements = Statements::of(&stage.tables);
    let (mut legacy, mut target) = (connect(&stage.legacy, Role::Legacy)?, plain(database.address())?);
    let before = stage.meter.read()?;
    let mut one = |target: &mut PgConnection, item: &Item| -> QueryResult<()> {
        black_box(step.read_range(&mut legacy, KeyRange { lo: item.key, hi: item.key }, 1)?);
        for (table, id) in &item.parents {
            black_box(Lookup { sql: &statements.lookups[*table], id: *id }.load::<i64>(target)?);
        }
        item.rows
            .iter()
            .try_for_each(|(table, row)| statements.inserts[*table].rows(&[row]).execute(target).map(|_| ()))
    };
    match commit {
        Commit::EachStatement => items.iter().try_for_each(|item| one(&mut target, item)),
        Commit::Per1000 => items
            .chunks(usize::try_from(PAGE).unwrap_or(usize::MAX))
            .try_for_each(|some| target.transaction(|target| some.iter().try_for_each(|item| one(target, item)))),
    }
    .attempt(WRITING)?;
    drop((legacy, target));
    stage.meter.since(&before, items.len() as u64)
}

#[derive(QueryableByName)]
struct Parent {
    #[diesel(sql_type = BigInt)]
    legacy: i64,
    #[diesel(sql_type = BigInt)]
    target: i64,
}

/// Parents from a hash map, legacy rows by the page, rows by the batch, a commit a page. Returns what loading the maps
/// took, which does not grow with the slice, and what the slice took.
pub(crate) fn cached(
    stage: &mut Stage,
    database: &Database,
    step: &dyn AnyStep,
    slice: &Slice,
) -> Result<(Measure, Measure), BenchError> {
    let statements = Statements::of(&stage.tables);
    let mut asked: Vec<usize> = slice.pages.iter().flatten().flat_map(|item| &item.parents).map(|(t, _)| *t).collect();
    asked.sort_unstable();
    asked.dedup();
    let (mut legacy, mut target) = (connect(&stage.legacy, Role::Legacy)?, plain(database.address())?);

    let before = stage.meter.read()?;
    let mut parents: HashMap<usize, HashMap<i64, i64>> = HashMap::new();
    for table in asked {
        let sql = format!("SELECT id AS legacy, id AS target FROM {}", stage.tables[table].quoted());
        let pairs: Vec<Parent> = diesel::sql_query(sql).load(&mut target).attempt("load parents")?;
        parents.insert(table, pairs.into_iter().map(|pair| (pair.legacy, pair.target)).collect());
    }
    let loading = stage.meter.since(&before, 0)?;

    let before = stage.meter.read()?;
    for page in &slice.pages {
        write_page(&mut legacy, &mut target, step, page, &parents, &statements).attempt(WRITING)?;
    }
    drop((legacy, target));
    Ok((loading, stage.meter.since(&before, slice.len())?))
}

fn write_page(
    legacy: &mut Db,
    target: &mut PgConnection,
    step: &dyn AnyStep,
    page: &[Item],
    parents: &HashMap<usize, HashMap<i64, i64>>,
    statements: &Statements,
) -> QueryResult<()> {
    let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(()) };
    black_box(step.read_range(legacy, KeyRange { lo: first.key, hi: last.key }, page.len())?);
    let mut rows: Vec<Vec<&Row>> = statements.inserts.iter().map(|_| Vec::new()).collect();
    for item in page {
        for (table, id) in &item.parents {
            black_box(parents.get(table).and_then(|parents| parents.get(id)));
        }
        item.rows.iter().for_each(|(table, row)| rows[*table].push(row));
    }
    target.transaction(|target| {
        // The tables stand with parents before children.
        for (insert, rows) in statements.inserts.iter().zip(&rows) {
            for batch in rows.chunks(insert.batch()) {
                insert.rows(batch).execute(target)?;
            }
        }
        Ok(())
    })
}

/// Takes out again what was written since `mark`.
pub(crate) fn take_out<'a>(
    database: &Database,
    tables: impl Iterator<Item = &'a Table>,
    mark: Mark,
) -> Result<(), BenchError> {
    let what = "take out what a plain way wrote";
    let mut db = plain(database.address())?;
    // Their children go as well: no foreign key needs to be looked at.
    db.batch_execute("SET session_replication_role = replica").attempt(what)?;
    for table in tables {
        let name = table.quoted();
        db.batch_execute(&format!("DELETE FROM {name} WHERE xmin::text::bigint >= {}", mark.0)).attempt(what)?;
        db.batch_execute(&format!("VACUUM {name}")).attempt(what)?;
    }
    Ok(())
}

/// A moment, as rows remember it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(i64);

#[derive(QueryableByName)]
struct Transaction {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

impl Mark {
    pub(crate) fn now(database: &Database) -> Result<Self, BenchError> {
        let sql = "SELECT pg_current_xact_id()::text::bigint AS id";
        let now: Transaction =
            diesel::sql_query(sql).get_result(&mut plain(database.address())?).attempt("ask for the transaction")?;
        Ok(Self(now.id))
    }
}
