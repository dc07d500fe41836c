#![doc = include_str!("../README.md")]

pub mod cases;
pub mod catalog;
pub mod conformance;
pub mod dump;
pub mod load;
pub mod mariadb;
pub mod postgres;
pub mod sample;
pub mod schema;
pub mod servers;
pub mod sqlite;
pub mod state;

mod database;
mod restricted;

pub use database::Database;
pub use restricted::{GRANT_BY_SET, Restricted};
