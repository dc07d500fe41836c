//! The second look at rows that did not stand as they should: what differs then as well is told.

use rustc_hash::{FxHashMap, FxHashSet};

use super::first::{Looking, Rows, Suspects, Told};
use super::sums::{Side, Sums};
use super::verdict::{Difference, Verdict};
use crate::engine::written::{Kept, Sheet, Written};
use crate::storage::db::Db;
use crate::storage::imprint::{Columns, Lock, Reading, Table, Value};
use crate::storage::ledger::changes::RowName;
use crate::storage::ledger::{Attempt, LedgerError, changes, imprints, recorded};
use crate::words::Key;

/// What a second look at a chunk came to.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) differences: Vec<Difference>,
    sums: Sums,
    /// Of rows that the ledger says are there, those that differ.
    differing: u64,
}

impl Found {
    /// In numbers.
    pub(super) fn told(self) -> Told {
        let mut told = Told { sums: self.sums, differing: self.differing, ..Told::default() };
        self.differences.iter().for_each(|difference| told.tally.add(difference.verdict));
        told
    }
}

/// A row on its two sides.
struct Row<'a> {
    sheet: &'a Sheet,
    reading: &'a Reading,
    /// The legacy row for whose sake it was written.
    key: Option<Key>,
    /// As the migration left it.
    left: Option<Vec<Value>>,
    /// As it stands: as the ledger would keep it.
    stands: Option<Vec<Value>>,
}

impl Row<'_> {
    /// The columns that hold something else than they are to hold, by their places.
    fn others(&self, expected: Option<&Vec<Value>>) -> Vec<usize> {
        match (expected, &self.stands) {
            (Some(expected), Some(stands)) => {
                (0..stands.len()).filter(|place| stands[*place] != expected[*place]).collect()
            }
            _ => Vec::new(),
        }
    }

    fn told(&self, step: &'static str, row: &[Value], verdict: Verdict, expected: Option<&Vec<Value>>) -> Difference {
        let places = self.others(expected);
        // Where one side has no row, all columns of the other one are told.
        let all = || 0..self.reading.columns().len();
        let told = |values: Option<&Vec<Value>>| -> Columns {
            let some = |values: &Vec<Value>| match expected.is_some() && self.stands.is_some() {
                true => self.reading.some_columns(values, places.iter().copied()),
                false => self.reading.some_columns(values, all()),
            };
            values.map(some).unwrap_or_default()
        };
        Difference {
            step,
            legacy_key: self.key,
            table: self.sheet.model.shape.name.to_owned(),
            row: Some(RowName::of_key(&self.reading.key_columns(row))),
            columns: places.iter().map(|place| self.reading.columns()[*place].0.clone()).collect(),
            verdict,
            expected: told(expected),
            found: told(self.stands.as_ref()),
        }
    }
}

