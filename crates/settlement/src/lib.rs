#![doc = include_str!("../README.md")]

mod allocations;
mod codes;
mod doubles;
mod legacy;
mod meta;
mod natives;
mod refunds;
mod schema;
mod transaction;
mod transactions;
mod transfer;
mod transfers;
mod words;

pub use allocations::{Allocations, Share};
pub use codes::{TransactionCode, TransactionRepair, TransferCode};
pub use legacy::{Transaction, Transfer};
pub use transaction::{PaidAt, Payment, Refund, TransactionRules};
pub use transactions::{PAYMENTS_STEP, Transactions};
pub use transfer::{Received, TransferRules};
pub use transfers::{BANK, Transfers, transfer_ref};
pub use words::{Kind, Method, State};
