//! The rows of a chunk with their verdicts, and what the ledger keeps of them.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use rust_decimal::Decimal;
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::ends::{ByTarget, Kept, RowEnd, end_of, keep, storable};
use super::error::ChunkError;
use crate::contract::draft::{Carried, Draft};
use crate::contract::legacy::{LegacyRow, weight};
use crate::contract::step::{Step, merged_code};
use crate::storage::bulk::{Refused, Rows as _, UnitIndex};
use crate::storage::db::Db;
use crate::storage::imprint::{Imprints, Packed, Table, has_row_triggers};
use crate::storage::ledger::close::{ChunkResult, NewOutcome, NewQuarantined, NewRepair};
use crate::storage::ledger::record::{CarriedBy, Migrated};
use crate::storage::ledger::seen;
use crate::storage::types::Instant as At;
use crate::words::{Code, Key, Outcome, Root};

/// When rows are put into the form in which the ledger keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Once they are judged: they will be written.
    AtOnce,
    /// When it is asked for: most chunks have changed nothing.
    WhenAsked,
}

/// The rows of a chunk with their verdicts.
pub(crate) struct Judged<S: Step> {
    pub(crate) rows: Vec<S::Legacy>,
    pub(crate) starts: Option<Vec<usize>>,
    pub(crate) draft: Draft<S::Rows>,
    pub(crate) bytes: u64,
    /// Keys that were planned, and of which there is no row.
    pub(crate) absent: Vec<Key>,
    /// A hash of its rows and of all that its verdicts say: a chunk with the same one comes out the same.
    pub(crate) digest: [u8; 16],
    /// The rows that it inserts.
    imprint: OnceLock<Vec<Packed>>,
    /// The rows that were read.
    seen: OnceLock<Vec<u8>>,
}

impl<S: Step> Judged<S> {
    /// Judged rows, and the keys without one; `bytes`: what they weigh.
    ///
    /// # Errors
    /// A model does not tell its columns.
    pub(crate) fn new(
        (rows, absent): (Vec<S::Legacy>, Vec<Key>),
        starts: Option<Vec<usize>>,
        draft: Draft<S::Rows>,
        bytes: u64,
        packing: Packing,
    ) -> Result<Self, ChunkError> {
        let (digest, imprint, seen) = ([0; 16], OnceLock::new(), OnceLock::new());
        let mut judged = Self { rows, starts, draft, bytes, absent, digest, imprint, seen };
        judged.tell(packing)?;
        Ok(judged)
    }

    /// Tells its rows once, for the digest and for the ledger.
    fn tell(&mut self, packing: Packing) -> Result<(), ChunkError> {
        let mut hash = Xxh3::new();
        hash.update(&self.verdicts());
        let tables = self.imprint_of(&self.draft.rows)?;
        tables.iter().for_each(|table| table.hash(&mut hash));
        if packing == Packing::AtOnce {
            self.imprint = tables.iter().map(Packed::of).collect::<Vec<_>>().into();
        }
        drop(tables);
        let pieces = seen_of(&self.rows).inspect(|piece| piece.hash(&mut hash));
        match packing {
            Packing::AtOnce => self.seen = seen::packed(pieces).into(),
            Packing::WhenAsked => pieces.for_each(drop),
        }
        self.digest = hash.digest128().to_le_bytes();
        Ok(())
    }

    /// All that its verdicts say, as bytes.
    fn verdicts(&self) -> Vec<u8> {
        let nothing_refused = ByTarget::new(&[]);
        let mut bytes = Bytes(Vec::with_capacity(A_VERDICT * self.rows.len()));
        merged_code::<S>().hash(&mut bytes);
        for (unit, verdict) in (0..).zip(&self.draft.verdicts) {
            (verdict.deeds, verdict.result.is_ok()).hash(&mut bytes);
            match &verdict.result {
                // What becomes of its rows follows from this.
                Ok(target) => target.hash(&mut bytes),
                Err(_) => self.ends(unit, &nothing_refused).for_each(|(key, end)| (key, end).hash(&mut bytes)),
            }
        }
        self.starts.hash(&mut bytes);
        self.draft.own.hash(&mut bytes);
        self.absent.hash(&mut bytes);
        self.draft.repairs.hash(&mut bytes);
        self.draft.also.hash(&mut bytes);
        self.draft.carried.hash(&mut bytes);
        bytes.0
    }

    /// What it weighs, with what was made ready.
    pub(crate) fn weight(&self) -> u64 {
        let imprint = self.imprint.get().into_iter().flatten().map(|packed| packed.bytes.len() as u64);
        self.bytes + imprint.sum::<u64>() + self.seen.get().map_or(0, |seen| seen.len() as u64)
    }

    /// The rows that some of what it writes inserts.
    ///
    /// # Errors
    /// A model does not tell its columns.
    pub(crate) fn imprint_of(&self, rows: &S::Rows) -> Result<Vec<Table>, ChunkError> {
        let mut imprints = Imprints::default();
        // One after the other: rows are asked for in the order of tables, and are large.
        let leaders: Vec<Key> = (0..self.units()).map(|unit| self.unit(unit)[0].key()).collect();
        rows.imprint(&|unit| leaders[unit as usize], &mut imprints);
        match imprints.untold {
            None => Ok(imprints.tables),
            Some(table) => Err(ChunkError::Untold { table }),
        }
    }