impl Looking<'_> {
    /// Looks again at what was suspicious of a chunk, in a transaction that sees one state of the target. None: the chunk was closed
    /// anew since.
    ///
    /// # Errors
    /// The database fails, or the ledger cannot be read back.
    pub(super) fn again(&self, db: &mut Db, suspects: &Suspects) -> Result<Option<Found>, LedgerError> {
        if recorded::epoch(db, suspects.chunk.0)? != suspects.epoch {
            return Ok(None);
        }
        let (step, cluster) = (self.step, self.cluster.as_deref());
        let mut found = Found::default();
        let mut tables = self.tables(db, suspects.chunk)?;
        let written_by = imprints::written_by(db, suspects.chunk.0).attempt("read")?;
        let leaders = suspects.stale.units.iter().flat_map(|unit| unit.iter().map(|key| (*key, unit[0])));
        let mut stale = StaleUnits { leaders: leaders.collect(), told: FxHashSet::default() };
        for (nth, sheet) in self.sheets.iter().enumerate() {
            let name = sheet.model.shape.name;
            let own = sheet.table(&mut tables);
            let expected = suspects.stale.expected.iter().find(|table| table.name == name);
            let columns = own.as_ref().or(expected).map(|table| table.columns.clone());
            let mut table = own.unwrap_or_else(|| sheet.nothing());
            if let Some(columns) = columns.filter(|_| table.keys.is_empty()) {
                table = Table { values: vec![Default::default(); columns.len()], columns, ..table };
            }
            let written = Written::new(db, sheet, table)?;
            let of_sheet = |rows: &Rows| -> Vec<Vec<Value>> {
                rows.iter().filter(|(of, _)| *of == nth).map(|(_, key)| key.clone()).collect()
            };
            let by = written_by.iter().find(|(table, _)| table == name).and_then(|(_, by)| by.as_deref());
            let (waiting, erased) = (self.waiting.as_ref(), &self.erased);
            let look = Look { step, written: &written, by, cluster, waiting, erased };
            let handled = look.stale(db, expected, &mut stale, &mut found)?;
            let rows = of_sheet(&suspects.rows).into_iter().filter(|row| !handled.contains(row)).collect();
            look.rows(db, rows, &mut found)?;
            look.unnamed(db, of_sheet(&suspects.unnamed), suspects.chunk.0, &mut found)?;
        }
        // Only what became of the legacy row comes out otherwise, or the ledger contradicts itself.
        let outcome = |key: Key, verdict| Difference {
            step,
            legacy_key: Some(key),
            table: self.target.to_owned(),
            row: None,
            columns: Vec::new(),
            verdict,
            expected: Columns::new(),
            found: Columns::new(),
        };
        let untold = suspects.stale.units.iter().map(|unit| unit[0]).filter(|leader| !stale.told.contains(leader));
        found.differences.extend(untold.map(|key| outcome(key, Verdict::Stale)));
        found.differences.extend(suspects.stale.damaged.iter().map(|key| outcome(*key, Verdict::Defect)));
        Ok(Some(found))
    }
}

/// Units that come out otherwise today.
struct StaleUnits {
    /// The leader of each of their rows.
    leaders: FxHashMap<Key, Key>,
    /// Leaders of which a target row was told.
    told: FxHashSet<Key>,
}

/// The leader of a row's unit, the place at which the ledger has it, and its values as they would be written today.
type Sides = (Key, Option<usize>, Option<Vec<Value>>);

/// A second look at the rows of a table.
struct Look<'a> {
    step: &'static str,
    written: &'a Written<'a>,
    /// The transaction that wrote the rows first.
    by: Option<&'a str>,
    cluster: Option<&'a str>,
    /// Rows that wait in the ledger without a chunk.
    waiting: Option<&'a FxHashSet<(String, RowName)>>,
    /// Legacy rows of which cells were erased.
    erased: &'a FxHashSet<Key>,
}

