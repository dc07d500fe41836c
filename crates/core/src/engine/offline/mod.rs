//! A target that nobody else uses: foreign keys and secondary indexes are dropped for the load of a step and built again after it.

mod expel;
mod load;

pub(crate) use load::{check, intruders, load, settle};
