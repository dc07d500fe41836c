//! The ends of the rows of a chunk: what the ledger keeps of each.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use rustc_hash::FxHashMap;

use super::chunk::Judged;
use crate::contract::draft::Carried;
use crate::contract::legacy::LegacyRow;
use crate::contract::refusal::Refusal;
use crate::contract::step::{Step, merged_code};
use crate::storage::bulk::{Refused, Rows as _, UnitIndex};
use crate::storage::ledger::close::{ChunkResult, Migrated, NewOutcome, NewQuarantined, NewRepair};
use crate::storage::ledger::recorded::Recorded;
use crate::storage::types::Instant as At;
use crate::words::{Code, Key, Outcome, Root};

/// What became of one legacy row.
#[derive(Debug, Clone)]
pub(super) struct RowEnd {
    pub(super) outcome: Outcome,
    pub(super) code: Option<Code>,
    reason: String,
    pub(super) root: Option<Root>,
    pub(super) target: Option<i64>,
    /// The table of the target, where it is another one than the step's.
    pub(super) table: Option<&'static str>,
}

/// Rows that stay as the ledger has them, although they would come out otherwise now: what was written for them cannot be
/// taken back.
pub(super) type Kept = FxHashMap<Key, Recorded>;

/// What the target refused, by unit.
pub(super) struct ByTarget(FxHashMap<UnitIndex, Refusal>);

impl ByTarget {
    pub(super) fn new(refused: &[Refused]) -> Self {
        let refusal = |refused: &Refused| Refusal::quarantine_as(refused.code, refused.reason.clone());
        Self(refused.iter().map(|refused| (refused.unit, refusal(refused))).collect())
    }

    fn stays(&self, unit: UnitIndex) -> bool {
        !self.0.contains_key(&unit)
    }
}

impl<S: Step> Judged<S> {
    /// The units, by their places.
    pub(super) fn units(&self) -> UnitIndex {
        UnitIndex::try_from(self.draft.verdicts.len()).expect("a chunk has fewer than 2^32 units")
    }

    /// The ends of the rows of a unit, the leader's first.
    pub(super) fn ends<'a>(
        &'a self,
        unit: UnitIndex,
        by_target: &'a ByTarget,
    ) -> impl Iterator<Item = (Key, RowEnd)> + use<'a, S> {
        let rows = self.unit(unit);
        let leader = rows[0].key();
        let judged = match by_target.0.get(&unit) {
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
    pub(super) fn result(&self, chunk: i64, refused: &[Refused], kept: &Kept) -> ChunkResult {
        let by_target = ByTarget::new(refused);
        let mut result = ChunkResult::default();
        result.counts.read = self.rows.len() as u64;
        result.migrated.reserve(self.rows.len());
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(self.rows.len());
        let held = self.held(&by_target);
        let now = At::now();
        for unit in 0..self.units() {
            let fingerprint = self.draft.verdicts[unit as usize].fingerprint.to_le_bytes();
            for (row, (key, end)) in self.unit(unit).iter().zip(self.ends(unit, &by_target)) {
                let outcome = kept.get(&key).map_or(end.outcome, |recorded| recorded.outcome);
                result.counts.add(outcome);
                outcomes.push(outcome);
                match kept.get(&key) {
                    Some(recorded) => keep::<S>(recorded, chunk, key, &mut result),
                    None => self.enter(row, chunk, end, fingerprint, (&held, now), &mut result),
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
        end: RowEnd,
        fingerprint: [u8; 8],
        (held, now): (&FxHashMap<Key, BTreeMap<String, Decimal>>, At),
        result: &mut ChunkResult,
    ) {
        let key = row.key();
        if let (Outcome::Migrated, None) = (end.outcome, end.table) {
            let target = end.target.expect("a migrated row has a target: its unit's verdict");
            result.migrated.push(Migrated { key, target, fingerprint, also: Vec::new() });
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

/// A row that stays as it was recorded: it is in the target, of itself or in another one's row.
fn keep<S: Step>(recorded: &Recorded, chunk: i64, key: Key, result: &mut ChunkResult) {
    let target = recorded.target.expect("a row that stays is in the target");
    match (recorded.outcome, recorded.fingerprint) {
        (Outcome::Migrated, Some(fingerprint)) => {
            result.migrated.push(Migrated { key, target, fingerprint, also: recorded.also.clone() });
        }
        (outcome, _) => {
            let own = recorded.table.as_deref().map(static_name::<S>);
            result.outcomes.push(NewOutcome {
                step: S::NAME.to_owned(),
                legacy_key: key,
                chunk_id: chunk,
                outcome: outcome.as_str(),
                code: own.is_none().then(|| merged_code::<S>().as_str()),
                target_table: own,
                target_id: Some(target),
            });
        }
    }
}

/// The tables that a step writes are known by name when it is compiled.
pub(super) fn static_name<S: Step>(table: &str) -> &'static str {
    S::ALSO.iter().find(|name| **name == table).copied().unwrap_or(S::TARGET)
}

/// PostgreSQL keeps no NUL in a text: its picture stands there instead.
fn storable(value: &str) -> String {
    value.replace('\0', "\u{2400}")
}

impl RowEnd {
    fn new(outcome: Outcome, code: Option<Code>) -> Self {
        Self { outcome, code, reason: String::new(), root: None, target: None, table: None }
    }
}

/// The end of a row of a unit, given that of its leader.
fn end_of<S: Step>(judged: Result<i64, &Refusal>, leader: Key, key: Key) -> RowEnd {
    let leads = key == leader;
    match judged {
        Ok(target) if leads => RowEnd { target: Some(target), ..RowEnd::new(Outcome::Migrated, None) },
        Ok(target) => RowEnd { target: Some(target), ..RowEnd::new(Outcome::Merged, Some(merged_code::<S>())) },
        Err(Refusal::Skipped(code)) if leads => RowEnd::new(Outcome::Skipped, Some(*code)),
        Err(Refusal::Skipped(_)) => RowEnd::new(Outcome::Skipped, Some(Code::PARENT_SKIPPED)),
        Err(Refusal::Quarantined { code, reason, root }) if leads => {
            RowEnd { reason: reason.clone(), root: root.clone(), ..RowEnd::new(Outcome::Quarantined, Some(*code)) }
        }
        Err(Refusal::Quarantined { root, .. }) => {
            let root = root.clone().unwrap_or(Root { step: S::NAME.to_owned(), key: leader });
            let reason = format!("waits for row {} of {}, with which it is one", root.key, root.step);
            RowEnd { reason, root: Some(root), ..RowEnd::new(Outcome::Quarantined, Some(Code::PARENT_QUARANTINED)) }
        }
    }
}
