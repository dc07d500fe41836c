//! What the ledger says of a chunk, without the values of a person. What was written stands in the target as it was: that is the site's.

use roaring::RoaringBitmap;
use rustc_hash::{FxHashMap, FxHashSet};

use super::closing::Gone;
use super::due::Rejudging;
use super::error::ChunkError;
use super::judged::{Judged, seen_of};
use crate::contract::legacy::LegacyRow;
use crate::contract::step::Step;
use crate::storage::bulk::{Rows as _, UnitIndex};
use crate::storage::db::Db;
use crate::storage::imprint::{Packed, Reading, Table, Value};
use crate::storage::ledger::erased::{ERASED, Erasure};
use crate::storage::ledger::forget::Written;
use crate::storage::ledger::{imprints, recorded};
use crate::words::Key;

/// What is to be forgotten of a chunk.
pub struct Forgotten<'a> {
    /// Cells that are not read any more, by key.
    pub(crate) erased: &'a FxHashMap<Key, Erasure>,
    /// The rows as they were read last, without these cells.
    pub(crate) seen: Option<&'a [Table]>,
}

/// See [`ReadyChunk::anew`](super::forms::ReadyChunk::anew): of units with an erased row the imprint says what comes out today, as if that
/// had been written. So nothing of it comes out otherwise later, and what stands in the target counts as somebody's who has changed it.
///
/// # Errors
/// The database fails, or the ledger cannot be read back.
pub(super) fn anew<S: Step>(
    judged: &Judged<S>,
    db: &mut Db,
    chunk: i64,
    forgotten: &Forgotten<'_>,
) -> Result<Written, ChunkError> {
    let erased = |unit: UnitIndex| judged.unit(unit).iter().any(|row| forgotten.erased.contains_key(&row.key()));
    let units: RoaringBitmap = (0..judged.units()).filter(|unit| erased(*unit)).collect();
    let is_whole = |unit: UnitIndex| {
        let of = |row: &S::Legacy| forgotten.erased.get(&row.key());
        judged.unit(unit).iter().filter_map(of).any(Erasure::is_whole)
    };
    let leaders: FxHashMap<Key, bool> = units.iter().map(|unit| (judged.unit(unit)[0].key(), is_whole(unit))).collect();
    let expected = judged.imprint_of(&judged.draft.rows.only(&|unit| units.contains(unit)))?;
    let mut tables = imprints::of_chunk(db, chunk)?;
    for model in S::Rows::models() {
        let name = model.shape.name;
        let expected = expected.iter().find(|table| table.name == name);
        for table in tables.iter_mut().filter(|table| table.name == name) {
            let reading = Reading::new(db, &model.shape, &table.columns)?;
            forget(table, expected, &reading, &leaders);
        }
    }
    let mut rows = recorded::rows(db, S::NAME, chunk)?;
    let mut deeds: FxHashMap<Key, u64> = FxHashMap::default();
    for unit in units {
        let (leader, verdict) = (judged.unit(unit)[0].key(), &judged.draft.verdicts[unit as usize]);
        if let Some(row) = rows.get_mut(&leader).filter(|row| verdict.result.is_ok() && row.deeds != 0) {
            row.deeds = verdict.deeds;
            deeds.insert(leader, verdict.deeds);
        }
    }
    let record = recorded::record_with(db, S::NAME, chunk, &deeds)?;
    let imprint = tables.iter().map(Packed::of).collect();
    let own: FxHashSet<Key> = judged.rows.iter().map(LegacyRow::key).collect();
    let is_same = own.len() == rows.len()
        && rows.keys().all(|key| own.contains(key))
        && forgotten.seen.is_some_and(|seen| is_read_so(seen, judged));
    let due = Rejudging::new(db, (judged, chunk), (rows, Gone::default()), tables)?.due()?;
    let nothing_due = due.write.is_empty() && due.out.is_empty() && due.surplus.is_empty();
    Ok(Written { imprint, record, digest: (is_same && nothing_due).then_some(judged.digest) })
}

/// Whether rows were read last as they are read today.
fn is_read_so<S: Step>(seen: &[Table], judged: &Judged<S>) -> bool {
    let rows: usize = seen.iter().map(|table| table.keys.len()).sum();
    let mut now = seen_of(&judged.rows).reduce(|mut all, more| {
        all.append(&more);
        all
    });
    let now = now.get_or_insert_with(|| Table::empty(S::Legacy::TABLE.into()));
    rows == now.keys.len() && seen.iter().all(|was| was.altered(now) == 0)
}

/// A row of the target: its key, and its values.
type Keyed = (Vec<Value>, Vec<Value>);

/// Puts what comes out today in the place of what was written for the sake of some legacy rows: of those that are the person's all
/// columns, of others the texts. `leaders`: these rows, and whether they are the person's.
fn forget(table: &mut Table, expected: Option<&Table>, reading: &Reading, leaders: &FxHashMap<Key, bool>) {
    // A row is known by its key; one whose key says something of the person takes the next one of its legacy row.
    let mut left: FxHashMap<Key, Vec<Keyed>> = FxHashMap::default();
    for (expected, row) in expected.iter().flat_map(|table| (0..table.keys.len()).map(move |row| (table, row))) {
        let values = reading.arranged(expected, row);
        left.entry(expected.keys[row]).or_default().push((reading.key(&values), values));
    }
    let places: Vec<usize> = (0..table.keys.len()).filter(|row| leaders.contains_key(&table.keys[*row])).collect();
    let mut anew: FxHashMap<usize, Vec<Value>> = FxHashMap::default();
    let mut others = Vec::new();
    for place in places {
        let key = reading.key(&reading.arranged(table, place));
        let of_row = left.get_mut(&table.keys[place]);
        let found = of_row.and_then(|rows| Some(rows.remove(rows.iter().position(|(of, _)| *of == key)?)));
        match found {
            Some((_, values)) => drop(anew.insert(place, values)),
            None => others.push(place),
        }
    }
    let mut nothing: FxHashSet<usize> = FxHashSet::default();
    for place in others {
        match left.get_mut(&table.keys[place]).filter(|rows| !rows.is_empty()) {
            Some(rows) => drop(anew.insert(place, rows.remove(0).1)),
            None => drop(nothing.insert(place)),
        }
    }
    let keyed: Vec<&str> = reading.keyed().iter().map(|(name, _)| name.as_str()).collect();
    for (nth, (column, _)) in reading.columns().iter().enumerate() {
        let Some(at) = table.column(column) else { continue };
        let texts: Vec<bool> = table.values[at].iter().map(|value| Value::from(value).as_text().is_some()).collect();
        let whole: Vec<bool> = table.keys.iter().map(|key| leaders.get(key).copied().unwrap_or_default()).collect();
        table.replace(at, |place| {
            if let Some(values) = anew.get(&place) {
                return (whole[place] || texts[place]).then(|| values[nth].clone());
            }
            // Rows that do not come out any more, and stand there still: nobody knows what they hold.
            let is_forgotten = nothing.contains(&place) && texts[place];
            is_forgotten.then(|| match keyed.contains(&column.as_str()) {
                true => Value::Text(format!("{ERASED}-{place}").into()),
                false => Value::Null,
            })
        });
    }
}
