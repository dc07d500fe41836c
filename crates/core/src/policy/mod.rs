//! Decisions without I/O: when to try again, when to cut a chunk, when to stop.

pub(crate) mod retry;
