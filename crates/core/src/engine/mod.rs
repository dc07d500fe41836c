//! The engine: what a migration does with its steps.
//!
//! A row of data comes this way: [`run`] opens the databases, [`preflight`] looks at them, [`live`] plans the steps and lets each
//! chunk through its pipeline, and [`chunk`] knows how rows become a closed chunk. [`offline`] wraps the load of a step on a target
//! that nobody else uses; [`replay`] judges again what is done; [`passport`] tells all that is known of one row. [`migration`] is what
//! the outside calls; what it is told and tells stands in the files beside it. Imports go down: migration, replay and live, offline, run, preflight, step, chunk.

pub(crate) mod catch_up;
pub(crate) mod chunk;
mod chunks;
pub(crate) mod erase;
pub(crate) mod error;
pub(crate) mod event;
mod live;
pub(crate) mod migration;
mod offline;
pub(crate) mod passport;
mod places;
pub(crate) mod preflight;
pub(crate) mod registry;
pub(crate) mod replay;
pub(crate) mod report;
mod run;
pub(crate) mod settings;
pub(crate) mod step;
pub(crate) mod stop;
pub(crate) mod trial;
pub(crate) mod undo;
pub(crate) mod verify;
mod written;