    /// The imprint of all that it inserts.
    pub(crate) fn imprint(&self) -> &[Packed] {
        let told = || self.imprint_of(&self.draft.rows).expect("its models told their columns before");
        self.imprint.get_or_init(|| told().iter().map(Packed::of).collect())
    }

    /// Its rows, as they were read.
    pub(crate) fn seen(&self) -> &[u8] {
        self.seen.get_or_init(|| seen::packed(seen_of(&self.rows)))
    }

    /// The imprint of what the target took, where that is not what was sent: it has refused some, or triggers of the site change
    /// rows as they are written.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn repacked(&self, db: &mut Db, refused: &[Refused]) -> Result<Option<Vec<Packed>>, ChunkError> {
        let mut changing = Vec::new();
        for packed in self.imprint() {
            if packed.rows > 0 && has_row_triggers(db, &packed.table)? {
                changing.push(packed.table.clone());
            }
        }
        if refused.is_empty() && changing.is_empty() {
            return Ok(None);
        }
        let by_target = ByTarget::new(refused);
        let mut tables = self.imprint_of(&self.draft.rows.only(&|unit| by_target.stays(unit)))?;
        let models = S::Rows::models();
        for table in tables.iter_mut().filter(|table| changing.contains(&table.name)) {
            if let Some(model) = models.iter().find(|model| model.shape.name == table.name) {
                table.read_back(db, model)?;
            }
        }
        Ok(Some(tables.iter().map(Packed::of).collect()))
    }

    /// The rows of a unit, the leader first.
    pub(crate) fn unit(&self, unit: UnitIndex) -> &[S::Legacy] {
        unit_rows(&self.rows, self.starts.as_deref(), unit as usize)
    }

    /// The units, by their places.
    pub(crate) fn units(&self) -> UnitIndex {
        UnitIndex::try_from(self.draft.verdicts.len()).expect("a chunk has fewer than 2^32 units")
    }

    /// The ends of the rows of a unit, the leader's first.
    pub(crate) fn ends<'a>(
        &'a self,
        unit: UnitIndex,
        by_target: &'a ByTarget,
    ) -> impl Iterator<Item = (Key, RowEnd)> + use<'a, S> {
        let rows = self.unit(unit);
        let leader = rows[0].key();
        let judged = match by_target.refusal(unit) {
            Some(refusal) => Err(refusal),
            None => self.draft.verdicts[unit as usize].result.as_ref().map(|target| *target),
        };
        let own = &self.draft.own[self.draft.own.partition_point(|(of, ..)| *of < unit)..];
        let own = &own[..own.partition_point(|(of, ..)| *of == unit)];
        rows.iter().map(move |row| {
            let mut end = end_of::<S>(judged, leader, row.key());
            if let (Ok(_), Some((_, _, table, id))) = (judged, own.iter().find(|(_, key, ..)| *key == row.key())) {
                end = RowEnd { target: Some(*id), table: Some(*table), ..RowEnd::new(Outcome::Migrated, None) };
            }
            (row.key(), end)
        })
    }

    /// What the ledger keeps of the chunk, given the units that the target refused and the rows that stay as they were.
    pub(crate) fn result(&self, chunk: i64, refused: &[Refused], kept: &Kept) -> ChunkResult {
        let by_target = ByTarget::new(refused);
        let mut result = ChunkResult::default();
        result.counts.read = self.rows.len() as u64;
        result.migrated.reserve(self.rows.len());
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(self.rows.len());
        let held = self.held(&by_target);
        let now = At::now();
        for unit in 0..self.units() {
            let deeds = self.draft.verdicts[unit as usize].deeds;
            for (row, (key, end)) in self.unit(unit).iter().zip(self.ends(unit, &by_target)) {
                let outcome = kept.get(&key).map_or(end.outcome, |recorded| recorded.outcome);
                result.counts.add(outcome);
                outcomes.push(outcome);
                match kept.get(&key) {
                    Some(recorded) => keep::<S>(recorded, chunk, key, &mut result),
                    None => self.enter(row, chunk, (end, deeds), (&held, now), &mut result),
                }
            }
        }
        self.extras(chunk, &by_target, &outcomes, kept, &mut result);
        result
    }

    fn enter(
        &self,
        row: &S::Legacy,
        chunk: i64,
        (end, deeds): (RowEnd, u64),
        (held, now): (&FxHashMap<Key, BTreeMap<String, Decimal>>, At),
        result: &mut ChunkResult,
    ) {
        let key = row.key();
        if let (Outcome::Migrated, None) = (end.outcome, end.table) {
            let target = end.target.expect("a migrated row has a target: its unit's verdict");
            result.migrated.push(Migrated { key, target, also: Vec::new(), deeds });
            return;
        }
        if end.outcome == Outcome::Quarantined {
            let root = end.root.unwrap_or(Root { step: S::NAME.to_owned(), key });
            result.quarantined.push(NewQuarantined {
                step: S::NAME.to_owned(),
                legacy_key: key,
                chunk_id: chunk,
                code: end.code.map_or(Code::UNFORESEEN, |code| code).as_str(),
                reason: end.reason,
                root_step: root.step,
                root_key: root.key,
                legacy_row: serde_json::to_string(row).expect("a legacy row has a JSON form"),
                money: held.get(&key).map_or_else(
                    || "{}".to_owned(),
                    |money| serde_json::to_string(money).expect("amounts have a JSON form"),
                ),
                quarantined_at: now,
            });
        }
        result.outcomes.push(NewOutcome {
            step: S::NAME.to_owned(),
            legacy_key: key,
            chunk_id: chunk,
            outcome: end.outcome.as_str(),
            code: end.code.map(|code| code.as_str()),
            target_table: end.table,
            target_id: end.target,
        });
    }

    /// What each row carries, by currency, exactly.
    fn held(&self, by_target: &ByTarget) -> FxHashMap<Key, BTreeMap<String, Decimal>> {
        let mut held: FxHashMap<Key, BTreeMap<String, Decimal>> = FxHashMap::default();
        for carried in &self.draft.carried {
            if self.draft.verdicts[carried.unit as usize].result.is_err() || !by_target.stays(carried.unit) {
                let of_row = held.entry(carried.key).or_default();
                let amount = of_row.entry(carried.amount.currency.to_string()).or_default();
                *amount = (*amount + carried.exact_minor).normalize();
            }
        }
        held
    }

    /// The place of the row that carries an amount; none where the amount names no row of its unit.
    fn place_of(&self, carried: &Carried) -> Option<usize> {
        let unit = carried.unit as usize;
        let first = self.starts.as_ref().map_or(unit, |starts| starts[unit]);
        let place = self.unit(carried.unit).iter().position(|row| row.key() == carried.key)?;
        Some(first + place)
    }

    fn extras(&self, chunk: i64, by_target: &ByTarget, outcomes: &[Outcome], kept: &Kept, result: &mut ChunkResult) {
        if !self.draft.also.is_empty() {
            let place_of: FxHashMap<Key, usize> =
                (0..).zip(&result.migrated).map(|(place, row)| (row.key, place)).collect();
            for (unit, table, id) in self.draft.also.iter().filter(|(unit, _, _)| by_target.stays(*unit)) {
                if let Some(place) = place_of.get(&self.unit(*unit)[0].key()) {
                    result.migrated[*place].also.push(((*table).to_owned(), *id));
                }
            }
        }
        result.repairs = self
            .draft
            .repairs
            .iter()
            .filter(|(unit, _)| by_target.stays(*unit))
            .map(|(_, repair)| NewRepair {
                step: S::NAME.to_owned(),
                legacy_key: repair.key,
                chunk_id: Some(chunk),
                by_step: None,
                code: repair.code.as_str(),
                column_name: repair.column,
                value_before: repair.before.as_deref().map(storable),
                value_after: repair.after.as_deref().map(storable),
            })
            .collect();
        result.counts.repairs = result.repairs.len() as u64;
        let amount = |carried: &Carried| CarriedBy {
            key: carried.key,
            minor: carried.amount.minor,
            currency: carried.amount.currency,
            exact: (carried.exact_minor != Decimal::from(carried.amount.minor)).then_some(carried.exact_minor),
        };
        result.amounts = self.draft.carried.iter().map(amount).collect();
        for carried in &self.draft.carried {
            let outcome = self.place_of(carried).map_or(Outcome::Quarantined, |place| outcomes[place]);
            result.money.row(carried.amount, carried.exact_minor, outcome);
            if kept.contains_key(&carried.key) && outcome == Outcome::Migrated {
                result.money.written(carried.amount);
            }
        }
        self.draft.rows.money(&mut |unit, money| {
            if by_target.stays(unit) {
                result.money.written(money);
            }
        });
    }
}

/// About how many bytes say what became of a row.
const A_VERDICT: usize = 48;

/// What is hashed, at once: a hash of many small parts takes longer by a lot.
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        xxh3_64(&self.0)
    }
}

/// About how many bytes of legacy rows are put into the ledger's form at once: heavy ones must not stand in memory thrice.
const PIECE: u64 = 1 << 20;

/// Legacy rows, in the form in which the ledger keeps them.
pub(crate) fn seen_of<L: LegacyRow>(rows: &[L]) -> impl Iterator<Item = Table> {
    let a_row = weight(rows) / (rows.len() as u64).max(1);
    let piece = usize::try_from(PIECE / a_row.max(1)).unwrap_or(usize::MAX).max(1);
    rows.chunks(piece).map(|rows| Table::of_legacy(L::TABLE, rows.iter().map(|row| (row.key(), row))))
}

/// The rows of the nth unit.
pub(crate) fn unit_rows<'a, L>(rows: &'a [L], starts: Option<&[usize]>, unit: usize) -> &'a [L] {
    match starts {
        None => &rows[unit..=unit],
        Some(starts) => &rows[starts[unit]..starts.get(unit + 1).copied().unwrap_or(rows.len())],
    }
}
