//! The ledger: our own tables in the target, where every run, chunk, outcome, repair and quarantined row is kept.
//!
//! What a chunk did and that it did it commit in one transaction ([`close`]), so the ledger is never ahead of the target
//! and never behind it.

pub mod alive;
mod blocks;
pub(crate) mod changes;
pub mod claim;
pub mod close;
pub mod conflicts;
pub(crate) mod earlier;
pub(crate) mod erased;
mod error;
pub(crate) mod first;
pub(crate) mod forget;
pub mod frozen;
pub mod generations;
pub mod history;
mod ids;
pub(crate) mod imprints;
mod install;
mod layers;
pub mod mends;
pub(crate) mod moved;
mod numbers;
mod of_chunk;
pub(crate) mod origin;
pub(crate) mod overlay;
pub mod owner;
pub mod plan;
pub mod quarantine;
pub(crate) mod record;
pub(crate) mod recorded;
pub(crate) mod row;
pub mod runs;
pub(crate) mod seen;
pub mod stage;
pub mod standings;
pub mod status;
pub mod tables;
pub(crate) mod undone;
pub mod verifications;

pub(crate) use error::Attempt;
pub use error::LedgerError;
pub use first::FirstWritten;
pub use install::{exists, install};
pub(crate) use install::{known_versions, knows_generations};
