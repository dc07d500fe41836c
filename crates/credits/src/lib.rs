//! The ledger behind an account's credit.
