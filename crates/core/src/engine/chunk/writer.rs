//! Who writes a chunk for the first time, and how.

use crate::storage::ledger::owner::Owner;

/// Whoever writes a chunk for the first time.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// As the ledger knows it.
    pub owner: &'a Owner,
    /// Whether the foreign keys of a COPY are checked by sets where they can be.
    pub by_set: bool,
    /// Where its transactions are numbered: the server and the database of it.
    pub cluster: Option<&'a str>,
}
