//! What is measured of a way: time, CPU, memory, what it made the target write.

use std::ops::AddAssign;
use std::time::Instant;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use serde::Serialize;

use crate::error::{Attempt, BenchError};
use crate::usage::{self, Own};

/// What moving some legacy rows took.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Measure {
    /// Legacy rows.
    pub rows: u64,
    /// Of those, how many were moved in truth: of fewer than all, the rest is scaled up from them.
    pub measured_rows: u64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Legacy rows a second.
    pub rows_per_s: f64,
    /// CPU seconds of the program that moves them.
    pub own_cpu_s: Option<f64>,
    /// CPU seconds of MariaDB.
    pub legacy_cpu_s: Option<f64>,
    /// CPU seconds of PostgreSQL, all of its processes.
    pub target_cpu_s: Option<f64>,
    /// Bytes of write-ahead log that PostgreSQL wrote.
    pub wal_bytes: u64,
    /// How often PostgreSQL synced that log to disk. Not known of every version.
    pub wal_syncs: Option<u64>,
    /// Peak memory of the program in MiB, where it ran as a process of its own.
    pub peak_rss_mb: Option<f64>,
}

impl Measure {
    /// As if `rows` rows had been moved at the same pace.
    pub(crate) fn scaled_to(&self, rows: u64) -> Self {
        let factor = if self.rows == 0 { 1.0 } else { rows as f64 / self.rows as f64 };
        let scaled = Self {
            rows,
            measured_rows: self.measured_rows,
            seconds: self.seconds * factor,
            rows_per_s: 0.0,
            own_cpu_s: self.own_cpu_s.map(|seconds| seconds * factor),
            legacy_cpu_s: self.legacy_cpu_s.map(|seconds| seconds * factor),
            target_cpu_s: self.target_cpu_s.map(|seconds| seconds * factor),
            wal_bytes: (self.wal_bytes as f64 * factor) as u64,
            wal_syncs: self.wal_syncs.map(|syncs| (syncs as f64 * factor) as u64),
            peak_rss_mb: self.peak_rss_mb,
        };
        scaled.with_pace()
    }

    fn with_pace(mut self) -> Self {
        self.rows_per_s = if self.seconds > 0.0 { self.rows as f64 / self.seconds } else { 0.0 };
        self
    }

    /// Of each figure the middle one (of an even number the mean of the two in the middle).
    pub(crate) fn median(of: &[Self]) -> Self {
        let floats = |figure: fn(&Self) -> Option<f64>| middle(of.iter().filter_map(figure).collect());
        let counts = |figure: fn(&Self) -> Option<u64>| {
            middle(of.iter().filter_map(figure).map(|count| count as f64).collect()).map(|count| count as u64)
        };
        let median = Self {
            rows: of.first().map_or(0, |first| first.rows),
            measured_rows: of.first().map_or(0, |first| first.measured_rows),
            seconds: floats(|one| Some(one.seconds)).unwrap_or_default(),
            rows_per_s: 0.0,
            own_cpu_s: floats(|one| one.own_cpu_s),
            legacy_cpu_s: floats(|one| one.legacy_cpu_s),
            target_cpu_s: floats(|one| one.target_cpu_s),
            wal_bytes: counts(|one| Some(one.wal_bytes)).unwrap_or_default(),
            wal_syncs: counts(|one| one.wal_syncs),
            peak_rss_mb: floats(|one| one.peak_rss_mb),
        };
        median.with_pace()
    }
}

/// One after the other: rows, times and what was written add up, the higher peak counts.
impl AddAssign<&Measure> for Measure {
    fn add_assign(&mut self, other: &Measure) {
        let sum = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a + b).or(a).or(b);
        self.rows += other.rows;
        self.measured_rows += other.measured_rows;
        self.seconds += other.seconds;
        self.own_cpu_s = sum(self.own_cpu_s, other.own_cpu_s);
        self.legacy_cpu_s = sum(self.legacy_cpu_s, other.legacy_cpu_s);
        self.target_cpu_s = sum(self.target_cpu_s, other.target_cpu_s);
        self.wal_bytes += other.wal_bytes;
        self.wal_syncs = match (self.wal_syncs, other.wal_syncs) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        self.peak_rss_mb = match (self.peak_rss_mb, other.peak_rss_mb) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        *self = std::mem::take(self).with_pace();
    }
}

fn middle(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let half = figures.len() / 2;
    match figures.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(figures[half]),
        _ => Some((figures[half - 1] + figures[half]) / 2.0),
    }
}

