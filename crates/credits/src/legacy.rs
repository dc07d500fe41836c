//! Legacy credit entries as they truly are.

use diesel::prelude::*;
use reference::PriceCells;
use replant_core::db::MultiBackend;
use replant_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::schema::credit_entry;

/// A row of `credit_entry`.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = credit_entry, check_for_backend(MultiBackend))]
pub struct CreditEntry {
    /// The key.
    pub id: Key,
    /// Whose credit it is; 0 is NULL.
    pub user_id: Cell<i64>,
    /// A signed amount: `20.00`, `-£1.89`.
    pub delta: Cell<String>,
    /// A currency: a code or a symbol.
    pub currency: Cell<String>,
    /// `topup`, `planting`, `bonus`.
    pub reason: Cell<String>,
    /// What `ref_id` is a key of: `plantation`, `finance`.
    pub ref_type: Cell<String>,
    /// What the entry was made for; 0 is NULL.
    pub ref_id: Cell<i64>,
    /// London wall time.
    pub created_when: Cell<Wall>,
}

replant_core::legacy!(CreditEntry => credit_entry, "credit_entry", key = id);

impl CreditEntry {
    /// The cells of its amount.
    pub(crate) fn price(&self) -> PriceCells<'_> {
        PriceCells { amount: &self.delta, amount_column: "delta", currency: &self.currency }
    }
}
