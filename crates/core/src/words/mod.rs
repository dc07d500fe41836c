//! Plain values that every other layer speaks in: keys, outcomes, counts, money.

mod counts;
mod keys;
mod money;
mod outcome;

pub use counts::Counts;
pub use keys::{Followers, Key, KeyRange, KeySet};
pub use money::{Currency, Money, MoneyFlow, MoneyTotals};
pub use outcome::{Code, Outcome, Repair, Root};
