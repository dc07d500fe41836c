//! What Replant wrote, step by step, and the files to write it again from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use replant_core::db::Role;
use replant_core::ledger::history;
use replant_core::{Registry, Stop};
use replant_testkit::Database;
use tempfile::TempDir;

use crate::error::{Attempt, BenchError};
use crate::measure::Measure;
use crate::psql::Psql;
use crate::replant::{Part, Replant};
use crate::stage::{Stage, connect};
use crate::tables::{self, NOTES};

/// A step of the plan.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) name: String,
    /// Legacy rows.
    pub(crate) rows: u64,
    /// The table whose ids it hands out, as a place in the stage's tables.
    pub(crate) target: usize,
}

/// A step, and what it added to the platform.
#[derive(Debug)]
pub(crate) struct StepWork {
    pub(crate) planned: Planned,
    /// From 1.
    pub(crate) number: i32,
    /// Rows that it added to each table, parents before children.
    pub(crate) added: Vec<(usize, u64)>,
    /// Indexes that it made.
    indexes: Vec<String>,
}

/// A finished migration.
pub(crate) struct Finished {
    pub(crate) database: Database,
    pub(crate) steps: Vec<StepWork>,
    /// Rows of each table.
    pub(crate) rows: Vec<u64>,
}

/// The rows of all tables of a platform.
pub(crate) fn rows(stage: &Stage, database: &Database) -> Result<Vec<u64>, BenchError> {
    let mut db = connect(database, Role::Target)?;
    stage.tables.iter().map(|table| tables::count(&mut db, table)).collect()
}

#[derive(QueryableByName)]
struct Size {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

/// The bytes of the ledger's tables, with their indexes.
pub(crate) fn ledger(database: &Database) -> Result<BTreeMap<String, u64>, BenchError> {
    let sizes = "SELECT c.relname::text AS name, pg_total_relation_size(c.oid) AS bytes FROM pg_class c \
                 WHERE c.relnamespace = 'replant'::regnamespace AND c.relkind = 'r'";
    let sizes: Vec<Size> =
        diesel::sql_query(sizes).load(&mut connect(database, Role::Target)?).attempt("read how large the ledger is")?;
    Ok(sizes.into_iter().map(|size| (size.name, size.bytes.cast_unsigned())).collect())
}

/// What a platform that was migrated in one go is like.
pub(crate) struct Outcome {
    rows: Vec<u64>,
    rules: Vec<String>,
}

impl Outcome {
    pub(crate) fn of(stage: &Stage, database: &Database) -> Result<Self, BenchError> {
        let rules = tables::rules(&mut connect(database, Role::Target)?)?;
        Ok(Self { rows: rows(stage, database)?, rules })
    }

    /// That `other` holds the same number of rows in each table, under the same constraints and indexes.
    pub(crate) fn same_as(&self, stage: &Stage, what: &str, other: &Self) -> Result<(), BenchError> {
        same_rows(stage, what, &other.rows, &self.rows)?;
        match self.rules.iter().find(|rule| !other.rules.contains(rule)) {
            None => Ok(()),
            Some(missing) => Err(BenchError::Differs(format!("{what} lacks what the other one has: {missing}"))),
        }
    }

    pub(crate) fn rows(&self) -> &[u64] {
        &self.rows
    }
}

/// That two platforms hold the same number of rows in each table.
pub(crate) fn same_rows(stage: &Stage, what: &str, found: &[u64], expected: &[u64]) -> Result<(), BenchError> {
    let pairs = stage.tables.iter().zip(found.iter().zip(expected));
    match pairs.into_iter().find(|(_, (found, expected))| found != expected) {
        None => Ok(()),
        Some((table, (found, expected))) => Err(BenchError::Differs(format!(
            "{what} holds {found} rows of `{}`, where {expected} were expected: a defect, of the bench or of a step",
            table.name
        ))),
    }
}

/// The steps in their order, as the ledger of a migrated platform knows them.
pub(crate) fn order(stage: &Stage, database: &Database) -> Result<Vec<Planned>, BenchError> {
    let mut db = connect(database, Role::Target)?;
    let steps = history::known_steps(&mut db)?.into_iter().map(|step| {
        let target = stage.table(&step.target_table);
        let target = target.ok_or_else(|| BenchError::Differs(format!("there is no table `{}`", step.target_table)))?;
        let rows = stage.keys.get(step.name.as_str()).map_or(0, replant_core::KeySet::len);
        Ok(Planned { name: step.name, rows, target })
    });
    steps.collect()
}

/// Runs one step after the other, each in a process of its own, and measures each. Between them it is noted what each
/// added, which is not measured.
pub(crate) fn step_by_step(
    stage: &mut Stage,
    replant: &Replant,
    registry: &Registry,
    order: &[Planned],
    stop: &Stop,
) -> Result<(Vec<Measure>, Finished), BenchError> {
    let database = stage.platform()?;
    let (mut measures, mut steps) = (Vec::new(), Vec::new());
    let mut indexes = tables::indexes(&mut connect(&database, Role::Target)?)?;
    stage.meter.settled()?;
    for (number, planned) in (1..).zip(order) {
        let name = planned.name.as_str();
        measures.push(replant.run(stage, &database, Part { only: Some(name), variables: &[] }, stop)?.measure);
        let mut db = connect(&database, Role::Target)?;
        let writes = registry.steps().find(|step| step.name() == name).map(|step| step.writes()).unwrap_or_default();
        let mut added = Vec::new();
        for (place, table) in stage.tables.iter().enumerate() {
            if writes.iter().any(|shape| shape.name == table.name) {
                added.push((place, tables::note(&mut db, table, number)?));
            }
        }
        added.retain(|(_, rows)| *rows > 0);
        let now = tables::indexes(&mut db)?;
        let made = now.iter().filter(|index| !indexes.contains(index)).cloned().collect();
        indexes = now;
        steps.push(StepWork { planned: planned.clone(), number, added, indexes: made });
    }
    let rows = rows(stage, &database)?;
    Ok((measures, Finished { database, steps, rows }))
}

/// The rows of a finished migration as files, and the platform that they go into.
pub(crate) struct Files {
    /// The platform as the migration left it, without the rows that it added.
    pub(crate) base: Database,
    /// By step: each table with its files, one a connection.
    pieces: Vec<Vec<(usize, Vec<PathBuf>)>>,
    _folder: TempDir,
}

impl Files {
    /// Writes the files, as many for each table as there are connections.
    pub(crate) fn write(
        stage: &Stage,
        finished: &Finished,
        psql: &Psql,
        connections: usize,
    ) -> Result<Self, BenchError> {
        let folder = tempfile::tempdir().map_err(BenchError::io("make a folder for files of rows"))?;
        let mut pieces = Vec::new();
        for step in &finished.steps {
            let mut of_step = Vec::new();
            for (place, rows) in &step.added {
                let of_table = cut(*rows, connections as u64).into_iter().map(|(from, to)| {
                    let table = &stage.tables[*place];
                    let (columns, noted, number) = (table.columns("t."), table.noted(), step.number);
                    let query = format!(
                        "SELECT {columns} FROM {noted} WHERE b.step = {number} AND b.n > {from} AND b.n <= {to} ORDER BY b.n"
                    );
                    let file = folder.path().join(format!("{number}-{}-{from}", table.name));
                    psql.export(&finished.database, &query, &file)?;
                    Ok(file)
                });
                of_step.push((*place, of_table.collect::<Result<Vec<_>, BenchError>>()?));
            }
            pieces.push(of_step);
        }
        let base = base(stage, finished, psql, folder.path())?;
        Ok(Self { base, pieces, _folder: folder })
    }

