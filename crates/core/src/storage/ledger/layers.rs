//! The plan of a step, layer by layer: the keys that each state of the legacy database added, and their ids.

use std::sync::Arc;

use super::blocks::IdBlock;
use crate::words::{Key, KeyRange, KeySet};

/// The plan of one step.
#[derive(Debug, Clone)]
pub struct StepPlan {
    /// The keys of its legacy table: all that it ever had.
    pub keys: Arc<KeySet>,
    /// The keys that each state of the legacy database added, the first one's first.
    pub(crate) layers: Vec<Layer>,
    /// The keys that the last state has not any more.
    pub(crate) gone: KeySet,
    /// Whether every chunk is done and the step is finished.
    pub done: bool,
    /// Whether it was done before, and was taken back since: some of what it did may be there.
    pub(crate) was_done: bool,
}

/// Keys that one state of the legacy database added, and the ids of their rows.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// That state.
    pub(crate) generation: i64,
    /// The keys.
    pub(crate) keys: Arc<KeySet>,
    /// The ids of the step's target table.
    pub(crate) ids: IdBlock,
    /// The ids of further tables, by their names.
    pub(crate) also: Vec<(String, IdBlock)>,
}

impl StepPlan {
    /// A plan of keys and the ids of their rows, made by hand: for tests of a `transform`.
    pub fn of(keys: impl IntoIterator<Item = Key>, ids: IdBlock) -> Self {
        let keys: Arc<KeySet> = Arc::new(keys.into_iter().collect());
        let layer = Layer { generation: FIRST, keys: Arc::clone(&keys), ids, also: Vec::new() };
        Self { keys, layers: vec![layer], gone: KeySet::default(), done: false, was_done: false }
    }

    /// The id that is planned for the row with `key`.
    pub fn id_of(&self, key: Key) -> Option<i64> {
        self.planned(key).and_then(|(layer, place)| layer.ids.id(place))
    }

    /// Whether an id was planned for a row that is none of `rows`: it is that one's.
    pub fn is_of_another(&self, id: i64, rows: &[Key]) -> bool {
        let owner = self.layers.iter().find_map(|layer| layer.keys.at(layer.ids.place(id)?));
        owner.is_some_and(|owner| !rows.contains(&owner))
    }

    /// The id that is planned for the row with `key` in a further table of the step.
    pub fn id_in(&self, table: &str, key: Key) -> Option<i64> {
        let (layer, place) = self.planned(key)?;
        let (_, ids) = layer.also.iter().find(|(name, _)| name == table)?;
        ids.id(place)
    }

    fn planned(&self, key: Key) -> Option<(&Layer, u64)> {
        self.layers.iter().find_map(|layer| Some((layer, layer.keys.rank(key)?)))
    }

    /// The ids that are planned for the keys of a span in a table of the step; none where it has none there.
    pub(crate) fn ids_of(&self, table: &str, target: &str, span: Span) -> Option<PlannedIds<'_>> {
        let layer = self.layers.iter().find(|layer| layer.generation == span.layer)?;
        let ids = match table == target {
            true => &layer.ids,
            false => &layer.also.iter().find(|(name, _)| name == table)?.1,
        };
        let first = layer.keys.rank(layer.keys.range(span.range).next()?)?;
        Some(PlannedIds { ids, first, keys: layer.keys.count(span.range) })
    }

    /// The state that added a key.
    pub(crate) fn layer_of(&self, key: Key) -> i64 {
        self.planned(key).map_or(FIRST, |(layer, _)| layer.generation)
    }

    /// The keys that a state added.
    pub(crate) fn added(&self, generation: i64) -> &Arc<KeySet> {
        let layer = self.layers.iter().find(|layer| layer.generation == generation);
        layer.map_or(&self.keys, |layer| &layer.keys)
    }
}

/// Ids that are planned for some keys that follow each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlannedIds<'a> {
    ids: &'a IdBlock,
    first: u64,
    keys: u64,
}

impl PlannedIds<'_> {
    /// How many keys.
    pub(crate) fn keys(&self) -> u64 {
        self.keys
    }

    /// The lowest and the highest.
    pub(crate) fn bounds(&self) -> Option<(i64, i64)> {
        let wider = |bounds: Option<(i64, i64)>, id| {
            let (lo, hi) = bounds.unwrap_or((id, id));
            Some((lo.min(id), hi.max(id)))
        };
        self.iter().fold(None, wider)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = i64> + '_ {
        (self.first..self.first + self.keys).filter_map(|place| self.ids.id(place))
    }

    /// Whether an id is one of them.
    pub(crate) fn has(&self, id: i64) -> bool {
        self.ids.place(id).is_some_and(|place| (self.first..self.first + self.keys).contains(&place))
    }
}

/// Keys of a step that one state of the legacy database added, those of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The state.
    pub layer: i64,
    /// The range.
    pub range: KeyRange,
}

/// The state that a migration begins with.
pub(crate) const FIRST: i64 = 1;
