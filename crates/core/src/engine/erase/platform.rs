//! The rows of the target that hold an address of a person: the site's.

use rustc_hash::FxHashSet;

use super::search::Search;
use super::told::Holding;
use crate::engine::error::RunError;
use crate::engine::run::Running;
use crate::storage::ledger::LedgerError;
use crate::storage::texts;

/// Rows of the target that hold an address.
pub(super) struct Platform {
    /// As they are named to the operator.
    pub(super) named: Vec<Holding>,
    /// Those with an id: the table, the id, and the mark of the first address.
    pub(super) addresses: Vec<(&'static str, i64, String)>,
}

impl Platform {
    /// Looks through all tables of the target that the steps know.
    ///
    /// # Errors
    /// The database fails.
    pub(super) fn searched(run: &Running<'_>, search: &Search) -> Result<Self, RunError> {
        let mut target = run.databases.target.get()?;
        let mut known: FxHashSet<&str> = FxHashSet::default();
        let mut platform = Self { named: Vec::new(), addresses: Vec::new() };
        let (_, shapes) = run.registry.shapes();
        for shape in shapes {
            if !known.insert(shape.name) {
                continue;
            }
            for row in texts::holding(&mut target, &shape, &search.spellings()).map_err(LedgerError::from)? {
                let within = |(column, text): &(&'static str, String)| Some((*column, search.within(text)?.to_owned()));
                let held: Vec<(&'static str, String)> = row.texts.iter().filter_map(within).collect();
                let Some((_, first)) = held.first() else { continue };
                platform.addresses.extend(row.id.map(|id| (shape.name, id, first.clone())));
                let columns = held.iter().map(|(column, _)| *column).collect();
                platform.named.push(Holding { table: shape.name, id: row.id, columns });
            }
        }
        Ok(platform)
    }
}
