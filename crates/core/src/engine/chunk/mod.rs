//! A chunk of one step: its rows are read ([`rows`]), judged ([`judged`]), written and closed in one transaction ([`ready`]).
//!
//! The engine knows it by its [`forms`], whatever its step. What becomes of its rows is counted in one place ([`closing`]): for the
//! first time, judged again ([`due`], [`rejudge`]), or without what foreign keys refuse ([`expel`]). What the ledger says of one is told
//! without a person's values by [`erase`].

mod closing;
mod due;
mod ends;
mod erase;
mod error;
mod expel;
mod forms;
mod judged;
mod ready;
mod rejudge;
mod rejudged;
mod rows;
mod stale;
mod take_out;
mod weight;
mod writer;

pub(crate) use due::Looked;
pub(crate) use erase::Forgotten;
pub use error::ChunkError;
pub(crate) use forms::{Committed, Expelled, ReadRows, ReadyChunk};
pub use forms::{Trial, TrialRow};
pub(crate) use judged::{Packing, seen_of};
pub use rejudged::Rejudged;
pub(crate) use rows::ChunkRows;
pub(crate) use stale::Stale;
pub(crate) use weight::Weight;
pub(crate) use writer::Writer;
