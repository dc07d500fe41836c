//! The tables into which a step inserts, and which of their rows are its own.

use super::step::AnyStep;
use crate::contract::inspect::Right;
use crate::storage::by_set::Place;
use crate::storage::ledger::plan::Ours;
use crate::storage::sql::quoted;

/// The tables into which a step inserts; `own`: the ids that it was given.
pub(crate) fn places(step: &dyn AnyStep, own: &Ours) -> Vec<Place> {
    let target = step.target_table();
    let with_ids = [target].into_iter().chain(step.also().iter().copied());
    let with_ids = with_ids.map(|table| Place { table, rows: Some(own.condition(table, "s.id")) });
    let parts = step.parts().iter();
    let of_part = |column: &str| own.condition(target, &format!("s.{}", quoted(column)));
    let parts = parts.map(|(table, column)| Place { table, rows: Some(of_part(column)) });
    let others = step.changes().iter().filter(|(_, rights)| rights.contains(&Right::Insert));
    let others = others.map(|(table, _)| Place { table, rows: None });
    with_ids.chain(parts).chain(others).collect()
}
