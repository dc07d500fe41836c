//! Bulk writes: the rows of a chunk into the target by its fastest path, each row tied to the unit that it came from.
//!
//! A [`pass`] writes all batches of a chunk and notes the units that the target refuses. The first one is direct; where something
//! refuses a COPY, the next goes through a [`stage`] table, in which the target's own constraints find the culprits; [`settle`]
//! leads from one to the other. Domains see the batches ([`rows`]) and the transaction ([`tx`]).

mod amend;
mod batch;
mod before;
mod pass;
mod rewrite;
mod rewritten;
mod rows;
mod settle;
mod stage;
pub(crate) mod take_back;
mod target_row;
mod tx;
mod whole;
mod written;

pub use amend::{Amending, Amendment};
pub use batch::{Batch, UnitIndex};
pub(crate) use before::{Before, Known, Was};
pub(crate) use pass::Refused;
pub(crate) use rewritten::{Conflict, RowKey};
pub use rows::{Holds, Rows, Write};
pub(crate) use settle::{Settled, Writing, settle};
pub use target_row::{RowState, TargetColumn, TargetRow};
pub(crate) use target_row::{Told, by_imprint, by_name};
pub(crate) use tx::Noted;
pub use tx::Tx;
pub(crate) use whole::whole_row;