impl Look<'_> {
    /// Rows of units that come out otherwise. Returns the keys of those that were looked at.
    fn stale(
        &self,
        db: &mut Db,
        expected: Option<&Table>,
        stale: &mut StaleUnits,
        found: &mut Found,
    ) -> Result<FxHashSet<Vec<Value>>, LedgerError> {
        let (written, reading) = (self.written, &self.written.reading);
        let mut sides: FxHashMap<Vec<Value>, Sides> = FxHashMap::default();
        for (row, key) in written.table.keys.iter().enumerate() {
            if let Some(leader) = stale.leaders.get(key) {
                sides.insert(reading.key(&written.table.row(row)), (*leader, Some(row), None));
            }
        }
        for (expected, row) in expected.iter().flat_map(|table| (0..table.keys.len()).map(move |row| (table, row))) {
            let values = reading.arranged(expected, row);
            let side = sides.entry(reading.key(&values)).or_insert((expected.keys[row], None, None));
            side.2 = Some(values);
        }
        let is_other = |(_, row, expected): &Sides| row.map(|row| written.table.row(row)).as_ref() != expected.as_ref();
        sides.retain(|_, side| is_other(side));
        let keys: Vec<Vec<Value>> = sides.keys().cloned().collect();
        let standing = reading.rows(db, &keys, Lock::No).attempt("compared")?;
        let mut handled = FxHashSet::default();
        for (row, (leader, place, expected)) in sides {
            let left = place.and_then(|place| written.left(place));
            let stands = standing.get(&row).map(|stands| written.sheet.hashed(reading, stands));
            let sheet = written.sheet;
            let side = Row { sheet, reading, key: Some(leader), left, stands };
            if side.stands != expected {
                found.differing += u64::from(side.left.is_some());
                let others = side.others(side.left.as_ref());
                let is_both = side.left.is_some() && side.stands.is_some();
                if is_both && !others.is_empty() && self.is_unexpected(db, &side, &others)? {
                    // That says more than that it would come out otherwise as well.
                    found.differences.push(side.told(self.step, &row, Verdict::Unexpected, side.left.as_ref()));
                } else {
                    let verdict = if side.stands == side.left { Verdict::Stale } else { Verdict::StaleAndChanged };
                    found.differences.push(side.told(self.step, &row, verdict, expected.as_ref()));
                }
            }
            self.sum(&side, found);
            stale.told.insert(leader);
            handled.insert(row);
        }
        Ok(handled)
    }

    fn sum(&self, row: &Row<'_>, found: &mut Found) {
        for (side, values) in [(Side::Written, &row.left), (Side::Stands, &row.stands)] {
            if let Some(values) = values {
                found.sums.row(&row.sheet.model, row.reading, values, side);
            }
        }
    }

    /// Rows that did not stand as they were left.
    fn rows(&self, db: &mut Db, keys: Vec<Vec<Value>>, found: &mut Found) -> Result<(), LedgerError> {
        let (written, reading) = (self.written, &self.written.reading);
        if keys.is_empty() {
            return Ok(());
        }
        let wanted: FxHashSet<&Vec<Value>> = keys.iter().collect();
        let own = (0..written.table.keys.len()).map(|row| (reading.key(&written.table.row(row)), row));
        let places: FxHashMap<Vec<Value>, usize> = own.filter(|(key, _)| wanted.contains(key)).collect();
        let standing = reading.stamped(db, &keys).attempt("compared")?;
        for row in keys {
            let Some(place) = places.get(&row) else { continue };
            let (stands, xmin) = match standing.get(&row) {
                Some((stands, xmin)) => (Some(written.sheet.hashed(reading, stands)), xmin.as_deref()),
                None => (None, None),
            };
            let (left, key) = (written.left(*place), Some(written.table.keys[*place]));
            let side = Row { sheet: written.sheet, reading, key, left, stands };
            self.sum(&side, found);
            let verdict = match (&side.left, &side.stands) {
                (None, None) => continue,
                (None, Some(_)) => Verdict::Unexplained,
                (Some(_), None) => Verdict::Removed,
                (Some(_), Some(_)) => {
                    let others = side.others(side.left.as_ref());
                    if others.is_empty() {
                        continue;
                    }
                    // What the ledger says of an erased row was never sent.
                    let is_erased = self.erased.contains(&written.table.keys[*place]);
                    let untouched = self.cluster.zip(xmin).map(|(cluster, xmin)| imprints::transaction(cluster, xmin));
                    match !is_erased && untouched.is_some() && untouched.as_deref() == self.by {
                        true => Verdict::Defect,
                        false if self.is_unexpected(db, &side, &others)? => Verdict::Unexpected,
                        false => Verdict::Changed,
                    }
                }
            };
            found.differing += u64::from(side.left.is_some());
            found.differences.push(side.told(self.step, &row, verdict, side.left.as_ref()));
        }
        Ok(())
    }

    /// Whether columns of a row were changed that the site does not change, or it leads elsewhere than where it was merged into.
    fn is_unexpected(&self, db: &mut Db, row: &Row<'_>, others: &[usize]) -> Result<bool, LedgerError> {
        is_unexpected(db, row.sheet, row.reading, (row.left.as_deref(), row.stands.as_deref()), others)
    }

    /// Rows that no row of the chunk names.
    fn unnamed(&self, db: &mut Db, keys: Vec<Vec<Value>>, chunk: i64, found: &mut Found) -> Result<(), LedgerError> {
        let (written, reading) = (self.written, &self.written.reading);
        if keys.is_empty() {
            return Ok(());
        }
        let table = written.sheet.model.shape.name;
        let named: FxHashSet<Vec<Value>> =
            (0..written.table.keys.len()).map(|row| reading.key(&written.table.row(row))).collect();
        let standing = reading.rows(db, &keys, Lock::No).attempt("compared")?;
        for (row, stands) in standing.into_iter().filter(|(row, _)| !named.contains(row)) {
            let name = written.name_of(&row);
            let waits = self.waiting.is_some_and(|waiting| waiting.contains(&(table.to_owned(), name.clone())));
            if waits || is_named_elsewhere(db, (table, &row, &name), chunk)? {
                continue;
            }
            // A part of which the site changes no column of the key is not added by it either.
            let fixed = written.sheet.model.fixed;
            let is_fixed = reading.keyed().iter().all(|(name, _)| fixed.contains(&name.as_str()));
            let verdict = match written.sheet.rows {
                Kept::AsParts if is_fixed => Verdict::Unexpected,
                Kept::AsParts => Verdict::Added,
                _ => Verdict::Unexplained,
            };
            let stands = Some(written.sheet.hashed(reading, &stands));
            let side = Row { sheet: written.sheet, reading, key: None, left: None, stands };
            self.sum(&side, found);
            found.differences.push(side.told(self.step, &row, verdict, None));
        }
        Ok(())
    }
}

