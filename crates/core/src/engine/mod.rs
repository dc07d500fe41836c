//! The run: steps in order, each through a pipeline of readers, rayon and writers.

pub(crate) mod chunk;
mod databases;
mod ends;
pub(crate) mod error;
pub(crate) mod event;
mod expel;
mod finish;
mod join;
mod limits;
mod offline;
pub(crate) mod pipeline;
pub(crate) mod preflight;
pub(crate) mod rejudge;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod run;
mod schedule;
pub(crate) mod settings;
pub(crate) mod step;
pub(crate) mod stop;
