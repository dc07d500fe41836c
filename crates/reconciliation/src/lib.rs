#![doc = include_str!("../README.md")]

mod error;
mod known;
mod money;
mod read;
pub mod reconcile;
mod schema;
pub mod statement;

pub use error::ReportError;
pub use read::Sources;