/// Whether another chunk, or the end of a step, has written a row.
fn is_named_elsewhere(
    db: &mut Db,
    (table, row, name): (&str, &[Value], &RowName),
    chunk: i64,
) -> Result<bool, LedgerError> {
    if let RowName::Id(id) = name {
        for other in imprints::around(db, table, *id)?.into_iter().filter(|other| *other != chunk) {
            for imprint in imprints::of_table(db, other, table)? {
                let is_it = |ids: usize| imprint.values[ids].iter().any(|value| row[0] == Value::from(value));
                if imprint.column("id").is_some_and(is_it) {
                    return Ok(true);
                }
            }
        }
    }
    let done = changes::of_rows(db, table, std::slice::from_ref(name))?;
    let done = done.get(name).map_or(&[][..], Vec::as_slice);
    Ok(done.iter().any(|done| done.before.is_none()) && done.last().is_some_and(|last| last.after.is_some()))
}

/// How far it is looked where a row leads.
const FURTHEST: usize = 64;

/// Whether columns of a row were changed that the site does not change, or it leads elsewhere than it did: into another row than that
/// into which it was merged, and that one led on.
pub(super) fn is_unexpected(
    db: &mut Db,
    sheet: &Sheet,
    reading: &Reading,
    (left, stands): (Option<&[Value]>, Option<&[Value]>),
    others: &[usize],
) -> Result<bool, LedgerError> {
    let name = |place: &usize| reading.columns()[*place].0.as_str();
    if others.iter().any(|place| sheet.model.fixed.contains(&name(place))) {
        return Ok(true);
    }
    let successor = others.iter().find(|place| sheet.model.successor == Some(name(place)));
    let (Some(place), Some(column)) = (successor, sheet.model.successor) else { return Ok(false) };
    let leads = |values: Option<&[Value]>| values.and_then(|values| values[*place].integer());
    let (Some(was), is) = (leads(left), leads(stands)) else { return Ok(false) };
    let Some(is) = is else { return Ok(true) };
    Ok(end_of(db, sheet, column, was)? != end_of(db, sheet, column, is)?)
}

/// The row to which a row leads in the end.
fn end_of(db: &mut Db, sheet: &Sheet, column: &'static str, from: i64) -> Result<i64, LedgerError> {
    let reading = sheet.reading(&["id".into(), column.into()]);
    let mut at = from;
    for _ in 0..FURTHEST {
        let rows = reading.rows(db, &[vec![Value::Integer(at)]], Lock::No).attempt("compared")?;
        match rows.values().next().and_then(|row| row[1].integer()) {
            Some(next) => at = next,
            None => break,
        }
    }
    Ok(at)
}
