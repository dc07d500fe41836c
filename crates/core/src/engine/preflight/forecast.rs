//! How much room a run will take on the target's disk, and how many ids of its sequences.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use serde::Serialize;

use super::checked::Checked;
use super::sequences;
use crate::contract::inspect::Finding;
use crate::engine::step::AnyStep;
use crate::storage::db::{Backend, Db, Role};
use crate::storage::ledger::{exists, status};

/// Bytes a legacy row, as measured with the simulated legacy database on PostgreSQL 15: a platform with wider rows or more
/// indexes takes more.
const WAL_BYTES: u64 = 410;
const DATA_BYTES: u64 = 200;
const LEDGER_BYTES: u64 = 80;

const GIGABYTE: u64 = 1 << 30;

/// What a run is expected to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// Legacy rows that are left to move.
    pub rows: u64,
    /// Bytes of the write-ahead log, which the server drops again at its checkpoints, unless it is archived or kept for a
    /// standby.
    pub wal_bytes: u64,
    /// Bytes of the platform's tables and indexes.
    pub data_bytes: u64,
    /// Bytes of the ledger.
    pub ledger_bytes: u64,
    /// Bytes that the target takes now.
    pub database_bytes: u64,
}

impl Forecast {
    /// What the disk must have room for, if no write-ahead log is dropped meanwhile.
    pub fn bytes(&self) -> u64 {
        self.wal_bytes + self.data_bytes + self.ledger_bytes
    }

    fn of(rows: u64, database_bytes: u64) -> Self {
        let times = |bytes: u64| rows.saturating_mul(bytes);
        Self {
            rows,
            wal_bytes: times(WAL_BYTES),
            data_bytes: times(DATA_BYTES),
            ledger_bytes: times(LEDGER_BYTES),
            database_bytes,
        }
    }

    /// Whether it fits into what is left of a disk of `disk_gb`, with two fifths to spare.
    fn fits(&self, disk_gb: u64) -> Option<Finding> {
        let left = disk_gb.saturating_mul(GIGABYTE).saturating_sub(self.database_bytes);
        let needed = self.bytes().saturating_mul(14) / 10;
        if needed <= left {
            return None;
        }
        let gb = |bytes: u64| format!("{}.{} GB", bytes / GIGABYTE, bytes % GIGABYTE * 10 / GIGABYTE);
        let what = format!(
            "the disk of {disk_gb} GB has no room for the run: {} rows are left, for which {} should be free, and the database \
             leaves {}",
            self.rows,
            gb(needed),
            gb(left)
        );
        let mend =
            "make room and raise `disk_gb` of [target] to what the disk holds; without `disk_gb` it is not checked";
        Some(Finding::refusal(Role::Target, what).mend(mend))
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// What is to come, and whether there is room for it. The forecast is left out of a run that no `disk_gb` limits: to count
/// large tables takes a while.
pub(super) fn forecast(
    checked: &Checked<'_>,
    legacy: &mut Db,
    target: &mut Db,
) -> QueryResult<(Vec<Finding>, Option<Forecast>)> {
    let known = match exists(target).and_then(|there| if there { status::steps(target) } else { Ok(Vec::new()) }) {
        Ok(known) => known,
        Err(error) => {
            let what = format!("it cannot be told what is left to do: {error}");
            return Ok((vec![Finding::refusal(Role::Target, what)], None));
        }
    };
    let is_known = |step: &&dyn AnyStep| known.iter().any(|known| known.step == step.name());
    // The ids of steps that are planned are taken.
    let new: Vec<&dyn AnyStep> = checked.steps.iter().copied().filter(|step| !is_known(step)).collect();
    let mut found = enough_ids(&new, legacy, target)?;
    if !checked.counts && checked.settings.disk_gb.is_none() {
        return Ok((found, None));
    }
    let of_run =
        |known: &&status::StepStatus| checked.steps.iter().any(|step| step.name() == known.step) && !known.done;
    let mut rows: u64 = known.iter().filter(of_run).map(|known| known.rows.saturating_sub(known.counts.read)).sum();
    for step in &new {
        rows += count(*step, legacy)?;
    }
    let sql = match target.backend() {
        Backend::Postgres => "SELECT pg_database_size(current_database()) AS number",
        _ => "SELECT page_count * page_size AS number FROM pragma_page_count(), pragma_page_size()",
    };
    let Number { number } = diesel::sql_query(sql).get_result(target)?;
    let forecast = Forecast::of(rows, number.unsigned_abs());
    found.extend(checked.settings.disk_gb.and_then(|disk_gb| forecast.fits(disk_gb)));
    Ok((found, Some(forecast)))
}

/// Whether the sequences have enough ids for steps that are not planned. Between the lowest and the highest key of a table there
/// are at most so many rows: only where that would be too many, they are counted.
fn enough_ids(new: &[&dyn AnyStep], legacy: &mut Db, target: &mut Db) -> QueryResult<Vec<Finding>> {
    let mut found = Vec::new();
    for table in sequences::with_ids(new) {
        let steps: Vec<&dyn AnyStep> =
            new.iter().copied().filter(|step| sequences::with_ids(&[*step]).contains(table)).collect();
        let at_most =
            steps.iter().try_fold(0_u64, |sum, step| QueryResult::Ok(sum.saturating_add(span(*step, legacy)?)))?;
        if sequences::enough(target, table, at_most)?.is_some() {
            let rows = steps.iter().try_fold(0_u64, |sum, step| QueryResult::Ok(sum + count(*step, legacy)?))?;
            found.extend(sequences::enough(target, table, rows)?);
        }
    }
    Ok(found)
}

fn ask(legacy: &mut Db, what: &str, step: &dyn AnyStep) -> QueryResult<i64> {
    let quote = if legacy.backend() == Backend::MariaDb { '`' } else { '"' };
    let (table, key) = (step.legacy_table(), format!("{quote}{}{quote}", step.legacy_shape().1));
    let sql = format!("SELECT {} AS number FROM {quote}{table}{quote}", what.replace("KEY", &key));
    Ok(diesel::sql_query(sql).get_result::<Number>(legacy)?.number)
}

fn count(step: &dyn AnyStep, legacy: &mut Db) -> QueryResult<u64> {
    ask(legacy, "count(*)", step).map(i64::unsigned_abs)
}

fn span(step: &dyn AnyStep, legacy: &mut Db) -> QueryResult<u64> {
    let (lowest, highest) = (ask(legacy, "coalesce(min(KEY), 1)", step)?, ask(legacy, "coalesce(max(KEY), 0)", step)?);
    Ok(u64::try_from(i128::from(highest) - i128::from(lowest) + 1).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_must_have_room_for_what_is_to_come_and_two_fifths_more() {
        let million = Forecast::of(1_000_000, 10 * GIGABYTE);
        assert_eq!(million.bytes(), 690_000_000);
        assert_eq!(million.fits(11), None);
        let ten_millions = Forecast::of(10_000_000, 10 * GIGABYTE);
        // 9.66e9 bytes are just below nine gigabytes.
        assert_eq!(ten_millions.fits(19), None);
        let refusal = ten_millions.fits(18).expect("8 GB are not enough");
        assert!(
            refusal.refuses() && refusal.what.contains("8.9 GB") && refusal.what.contains("8.0 GB"),
            "{}",
            refusal.what
        );
        assert!(ten_millions.fits(5).is_some(), "the database is larger than the disk is said to be");
    }
}
