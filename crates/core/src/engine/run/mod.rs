//! What every run has: both databases, a heart, and the run that it may have joined.
//!
//! What a run does with its steps lies above: [`live`](super::live), [`offline`](super::offline), [`replay`](super::replay).

mod databases;
mod heart;
mod join;
mod running;

pub(crate) use databases::Databases;
pub(crate) use heart::beat;
pub(crate) use join::{wait_for_a_run, watch};
pub(crate) use running::{Intruders, Running, keys};
