//! Failures of databases: what they are ([`codes`]), and how a server is made to tell.
//!
//! diesel keeps the codes of most failures to itself: whoever needs one has the server tell it, in a block that catches what it
//! refuses ([`caught`]) or afterwards ([`diagnosis`](super::db::diagnosis)). Until then such a failure counts as one that may pass.

pub(crate) mod caught;
mod codes;
mod told;

pub use codes::Failure;
pub(crate) use told::{Told, UNFIT, UNGUARDED, UNKNOWN};
