//! A slice of a step: some legacy rows, and what Replant found to be right for them. It saves the plain ways all
//! rules and the ledger: they write what they are handed.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Nullable};
use replant_core::db::{Db, Role};
use replant_core::ledger::history;
use replant_core::{AnyStep, Key, KeySet, LedgerError, Outcome};

use crate::error::{Attempt, BenchError};
use crate::finished::{Finished, StepWork};
use crate::stage::{Stage, connect};
use crate::wire::{Row, Wire};

/// Legacy rows of a page, of a commit, of a batch.
pub(crate) const PAGE: u64 = 1_000;

/// Parts of a table that a slice is taken from at the least.
const PLACES: u64 = 10;

/// The columns by which a legacy row names its parents, and where those went.
const PARENTS: &[(&str, &str)] = &[
    ("user_id", "accounts"),
    ("brand_id", "brands"),
    ("project_id", "projects"),
    ("subscription_id", "subscriptions"),
    ("finance_transaction_id", "payments"),
    ("parent_id", "payments"),
];

/// A legacy row.
#[derive(Debug, Default)]
pub(crate) struct Item {
    pub(crate) key: Key,
    /// The parents that are looked up for it: table and id.
    pub(crate) parents: Vec<(usize, i64)>,
    /// The rows that it became: table and row, in the order in which they go in.
    pub(crate) rows: Vec<(usize, Row)>,
}

/// A slice: pages of rows that follow each other in the legacy table.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) pages: Vec<Vec<Item>>,
}

impl Slice {
    /// A slice of at most `wanted` rows, from all over the table.
    pub(crate) fn of(
        stage: &Stage,
        finished: &Finished,
        step: &StepWork,
        legacy: &dyn AnyStep,
        wanted: u64,
    ) -> Result<Self, BenchError> {
        let pages = stage.keys.get(legacy.name()).map(|keys| pages(keys, wanted)).unwrap_or_default();
        let mut db = connect(&finished.database, Role::Target)?;
        let targets = targets(&mut db, step, &pages)?;
        let mut rows = Rows { stage, step, db: &mut db }.of(&targets)?;
        let mut named = named(stage, legacy, &pages)?;
        let target = stage.tables[step.planned.target].name.as_str();
        let mut item = |key: Key| {
            let rows = targets.get(&key).and_then(|target| rows.remove(target)).unwrap_or_default();
            let mut parents = named.remove(&key).unwrap_or_default();
            if !rows.is_empty() {
                parents = rows.iter().flat_map(|(table, row)| of_row(stage, *table, row, target)).collect();
            }
            Item { key, parents, rows }
        };
        let pages = pages.into_iter().map(|page| page.into_iter().map(&mut item).collect()).collect();
        Ok(Self { pages })
    }

    /// Its rows.
    pub(crate) fn len(&self) -> u64 {
        self.pages.iter().map(|page| page.len() as u64).sum()
    }

    /// A smaller slice out of it: at most `wanted` rows, some of each page.
    pub(crate) fn some(&self, wanted: u64) -> Vec<&Item> {
        let share = wanted.div_ceil((self.pages.len() as u64).max(1));
        let each = usize::try_from(share).unwrap_or(usize::MAX);
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        self.pages.iter().flat_map(|page| page.iter().take(each)).take(wanted).collect()
    }
}

/// Pages of keys that follow each other, from places that lie evenly in the table; all keys where there are no more.
fn pages(keys: &KeySet, wanted: u64) -> Vec<Vec<Key>> {
    let places = wanted.div_ceil(PAGE).max(PLACES);
    let (size, stride, most) = match keys.len() > wanted.max(places) {
        true => ((wanted / places).max(1), keys.len() / places, places),
        false => (PAGE, PAGE, u64::MAX),
    };
    let mut pages: Vec<Vec<Key>> = Vec::new();
    for (place, key) in (0..).zip(keys.iter()) {
        if place / stride >= most {
            break;
        }
        if place % stride == 0 {
            pages.push(Vec::new());
        }
        if let Some(page) = pages.last_mut().filter(|_| place % stride < size) {
            page.push(key);
        }
    }
    pages
}

/// The target row behind which each migrated row of the pages stands.
fn targets(db: &mut Db, step: &StepWork, pages: &[Vec<Key>]) -> Result<BTreeMap<Key, i64>, BenchError> {
    let wanted: BTreeSet<Key> = pages.iter().flatten().copied().collect();
    let mut targets = BTreeMap::new();
    let Some(known) = history::known_steps(db)?.into_iter().find(|known| known.name == step.planned.name) else {
        return Ok(targets);
    };
    history::lineage(db, &known, |row| {
        if row.outcome == Outcome::Migrated && wanted.contains(&row.legacy_id) {
            let own = row.targets.into_iter().find(|(table, _)| *table == known.target_table);
            targets.extend(own.map(|(_, id)| (row.legacy_id, id)));
        }
        Ok::<_, LedgerError>(())
    })?;
    Ok(targets)
}

