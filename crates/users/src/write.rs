//! What happens to accounts that were there before: filled, repaired, closed (rules: Users, 3 and 5).
//!
//! The groups were formed from a frozen reading, but the customers live on: every account is locked and read again in the
//! transaction that changes it, before anything else, and in the order of the ids.

mod address;
mod closing;
mod newcomers;
mod standing;
mod wish;

pub(crate) use closing::{APART, Closing, POINTERS};
pub(crate) use newcomers::newcomers;
pub(crate) use wish::Wish;
