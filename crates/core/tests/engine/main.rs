//! The engine under load, refusals, outages and rivals, tried with a toy domain on SQLite and PostgreSQL.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod by_set;
mod cells;
mod conforms;
mod defects;
mod full;
mod ids;
mod later;
mod offline;
mod order;
mod outages;
mod part;
mod passport;
mod preflight;
mod refusals;
mod replay;
mod rivals;
mod schema;
mod site;
mod source;
mod tls;
mod toy;
mod trial;
mod undo;
mod verify;
mod world;
