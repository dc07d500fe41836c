//! What is checked, and what the steps of a run do to the target's tables.

use std::collections::{BTreeMap, BTreeSet};

use crate::contract::inspect::{PointerRule, Right};
use crate::engine::registry::Registry;
use crate::engine::settings::Settings;
use crate::engine::step::AnyStep;
use crate::storage::pool::Pool;

/// What is checked: the steps of a run, between which databases, and how it works.
pub(crate) struct Checked<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) steps: &'a [&'a dyn AnyStep],
    pub(crate) legacy: &'a Pool,
    pub(crate) target: &'a Pool,
    pub(crate) settings: &'a Settings,
    /// Whether all rows to come are counted, for the forecast.
    pub(crate) counts: bool,
}

/// A table of the target, and what the steps do there.
pub(super) type Needs = BTreeMap<String, BTreeSet<Right>>;

/// The tables that the steps touch. Those into which a step writes whole rows need every right: a replay takes rows out again.
pub(super) fn needs(checked: &Checked<'_>) -> Needs {
    let mut needs = Needs::new();
    let mut add = |table: &str, rights: &[Right]| {
        needs.entry(table.to_owned()).or_default().extend(rights.iter().copied().chain([Right::Select]));
    };
    for step in checked.steps {
        step.writes().iter().for_each(|table| add(table.name, &[]));
        step.filled().into_iter().for_each(|table| add(table, Right::ALL));
        step.changes().iter().for_each(|(table, rights)| add(table, rights));
    }
    let follow = checked.settings.pointers.iter().filter(|(_, rule)| **rule == PointerRule::Follow);
    for (name, _) in follow {
        if let Some((table, _)) = name.rsplit_once('.') {
            add(table, &[Right::Update]);
        }
    }
    needs
}

/// Those of the tables in which rows are added, changed or taken out.
pub(super) fn written(needs: &Needs) -> BTreeSet<String> {
    needs.iter().filter(|(_, rights)| rights.len() > 1).map(|(table, _)| table.clone()).collect()
}
