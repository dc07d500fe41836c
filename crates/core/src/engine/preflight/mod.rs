//! What is looked at before anything is written.
//!
//! Everything is asked of the catalogues, in whatever language the server speaks, as the user who will run: nothing is tried
//! out. Each file has one subject and returns what it found; only refusals keep a run from beginning ([`check`]).

mod check;
mod checked;
mod forecast;
mod foreign_keys;
mod indexes;
mod keys;
mod ledger;
mod objects;
mod rights;
mod sequences;
mod server;
mod sessions;
mod shapes;
mod tables;

pub(crate) use check::{Preflight, check};
pub(crate) use checked::Checked;
pub use forecast::Forecast;
pub(crate) use sequences::sound as sequences;
