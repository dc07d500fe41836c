//! The passport of a row: all that is known of one legacy row, or of one row of the target, with its values. Writes nothing.
//!
//! [`AsLegacy`] is told by [`legacy`], from the legacy row to what was written for it; [`target`] goes the other way. Both ask the
//! ledger through [`Asking`], which reads a chunk once. Nothing here reads a whole step, but for a row of the target that was there
//! before: the records of the steps that write its table are looked through.
//!
//! Values are what the operator has asked for. They are returned, and in no event, error or log.

mod asking;
mod legacy;
mod target;
mod told;

use super::error::RunError;
use super::registry::Registry;
use crate::storage::db::Db;

pub use asking::LegacySide;
pub use told::{AsLegacy, LegacyName, LegacyNow, Passport, States, Waits};

/// All that is known of the rows with a key in the tables of a name, legacy and target. A legacy database that does not answer fails
/// nothing: `legacy` is not asked twice.
///
/// # Errors
/// The target fails, what the ledger keeps cannot be read back, or the steps cannot be put in order.
pub fn passport(
    registry: &Registry,
    legacy: LegacySide,
    target: &mut Db,
    table: &str,
    id: i64,
) -> Result<Passport, RunError> {
    let mut asking = asking::Asking::new(registry, legacy, target)?;
    let as_legacy = legacy::passports(&mut asking, table, id)?;
    let target::Found { row, behind, planned_for } = target::look(&mut asking, table, id)?;
    let states = asking.states()?;
    Ok(Passport { table: table.to_owned(), id, as_legacy, target: row, as_target: behind, planned_for, states })
}
