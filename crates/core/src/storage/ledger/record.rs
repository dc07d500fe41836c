//! The compact record of the migrated rows of a chunk.

use serde::{Deserialize, Serialize};

use super::error::LedgerError;
use crate::words::Key;

/// A migrated row, in the compact record of its chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The legacy key.
    pub key: Key,
    /// Its row in the step's target table.
    pub target: i64,
    /// Further rows that it is behind: table and id.
    pub also: Vec<(String, i64)>,
    /// A hash of what was done for its unit besides inserting rows; 0 where nothing was.
    pub deeds: u64,
}

/// More takes longer than it saves.
const LEVEL: i32 = 3;

/// Keys and targets, each as its distance from the one before: mostly 1.
#[derive(Serialize, Deserialize)]
struct Content {
    keys: Vec<i64>,
    targets: Vec<i64>,
    /// Further rows, by the place of their row.
    also: Vec<(u32, Vec<(String, i64)>)>,
    /// What was done besides inserting rows, by the place of the row.
    deeds: Vec<(u32, u64)>,
}

fn distances(values: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut before = 0_i64;
    values.map(|value| value.wrapping_sub(std::mem::replace(&mut before, value))).collect()
}

fn values(distances: Vec<i64>) -> impl Iterator<Item = i64> {
    let sum = |before: &mut i64, distance: i64| {
        *before = before.wrapping_add(distance);
        Some(*before)
    };
    distances.into_iter().scan(0_i64, sum)
}

/// Packs the migrated rows of a chunk.
pub(super) fn packed(rows: &[Migrated]) -> Vec<u8> {
    let also = (0..).zip(rows).filter(|(_, row)| !row.also.is_empty());
    let deeds = (0..).zip(rows).filter(|(_, row)| row.deeds != 0);
    let content = Content {
        keys: distances(rows.iter().map(|row| row.key)),
        targets: distances(rows.iter().map(|row| row.target)),
        also: also.map(|(place, row)| (place, row.also.clone())).collect(),
        deeds: deeds.map(|(place, row)| (place, row.deeds)).collect(),
    };
    let bytes = postcard::to_stdvec(&content).expect("numbers and names have a postcard form");
    zstd::bulk::compress(&bytes, LEVEL).expect("memory is compressed into memory")
}

/// The migrated rows of a chunk of a step.
///
/// # Errors
/// The record is not one.
pub(super) fn unpacked(step: &str, record: &[u8]) -> Result<Vec<Migrated>, LedgerError> {
    let unreadable = || LedgerError::Unreadable { what: "record of a chunk", of: step.to_owned() };
    let bytes = zstd::stream::decode_all(record).map_err(|_| unreadable())?;
    let content: Content = postcard::from_bytes(&bytes).map_err(|_| unreadable())?;
    let keys = values(content.keys);
    let mut rows: Vec<Migrated> = keys
        .zip(values(content.targets))
        .map(|(key, target): (Key, i64)| Migrated { key, target, also: Vec::new(), deeds: 0 })
        .collect();
    for (place, also) in content.also {
        rows.get_mut(place as usize).ok_or_else(unreadable)?.also = also;
    }
    for (place, deeds) in content.deeds {
        rows.get_mut(place as usize).ok_or_else(unreadable)?.deeds = deeds;
    }
    Ok(rows)
}
