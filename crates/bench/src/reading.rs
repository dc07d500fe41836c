//! Reading the legacy tables, as Replant reads them, and nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use replant_core::db::Role;
use replant_core::{AnyStep, KeyRange, KeySet};

use crate::error::{Attempt, BenchError};
use crate::measure::Measure;
use crate::stage::{Stage, connect};

/// Reads a step's table in chunks of so many rows, on so many connections at once.
pub(crate) fn read(
    stage: &mut Stage,
    step: &dyn AnyStep,
    chunk: u64,
    connections: usize,
) -> Result<Measure, BenchError> {
    let Some(keys) = stage.keys.get(step.name()) else { return Ok(Measure::default()) };
    let size = usize::try_from(chunk.max(1)).unwrap_or(usize::MAX);
    let (ranges, expected) = (ranges(keys, size), keys.len());
    let legacy: Vec<_> =
        (0..connections.max(1)).map(|_| connect(&stage.legacy, Role::Legacy)).collect::<Result<_, _>>()?;
    let next = AtomicUsize::new(0);
    let before = stage.meter.read()?;
    let rows = thread::scope(|scope| {
        let reader = |mut db: replant_core::db::Db| {
            let (ranges, next) = (&ranges, &next);
            scope.spawn(move || {
                let mut rows = 0;
                while let Some(range) = ranges.get(next.fetch_add(1, Ordering::Relaxed)) {
                    rows += step.read_range(&mut db, *range, size).attempt("read legacy rows")?;
                }
                Ok::<u64, BenchError>(rows)
            })
        };
        let readers: Vec<_> = legacy.into_iter().map(reader).collect();
        let read = readers.into_iter().map(|reader| reader.join().unwrap_or(Err(BenchError::Stopped)));
        read.sum::<Result<u64, BenchError>>()
    })?;
    if rows != expected {
        return Err(BenchError::Differs(format!("{}: {rows} rows were read, of {expected}", step.name())));
    }
    stage.meter.since(&before, rows)
}

fn ranges(keys: &KeySet, size: usize) -> Vec<KeyRange> {
    let keys: Vec<i64> = keys.iter().collect();
    keys.chunks(size).filter_map(|keys| Some(KeyRange { lo: *keys.first()?, hi: *keys.last()? })).collect()
}