/// Reads the rows that a step added.
struct Rows<'a> {
    stage: &'a Stage,
    step: &'a StepWork,
    db: &'a mut Db,
}

#[derive(QueryableByName)]
struct Added {
    #[diesel(sql_type = BigInt)]
    target: i64,
    #[diesel(sql_type = Array<Nullable<Binary>>)]
    cells: Vec<Option<Vec<u8>>>,
}

impl Rows<'_> {
    /// By the id of the target row, with those of other tables that point to it.
    fn of(&mut self, targets: &BTreeMap<Key, i64>) -> Result<BTreeMap<i64, Vec<(usize, Row)>>, BenchError> {
        let ids: Vec<i64> = targets.values().copied().collect();
        let mut found: BTreeMap<i64, Vec<(usize, Row)>> = BTreeMap::new();
        let own = &self.stage.tables[self.step.planned.target].name;
        for (place, _) in &self.step.added {
            let table = &self.stage.tables[*place];
            let owner = match *place == self.step.planned.target {
                true => Some("id"),
                false => table.column_to(own).map(|column| table.columns[column].name.as_str()),
            };
            let Some(owner) = owner else { continue };
            let cells: Vec<String> =
                table.columns.iter().map(|column| format!("{}(t.\"{}\")", column.kind.sender(), column.name)).collect();
            let sql = format!(
                "SELECT t.\"{owner}\" AS target, ARRAY[{}]::bytea[] AS cells FROM {} \
                 WHERE b.step = {} AND t.\"{owner}\" = ANY($1) ORDER BY b.n",
                cells.join(", "),
                table.noted(),
                self.step.number
            );
            let rows: Vec<Added> = diesel::sql_query(sql)
                .bind::<Array<BigInt>, _>(&ids)
                .load(match self.db {
                    Db::Pg(pg) => pg,
                    _ => return Err(BenchError::Differs("the platform is no PostgreSQL".to_owned())),
                })
                .attempt("read what Replant wrote")?;
            for row in rows {
                let cells = row.cells.into_iter().map(Wire).collect();
                found.entry(row.target).or_default().push((*place, cells));
            }
        }
        Ok(found)
    }
}

/// The parents of a row, but for the one that goes in with it.
fn of_row(stage: &Stage, table: usize, row: &Row, target: &str) -> Vec<(usize, i64)> {
    let columns = stage.tables[table].columns.iter().zip(row);
    let parents = columns.filter_map(|(column, value)| {
        let parent = column.parent.as_deref().filter(|parent| *parent != target)?;
        Some((stage.table(parent)?, value.id()?))
    });
    parents.collect()
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    parent: i64,
}

/// The parents that legacy rows name, by key.
fn named(
    stage: &Stage,
    legacy: &dyn AnyStep,
    pages: &[Vec<Key>],
) -> Result<BTreeMap<Key, Vec<(usize, i64)>>, BenchError> {
    let (shape, key) = legacy.legacy_shape();
    let mut db = connect(&stage.legacy, Role::Legacy)?;
    let mut named: BTreeMap<Key, Vec<(usize, i64)>> = BTreeMap::new();
    let columns = PARENTS.iter().filter(|(name, _)| shape.columns.iter().any(|column| column.name == *name));
    for (column, parent) in columns {
        let Some(parent) = stage.table(parent) else { continue };
        for page in pages {
            let (Some(lo), Some(hi)) = (page.first(), page.last()) else { continue };
            let sql = format!(
                "SELECT CAST(`{key}` AS SIGNED) AS id, CAST(`{column}` AS SIGNED) AS parent FROM `{}` \
                 WHERE `{key}` BETWEEN {lo} AND {hi} AND `{column}` > 0",
                shape.name
            );
            let rows: Vec<Named> = diesel::sql_query(sql).load(&mut db).attempt("read the parents of legacy rows")?;
            for row in rows {
                named.entry(row.id).or_default().push((parent, row.parent));
            }
        }
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(keys: u64, wanted: u64) -> Vec<usize> {
        let keys: KeySet = (1..=keys.cast_signed()).collect();
        pages(&keys, wanted).iter().map(Vec::len).collect()
    }

    #[test]
    fn a_slice_comes_from_all_over_the_table() {
        assert_eq!(sizes(1_000_000, 2_000), [200; 10]);
        assert_eq!(sizes(1_000_000, 20_000), [1_000; 20]);
        let keys: KeySet = (1..=1_000_000).collect();
        let firsts: Vec<Key> = pages(&keys, 2_000).iter().map(|page| page[0]).collect();
        assert_eq!(firsts[..3], [1, 100_001, 200_001]);
    }

    #[test]
    fn of_a_small_table_all_rows_are_taken() {
        assert_eq!(sizes(1_500, 2_000), [1_000, 500]);
        assert_eq!(sizes(3, 2_000), [3]);
        assert_eq!(sizes(0, 2_000), Vec::<usize>::new());
    }
}
