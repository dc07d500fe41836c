//! A part of the last step of a run: so many rows, or some keys. The rest stays to be done by a later run.

use crate::engine::error::RunError;
use crate::engine::run::Running;
use crate::engine::settings::Subset;
use crate::engine::step::{AnyStep, PreparedStep};
use crate::storage::ledger::claim;
use crate::words::{KeyRange, KeySet};

/// The ranges of keys that are to be done, each from a key to a key, disjoint, in order. Keys of units are those of their
/// leaders: a unit goes as a whole.
///
/// # Errors
/// No row has one of the keys; the ledger fails.
pub(super) fn ranges(
    run: &Running<'_>,
    step: &dyn AnyStep,
    prepared: &dyn PreparedStep,
    subset: &Subset,
) -> Result<Vec<KeyRange>, RunError> {
    let keys = prepared.keys();
    Ok(match subset {
        Subset::First(rows) => {
            let open = claim::open(&mut *run.databases.target.get()?, step.name())?;
            first(keys, &open, *rows).into_iter().collect()
        }
        Subset::Keys(asked) => {
            let there = asked.iter().flat_map(|range| keys.range(*range));
            let leaders: KeySet = there.map(|key| prepared.leader_of(key)).collect();
            if leaders.is_empty() {
                let (table, least, most) =
                    (step.legacy_table(), keys.at(0), keys.len().checked_sub(1).and_then(|last| keys.at(last)));
                let known = least
                    .zip(most)
                    .map_or("it is empty".to_owned(), |(least, most)| format!("they lie between {least} and {most}"));
                return Err(RunError::Settings(format!(
                    "no row of the legacy table `{table}` has one of these keys: {known}"
                )));
            }
            joined(keys, &leaders)
        }
    })
}

/// From the first key that is open to the last of `rows` open ones.
fn first(keys: &KeySet, open: &[KeyRange], rows: u64) -> Option<KeyRange> {
    let mut left = rows;
    let mut last = None;
    for range in open {
        if left == 0 {
            break;
        }
        last = Some(keys.cut(*range, left).map_or(range.hi, |(last, _)| last));
        left = left.saturating_sub(keys.count(*range));
    }
    Some(KeyRange { lo: open.first()?.lo, hi: last? })
}

/// The keys of `some` as ranges of neighbours among `keys`.
fn joined(keys: &KeySet, some: &KeySet) -> Vec<KeyRange> {
    let mut ranges: Vec<KeyRange> = Vec::new();
    let mut before: Option<u64> = None;
    for key in some.iter() {
        let rank = keys.rank(key);
        match ranges.last_mut() {
            Some(range) if before.is_some() && before.map(|before| before + 1) == rank => range.hi = key,
            _ => ranges.push(KeyRange { lo: key, hi: key }),
        }
        before = rank;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Key;

    fn range(lo: Key, hi: Key) -> KeyRange {
        KeyRange { lo, hi }
    }

    #[test]
    fn the_first_rows_are_counted_over_what_is_open() {
        let keys: KeySet = (1..=100).map(|n| n * 10).collect();
        let open = [range(10, 30), range(100, 100), range(500, 1_000)];
        assert_eq!(first(&keys, &open, 2), Some(range(10, 20)));
        assert_eq!(first(&keys, &open, 4), Some(range(10, 100)));
        assert_eq!(first(&keys, &open, 6), Some(range(10, 510)));
        assert_eq!(first(&keys, &open, 1_000), Some(range(10, 1_000)));
        assert_eq!((first(&keys, &open, 0), first(&keys, &[], 5)), (None, None));
    }

    #[test]
    fn neighbours_are_one_range() {
        let keys: KeySet = [3, 5, 9, 11, 20].into_iter().collect();
        let some = [5, 9, 20].into_iter().collect();
        assert_eq!(joined(&keys, &some), [range(5, 9), range(20, 20)]);
        assert_eq!(joined(&keys, &KeySet::default()), []);
    }
}
