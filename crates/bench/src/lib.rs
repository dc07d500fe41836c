#![doc = include_str!("../README.md")]
#![allow(clippy::float_arithmetic, reason = "seconds, paces and ratios are no money")]

mod chart;
mod error;
mod finished;
mod measure;
mod pgloader;
mod plain_ways;
mod psql;
mod reading;
mod replant;
mod results;
mod run;
mod slice;
mod stage;
mod tables;
mod usage;
mod wire;

pub use chart::{ChartError, chart};
pub use error::BenchError;
pub use measure::Measure;
pub use replant::Replant;
pub use results::{Ratios, Results, StepResult, Way};
pub use run::{Bench, Measured};
pub use stage::Source;
pub use usage::Machine;
