//! The ends of the rows of a chunk: what became of each.

use rustc_hash::FxHashMap;

use crate::contract::refusal::Refusal;
use crate::contract::step::{Step, merged_code};
use crate::storage::bulk::{Refused, UnitIndex};
use crate::storage::ledger::close::{ChunkResult, NewOutcome};
use crate::storage::ledger::record::Migrated;
use crate::storage::ledger::row::Recorded;
use crate::words::{Code, Key, Outcome, Root};

/// What became of one legacy row.
#[derive(Debug, Clone, Hash)]
pub(crate) struct RowEnd {
    pub(crate) outcome: Outcome,
    pub(crate) code: Option<Code>,
    pub(crate) reason: String,
    pub(crate) root: Option<Root>,
    pub(crate) target: Option<i64>,
    /// The table of the target, where it is another one than the step's.
    pub(crate) table: Option<&'static str>,
}

/// Rows that stay as the ledger has them, although they would come out otherwise now: what was written for them cannot be
/// taken back.
pub(crate) type Kept = FxHashMap<Key, Recorded>;

/// What the target refused, by unit.
pub(crate) struct ByTarget(FxHashMap<UnitIndex, Refusal>);

impl ByTarget {
    pub(crate) fn new(refused: &[Refused]) -> Self {
        let refusal = |refused: &Refused| Refusal::quarantine_as(refused.code, refused.reason.clone());
        Self(refused.iter().map(|refused| (refused.unit, refusal(refused))).collect())
    }

    /// Why the target refused a unit, if it did.
    pub(crate) fn refusal(&self, unit: UnitIndex) -> Option<&Refusal> {
        self.0.get(&unit)
    }

    pub(crate) fn stays(&self, unit: UnitIndex) -> bool {
        !self.0.contains_key(&unit)
    }
}

/// A row that stays as it was recorded: it is in the target, of itself or in another one's row.
pub(crate) fn keep<S: Step>(recorded: &Recorded, chunk: i64, key: Key, result: &mut ChunkResult) {
    let target = recorded.target.expect("a row that stays is in the target");
    match (recorded.outcome, &recorded.table) {
        (Outcome::Migrated, None) => {
            result.migrated.push(Migrated { key, target, also: recorded.also.clone(), deeds: recorded.deeds })
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
pub(crate) fn static_name<S: Step>(table: &str) -> &'static str {
    S::ALSO.iter().find(|name| **name == table).copied().unwrap_or(S::TARGET)
}

/// PostgreSQL keeps no NUL in a text: its picture stands there instead.
pub(crate) fn storable(value: &str) -> String {
    value.replace('\0', "\u{2400}")
}

impl RowEnd {
    pub(crate) fn new(outcome: Outcome, code: Option<Code>) -> Self {
        Self { outcome, code, reason: String::new(), root: None, target: None, table: None }
    }
}

/// The end of a row of a unit, given that of its leader.
pub(crate) fn end_of<S: Step>(judged: Result<i64, &Refusal>, leader: Key, key: Key) -> RowEnd {
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
