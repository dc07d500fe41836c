//! How fast the migration may go beside a live site: what signals allow ([`law`], [`signal`], [`chunk_time`]), and when ([`window`]).

pub mod chunk_time;
pub mod law;
pub mod signal;
pub mod window;
