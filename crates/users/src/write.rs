//! What happens to accounts that were there before: filled, repaired, closed (rules: Users, 3 and 5).

mod closing;
mod wish;

pub(crate) use closing::Closing;
pub(crate) use wish::Wish;
