//! A migration: what its operator asks of it ([`asked`]). Each run is checked before, alive meanwhile, and closed in the ledger
//! afterwards ([`attended`]).

mod asked;
mod attended;

use jiff::Timestamp;

use crate::engine::registry::Registry;
use crate::engine::settings::Settings;
use crate::storage::db::{Db, DbUrl};

/// Reads when the legacy database was frozen.
pub type ReadSnapshot = fn(&mut Db) -> Result<Timestamp, String>;

/// A migration: its domains, its databases and how it works.
pub struct Migration<'a> {
    /// The domains.
    pub registry: &'a Registry,
    /// Reads the legacy snapshot's time.
    pub snapshot: ReadSnapshot,
    /// The legacy database.
    pub legacy: DbUrl,
    /// The target.
    pub target: DbUrl,
    /// How it works.
    pub settings: Settings,
}
