//! The run: steps in order, each through a pipeline of readers, rayon and writers.

pub mod chunk;
pub mod error;
pub mod event;
pub mod pipeline;
pub mod preflight;
pub mod run;
pub mod step;
pub mod stop;
