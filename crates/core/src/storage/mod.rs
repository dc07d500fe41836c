//! Connections, cells, bulk writes and the ledger: the only SQL about our own tables.

mod advisory;
pub(crate) mod bulk;
pub(crate) mod by_set;
pub(crate) mod cell;
pub mod constraints;
pub mod db;
pub mod expectations;
pub(crate) mod failure;
pub(crate) mod fields;
pub(crate) mod imprint;
pub(crate) mod indexes;
pub mod ledger;
pub(crate) mod model;
pub(crate) mod place;
pub(crate) mod pointing;
pub(crate) mod pool;
mod rehearsal;
pub mod shape;
pub(crate) mod sql;
pub(crate) mod texts;
pub(crate) mod types;
