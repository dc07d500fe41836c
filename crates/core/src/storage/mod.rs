//! Connections, cells, bulk writes and the ledger: the only SQL about our own tables.

pub mod bulk;
pub mod cell;
pub mod db;
pub mod failure;
pub mod ledger;
pub mod pool;
pub mod shape;
pub mod types;