    /// Writes again what a step added, table after table, and makes its indexes.
    pub(crate) fn fill(&self, stage: &Stage, into: &Database, step: &StepWork, psql: &Psql) -> Result<(), BenchError> {
        let place = usize::try_from(step.number - 1).unwrap_or_default();
        for (table, files) in &self.pieces[place] {
            psql.fill(into, &stage.tables[*table], files)?;
        }
        if !step.indexes.is_empty() {
            let mut db = connect(into, Role::Target)?;
            step.indexes
                .iter()
                .try_for_each(|index| db.batch_execute(index))
                .attempt("make an index of the platform")?;
        }
        Ok(())
    }
}

/// The first (excluded) and the last of each of so many parts of `rows` rows.
fn cut(rows: u64, parts: u64) -> Vec<(u64, u64)> {
    let parts = parts.clamp(1, rows.max(1));
    (0..parts).map(|part| (rows * part / parts, rows * (part + 1) / parts)).collect()
}

/// Rows that were there before are as the migration left them: it may have freed a unique value that a new row has.
fn base(stage: &Stage, finished: &Finished, psql: &Psql, folder: &Path) -> Result<Database, BenchError> {
    let base = stage.platform()?;
    let names: Vec<String> = stage.tables.iter().map(tables::Table::quoted).collect();
    let mut db = connect(&base, Role::Target)?;
    let empty = format!("TRUNCATE {}; DROP SCHEMA {NOTES} CASCADE", names.join(", "));
    db.batch_execute(&empty).attempt("empty a platform")?;
    for table in &stage.tables {
        let file = folder.join("kept");
        let query = format!("SELECT {} FROM {} WHERE b.step = 0", table.columns("t."), table.noted());
        psql.export(&finished.database, &query, &file)?;
        psql.fill_unchecked(&base, table, &file)?;
    }
    db.batch_execute("VACUUM ANALYZE").attempt("analyze a platform")?;
    Ok(base)
}

/// The limit: the added rows written by plain `\copy`. Returns the measures of the steps, and of all in one.
pub(crate) fn copy(
    stage: &mut Stage,
    finished: &Finished,
    files: &Files,
    psql: &Psql,
    stop: &Stop,
) -> Result<(Vec<Measure>, Measure), BenchError> {
    let database = stage.postgres.clone_of(&files.base)?;
    let mut measures = Vec::new();
    let whole = stage.meter.settled()?;
    for step in &finished.steps {
        if stop.requested() {
            return Err(BenchError::Stopped);
        }
        let before = stage.meter.read()?;
        files.fill(stage, &database, step, psql)?;
        measures.push(stage.meter.since(&before, step.planned.rows)?);
    }
    let whole = stage.meter.since(&whole, finished.steps.iter().map(|step| step.planned.rows).sum())?;
    same_rows(stage, "the platform that was written by \\copy", &rows(stage, &database)?, &finished.rows)?;
    Ok((measures, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_about_equal_size_and_leave_nothing_out() {
        assert_eq!(cut(10, 3), [(0, 3), (3, 6), (6, 10)]);
        assert_eq!(cut(1, 4), [(0, 1)]);
        assert_eq!(cut(0, 4), [(0, 0)]);
    }
}