/// Reads what both servers and this process have used.
pub(crate) struct Meter {
    legacy: Option<u32>,
    target: Option<u32>,
    db: PgConnection,
}

/// The state of all meters at a moment.
pub(crate) struct Reading {
    at: Instant,
    own: Option<Own>,
    legacy: Option<f64>,
    target: Option<f64>,
    wal: Wal,
}

#[derive(QueryableByName)]
struct Wal {
    #[diesel(sql_type = BigInt)]
    bytes: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    syncs: Option<i64>,
}

/// Later versions keep the number of syncs elsewhere: then it is not known.
const WAL: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS bytes, \
                   (to_jsonb(w) ->> 'wal_sync')::bigint AS syncs FROM pg_stat_wal w";

impl Meter {
    /// `legacy` and `target` are the servers' processes, `db` a connection to a database of the target that is none of
    /// those that are measured.
    pub(crate) fn new(legacy: Option<u32>, target: Option<u32>, db: PgConnection) -> Self {
        Self { legacy, target, db }
    }

    /// Begins a measurement from a settled state: nothing is left to write of what was before.
    pub(crate) fn settled(&mut self) -> Result<Reading, BenchError> {
        diesel::sql_query("CHECKPOINT").execute(&mut self.db).attempt("wait for a checkpoint")?;
        self.read()
    }

    /// Begins a measurement.
    pub(crate) fn read(&mut self) -> Result<Reading, BenchError> {
        let wal = self.wal()?;
        let (legacy, target) = (self.legacy.and_then(usage::tree_cpu), self.target.and_then(usage::tree_cpu));
        Ok(Reading { own: usage::own_cpu(), legacy, target, wal, at: Instant::now() })
    }

    /// Ends a measurement of `rows` legacy rows.
    pub(crate) fn since(&mut self, before: &Reading, rows: u64) -> Result<Measure, BenchError> {
        let seconds = before.at.elapsed().as_secs_f64();
        let now = self.read()?;
        let cpu = |now: Option<f64>, then: Option<f64>| now.zip(then).map(|(now, then)| (now - then).max(0.0));
        let measure = Measure {
            rows,
            measured_rows: rows,
            seconds,
            rows_per_s: 0.0,
            own_cpu_s: cpu(now.own.map(Own::all), before.own.map(Own::all)),
            legacy_cpu_s: cpu(now.legacy, before.legacy),
            target_cpu_s: cpu(now.target, before.target),
            wal_bytes: u64::try_from(now.wal.bytes - before.wal.bytes).unwrap_or_default(),
            wal_syncs: now.wal.syncs.zip(before.wal.syncs).and_then(|(now, then)| u64::try_from(now - then).ok()),
            peak_rss_mb: None,
        };
        Ok(measure.with_pace())
    }

    /// CPU seconds of the processes that ended since, without this one's.
    pub(crate) fn children_since(&self, before: &Reading) -> Option<f64> {
        usage::own_cpu().zip(before.own).map(|(now, then)| now.waited_for - then.waited_for)
    }

    fn wal(&mut self) -> Result<Wal, BenchError> {
        diesel::sql_query(WAL).get_result(&mut self.db).attempt("ask how much log was written")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(rows: u64, seconds: f64) -> Measure {
        Measure { rows, measured_rows: rows, seconds, ..Measure::default() }.with_pace()
    }

    #[test]
    fn a_slice_is_scaled_to_all_rows() {
        let all = Measure { wal_bytes: 10, ..measure(100, 2.0) }.scaled_to(1_000);
        assert_eq!((all.rows, all.measured_rows, all.seconds, all.wal_bytes), (1_000, 100, 20.0, 100));
        assert!((all.rows_per_s - 50.0).abs() < 1e-9);
    }

    #[test]
    fn steps_add_up_and_the_higher_peak_counts() {
        let mut all = Measure { peak_rss_mb: Some(3.0), ..measure(10, 1.0) };
        all += &Measure { peak_rss_mb: Some(5.0), wal_syncs: Some(2), ..measure(20, 2.0) };
        assert_eq!((all.rows, all.seconds, all.wal_syncs, all.peak_rss_mb), (30, 3.0, Some(2), Some(5.0)));
        assert!((all.rows_per_s - 10.0).abs() < 1e-9);
    }

    #[test]
    fn the_median_is_that_of_each_figure() {
        let median = Measure::median(&[measure(10, 1.0), measure(10, 5.0), measure(10, 2.0)]);
        assert_eq!(median.seconds, 2.0);
        assert_eq!(middle(vec![1.0, 4.0]), Some(2.5));
        assert_eq!(middle(Vec::new()), None);
    }
}
