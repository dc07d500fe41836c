//! Decisions without I/O: when to try again, when to cut a chunk, when to stop, how large chunks are.

pub(crate) mod retry;
pub(crate) mod sizing;
