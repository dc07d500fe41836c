#![doc = include_str!("../README.md")]

mod code;
mod country;
mod currency;
mod email;
mod flag;
mod idna2008;
mod locale;
mod money;
mod phone;
mod text;
mod time;

pub use code::{Fault, Repair};
pub use country::Countries;
pub use currency::{Currencies, Currency, CurrencyCode, CurrencyMark, currency};
pub use email::{email, email_cleaned};
pub use flag::flag;
pub use locale::locale;
pub use money::{Amount, Minor, amount, float, to_minor};
pub use phone::phone;
pub use text::{Text, casefold, text, word};
pub use time::{Calendar, Snapshot, date, noon_utc};
