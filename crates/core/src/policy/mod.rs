//! Decisions without I/O: when to try again, when to cut a chunk, when to stop, how large chunks are, and how fast it may go.

pub mod pace;
pub(crate) mod retry;
pub(crate) mod sizing;
